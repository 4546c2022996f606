"""Which of the notices of a namespace are about a module that somebody has, or looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from modhub.spec.refs import ModelRef, ModuleRef

if TYPE_CHECKING:
    from modhub.spec.advisories import Advisory, NoticedRelease, Notices

#: What is said: classes are faulty, or the publisher withdrew them, or there is something better.
RemarkKind = Literal["advisory", "yanked", "taken-down", "deprecated"]


@dataclass(frozen=True)
class Remark:
    """One thing that ``registry`` says against ``subject``, a module, a release or a model, as names are written.

    ``advisory`` is the whole advisory where it is one; ``use`` what to use in its place.
    """

    kind: RemarkKind
    subject: str
    reason: str
    registry: str
    use: str | None = None
    advisory: Advisory | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        """An advisory's id; of anything else its kind and what it is about: ``yanked:me/net@1.0.0``."""
        return self.advisory.id if self.advisory is not None else f"{self.kind}:{self.subject}"

    def __str__(self) -> str:
        """One line, for people."""
        instead = f"; use {self.use} instead" if self.use else ""
        reason = self.reason.rstrip(".")
        if self.advisory is None:
            state = {"yanked": "yanked", "taken-down": "taken down", "deprecated": "deprecated"}[self.kind]
            return f"{self.subject} is {state}: {reason}{instead}"
        fixed = f"; fixed in {', '.join(self.advisory.fixed)}" if self.advisory.fixed else ""
        return f"{self.subject} is faulty ({self.advisory.severity}, {self.advisory.id}): {reason}{fixed}{instead}"


class NoticeBoard:
    """The notices of one namespace in one registry, found by model."""

    def __init__(self, notices: Notices, registry: str) -> None:
        self.notices = notices
        self.registry = registry

    def about(self, ref: ModuleRef | ModelRef) -> Iterator[Remark]:
        """All that is said against a module, or against any class of a release; the gravest first."""
        slug = ref.cls if isinstance(ref, ModuleRef) else None
        release = ref.release if isinstance(ref, ModuleRef) else ref
        yield from self._withdrawn(release, slug)
        for advisory in self._advisories.get(release.model, ()):
            if advisory.covers(release.model, slug, release.version):
                subject = str(ref) if slug is not None else _named(release, advisory)
                yield Remark("advisory", subject, advisory.summary, self.registry, advisory.instead, advisory)
        for each in self.notices.deprecations:
            if each.deprecated and each.model == release.model:
                yield Remark("deprecated", release.name, each.reason, self.registry, each.use)

    def _withdrawn(self, release: ModelRef, slug: str | None) -> Iterator[Remark]:
        found = self._releases.get((release.model, release.version))
        if found is None:
            return
        if found.kind is not None:
            yield Remark(found.kind, str(release), str(found.reason), self.registry)
            return
        for cls, reason in found.yanked_classes.items():
            if slug in (None, cls):
                yield Remark("yanked", f"{release.name}:{cls}@{release.version}", reason, self.registry)

    @cached_property
    def _advisories(self) -> dict[str, list[Advisory]]:
        found: dict[str, list[Advisory]] = {}
        for advisory in self.notices.advisories:
            if advisory.withdrawn is None:
                for model in {each.model for each in advisory.affected}:
                    found.setdefault(model, []).append(advisory)
        order = ("critical", "high", "medium", "low")
        return {model: sorted(each, key=lambda a: (order.index(a.severity), a.id)) for model, each in found.items()}

    @cached_property
    def _releases(self) -> dict[tuple[str, str], NoticedRelease]:
        return {(each.model, each.version): each for each in self.notices.releases}


def _named(release: ModelRef, advisory: Advisory) -> str:
    """The release, with the classes that an advisory is about where it names few."""
    own = [each for each in advisory.affected if each.model == release.model and each.covers(None, release.version)]
    classes = sorted({slug for each in own for slug in each.classes})
    if len(classes) == 1 and all(each.classes for each in own):
        return f"{release.name}:{classes[0]}@{release.version}"
    return str(release)
