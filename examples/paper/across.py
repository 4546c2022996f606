"""The modules of two networks on the images of both data sets: what Tables 3 and 5 are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import reuse
from study import Figures, Study, Trained, first_of_each
from two_ways import LOGITS, Source

#: Test images of each class where all modules of both networks run, unless the options say otherwise.
USUAL = 20


@dataclass(frozen=True, eq=False)
class Across:
    """Margins of two networks' modules on both test sets: ``a`` (N, first's classes), ``b_first`` (n, second's).

    ``a`` has the first data set's n images before the second's. On the second's images there is only ``b_own``, what
    the module of each image's own class says.
    """

    a: Any
    b_first: Any
    b_own: Any
    y_first: Any
    y_second: Any

    def recalls(self, one: int, other: int) -> tuple[float, float]:
        """Of the two classes, by the module of each; the first column wins ties, as argmax has it."""
        mine, theirs = self.y_first == one, self.y_second == other
        first = self.a[: len(self.y_first)][mine, one] >= self.b_first[mine, other]
        second = self.b_own[theirs] > self.a[len(self.y_first) :][theirs, one]
        return float(first.mean()), float(second.mean())


def sizes(study: Study, networks: Sequence[Trained]) -> list[int]:
    """Test images of each class, for each network's data set."""
    return [reuse.each(study, network, USUAL) for network in networks]


def across(one: Source, two: Source, way: str, each: Sequence[int]) -> Across:
    """All modules of both on the first ``each`` images of every class; ``LOGITS``: their logits instead."""
    tens, hundreds = (range(len(network.test.classes)) for network in (one, two))
    first = first_of_each(one.test, tens, each[0])
    second = first_of_each(two.test, hundreds, each[1])
    return Across(
        one.margins(way, tens, np.concatenate([first.x, second.x])),
        two.margins(way, hundreds, first.x),
        _own(two, way, second),
        first.y,
        second.y,
    )


def _own(network: Source, way: str, images: Any) -> Any:
    """What the module of each image's own class says; (N,)."""
    classes = range(len(network.test.classes))
    if way == LOGITS:
        return network.margins(way, classes, images.x)[np.arange(len(images.y)), images.y]
    own = np.empty(len(images.y), np.float32)
    for label in classes:
        here = images.y == label
        own[here] = network.margins(way, [label], images.x[here])[:, 0]
    return own


def about(way: str, *networks: Source) -> list[Figures]:
    """Of each network's modules; the networks themselves have none."""
    return [] if way == LOGITS else [network.about(way) for network in networks]
