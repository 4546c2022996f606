"""Which examples fit, which choose, which report: disjoint sets, drawn by class and seed.

Every class's examples are shuffled by a generator of its own, so that another class's examples disturb nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modhub.decomposition.sampling import Indices, class_order


def shuffled_by_class(labels: NDArray[np.integer], classes: int, seed: int) -> list[Indices]:
    """For every class the positions of its examples in ``labels`` (n,), in a seeded order."""
    result = []
    for cls in range(classes):
        own = np.flatnonzero(labels == cls).astype(np.int64)
        result.append(own[class_order(len(own), cls, seed)])
    return result


def set_aside(labels: NDArray[np.integer], classes: int, seed: int, share: float = 1 / 3) -> tuple[Indices, Indices]:
    """Positions to work on and positions to report on, each sorted.

    ``share`` of every class's examples report, at least one.
    """
    work, report = [], []
    for own in shuffled_by_class(labels, classes, seed):
        aside = max(1, round(len(own) * share))
        report.append(own[:aside])
        work.append(own[aside:])
    return np.sort(np.concatenate(work)), np.sort(np.concatenate(report))


def folds(labels: NDArray[np.integer], classes: int, count: int, seed: int) -> NDArray[np.int64]:
    """A fold 0..count-1 for every example, shape (n,), each class spread evenly over all of them."""
    result = np.empty(len(labels), np.int64)
    for own in shuffled_by_class(labels, classes, seed):
        result[own] = np.arange(len(own)) % count
    return result


def first_of_each(labels: NDArray[np.integer], classes: int, most: int, seed: int) -> NDArray[np.bool_]:
    """Marks at most ``most`` examples of every class, the first in the seeded order; shape (n,)."""
    marked = np.zeros(len(labels), bool)
    for own in shuffled_by_class(labels, classes, seed):
        marked[own[:most]] = True
    return marked
