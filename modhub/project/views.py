"""What there is to see of a project without a network library: its tree of modules, and what is out of date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modhub.advisories.matching import Remark
from modhub.composition.adapters import Adapter, adapter_between, joint_contract
from modhub.composition.recipe import ClassifierSettings
from modhub.errors import IntegrityError, NotFound, RegistryUnreachable
from modhub.installation.context import Places
from modhub.installation.lockfile import LockedProject
from modhub.project.manifest import ProjectFile
from modhub.resolve.catalog import Pinned
from modhub.spec.contract import input_text, range_text
from modhub.spec.manifest import Manifest
from modhub.spec.refs import ModelRef, in_order, select_version


@dataclass(frozen=True)
class Branch:
    """One release of a project. ``classes`` are labels with their modules, ``verifying`` modules with their stage's
    classes. ``adapter`` says what happens to an image before these modules see it; None when nothing does. ``remarks``:
    what registries say against it."""

    release: ModelRef
    digest: str
    registry: str
    input: str
    adapter: str | None
    classes: tuple[tuple[str, str], ...]
    verifying: tuple[tuple[str, tuple[str, ...]], ...]
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Tree:
    """A project: what images its classifier takes, and its releases in order of first use."""

    name: str
    input: str
    is_locked: bool
    settings: ClassifierSettings
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class Age:
    """What one class could be updated to. Versions are None where no release may be chosen; ``yanked`` is why the
    locked one is withdrawn, if it is; ``remarks``: what registries say against it."""

    label: str
    module: str
    locked: str
    in_range: str | None
    newest: str | None
    yanked: str | None
    remarks: tuple[Remark, ...] = ()

    @property
    def is_current(self) -> bool:
        return self.locked == self.in_range == self.newest and self.yanked is None


def manifest_of(places: Places, pin: Pinned) -> Manifest:
    """The manifest of a pinned release: the cache's, else a registry's that has the same digest. Raises NotFound, and
    IntegrityError for one in the cache that is damaged or not trusted, where no registry has it either."""
    problem: IntegrityError | RegistryUnreachable | None = None
    try:
        return places.cache.manifest(pin.digest)
    except NotFound:
        pass
    except IntegrityError as error:
        problem = error
    for registry in places.registries:
        try:
            manifest = registry.manifest(pin.ref.release)
        except NotFound:
            continue
        except RegistryUnreachable as error:
            problem = problem or error
            continue
        if manifest.digest == pin.digest:
            return manifest
    if problem is not None:
        raise problem
    raise NotFound(
        f"{pin.ref.release}, which is locked, is neither installed nor in any of the registries searched.",
        kind="no-release",
        hint="modhub sync",
        release=str(pin.ref.release),
    )


def manifests_of(pins: Sequence[Pinned], places: Places) -> list[tuple[Manifest, tuple[str, ...], str]]:
    """Each release of ``pins`` once, in order of first use: its manifest, the classes used, where it comes from."""
    releases: dict[str, list[Pinned]] = {}
    for pin in pins:
        releases.setdefault(pin.digest, []).append(pin)
    return [
        (manifest_of(places, used[0]), tuple(dict.fromkeys(pin.name for pin in used)), used[0].registry)
        for used in releases.values()
    ]


def tree(project: LockedProject, pins: Sequence[Pinned], places: Places, *, is_locked: bool) -> Tree:
    """The tree of a locked project; ``pins`` are all its modules."""
    settings, stages = project.settings, project.recipe.named_stages()
    releases: dict[tuple[ModelRef, str], Pinned] = {}
    for pin in pins:
        releases.setdefault((pin.ref.release, pin.digest), pin)
    contracts = {key: manifest_of(places, pin).content.contract for key, pin in releases.items()}
    joint = joint_contract(contracts.values(), settings.size) if settings.adapt else next(iter(contracts.values()))
    branches = []
    for (ref, digest), contract in contracts.items():
        adapter: Adapter | None = None
        if settings.adapt is not None:
            adapter = adapter_between(joint, contract, settings.adapt, what=str(ref))
        branches.append(
            Branch(
                release=ref,
                digest=digest,
                registry=releases[ref, digest].registry,
                input=f"{input_text(contract)}, {range_text(contract)}",
                adapter=None if adapter is None else str(adapter),
                classes=tuple((label, pin.ref.cls) for label, pin in project.classes if pin.ref.release == ref),
                verifying=tuple(
                    (pin.ref.cls, classes) for classes, modules in stages for pin in modules if pin.ref.release == ref
                ),
                remarks=tuple(places.remarks([pin for pin in pins if pin.ref.release == ref])),
            )
        )
    taken = f"{input_text(joint)}, {range_text(joint)}"
    return Tree(
        project.name,
        taken,
        is_locked,
        project.settings,
        tuple(branches),
    )


def ages(file: ProjectFile, project: LockedProject, places: Places) -> list[Age]:
    """For each class of a locked project how old its module is; releases that were withdrawn are no candidates."""
    known: dict[str, dict[str, _Standing]] = {}
    found = []
    for label, pin in project.classes:
        model = pin.ref.release.name
        if model not in known:
            known[model] = _versions(model, places)
        versions = {version: each.reason_for(pin.ref.cls) for version, each in known[model].items()}
        free = [version for version, reason in versions.items() if reason is None]
        wanted = file.expanded(file.classes[label]).version if label in file.classes else None
        newest = select_version(free, None) or (in_order(free)[-1] if free else None)
        found.append(
            Age(
                label=label,
                module=f"{model}:{pin.ref.cls}",
                locked=pin.ref.version,
                in_range=select_version(free, wanted),
                newest=newest,
                yanked=versions.get(pin.ref.version),
                remarks=tuple(places.remarks([pin])),
            )
        )
    return found


@dataclass(frozen=True)
class _Standing:
    """Why a release was withdrawn, if it was, and why classes of it were yanked alone, by slug."""

    withdrawn: str | None
    yanked_classes: Mapping[str, str]

    def reason_for(self, slug: str) -> str | None:
        return self.withdrawn if self.withdrawn is not None else self.yanked_classes.get(slug)


def _versions(model: str, places: Places) -> dict[str, _Standing]:
    """Every version of a model in any place, and whether it was withdrawn."""
    namespace, name = model.split("/")
    found: dict[str, _Standing] = {}
    for catalog in places.catalogs:
        for version in catalog.versions(namespace, name):
            # The nearest place that lists a version says what it is.
            if version not in found:
                ref = ModelRef(namespace, name, version)
                withdrawal = catalog.withdrawal(ref)
                reason = None if withdrawal is None else withdrawal.reason
                found[version] = _Standing(reason, catalog.yanked_classes(ref))
    return found
