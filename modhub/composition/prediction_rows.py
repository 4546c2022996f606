"""One answer a row: what a prediction is when it is iterated, and as a table for other tools."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from modhub.errors import UsageError
from modhub.spec.text import in_short

if TYPE_CHECKING:
    from pandas import DataFrame

#: The columns of every table; those of the classes' probabilities are named after these with the label behind.
_COLUMNS: Final = ("label", "probability", "margin", "module_score", "positive")


@dataclass(frozen=True)
class PredictionRow:
    """The answer for one image.

    ``image`` is its file's name, None where it has none. ``label`` is the answer; ``probability``, ``margin`` and
    ``module_score`` are as in ``Prediction``, of the class that wins the vote, which a rejected image has too.
    ``positive`` says whether any module is.
    """

    image: str | None
    label: str
    probability: float
    margin: float
    module_score: float
    positive: bool

    def __repr__(self) -> str:
        of = "" if self.image is None else f" of {in_short([self.image])}"
        return f"<PredictionRow{of}: {in_short([self.label])}, probability {self.probability:.3f}>"


def table_of(rows: Sequence[PredictionRow], probabilities: Iterable[Sequence[float]], classes: Sequence[str]) -> Any:
    """Headers, and a list of values for each row; with ``classes`` each one's probability too."""
    named = any(row.image is not None for row in rows)
    headers = [*(["image"] if named else []), *_COLUMNS, *(f"probability of {label}" for label in classes)]
    values = [
        [
            *([row.image] if named else []),
            *(getattr(row, name) for name in _COLUMNS),
            *(map(float, shares) if classes else ()),
        ]
        for row, shares in zip(rows, probabilities, strict=True)
    ]
    return headers, values


def as_csv(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV (RFC 4180), lines ended by a line feed; floats so that they read back the same."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows(rows)
    return out.getvalue()


def as_pandas(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> DataFrame:
    """Rows as a DataFrame. Raises UsageError, kind ``missing-extra``, without pandas."""
    if importlib.util.find_spec("pandas") is None:
        raise UsageError(
            "tables for pandas need pandas, which is not installed.",
            kind="missing-extra",
            hint="pip install 'modhub[pandas]', or take prediction.to_csv().",
        )
    table: DataFrame = import_module("pandas").DataFrame(list(rows), columns=list(headers))
    return table
