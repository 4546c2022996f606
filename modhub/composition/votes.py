"""What a composite answers: votes over margins (docs/algorithm.md, Voting)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from modhub.composition.prediction_rows import PredictionRow, as_csv, as_pandas, table_of
from modhub.errors import StorageError, UnsupportedModel, UsageError
from modhub.package.module import Module
from modhub.spec.html import Bar, Cell, HtmlTable, as_html
from modhub.spec.text import in_short
from modhub.storage import files

if TYPE_CHECKING:
    from pandas import DataFrame

#: Images that a notebook shows.
_SHOWN: Final = 20

#: The answer of a composite that may reject, when no module is positive.
NONE_OF_THESE = "none of these"


@dataclass(frozen=True, eq=False)
class Prediction:
    """Answers for N images by k modules, columns in the order of ``classes``.

    Of the vote: ``margins`` float32 (N, k), whose argmax is the answer, and ``probabilities``, which rank alike. Of
    each module by itself: ``module_margins`` float32 (N, k), ``(w_c - w_uc) . h + (b_c - b_uc)``, ``module_scores``,
    and ``positive``. Margins differ from a module's own where a verifier decided: its classes' changed places.
    ``images`` are the names of the images' files, None where they have none. It is iterated row by row, and as an
    array it is its labels.

    >>> import modhub
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    >>> prediction = modhub.compose(["cifar10/r20:cat", "cifar10/r20:ship"]).predict(images)
    >>> len(prediction), prediction.probabilities.shape, prediction.module_scores.shape
    (4, (4, 2), (4, 2))
    >>> [row.label for row in prediction] == prediction.labels
    True
    >>> prediction.labels == [prediction.classes[best] for best in prediction.probabilities.argmax(axis=1)]
    True
    """

    classes: tuple[str, ...]
    margins: NDArray[np.float32]
    module_margins: NDArray[np.float32]
    thresholds: NDArray[np.float64]
    scales: NDArray[np.float64]
    temperature: float
    reject: bool = False
    images: tuple[str, ...] | None = None

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """The vote's probability of each class, given that the image is of one of them: ``softmax(margins / T)``.

        Float32 (N, k), rows sum to 1; T is ``temperature``. Their argmax is that of the margins, also where float32
        cannot tell two classes apart: of those before the winner none has as much. It is the answer of every image that
        is not rejected; of a rejected one it is the class that would have been.
        """
        z = self.margins.astype(np.float64) / self.temperature
        shares = np.exp(z - z.max(axis=1, keepdims=True))
        found = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
        winner = self.margins.argmax(axis=1)[:, None]
        largest = np.take_along_axis(found, winner, axis=1)
        is_tied = (np.arange(len(self.classes)) < winner) & (found >= largest)
        return np.asarray(np.where(is_tied, np.nextafter(largest, np.float32(0)), found))

    @property
    def module_scores(self) -> NDArray[np.float32]:
        """Each module's own calibrated probability that the image is of its class, whatever the others say.

        Float32 (N, k), ``sigmoid(scale * (module_margin - threshold))``. Rows do not sum to 1, and their argmax is not
        the answer: take ``probabilities`` for that.
        """
        z = self.scales * (self.module_margins.astype(np.float64) - self.thresholds)
        # Written with tanh, because exp overflows for large negative arguments.
        return np.asarray((0.5 * (1 + np.tanh(z / 2))).astype(np.float32))

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether a module's own margin exceeds its threshold; bool (N, k)."""
        return np.asarray(self.module_margins > self.thresholds)

    @property
    def rejected(self) -> NDArray[np.bool_]:
        """Which images are answered "none of these": no module is positive, and rejecting is allowed; bool (N,)."""
        return np.asarray(~self.positive.any(axis=1) & self.reject)

    @property
    def indices(self) -> NDArray[np.int64]:
        """The winning column of every image, shape (N,); -1 for "none of these" when rejecting."""
        return np.where(self.rejected, -1, self.margins.argmax(axis=1))

    @property
    def labels(self) -> list[str]:
        """The winning class of every image; ``NONE_OF_THESE`` when rejecting and no module is positive."""
        names = [*self.classes, NONE_OF_THESE]
        return [names[index] for index in self.indices]

    def top(self, k: int) -> list[list[str]]:
        """The ``k`` best classes of every image by margin, best first. Raises UsageError unless 1 <= k <= classes."""
        if not 1 <= k <= len(self.classes):
            raise UsageError(
                f"top({k}) of a composite of {len(self.classes)} classes.", hint=f"ask for 1 to {len(self.classes)}."
            )
        order = np.argsort(-self.margins, axis=1, kind="stable")[:, :k]
        return [[self.classes[column] for column in row] for row in order]

    def __len__(self) -> int:
        return len(self.margins)

    def __iter__(self) -> Iterator[PredictionRow]:
        """The answers one by one. The figures are computed once for all."""
        return iter(self._rows)

    def __getitem__(self, row: int) -> PredictionRow:
        """The answer for one image. Raises IndexError."""
        return self._rows[row]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The labels (N,) as text, which is what ``numpy.asarray`` and scikit-learn's metrics take of it."""
        return np.array(self.labels, dtype=np.str_ if dtype is None else dtype)

    def to_csv(self, path: str | Path | None = None, *, per_class: bool = False) -> str | None:
        """The rows as CSV with a line of headers: as text, or written to ``path``, over a file that is there.

        ``per_class`` adds each class's probability as a column. Raises StorageError.
        """
        text = as_csv(*self._table(per_class))
        if path is None:
            return text
        try:
            files.overwrite(path, text.encode(), durable=False)
        except OSError as error:
            raise StorageError(
                f"{path} cannot be written: {error.strerror or error}.",
                kind="not-writable",
                hint="free some space, or choose another place.",
                path=str(path),
            ) from error
        return None

    def to_pandas(self, *, per_class: bool = False) -> DataFrame:
        """The rows as a DataFrame, columns as in ``to_csv``. Raises UsageError, kind ``missing-extra``."""
        return as_pandas(*self._table(per_class))

    def _table(self, per_class: bool) -> Any:
        return table_of(self._rows, self.probabilities, self.classes if per_class else ())

    @cached_property
    def _rows(self) -> list[PredictionRow]:
        best, every = self.margins.argmax(axis=1), np.arange(len(self))
        names: Sequence[str | None] = self.images or [None] * len(self)
        figures = [part[every, best].tolist() for part in (self.probabilities, self.margins, self.module_scores)]
        positive = np.asarray(self.positive.any(axis=1)).tolist()
        columns: list[Sequence[Any]] = [names, self.labels, *figures, positive]
        return [PredictionRow(*values) for values in zip(*columns, strict=True)]

    def __repr__(self) -> str:
        """How many images got which label, the most frequent first."""
        given = (f"{count:,} {label}" for label, count in Counter(self.labels).most_common())
        return f"<Prediction of {len(self):,} images by {len(self.classes):,} modules: {in_short(given)}>"

    def _repr_html_(self) -> str:
        shown = replace(self, **{name: getattr(self, name)[:_SHOWN] for name in ("margins", "module_margins")})
        names = self.images or [f"{number:,}" for number in range(min(len(self), _SHOWN))]
        rows: Iterator[Sequence[Cell]] = (
            (name, row.label, Bar(row.probability, f"{row.probability:.3f}"), f"{row.module_score:.3f}")
            for name, row in zip(names, replace(shown, images=None), strict=False)
        )
        title = f"Prediction of {len(self):,} images by {len(self.classes):,} modules"
        table = HtmlTable(["image", "label", "probability", "module score"], rows, len(self), texts=2)
        return as_html(title, (), [table])


def check_margins(margins: NDArray[np.floating], modules: Sequence[Module]) -> None:
    """Raise UnsupportedModel naming the first of ``modules`` whose margins, a column of (N, k), are not all finite."""
    if np.isfinite(margins).all():
        return
    finite = np.isfinite(margins)
    column = int(np.argmin(finite.all(axis=0)))
    module, image = modules[column], int(np.argmin(finite[:, column]))
    raise UnsupportedModel(
        f"{module.ref} answers NaN or infinity, first for image {image}: its weights or its preprocessing lead beyond "
        "what float32 holds.",
        kind="not-finite",
        hint="leave that module out, or take another release of it.",
        module=module.ref,
        digest=module.digest,
        image=image,
    )


def decided(
    margins: NDArray[np.float32], verifying: NDArray[np.float32], stages: Sequence[Sequence[int]]
) -> NDArray[np.float32]:
    """The members' margins (N, k) after every stage has decided again, in order.

    A stage names columns; ``verifying`` (N, sum of their counts) holds its modules' margins, stage after stage. Where
    one of its columns wins, their margins are given out again: the largest to the column whose module says most.
    """
    if not stages:
        return margins
    result, start = margins.copy(), 0
    for stage in stages:
        columns = np.array(stage)
        votes = verifying[:, start : start + len(columns)]
        start += len(columns)
        rows = np.flatnonzero(np.isin(result.argmax(axis=1), columns))
        here = np.ix_(rows, columns)
        largest_first = -np.sort(-result[here], axis=1)
        rank = np.argsort(np.argsort(-votes[rows], axis=1, kind="stable"), axis=1, kind="stable")
        result[here] = np.take_along_axis(largest_first, rank, axis=1)
    return result
