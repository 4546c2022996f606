"""How margins of modules count in a vote: on one scale across origins, and at which temperature. Pure.

Networks differ in how large their margins are, and a module from one of larger margins wins too often among those of
another. So margins of several origins are divided by their origins' ``margin_scale``; within one origin nothing
changes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.recipe import Voting
from modhub.package.module import Module, Origin
from modhub.spec.manifest import VoteRecord
from modhub.spec.text import in_short

#: In ``Derivation.strategy``: a module that was put on the scale of another origin's margins.
MATCHED: Final = "match"


@dataclass(frozen=True)
class Counting:
    """How the margins of some modules count: each is divided by its ``divisors``, 1 where it counts as it is.

    ``softmax(counted / temperature)`` is the vote's probability. ``remarks`` say it in words, for people.
    """

    divisors: tuple[float, ...]
    temperature: float
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "divisors": list(self.divisors),
            "temperature": self.temperature,
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True)
class _Unit:
    """Modules whose margins have one size: those of an origin, or some put on the scale of another one's."""

    origin: Origin
    record: VoteRecord | None
    is_matched: bool = False

    @property
    def temperature(self) -> float:
        """As recorded; without, the one at which the margins of all classes have the softmax of their own logits."""
        if self.record is not None:
            return self.record.temperature
        classes: int = len(self.origin.classes)
        return classes / (classes - 1)


def counting_of(modules: Sequence[Module], voting: Voting) -> Counting:
    """How ``modules`` (one or more), which vote together, count."""
    units = _units(modules)
    distinct = list({id(unit): unit for unit in units}.values())
    temperatures = [unit.temperature for unit in distinct]
    names = [unit.origin.name for unit in distinct]
    without = [unit.origin.name for unit in distinct if unit.record is None and not unit.is_matched]
    softmax = (
        [f"{in_short(without)} record{'s' if len(without) == 1 else ''} no temperature: probabilities are too sure"]
        if without
        else []
    )
    raw = (1.0,) * len(modules)
    if len(distinct) == 1:
        return Counting(raw, temperatures[0], tuple(softmax))
    if voting == "raw":
        return Counting(raw, fmean(temperatures), ("margins vote as they are, as asked", *softmax))
    if matched := [unit.origin.name for unit in distinct if unit.is_matched]:
        reason = f"margins vote as they are, since a module of {in_short(matched)} was put on another one's scale"
        return Counting(raw, fmean(temperatures), (reason, *softmax))
    if without:
        reason = f"margins vote as they are, since {in_short(without)} records no margin_scale"
        return Counting(raw, fmean(temperatures), (f"{reason}; a release made anew does", *softmax))
    scales = [unit.record.margin_scale for unit in distinct if unit.record is not None]
    divided = in_short(f"{name} by {scale:.4g}" for name, scale in zip(names, scales, strict=True))
    return Counting(
        tuple(unit.record.margin_scale for unit in units if unit.record is not None),
        fmean(temperature / scale for temperature, scale in zip(temperatures, scales, strict=True)),
        (f"margins are divided before they vote: {divided}",),
    )


def is_even(modules: Iterable[Module], voting: Voting) -> bool:
    """Whether the vote of ``modules`` puts their margins on one scale by itself."""
    return are_even((((each.origin.fingerprint, _is_matched(each)), _record(each)) for each in modules), voting)


def are_even(votes: Iterable[tuple[Hashable, VoteRecord | None]], voting: Voting) -> bool:
    """``is_even`` of modules of which no more is known than their network, by any name, and how its margins vote."""
    found = list(votes)
    networks = {network for network, _ in found}
    return voting == "scaled" and (len(networks) == 1 or networks == {network for network, vote in found if vote})


def relative_scales(modules: Sequence[Module], voting: Voting) -> NDArray[np.float64]:
    """What divides the margins of ``modules`` (k,) so that they count alike and are as large as before, on average."""
    divisors = np.array(counting_of(modules, voting).divisors)
    return np.asarray(divisors * np.mean(1 / np.unique(divisors)))


def _units(modules: Sequence[Module]) -> list[_Unit]:
    """Of each module its unit; equal ones are one object.

    A release from before margins had a scale takes that of another release of the same network. A module that was put
    on another's scale has none: of that scale no more is known than threshold and Platt scale.
    """
    known: dict[str, VoteRecord] = {}
    for module in modules:
        if module.origin.vote is not None:
            known.setdefault(module.origin.fingerprint, module.origin.vote)
    units: dict[tuple[str, bool], _Unit] = {}
    found = []
    for module in modules:
        fingerprint, is_matched = module.origin.fingerprint, _is_matched(module)
        record = None if is_matched else known.get(fingerprint)
        found.append(units.setdefault((fingerprint, is_matched), _Unit(module.origin, record, is_matched)))
    return found


def _record(module: Module) -> VoteRecord | None:
    return None if _is_matched(module) else module.origin.vote


def _is_matched(module: Module) -> bool:
    return bool(module.derived_from) and module.derived_from[-1].strategy == MATCHED
