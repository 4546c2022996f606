"""Networks side by side answer what each answers, and vote by their margins on one scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modhub.compaction.joining import JoinedPart, joined, margin_head
from modhub.engine.run.network import Network, preprocess
from tests.small_origins import bar_modules, bars, quadrant_modules


def logits(part: JoinedPart) -> Any:
    network = Network(part.architecture, part.weights)
    features = np.asarray(network.run(preprocess(bars().x, part.contract)))
    return features @ part.weights["head/kernel"] + part.weights["head/bias"]


def test_a_margin_is_a_logit_less_the_mean_of_all_others_over_the_scale() -> None:
    origin = quadrant_modules().origin
    columns = np.array([3, 1])
    whole = logits(JoinedPart(origin.architecture, origin.weights, origin.contract))
    made = margin_head(origin.weights, columns, 4.0)
    found = logits(JoinedPart(origin.architecture, {**origin.weights, **made}, origin.contract))
    for place, column in enumerate(columns):
        others = np.delete(whole, column, axis=1).mean(axis=1)
        np.testing.assert_allclose(found[:, place], (whole[:, column] - others) / 4, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rescale", [None, 2 / 255])
def test_a_joined_network_answers_what_its_parts_answer(rescale: float | None) -> None:
    parts = []
    for number, modules in enumerate((quadrant_modules(), bar_modules())):
        origin = modules.origin
        other = {"rescale": rescale, "mean": (1.0,), "std": (0.5,)} if rescale and number else {}
        contract = origin.contract.model_copy(update=other)
        parts.append(JoinedPart(origin.architecture, origin.weights, contract))
    expected = np.concatenate([logits(part) for part in parts], axis=1)
    np.testing.assert_allclose(logits(joined(parts)), expected, rtol=1e-3, atol=1e-3)
