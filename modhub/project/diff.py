"""Fetching what ``diff`` compares: two lockfiles, or the manifests of two releases and the modules that differ."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache as once
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from modhub.composition.recipe import ClassifierSettings
from modhub.engine.compact.release_costs import release_costs
from modhub.errors import NotFound, UsageError
from modhub.installation.context import Places, RegistryUrls, load_lock
from modhub.installation.lockfile import LockedProject
from modhub.package.codec import decode, decode_module, most_bytes, wanted_module
from modhub.package.decomposition import trunk_fingerprint
from modhub.package.folder import load_blob
from modhub.package.local import manifest_and_slugs
from modhub.package.module import Head, PackedMasks
from modhub.package.overlap import mean_between
from modhub.project.manifest import LOCK_FILE
from modhub.project.views import manifest_of
from modhub.spec.architecture import shapes_of
from modhub.spec.compact_text import compact_lines
from modhub.spec.contract import input_text, range_text
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.folder_refs import folder_ref
from modhub.spec.manifest import Content, Manifest, ModuleRecord, StoredBlob
from modhub.spec.places import is_folder
from modhub.spec.refs import parse
from modhub.spec.text import kept_share, percent
from modhub.storage.verify import VerifiedBlob


def compared_locks(first: str | Path, second: str | Path) -> LockDifference:
    """What differs between two projects' lockfiles, or those in two folders. Raises NotFound, IntegrityError."""
    return lock_difference(_lock(Path(first)), _lock(Path(second)))


def compared_releases(
    first: str,
    second: str,
    *,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    offline: bool = False,
) -> ReleaseDifference:
    """What differs between the releases or folders that two names mean: all classes, or the class that each name has.

    Raises NotFound, IntegrityError, UsageError when only one of the names has a class.
    """
    open_places = once(partial(Places.open, registry, cache, offline=offline))
    sides = [_side(name, open_places) for name in (first, second)]
    named = [side.slug is not None for side in sides]
    if named[0] != named[1]:
        raise UsageError(
            f"{first} and {second}: one names a class, the other a whole release.",
            kind="not-comparable",
            hint="compare two releases, or two classes.",
        )
    pairs: list[RecordPair] | None = None
    if named[0]:
        pairs = [(sides[0].record, sides[1].record)]
    readers = {side.manifest.digest: side.read_blob for side in sides}

    def parts(manifest: Manifest, record: ModuleRecord) -> NamedParts:
        return _parts(readers[manifest.digest], manifest, record)

    found = release_difference(sides[0].manifest, sides[1].manifest, parts, pairs)
    return replace(found, settings=(*found.settings, *_between(sides)))


@dataclass(frozen=True)
class _Side:
    """One of two releases or folders: its manifest, the class that was named, if one was, and what reads its blobs."""

    manifest: Manifest
    slug: str | None
    read_blob: Callable[[StoredBlob], VerifiedBlob]

    @property
    def record(self) -> ModuleRecord:
        return next(module for module in self.manifest.content.modules if module.slug == self.slug)


def _between(sides: Sequence[_Side]) -> tuple[Setting, ...]:
    """The mean Jaccard index of two modules of each side, where a side records it and they differ."""
    recorded = [side.manifest.content.jaccard_between for side in sides]
    if all(value is None for value in recorded):
        return ()
    texts = [
        _index_text(_mean_between(side) if value is None else value)
        for side, value in zip(sides, recorded, strict=True)
    ]
    return () if texts[0] == texts[1] else (Setting("JI between modules", *texts),)


def _mean_between(side: _Side) -> float | None:
    """What a release from before it was recorded does not say, of its masks."""
    modules = side.manifest.content.modules
    return mean_between([_decoded(side.read_blob, side.manifest, record)[1] for record in modules])


def _side(name: str, open_places: Callable[[], Places]) -> _Side:
    if (here := folder_ref(name)) is not None:
        manifest, slugs = manifest_and_slugs(here)
        return _Side(manifest, None if here.cls is None else slugs[0], partial(load_blob, here.folder))
    places = open_places()
    pins = places.resolve([name], even_yanked=True)[0].modules
    for text in dict.fromkeys(pin.yanked for pin in pins if pin.yanked is not None):
        warnings.warn(text, stacklevel=3)
    slug = None if parse(name).cls is None else pins[0].ref.cls
    return _Side(manifest_of(places, pins[0]), slug, partial(_blob, places, pins[0].registry))


def _lock(path: Path) -> LockedProject:
    path = path / LOCK_FILE if is_folder(path) else path
    project = load_lock(path).project
    if project is None:
        raise UsageError(
            f"the lockfile {path} is of names alone, not of a project.",
            kind="not-comparable",
            hint="compare lockfiles of projects.",
            path=str(path),
        )
    return project


def _parts(read_blob: Callable[[StoredBlob], VerifiedBlob], manifest: Manifest, record: ModuleRecord) -> NamedParts:
    """Digests of a module's masks and of its head."""
    head, keep = _decoded(read_blob, manifest, record)
    masks = sha256(canonical_json({site: sha256(keep[site].tobytes()) for site in keep}))
    return masks, sha256(head.kernel.tobytes() + head.bias.tobytes())


def _decoded(
    read_blob: Callable[[StoredBlob], VerifiedBlob], manifest: Manifest, record: ModuleRecord
) -> tuple[Head, PackedMasks]:
    content = manifest.content
    shapes = shapes_of(content.origin.architecture)
    sites = {site.id: tuple(site.shape) for site in content.sites}
    features = shapes[content.origin.architecture.features][0]
    stored = manifest.blobs[record.blob]
    most = most_bytes(wanted_module(sites, features), stored.size)
    decoded = decode(read_blob(stored), record.blob, most=most)
    head, keep, _ = decode_module(decoded, sites, features)
    return head, keep


def _blob(places: Places, source: str, record: StoredBlob) -> VerifiedBlob:
    """The stored bytes of a blob: the cache's, else its registry's."""
    try:
        return places.cache.blob(record)
    except NotFound:
        registry = next((each for each in places.registries if each.url == source), None)
        if registry is None:
            raise
        return registry.blob(record)


@dataclass(frozen=True)
class Move:
    """One class of a project before and after: whole names, None where it was or is not there."""

    label: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Setting:
    """One value that differs, as people write it; None where there was or is none."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class LockDifference:
    """``moves`` of classes, ``settings`` that differ: name, adapters, how it runs, order, stages, accuracy."""

    moves: tuple[Move, ...]
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class ClassDifference:
    """One class in two releases. ``values`` are those that differ: (first, second), None in one that lacks it.

    ``kept`` is the share of nodes that the module keeps, of a compact network's module over the nodes of the network
    from which that was made. ``same_masks`` and ``same_head`` say whether these are equal
    to the byte; None where one release lacks the class.
    """

    name: str
    values: Mapping[str, tuple[Any, Any]]
    same_masks: bool | None
    same_head: bool | None


@dataclass(frozen=True)
class ReleaseDifference:
    """``settings`` are values of the whole releases that differ; ``same_weights``: both share one trunk's weights.

    ``compact`` is the one of the two names whose network was made of the other's; None where neither was.
    """

    first: str
    second: str
    settings: tuple[Setting, ...]
    same_weights: bool
    classes: tuple[ClassDifference, ...]
    compact: str | None = None


def moves(before: LockedProject | None, after: LockedProject | None) -> tuple[Move, ...]:
    """The classes that differ: those that went, then those that came or changed, in column order.

    A class is another one when its module has another name or another digest.
    """
    old = {} if before is None else dict(before.classes)
    new = {} if after is None else dict(after.classes)
    gone = [Move(label, str(pin.ref), None) for label, pin in old.items() if label not in new]
    rest = []
    for label, pin in new.items():
        known = old.get(label)
        if known is None or (known.ref, known.digest) != (pin.ref, pin.digest):
            rest.append(Move(label, None if known is None else str(known.ref), str(pin.ref)))
    return (*gone, *rest)


def lock_difference(before: LockedProject, after: LockedProject) -> LockDifference:
    """All that differs between two projects, or two states of one."""
    return LockDifference(moves(before, after), _settings(_lock_settings(before), _lock_settings(after)))


#: What the project file itself sets and no move of a class shows.
_OWN_SETTINGS = ("name", *(each.name for each in fields(ClassifierSettings)))


def changed_settings(before: LockedProject | None, after: LockedProject | None) -> tuple[Setting, ...]:
    """The settings of the project file that differ between two locks; none where there is only one."""
    if before is None or after is None:
        return ()
    return tuple(each for each in lock_difference(before, after).settings if each.name in _OWN_SETTINGS)


#: Digests of a module's masks and of its head.
NamedParts = tuple[str, str]
RecordPair = tuple[ModuleRecord | None, ModuleRecord | None]


def release_difference(
    first: Manifest,
    second: Manifest,
    parts: Callable[[Manifest, ModuleRecord], NamedParts],
    pairs: Sequence[RecordPair] | None = None,
) -> ReleaseDifference:
    """All that differs between two releases, of one model or of two: input, origin, and each class.

    ``parts`` reads what is inside a module's blob; it is asked where blobs differ. ``pairs`` are the classes to
    compare, by default those of equal names, and those that one release lacks.
    """
    one, two = first.content, second.content
    if pairs is None:
        modules, others = ({module.name: module for module in content.modules} for content in (one, two))
        pairs = [(modules.get(name), others.get(name)) for name in dict.fromkeys([*modules, *others])]
    classes = []
    for a, b in pairs:
        values = {key: (x, y) for key, x, y in _paired(_class_values(one, a), _class_values(two, b)) if x != y}
        same: list[bool | None] = [None, None]
        if a is not None and b is not None:
            same = [True, True]
            if a.blob != b.blob:
                same = [x == y for x, y in zip(parts(first, a), parts(second, b), strict=True)]
        if values or same != [True, True]:
            name = " / ".join(dict.fromkeys(each.name for each in (a, b) if each is not None))
            classes.append(ClassDifference(name, values, *same))
    names = [each.name if each.version is None else f"{each.name}@{each.version}" for each in (one, two)]
    made = [name for name, own, other in ((names[0], one, two), (names[1], two, one)) if _is_made_of(own, other)]
    return ReleaseDifference(
        names[0],
        names[1],
        _settings(_release_settings(first), _release_settings(second)),
        one.origin.weights == two.origin.weights,
        tuple(classes),
        made[0] if made else None,
    )


def _is_made_of(content: Content, other: Content) -> bool:
    if content.compacted is None:
        return False
    trunk = trunk_fingerprint(other.origin.architecture, other.origin.weights, other.contract)
    return trunk in {each.trunk for each in content.compacted.of}


def _index_text(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _lock_settings(project: LockedProject) -> dict[str, str | None]:
    accuracy = project.accuracy
    shares = {} if accuracy is None else accuracy.model_dump(include={"data", "examples", "top_1", "top_5", "balanced"})
    compact = project.compact
    return {
        "name": project.name,
        "compact": None if compact is None else f"{percent(compact.flops)} of the multiply-adds, {compact.digest}",
        **{name: _written_setting(value) for name, value in project.settings.to_dict().items()},
        "order": ", ".join(label for label, _ in project.classes),
        "verify": "; ".join(
            f"{' | '.join(classes)} by {', '.join(str(pin.ref) for pin in modules)}"
            for classes, modules in project.recipe.named_stages()
        )
        or None,
        **{
            f"accuracy {key}": f"{value:.4g}" if isinstance(value, float) else str(value)
            for key, value in shares.items()
        },
    }


def _written_setting(value: bool | str | list[int] | None) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "x".join(map(str, value)) if isinstance(value, list) else value


def _release_settings(manifest: Manifest) -> dict[str, str | None]:
    content = manifest.content
    contract, origin, options = content.contract, content.origin, content.options
    values: dict[str, str | None] = {
        "digest": manifest.digest,
        "data set": f"{origin.dataset.name}, {origin.dataset.examples:,} images",
        "data": origin.dataset.fingerprint,
        "architecture": f"{len(origin.architecture.calls)} layer calls",
        "input": f"{input_text(contract)} {contract.dtype}",
        "value range": range_text(contract),
        "rescale": f"{contract.rescale:.6g}",
        "mean": None if contract.mean is None else ", ".join(f"{value:.4g}" for value in contract.mean),
        "std": None if contract.std is None else ", ".join(f"{value:.4g}" for value in contract.std),
    }
    values |= {name.replace("_", " "): str(value) for name, value in options.model_dump().items()}
    costs = release_costs(content)
    values["multiply-adds"], values["parameters"] = f"{costs.flops:,}", f"{costs.parameters:,}"
    values["nodes at ReLUs"] = f"{costs.nodes:,}"
    values["bytes of weights"] = f"{manifest.blobs[origin.weights].size:,}"
    values["compact"] = None if content.compacted is None else "; ".join(compact_lines(content.compacted))
    for each in origin.accuracy:
        values[f"network on {each.data}"] = f"{each.top_1:.1%} right, {each.top_5:.1%} in the top 5"
    return values


def _class_values(content: Content, module: ModuleRecord | None) -> dict[str, Any]:
    if module is None:
        return {}
    # As for the Jaccard index, those of the network from which a compact one was made.
    own = sum(prod(site.shape) for site in content.sites)
    nodes = own if content.compacted is None else content.compacted.origin_nodes
    values: dict[str, Any] = {
        "module": module.slug,
        "threshold": module.threshold,
        "kept": kept_share(sum(module.stages.kept), nodes),
        "JI": module.jaccard,
    }
    for metric in module.metrics:
        values |= {f"recall on {metric.data}": metric.vote_recall, f"precision on {metric.data}": metric.vote_precision}
    return values


def _settings(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> tuple[Setting, ...]:
    return tuple(Setting(name, a, b) for name, a, b in _paired(before, after) if a != b)


def _paired(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]
