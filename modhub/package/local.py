"""The modules of a folder on this machine, whole or by class: what refs such as ``digits.modules:cat`` mean."""

from __future__ import annotations

from modhub.errors import NotFound, did_you_mean, shown
from modhub.package.decomposition import modules_from
from modhub.package.folder import load_blob, load_manifest
from modhub.package.module import Module
from modhub.spec.folder_refs import FolderRef
from modhub.spec.manifest import Manifest
from modhub.spec.refs import several_named
from modhub.spec.text import find_class


def modules_in(ref: FolderRef) -> list[Module]:
    """The modules that ``ref`` means, every blob verified. Raises NotFound, IntegrityError, Incompatible."""
    manifest, slugs = manifest_and_slugs(ref)
    return modules_from(manifest, lambda _, record: load_blob(ref.folder, record), slugs)


def manifest_and_slugs(ref: FolderRef) -> tuple[Manifest, tuple[str, ...]]:
    """The folder's manifest, and the slugs of the classes that ``ref`` means. Raises NotFound, kind ``no-class``."""
    manifest = load_manifest(ref.folder)
    by_slug = {module.slug: module.name for module in manifest.content.modules}
    if ref.cls is None:
        return manifest, tuple(by_slug)
    name = find_class(ref.cls, by_slug.values())
    for slug, known in by_slug.items():
        if slug == ref.cls or known == name:
            return manifest, (slug,)
    versions = "a folder has no versions: leave out what follows @." if "@" in ref.cls else None
    raise NotFound(
        f"the folder {ref.folder} has no class {shown(ref.cls)}.",
        kind="no-class",
        hint=versions
        or several_named(str(ref.folder), ref.cls, by_slug)
        or did_you_mean(ref.cls, [*by_slug, *by_slug.values()])
        or f"it has {', '.join(by_slug)}.",
        wanted=ref.cls,
    )
