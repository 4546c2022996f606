"""Releases in groups of which one image serves all, found out as far as somebody asks.

Only ``compat`` knows what conflicts. That its answer is an equivalence relation is what makes groups of it; a test
holds it to that.
"""

from __future__ import annotations

from collections.abc import Iterator

from modhub.compat import Standing, image_key
from modhub.manifest import InputContract
from modhub.resolve.candidates import Candidate
from modhub.resolve.resolver import Asked


class Groups:
    """Numbers for groups of contracts that one image serves."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        self._by_release: dict[Candidate, int] = {}

    def of(self, release: Candidate) -> int:
        if release not in self._by_release:
            self._by_release[release] = self.of_contract(release.contract)
        return self._by_release[release]

    def of_contract(self, contract: InputContract) -> int:
        return self._numbers.setdefault(image_key(contract), len(self._numbers))


class Member:
    """One request on its way to a release: its candidates, walked only as far as somebody asks.

    ``found`` has, of each group met so far, the first candidate.
    """

    def __init__(self, asked: Asked, groups: Groups) -> None:
        """Walks to the first choice. Raises as ``resolve`` for a request that nothing satisfies."""
        self.asked = asked
        self.exhausted = False
        self.found: dict[int, Candidate] = {}
        self._order: list[int] = []
        self._groups = groups
        self._walk = asked.candidates()
        asked.pins(asked.first)
        self._step()
        (self.first_group,) = self.found

    def within(self, group: int) -> Candidate | None:
        """The first candidate that is in ``group``."""
        while group not in self.found and not self.exhausted:
            self._step()
        return self.found.get(group)

    def groups(self) -> Iterator[int]:
        """The groups of its candidates, in order of preference."""
        number = 0
        while True:
            while number == len(self._order) and not self.exhausted:
                self._step()
            if number == len(self._order):
                return
            yield self._order[number]
            number += 1

    def _step(self) -> None:
        candidate = next(self._walk, None)
        if candidate is None:
            self.exhausted = True
        elif (group := self._groups.of(candidate)) not in self.found:
            self.found[group] = candidate
            self._order.append(group)

    def __str__(self) -> str:
        """How messages call it: as its first choice."""
        return str(self.asked.pins(self.asked.first)[0].ref if self.asked.request.cls else self.asked.first.ref)

    @property
    def standing(self) -> Standing:
        """As if its first choice stood already."""
        return Standing(str(self), self.asked.first.contract)
