"""Catalogs in memory whose releases take different images, and that remember what they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from modhub.errors import IntegrityError
from modhub.resolve.catalog import Pinned, all_modules
from modhub.resolve.together import resolve_together
from modhub.spec.digests import sha256
from modhub.spec.input_contract import ImageContract
from modhub.spec.refs import ModelRef, in_order, slug_of
from modhub.spec.registry_files import IndexEntry, Withdrawal

ANIMALS = ("cat", "dog", "potter's wheel")
YANKED = Withdrawal("yanked", "answers wolf for dog.")
GONE = Withdrawal("taken-down", "its images were not ours.")


def takes(height: int = 32, width: int = 32, channels: int = 3, **others: Any) -> ImageContract:
    """A contract of images of this size."""
    colour = {1: "grey", 3: "rgb"}.get(channels, "other")
    fields = {"dtype": "uint8", "value_range": (0, 255), "colour": colour} | others
    return ImageContract(height=height, width=width, channels=channels, **fields)


SMALL, LARGE, GREY = takes(), takes(64, 64), takes(channels=1)
UNIT = takes(dtype="float32", value_range=(0, 1))


@dataclass(frozen=True)
class Release:
    """One release: what it takes, the classes that it has, its data set."""

    contract: ImageContract = SMALL
    classes: Sequence[str] = ANIMALS
    dataset: str = "tiny"


@dataclass
class MemoryCatalog:
    """Releases by ``namespace/model@version``. ``summaries`` and ``contracts``: the refs that were read, in order."""

    name: str
    releases: dict[str, Release]
    targets: dict[str, str] = field(default_factory=dict)
    withdrawn: dict[str, Withdrawal] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    summaries: list[str] = field(default_factory=list)
    contracts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._entries: dict[str, IndexEntry] = {}
        self._versions: dict[str, list[str]] = {}
        for ref in self.releases:
            model, _, version = ref.partition("@")
            self._versions.setdefault(model, []).append(version)
        self._versions = {model: in_order(versions) for model, versions in self._versions.items()}

    @property
    def url(self) -> str:
        return f"memory://{self.name}"

    def versions(self, namespace: str, model: str) -> list[str]:
        return self._versions.get(f"{namespace}/{model}", [])

    def models(self, namespace: str | None = None) -> list[str]:
        return sorted(name for name in self._versions if namespace in (None, name.split("/")[0]))

    def alias(self, name: str) -> str | None:
        return self.targets.get(name)

    def alias_names(self) -> list[str]:
        return sorted(self.targets)

    def withdrawal(self, ref: ModelRef) -> Withdrawal | None:
        return self.withdrawn.get(str(ref))

    def yanked_classes(self, ref: ModelRef) -> dict[str, str]:
        return {}

    def summary(self, ref: ModelRef) -> IndexEntry:
        self.summaries.append(str(ref))
        release = self._release(ref)
        if str(ref) not in self._entries:
            self._entries[str(ref)] = IndexEntry(
                version=ref.version,
                digest=sha256(f"{self.name} {ref}".encode()),
                size=1,
                classes=tuple(release.classes),
                slugs=tuple(map(slug_of, release.classes)),
                dataset=release.dataset,
                input_shape=release.contract.shape,
            )
        return self._entries[str(ref)]

    def contract(self, ref: ModelRef) -> ImageContract:
        self.contracts.append(str(ref))
        return self._release(ref).contract

    def _release(self, ref: ModelRef) -> Release:
        if str(ref) in self.damaged:
            raise IntegrityError(f"{ref} is damaged.", kind="damaged")
        return self.releases[str(ref)]


def catalog(releases: dict[str, ImageContract | Release], name: str = "main", **more: Any) -> MemoryCatalog:
    """A catalog of these releases; a contract alone stands for a release with the usual classes."""
    full = {ref: each if isinstance(each, Release) else Release(each) for ref, each in releases.items()}
    return MemoryCatalog(name, full, **more)


def two(**more: ImageContract | Release) -> MemoryCatalog:
    """A model that grew from 32 to 64 pixels with its second version, and one that stayed; and ``more``."""
    releases = {"a/net@1.0.0": SMALL, "a/net@2.0.0": LARGE, "b/net@1.0.0": SMALL, "b/net@1.1.0": SMALL}
    return catalog(releases | more)


def refs(pins: Sequence[Pinned]) -> list[str]:
    return [str(pin.ref) for pin in pins]


def resolved_together(requests: Sequence[str], place: MemoryCatalog | list[MemoryCatalog], **options: Any) -> list[str]:
    """What ``resolve_together`` comes to, without aliases."""
    return refs(all_modules(resolve_together(requests, place if isinstance(place, list) else [place], {}, **options)))
