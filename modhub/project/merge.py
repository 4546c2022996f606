"""Joining two projects: the other's classes, stages and registries, under our short names and settings."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import relpath

from modhub.errors import Conflict
from modhub.project import edits
from modhub.project.folder import ProjectState
from modhub.project.lock import registry_url
from modhub.project.manifest import ProjectFile
from modhub.spec.refs import Request, parse


def merged_project(ours: ProjectState, theirs: ProjectState) -> ProjectFile:
    """Ours with what theirs has more. Raises Conflict for a label that means another module in each.

    Their settings do not come along (adapters, size, reject, mode, dtype, vote, data): ours decide. Where ours vote
    scaled, a class that comes with a scale is a Conflict too, kind ``settings-differ``.
    """
    file, other = ours.file, theirs.file
    new = {label: ref for label, ref in other.classes.items() if not _is_same(file, other, label)}
    if clash := [label for label in new if label in file.classes]:
        label = clash[0]
        raise Conflict(
            f"both projects have a class {label!r}: here {file.classes[label]}, there {other.classes[label]}.",
            kind="duplicate-label",
            hint="rename or remove one of the two first.",
            labels=clash,
        )
    present = file.recipe.named_stages()
    stages = [stage for stage in other.recipe.named_stages() if stage not in present]
    refs = [*new.values(), *(ref for _, modules in stages for ref in modules)]
    used = _used(other, refs)
    result = edits.with_registries(file, _registries(ours, theirs))
    result = edits.with_models(result, {name: target for name, target in other.models.items() if name in used})
    result = edits.with_classes(result, {label: _ours(file, other, ref) for label, ref in new.items()})
    scales = {label: other.scales[label] for label in new if label in other.scales}
    if scales and file.project.vote != "raw":
        raise Conflict(
            f"the scale of {next(iter(scales))!r} comes from a raw vote, and here the vote is scaled.",
            kind="settings-differ",
            hint='write vote = "raw" under [project] here, or remove [scales] there.',
            labels=list(scales),
        )
    result = result.changed(result.recipe, scales=scales)
    for classes, modules in stages:
        result = edits.with_stage(result, classes, [_ours(file, other, ref) for ref in modules])
    return result


def _is_same(file: ProjectFile, other: ProjectFile, label: str) -> bool:
    return label in file.classes and file.expanded(file.classes[label]) == other.expanded(other.classes[label])


def _ours(file: ProjectFile, other: ProjectFile, ref: str) -> str:
    """Their name of a module, written out where one of its short names means something else here."""
    chain = _chain(other.models, parse(ref))
    if all(file.models.get(name, other.models[name]) == other.models[name] for name in chain):
        return ref
    return str(other.expanded(ref))


def _used(other: ProjectFile, refs: list[str]) -> set[str]:
    return {name for ref in refs for name in _chain(other.models, parse(ref))}


def _chain(models: Mapping[str, str], request: Request) -> list[str]:
    """The short names on the way from a name to its model."""
    found = []
    while request.base in models:
        found.append(request.base)
        request = parse(models[request.base])
    return found


def _registries(ours: ProjectState, theirs: ProjectState) -> list[str]:
    """Their registries that are not ours, relative ones as seen from our folder.

    Without any of our own we use the user's, which naming theirs would replace, so then there are none to take over.
    """
    known = {registry_url(ours.folder, text) for text in ours.file.project.registries}
    found = []
    for text in theirs.file.project.registries:
        url = registry_url(theirs.folder, text)
        if url in known or not known:
            continue
        relative = "://" not in text and not text.startswith(("/", "~"))
        found.append(relpath(url, ours.folder) if relative else text)
    return found
