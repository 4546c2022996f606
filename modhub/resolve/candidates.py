"""Which releases of a model come into question, first choice first, read only as far as they are needed.

A release is what the nearest catalog that lists its name and version says it is; farther catalogs add only versions
that nearer ones lack. Within one object each catalog is asked for a model's versions once, and for the summary,
contract and withdrawal of a release at most once. Nothing is kept from one resolution to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import tee
from typing import TYPE_CHECKING

from modhub.errors import NotFound, did_you_mean
from modhub.resolve.catalog import Catalog
from modhub.spec.refs import ModelRef, in_order, is_exact, is_prerelease, satisfying, several_named, slug_of
from modhub.spec.registry_files import Withdrawal
from modhub.spec.text import composed

if TYPE_CHECKING:
    from modhub.spec.input_contract import InputContract
    from modhub.spec.registry_files import IndexEntry

#: How many names of one kind a message lists.
SHOWN = 10


@dataclass(frozen=True, eq=False)
class Candidate:
    """One release in the nearest catalog that lists it. Its content is read when it is first needed."""

    catalog: Catalog
    ref: ModelRef

    @cached_property
    def summary(self) -> IndexEntry:
        return self.catalog.summary(self.ref)

    @cached_property
    def contract(self) -> InputContract:
        return self.catalog.contract(self.ref)

    @cached_property
    def withdrawal(self) -> Withdrawal | None:
        return self.catalog.withdrawal(self.ref)

    @cached_property
    def yanked_classes(self) -> Mapping[str, str]:
        """Slugs of the classes that were yanked alone, and why."""
        return self.catalog.yanked_classes(self.ref)

    def withdrawal_of(self, wanted: str | None) -> Withdrawal | None:
        """Why it, or the class ``wanted`` of it, is not to be chosen; None when it may be.

        Where every class is asked for, it may be chosen as long as one of them may.
        """
        if self.withdrawal is not None or not self.yanked_classes:
            return self.withdrawal
        if wanted is None:
            left = set(self.summary.slugs) - self.yanked_classes.keys()
            return None if left else Withdrawal("yanked", next(iter(self.yanked_classes.values())))
        found = self._find(wanted)
        reason = None if found is None else self.yanked_classes.get(found[0])
        return None if reason is None else Withdrawal("yanked", reason)

    def yank_of(self, slug: str) -> str | None:
        """What to say of the class: that it, or the whole release, was yanked, and why."""
        if self.withdrawal is not None:
            return f"{self.ref} is yanked: {self.withdrawal.reason}"
        reason = self.yanked_classes.get(slug)
        return None if reason is None else f"{self.ref.name}:{slug}@{self.ref.version} is yanked: {reason}"

    def has(self, wanted: str | None) -> bool:
        """Whether it has the class ``wanted``, a slug or a display name; None means every class."""
        return wanted is None or self._find(wanted) is not None

    def classes(self, wanted: str | None) -> list[tuple[str, str]]:
        """Slug and display name of the class ``wanted``, or of every class by index. Raises NotFound, ``no-class``."""
        if wanted is None:
            return list(zip(self.summary.slugs, self.summary.classes, strict=True))
        found = self._find(wanted)
        if found is None:
            raise _no_class(wanted, self)
        return [found]

    def _find(self, wanted: str) -> tuple[str, str] | None:
        return self._classes.get(composed(wanted)) or self._classes.get(slug_of(wanted))

    @cached_property
    def _classes(self) -> dict[str, tuple[str, str]]:
        """Slug and display name by either. A slug goes before a display name that looks like it."""
        pairs = list(zip(self.summary.slugs, self.summary.classes, strict=True))
        return {composed(pair[1]): pair for pair in reversed(pairs)} | {pair[0]: pair for pair in pairs}


class Releases:
    """The releases of one model in all catalogs, nearest catalog first and in each the newest first."""

    def __init__(self, name: str, catalogs: Sequence[Catalog]) -> None:
        self.name = name
        self._namespace, self._model = name.split("/")
        self._catalogs = catalogs
        self._versions: list[Sequence[str]] = []
        self._candidates: dict[str, Candidate] = {}
        self._walks: dict[tuple[str | None, str | None], Iterator[Candidate]] = {}

    def satisfying(self, wanted: str | None, cls: str | None = None) -> Iterator[Candidate]:
        """Those that satisfy ``wanted`` and were not withdrawn, as a whole or in the class ``cls``.

        As for Python packages (PEP 592), one that was yanked still answers to its exact version.
        """
        if (wanted, cls) not in self._walks:
            exact = wanted is not None and is_exact(wanted)
            free = (each for each in self._listed(wanted) if _may_be_chosen(each.withdrawal_of(cls), exact=exact))
            (self._walks[wanted, cls],) = tee(free, 1)
        # A copy of a tee starts where the original is, at the first, and shares what was found.
        return copy(self._walks[wanted, cls])

    def yanked(self, wanted: str | None) -> Iterator[Candidate]:
        """Those that satisfy ``wanted`` and were yanked, but not taken down."""
        return (each for each in self._listed(wanted) if _may_be_chosen(each.withdrawal, exact=True))

    def locked(self, wanted: str | None, versions: Sequence[str]) -> Iterator[Candidate]:
        """Those of ``versions`` that satisfy ``wanted`` and that a lockfile still gives: yanked, not taken down."""
        for version in satisfying(reversed(in_order(versions)), wanted):
            for number in range(len(self._catalogs)):
                if version in self._in(number):
                    candidate = self._candidate(number, version)
                    if _may_be_chosen(candidate.withdrawal, exact=True):
                        yield candidate
                    break

    def outside(self, wanted: str | None, cls: str | None) -> Iterator[Candidate]:
        """Those that may be chosen but do not satisfy ``wanted``; pre-releases come last."""
        every = {version: number for number in reversed(range(len(self._catalogs))) for version in self._in(number)}
        every_version = in_order(every)
        inside = set(satisfying(every_version, wanted))
        others = [version for version in reversed(every_version) if version not in inside]
        for version in sorted(others, key=is_prerelease):
            candidate = self._candidate(every[version], version)
            if candidate.withdrawal_of(cls) is None:
                yield candidate

    def why_none(self, wanted: str | None, cls: str | None) -> NotFound | None:
        """Why no release satisfies ``wanted``; None when there is no release of the model at all."""
        existing = {catalog.name: self._in(number) for number, catalog in enumerate(self._catalogs) if self._in(number)}
        if not existing:
            return None
        withdrawn = list(self._listed(wanted))
        return _withdrawn(wanted, cls, existing, withdrawn) if withdrawn else _no_version(self.name, wanted, existing)

    def _listed(self, wanted: str | None) -> Iterator[Candidate]:
        seen: set[str] = set()
        for number in range(len(self._catalogs)):
            for version in satisfying(reversed(self._in(number)), wanted):
                if version not in seen:
                    seen.add(version)
                    yield self._candidate(number, version)

    def _in(self, number: int) -> Sequence[str]:
        """The versions in one catalog, oldest first."""
        while len(self._versions) <= number:
            self._versions.append(self._catalogs[len(self._versions)].versions(self._namespace, self._model))
        return self._versions[number]

    def _candidate(self, number: int, version: str) -> Candidate:
        if version not in self._candidates:
            ref = ModelRef(self._namespace, self._model, version)
            self._candidates[version] = Candidate(self._catalogs[number], ref)
        return self._candidates[version]


def _may_be_chosen(withdrawal: Withdrawal | None, *, exact: bool) -> bool:
    return withdrawal is None or (exact and withdrawal.kind == "yanked")


def _no_class(wanted: str, release: Candidate) -> NotFound:
    summary = release.summary
    more = "" if len(summary.slugs) <= SHOWN else f" and {len(summary.slugs) - SHOWN} more"
    return NotFound(
        f"{release.ref} has no class {wanted!r}.",
        kind="no-class",
        hint=several_named(release.ref.name, wanted, [*summary.slugs, *summary.classes])
        or did_you_mean(wanted, [*summary.slugs, *summary.classes])
        or f"it has {', '.join(summary.slugs[:SHOWN])}{more}.",
        release=str(release.ref),
        wanted=wanted,
        classes=list(summary.classes),
    )


def _no_version(model: str, wanted: str | None, existing: dict[str, Sequence[str]]) -> NotFound:
    every = list(dict.fromkeys(version for versions in existing.values() for version in versions))
    what = "release that is not a pre-release" if wanted is None else f"version {wanted}"
    there = "; ".join(f"{', '.join(versions[-SHOWN:])} in {name}" for name, versions in existing.items())
    return NotFound(
        f"{model} has no {what}. There is: {there}.",
        kind="no-version",
        hint=f"ask for one of them, for example {model}@{every[-1]}.",
        model=model,
        wanted=wanted,
        versions=every,
    )


def _withdrawn(
    wanted: str | None, cls: str | None, existing: dict[str, Sequence[str]], withdrawn: Sequence[Candidate]
) -> NotFound:
    """All that would have satisfied the request was yanked or taken down: say the newest one's reason."""
    newest = withdrawn[0]
    withdrawal = newest.withdrawal_of(cls)
    assert withdrawal is not None, "what may be chosen was not withdrawn"
    older = len(withdrawn) - 1
    more = f", and so {'is 1 older one' if older == 1 else f'are {older} older ones'}" if older else ""
    every = {version for versions in existing.values() for version in versions}
    others = in_order(every - {each.ref.version for each in withdrawn})
    how = "yanked" if withdrawal.kind == "yanked" else "taken down"
    what = str(newest.ref)
    if newest.withdrawal is None and cls is not None:
        what = f"{newest.ref.name}:{slug_of(cls)}@{newest.ref.version}"
    return NotFound(
        f"{what} is {how}{more}: {withdrawal.reason}",
        kind=withdrawal.kind,
        hint=f"there is {', '.join(others[-SHOWN:])}." if others else "its model has no other version.",
        release=str(newest.ref),
        reason=withdrawal.reason,
        wanted=wanted,
        versions=others,
    )
