"""What the files of the cache mean: markers of installed classes, manifests of their releases, aliases.

A class is installed when its marker is there; the marker's path says which class of which release it is, and its time
when it was last used. Everything is checked when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

from modhub.cache.files import Folder, Found
from modhub.errors import Incompatible, IntegrityError, InvalidRef, ModhubError, NotFound, shown
from modhub.limits import MAX_MANIFEST_BYTES, MAX_RECORD_BYTES
from modhub.spec.digests import parse_digest, sha256
from modhub.spec.layout import BLOBS, NOTICES, SIGNATURES, blob_path
from modhub.spec.refs import MODEL_NAME_PATTERN, ModelRef, ModuleRef, check_name, check_version, is_exact
from modhub.spec.registry_files import read_document, write_document
from modhub.spec.schema import with_checksum

if TYPE_CHECKING:
    from modhub.spec.manifest import Manifest, StoredBlob

MARKER_FORMAT: Final = 1
MANIFESTS: Final = "manifests"
INSTALLED: Final = "installed"
ALIASES: Final = "aliases"
#: Everything of the cache is below these; anything else in its folder is not part of it.
FOLDERS: Final = (BLOBS, MANIFESTS, INSTALLED, ALIASES, SIGNATURES, NOTICES)

AGAIN: Final = "install it again: modhub install"

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_MANIFEST = re.compile(r"manifests/[0-9a-f]{64}/[0-9a-f]{64}\.json")


@dataclass(frozen=True)
class Installed:
    """One module in the cache.

    ``name`` is the class as the data set spells it, ``digest`` the release's content digest, ``registry`` the URL it
    came from. ``fetched`` counts the bytes that this installation fetched for it (what modules share counts at the
    first); ``already`` is True when nothing of it was missing or damaged.
    """

    ref: ModuleRef
    name: str
    digest: str
    registry: str
    fetched: int = 0
    already: bool = True


@dataclass(frozen=True)
class Marked:
    """A class that is marked as installed, as its marker's name and age (seconds since 1970) say."""

    ref: ModuleRef
    digest: str
    path: str
    used: float
    size: int


class _InstalledMarker(BaseModel):
    """One installed class; its release and slug are in its path."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    format: int
    ref: str
    name: str
    registry: str


class _AliasMarker(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    format: int
    name: str
    target: Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]


def hexadecimal(digest: str) -> str:
    return parse_digest(digest).removeprefix("sha256:")


def not_installed(what: str, hint: str = f"{AGAIN} NAME.") -> NotFound:
    """The error for what the cache does not have."""
    return NotFound(f"{what} is not in the cache.", kind="not-installed", hint=hint, path=what)


# Markers


def markers_folder(ref: ModelRef | ModuleRef, digest: str) -> str:
    namespace, model = check_name(ref.namespace, "namespace"), check_name(ref.model, "model")
    return f"{INSTALLED}/{namespace}/{model}/{check_version(ref.version)}/{hexadecimal(digest)}"


def marker_path(ref: ModuleRef, digest: str) -> str:
    return f"{markers_folder(ref, digest)}/{check_name(ref.cls, 'class')}.json"


def marked_by(path: str) -> tuple[ModuleRef, str] | None:
    """The class and the release's digest that a marker with this path stands for; None for any other file."""
    parts = path.split("/")
    if len(parts) != 6 or parts[0] != INSTALLED or not parts[5].endswith(".json"):
        return None
    _, namespace, model, version, digest, file = parts
    slug = file.removesuffix(".json")
    try:
        for name in (namespace, model, slug):
            check_name(name, "name")
    except InvalidRef:
        return None
    if not is_exact(version) or not _HEX.match(digest):
        return None
    return ModuleRef(namespace, model, slug, version), f"sha256:{digest}"


def marks_among(found: Iterable[Found]) -> list[Marked]:
    """The markers among these files, by the names of their classes."""
    pairs = [(marked_by(file.path), file) for file in found]
    marks = [Marked(*pair, file.path, file.touched, file.size) for pair, file in pairs if pair is not None]
    return sorted(marks, key=lambda mark: (mark.ref, mark.digest))


def write_marker(folder: Folder, installed: Installed) -> None:
    # Of known types, so without the model: a hundred of these are a good part of an installation's time.
    ref, name, registry = str(installed.ref), installed.name, installed.registry
    marker = {"format": MARKER_FORMAT, "ref": ref, "name": name, "registry": registry}
    folder.write(marker_path(installed.ref, installed.digest), [with_checksum(marker)])


def read_marker(folder: Folder, ref: ModuleRef, digest: str) -> Installed | None:
    """The class when it is marked as installed. Raises IntegrityError when its marker is damaged."""
    path = marker_path(ref, digest)
    try:
        data = folder.read(path, max_bytes=MAX_RECORD_BYTES)
    except FileNotFoundError:
        return None
    what = f"the cache's marker {folder.root / path}"
    marker = read_document(_InstalledMarker, data, what=what, newest=MARKER_FORMAT)
    if marker.ref != str(ref):
        raise IntegrityError(f"{what} is that of {shown(marker.ref)}.", kind="swapped", hint=f"{AGAIN} {ref}.")
    return Installed(ref, marker.name, digest, marker.registry)


# Manifests


def manifests_folder(digest: str) -> str:
    return f"{MANIFESTS}/{hexadecimal(digest)}"


def manifest_paths(folder: Folder, digest: str) -> list[str]:
    """The cached manifests of a release. Registries that store one content in different bytes have each their own."""
    return [path for path in folder.paths(manifests_folder(digest)) if _MANIFEST.fullmatch(path)]


def signatures_folder(digest: str) -> str:
    return f"{SIGNATURES}/{hexadecimal(digest)}"


def manifest_path(digest: str, data: bytes) -> str:
    return f"{manifests_folder(digest)}/{hexadecimal(sha256(data))}.json"


def read_manifests(folder: Folder, digest: str) -> tuple[dict[str, Manifest], list[ModhubError]]:
    """The verified manifests of a release by their paths, and what was wrong with others.

    A damaged one next to a good one is ignored: what only it says is not there then, and is fetched again.
    """
    read: dict[str, Manifest] = {}
    problems: list[ModhubError] = []
    for path in manifest_paths(folder, digest):
        try:
            read[path] = read_manifest_file(folder, path, digest)
        except (NotFound, IntegrityError, Incompatible) as error:
            problems.append(error)
    return read, problems


def merged_manifest(folder: Folder, manifests: Iterable[Manifest]) -> Manifest:
    """Several manifests of one content as one, whose blob table names the stored bytes that are here."""
    first, *others = manifests
    for other in others:
        here = {key: blob for key, blob in other.blobs.items() if folder.exists(blob_path(blob.sha256))}
        first = first.model_copy(update={"blobs": {**first.blobs, **here}})
    return first


def read_manifest_file(folder: Folder, path: str, digest: str) -> Manifest:
    """The manifest at ``path``, when it is that of the release ``digest``. Raises NotFound and IntegrityError."""
    from modhub.spec.manifest import read_manifest  # 15 ms, and the markers alone say what is installed

    what = f"the cached manifest {folder.root / path}"
    try:
        data = folder.read(path, max_bytes=MAX_MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise not_installed(what) from error
    try:
        manifest = read_manifest(data, what=what)
    except IntegrityError as error:
        raise IntegrityError(
            error.message, kind=error.kind, hint=f"{AGAIN} the modules of this release.", **error.data
        ) from error
    if manifest.digest != digest or path != manifest_path(digest, data):
        raise IntegrityError(
            f"{what} is another release's: {manifest.digest} instead of {digest}.",
            kind="swapped",
            hint="delete that file, then install the modules of this release again.",
            expected=digest,
            actual=manifest.digest,
        )
    return manifest


def needed_blobs(manifest: Manifest, slugs: Iterable[str]) -> dict[str, list[StoredBlob]]:
    """What each of these classes needs of its release's blobs: the one with the weights, and its own."""
    own = {module.slug: module.blob for module in manifest.content.modules}
    weights = manifest.blobs[manifest.content.origin.weights]
    return {slug: [weights, manifest.blobs[own[slug]]] for slug in slugs if slug in own}


# Aliases


def alias_path(name: str) -> str:
    return f"{ALIASES}/{check_name(name, 'alias')}.json"


def alias_at(path: str) -> str | None:
    """The alias whose file has this path; None for any other file."""
    parts = path.split("/")
    if len(parts) != 2 or parts[0] != ALIASES or not parts[1].endswith(".json"):
        return None
    try:
        return check_name(parts[1].removesuffix(".json"), "alias")
    except InvalidRef:
        return None


def write_alias_marker(folder: Folder, name: str, target: str) -> None:
    marker = _AliasMarker(format=MARKER_FORMAT, name=name, target=target)
    folder.write(alias_path(name), [write_document(marker)])


def read_alias(folder: Folder, name: str) -> str | None:
    """What an alias stands for. Raises IntegrityError when its file is damaged."""
    path = alias_path(name)
    try:
        data = folder.read(path, max_bytes=MAX_RECORD_BYTES)
    except FileNotFoundError:
        return None
    what = f"the cache's alias {folder.root / path}"
    marker = read_document(_AliasMarker, data, what=what, newest=MARKER_FORMAT)
    if marker.name != name:
        raise IntegrityError(f"{what} is that of {shown(marker.name)}.", kind="swapped", hint="delete that file.")
    return marker.target
