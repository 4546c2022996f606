"""Why no releases take the same images: which two disagree, in what, and the nearest thing that would work.

Looking for that thing is bounded, and never fails by itself: what cannot be read is no help, and the disagreement is
the error that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Final

from modhub.errors import Incompatible, ModhubError
from modhub.resolve.candidates import Candidate
from modhub.resolve.resolver import Groups, ResolutionMember, Resolver
from modhub.spec.contract import NamedContract, check_same_input, input_text, range_text
from modhub.spec.input_contract import InputContract
from modhub.spec.refs import ModelRef, slug_of

#: How many releases are looked at for each of the two, as other versions and as other models.
_LOOKED_AT: Final = 16


@dataclass(frozen=True)
class Alternative:
    """A release that would work in place of one of two that disagree: another version of its model, or another model
    of its data set (``is_other_model``)."""

    ref: ModelRef
    contract: InputContract
    is_other_model: bool

    @property
    def hint(self) -> str:
        takes = f"{input_text(self.contract)} in {range_text(self.contract)}"
        if self.is_other_model:
            return f"{self.ref}, of the same data set, takes {takes}; ask for that model."
        return f"{self.ref} takes {takes}; ask for that version."


@dataclass(frozen=True)
class Disagreement:
    """Why no releases take the same images: ``first`` and ``second`` take others.

    ``third`` names a request that does not agree where other versions of these two do; None where they agree in none.
    ``alternatives`` come nearest first.
    """

    first: NamedContract
    second: NamedContract
    third: str | None
    alternatives: tuple[Alternative, ...]

    def error(self) -> Incompatible:
        """It in words, kind ``input-mismatch``; the hint is the nearest alternative."""
        also = f" Where other versions of them agree, {self.third} does not." if self.third is not None else ""
        try:
            check_same_input(self.first.name, self.first.contract, self.second.name, self.second.contract)
        except Incompatible as error:
            return Incompatible(
                error.message + also,
                kind=error.kind,
                hint=self.alternatives[0].hint if self.alternatives else error.hint,
                **error.data,
                alternatives=[str(each.ref) for each in self.alternatives],
            )
        raise AssertionError(f"{self.first.name} and {self.second.name} agree")


def disagreement(
    resolver: Resolver, groups: Groups, members: Sequence[ResolutionMember], fixed: Sequence[NamedContract]
) -> Disagreement:
    """Why no group of releases serves all ``members`` and fits what is ``fixed``."""
    search = _Search(resolver, groups, members, fixed)
    pair, third = _pair_with_fixed(groups, members, fixed[0]) if fixed else _pair(members)
    alternatives = search.versions(pair) or search.models(pair)
    first, second = (each if isinstance(each, NamedContract) else each.first_contract for each in pair)
    return Disagreement(first, second, None if third is None else str(third), tuple(alternatives))


ConflictingPair = tuple[NamedContract | ResolutionMember, ResolutionMember]


def _pair_with_fixed(
    groups: Groups, members: Sequence[ResolutionMember], fixed: NamedContract
) -> tuple[ConflictingPair, None]:
    group = groups.of_contract(fixed.contract)
    return (fixed, next(member for member in members if member.within(group) is None)), None


def _pair(members: Sequence[ResolutionMember]) -> tuple[ConflictingPair, ResolutionMember | None]:
    """Two that agree in no version; else two that agree only where the third, which comes with them, does not."""
    # For each group of the first request, all candidates of the member that refused it were read.
    for one, other in combinations([member for member in members if member.exhausted], 2):
        if one.found.keys().isdisjoint(other.found):
            return (one, other), None
    one = members[0]
    other = next(member for member in members if member.within(one.first_group) is None)
    shared = next(group for group in one.found if group in other.found)
    return (one, other), next(member for member in members if member.within(shared) is None)


class _Search:
    """For releases that would work in place of those of one model, everything else staying as it was asked for."""

    def __init__(
        self, resolver: Resolver, groups: Groups, members: Sequence[ResolutionMember], fixed: Sequence[NamedContract]
    ) -> None:
        self._resolver = resolver
        self._groups = groups
        self._members = members
        self._required = groups.of_contract(fixed[0].contract) if fixed else None

    def versions(self, pair: ConflictingPair) -> list[Alternative]:
        """Of each of the two models the newest version outside of its range that would work."""

        def outside(member: ResolutionMember) -> Iterator[Candidate]:
            return member.asked.releases.outside(member.asked.request.version, member.asked.request.cls)

        return self._first_of_each(pair, outside, is_other_model=False)

    def models(self, pair: ConflictingPair) -> list[Alternative]:
        """For each of the two the nearest other model of its data set that would work."""

        def others(member: ResolutionMember) -> Iterator[Candidate]:
            own = member.asked.model
            names = {name for catalog in self._resolver.catalogs for name in catalog.models()} - {own}
            for name in sorted(names, key=lambda name: (name.split("/")[0] != own.split("/")[0], name)):
                yield from islice(self._resolver.releases(name).satisfying(None), 1)

        return self._first_of_each(pair, others, is_other_model=True)

    def _first_of_each(
        self,
        pair: ConflictingPair,
        candidates: Callable[[ResolutionMember], Iterator[Candidate]],
        *,
        is_other_model: bool,
    ) -> list[Alternative]:
        found: dict[Candidate, Alternative] = {}
        for member in pair:
            if isinstance(member, ResolutionMember):
                with suppress(ModhubError):
                    looked_at = islice(candidates(member), _LOOKED_AT)
                    release = next((each for each in looked_at if self._works(each, member)), None)
                    if release is not None:
                        found[release] = Alternative(release.ref, release.contract, is_other_model)
        return list(found.values())

    def _works(self, release: Candidate, member: ResolutionMember) -> bool:
        """Whether there is a solution with ``release`` for those requests to the member's model that need it."""
        with suppress(ModhubError):
            if not _replaces(release, member) or any(_takes_already(each, release, member) for each in self._members):
                return False
            group = self._groups.of(release)
            return self._required in (None, group) and all(
                other.within(group) is not None
                or (other.asked.model == member.asked.model and _replaces(release, other))
                for other in self._members
            )
        return False


def _replaces(release: Candidate, member: ResolutionMember) -> bool:
    """Whether it has what the request names: in another model, the same classes of the same data set."""
    wanted, first = member.asked.request.cls, member.asked.first.summary
    if release.ref.name != member.asked.model:
        if release.summary.dataset != first.dataset:
            return False
        if wanted is None:
            return set(first.slugs) <= set(release.summary.slugs)
    return release.has(wanted)


def _takes_already(other: ResolutionMember, release: Candidate, member: ResolutionMember) -> bool:
    """Whether ``other`` asks the release's model for the same class already, which would then be there twice."""
    if other.asked.model != release.ref.name or other.asked.model == member.asked.model:
        return False
    one, two = other.asked.request.cls, member.asked.request.cls
    return one is None or two is None or slug_of(one) == slug_of(two)
