"""How far a fast way of running a composite agrees with the exact one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from modhub.composition.modes import exact_percent
from modhub.composition.votes import Prediction


@dataclass(frozen=True)
class Agreement:
    """Two ways on the same images: how many labels are equal, and the largest difference of any module's margin.

    Margins are compared as each module says them, before any verifier decides.
    """

    images: int
    equal: int
    margin: float

    @property
    def labels(self) -> float:
        """The share of equal labels; 1 of no images."""
        return self.equal / self.images if self.images else 1.0

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return {"images": self.images, "equal": self.equal, "labels": self.labels, "margin": self.margin}

    def __str__(self) -> str:
        return (
            f"{exact_percent(self.labels)} equal labels ({self.equal:,} of {self.images:,} images), "
            f"margins differ by at most {self.margin:.2g}"
        )


def agreement_of(found: Prediction, exact: Prediction) -> Agreement:
    """What two predictions of one composite for the same images have in common."""
    equal = int((found.indices == exact.indices).sum())
    difference = np.abs(found.module_margins - exact.module_margins)
    return Agreement(len(found), equal, float(difference.max()) if difference.size else 0.0)
