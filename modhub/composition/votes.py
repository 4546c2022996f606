"""What a composite answers: votes over margins (DESIGN section 3, Voting)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modhub.errors import UsageError

#: The answer of a composite that may reject, when no module is positive.
NONE_OF_THESE = "none of these"


@dataclass(frozen=True, eq=False)
class Prediction:
    """Answers for N images by k modules, columns in the order of ``classes``.

    ``margins`` float32 (N, k), ``(w_c - w_uc) . h + (b_c - b_uc)``: the vote is their argmax, never that of a squashed
    probability, which saturates and ties in float32. ``scores`` float32 (N, k) are calibrated probabilities of each
    module alone, ``positive`` bool (N, k) whether its margin exceeds its own threshold.
    """

    classes: tuple[str, ...]
    margins: NDArray[np.float32]
    thresholds: NDArray[np.float64]
    scales: NDArray[np.float64]
    reject: bool = False

    @property
    def positive(self) -> NDArray[np.bool_]:
        return np.asarray(self.margins > self.thresholds)

    @property
    def scores(self) -> NDArray[np.float32]:
        z = self.scales * (self.margins.astype(np.float64) - self.thresholds)
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
