"""The answers of a prediction as plain values, each with its best classes: what ``modhub predict`` prints as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modhub.composition.votes import Prediction


def ranked_rows(prediction: Prediction, names: Sequence[str], top: int) -> list[dict[str, Any]]:
    """One dictionary an image: its name, the answer, whether any module is positive, and the ``top`` best classes.

    Figures have six decimals. Raises UsageError as ``Prediction.top``.
    """
    positive = prediction.positive
    figures = {
        "probability": prediction.probabilities,
        "margin": prediction.margins,
        "module_score": prediction.module_scores,
    }
    column = {label: number for number, label in enumerate(prediction.classes)}
    return [
        {
            "image": name,
            "label": label,
            "positive": bool(positive[row].any()),
            "top": [
                {"label": best} | {name: round(float(values[row, column[best]]), 6) for name, values in figures.items()}
                for best in ranked
            ],
        }
        for row, (name, label, ranked) in enumerate(zip(names, prediction.labels, prediction.top(top), strict=True))
    ]
