"""What a composite answers: votes over margins (docs/algorithm.md, Voting)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modhub.errors import UnsupportedModel, UsageError
from modhub.package.module import Module
from modhub.spec.text import in_short

#: The answer of a composite that may reject, when no module is positive.
NONE_OF_THESE = "none of these"


@dataclass(frozen=True, eq=False)
class Prediction:
    """Answers for N images by k modules, columns in the order of ``classes``.

    ``margins`` float32 (N, k), ``(w_c - w_uc) . h + (b_c - b_uc)``: the vote is their argmax, never that of a squashed
    probability, which saturates and ties in float32. Where a verifier decided, its classes' margins changed places;
    ``own_margins`` are what each module itself said. ``scores`` float32 (N, k) are calibrated probabilities of each
    module alone, ``positive`` bool (N, k) whether its own margin exceeds its threshold.

    >>> import modhub
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    >>> prediction = modhub.compose(["cifar10/r20:cat", "cifar10/r20:ship"]).predict(images)
    >>> len(prediction), prediction.scores.shape, prediction.labels == [best for best, in prediction.top(1)]
    (4, (4, 2), True)
    """

    classes: tuple[str, ...]
    margins: NDArray[np.float32]
    thresholds: NDArray[np.float64]
    scales: NDArray[np.float64]
    reject: bool = False
    own_margins: NDArray[np.float32] | None = None

    @property
    def said(self) -> NDArray[np.float32]:
        """The margins that each module itself said, before any verifier decided; float32 (N, k)."""
        return self.margins if self.own_margins is None else self.own_margins

    @property
    def positive(self) -> NDArray[np.bool_]:
        return np.asarray(self.said > self.thresholds)

    @property
    def scores(self) -> NDArray[np.float32]:
        z = self.scales * (self.said.astype(np.float64) - self.thresholds)
        # Written with tanh, because exp overflows for large negative arguments.
        return np.asarray((0.5 * (1 + np.tanh(z / 2))).astype(np.float32))

    @property
    def indices(self) -> NDArray[np.int64]:
        """The winning column of every image, shape (N,); -1 for "none of these" when rejecting."""
        best = self.margins.argmax(axis=1)
        return np.where(self.positive.any(axis=1), best, -1) if self.reject else best

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

    def __repr__(self) -> str:
        """How many images got which label, the most frequent first."""
        given = (f"{count:,} {label}" for label, count in Counter(self.labels).most_common())
        return f"<Prediction of {len(self):,} images by {len(self.classes):,} modules: {in_short(given)}>"


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
