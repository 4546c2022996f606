"""Two classifiers on the same images: is the difference more than noise? The one place that decides "is it better".

McNemar's test looks only at the images that one answered rightly and the other wrongly: were both equally good, either
way would be a throw of a coin. The exact test is conservative; its mid-p form is what Fagerland, Lydersen and Laake
(The McNemar test for binary matched-pairs data, 2013) recommend, and decides here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.evaluation.intervals import Estimate, Resampling
from modhub.evaluation.metrics import Labels
from modhub.spec.text import in_short


@dataclass(frozen=True)
class Comparison:
    """The ``first`` classifier against the ``second`` on ``images`` images; differences are first minus second.

    ``only_first`` and ``only_second`` count images that only that one answered rightly. ``p`` is McNemar's mid-p,
    ``p_exact`` the exact one, two-sided; ``alpha`` is what ``p`` has to stay below.
    """

    first: str
    second: str
    images: int
    only_first: int
    only_second: int
    top_1: Estimate
    balanced: Estimate
    p: float
    p_exact: float
    alpha: float

    def __repr__(self) -> str:
        first, second = (in_short([name], longest=100) for name in (self.first, self.second))
        return f"<Comparison of {first} with {second} on {self.images:,} images: top-1 {self.top_1.points}>"

    @property
    def significant(self) -> bool:
        """Whether the difference in top-1 is more than noise."""
        return self.p < self.alpha

    @property
    def better(self) -> str | None:
        """The one that is better by more than noise; None where neither is."""
        if not self.significant:
            return None
        return self.first if self.only_first > self.only_second else self.second

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.better is None:
            return f"no difference beyond noise (p {p_text(self.p)})"
        other = self.second if self.only_first > self.only_second else self.first
        return f"{self.better} is better than {other}, by more than noise (p {p_text(self.p)})"

    def lines(self) -> list[tuple[str, str]]:
        """Names and values, as people read them."""
        return [
            ("top-1", self.top_1.points),
            ("balanced", self.balanced.points),
            ("only right", f"{self.first} {self.only_first:,}, {self.second} {self.only_second:,}"),
            ("McNemar", f"mid-p {p_text(self.p)}, exact p {p_text(self.p_exact)}"),
            ("verdict", self.verdict),
        ]

    @property
    def heading(self) -> str:
        return f"{self.first} against {self.second}: {self.images:,} images"

    def __str__(self) -> str:
        return "\n".join([self.heading, *(f"  {name:<11}{value}" for name, value in self.lines())])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "first": self.first,
            "second": self.second,
            "images": self.images,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "top_1": self.top_1.to_dict(),
            "balanced": self.balanced.to_dict(),
            "p": self.p,
            "p_exact": self.p_exact,
            "alpha": self.alpha,
            "significant": self.significant,
            "verdict": self.verdict,
        }


def p_text(p: float) -> str:
    """A p-value behind the letter p: ``= 0.012``."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}" if p < 0.01 else f"= {p:.3f}"


def mcnemar(only_first: int, only_second: int) -> tuple[float, float]:
    """The mid-p and the exact two-sided p of McNemar's test, from the two counts of images that only one got right."""
    fewer, discordant = min(only_first, only_second), only_first + only_second
    if not discordant:
        return 1.0, 1.0
    # Whole numbers, which neither round nor underflow: ways to throw at most ``fewer`` heads.
    ways, below = 1, 0
    for heads in range(fewer):
        below += ways
        ways = ways * (discordant - heads) // (heads + 1)
    exact = min(1.0, 2 * (below + ways) / 2**discordant)
    mid = min(1.0, (2 * below + ways) / 2**discordant)
    return mid, exact


def compared(
    names: tuple[str, str],
    truth: Labels,
    right: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    classes: int,
    resampling: Resampling,
) -> Comparison:
    """Two classifiers on the same images: their labels (N,) below ``classes``, and which each answered rightly."""
    first, second = right
    gained, lost = first & ~second, second & ~first
    by_class = [np.bincount(truth[rows], minlength=classes) for rows in (gained, lost, slice(None))]
    mid, exact = mcnemar(int(gained.sum()), int(lost.sum()))
    return Comparison(
        first=names[0],
        second=names[1],
        images=len(truth),
        only_first=int(gained.sum()),
        only_second=int(lost.sum()),
        top_1=resampling.difference(int(gained.sum()), int(lost.sum()), len(truth)),
        balanced=resampling.mean_difference(by_class[0], by_class[1], by_class[2]),
        p=mid,
        p_exact=exact,
        alpha=resampling.alpha,
    )
