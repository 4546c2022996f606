"""What pages are made of: releases as they were read and verified, and what else is said and known of them.

Everything in here may come from a registry and is hostile until a template has escaped it. Nothing here reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from modhub.spec.manifest import Content, Manifest

#: A share of 1, row by row: the Jaccard index of every two modules of a release, in the manifest's order.
Overlap = Sequence[Sequence[float]]


@dataclass(frozen=True)
class ShownNotice:
    """One thing that is said against a release or a class of it: ``kind`` as of a remark, ``text`` in a line.

    ``slug`` is the class that it is about; None for all. ``severity`` and ``id`` are an advisory's.
    """

    kind: Literal["advisory", "yanked", "taken-down", "deprecated"]
    text: str
    slug: str | None = None
    severity: str | None = None
    id: str | None = None
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShownSignature:
    """One signature: the ``key``'s id, what the reader of the registry calls that key, and what verifying it gave."""

    key: str
    name: str | None
    verdict: str
    reason: str = ""


@dataclass(frozen=True)
class SiteProblem:
    """A release, or a model, that cannot be shown because what is stored of it cannot be believed."""

    name: str
    message: str
    kind: str


@dataclass(frozen=True, eq=False)
class ShownRelease:
    """One release, verified. ``overlap`` is None where the modules' masks were not read; ``compatible`` the range that
    a project writes for its version; ``notices`` are all that concern it, the gravest first."""

    manifest: Manifest
    compatible: str
    readme: str = ""
    notices: tuple[ShownNotice, ...] = ()
    signatures: tuple[ShownSignature, ...] = ()
    yanked: str | None = None
    yanked_classes: Mapping[str, str] = field(default_factory=dict)
    overlap: Overlap | None = None
    problems: tuple[SiteProblem, ...] = ()

    @property
    def content(self) -> Content:
        return self.manifest.content

    @property
    def version(self) -> str:
        return str(self.manifest.content.version)

    @property
    def is_signed(self) -> bool:
        """Whether a signature of it verifies by a key that the reader trusts for it."""
        return any(each.verdict == "good" for each in self.signatures)

    @property
    def is_unchecked(self) -> bool:
        """Whether it is signed, but by keys alone that the reader does not know, so that nobody checked."""
        return {each.verdict for each in self.signatures} == {"unknown-key"}

    @property
    def ref(self) -> str:
        """``namespace/model@version``."""
        return f"{self.content.name}@{self.version}"


@dataclass(frozen=True)
class GoneVersion:
    """A version of which nothing is left but its name."""

    version: str
    reason: str


@dataclass(frozen=True, eq=False)
class ShownModel:
    """A model with its releases, the newest first. ``chosen`` is the one that its plain name gives, None where all are
    withdrawn or damaged. ``registry`` is where it was found, and ``source`` the URL that commands need to find it
    there, None where they need none. ``toggled`` has, for pairs of versions (older, newer), by class how many nodes
    only one of the two keeps; None for a class whose masks cannot be compared.
    """

    name: str
    registry: str
    releases: tuple[ShownRelease, ...]
    chosen: ShownRelease | None
    source: str | None = None
    taken_down: tuple[GoneVersion, ...] = ()
    aliases: tuple[str, ...] = ()
    toggled: Mapping[tuple[str, str], Mapping[str, int | None]] = field(default_factory=dict)
    problems: tuple[SiteProblem, ...] = ()

    @property
    def namespace(self) -> str:
        return self.name.partition("/")[0]

    @property
    def model(self) -> str:
        return self.name.partition("/")[2]
