"""The file of a classifier, ``pets.modhub``: which modules under which labels, and where wanted all their bytes.

A plain tar whose first member says how the classifier is put together and pins its releases by digest. A file with a
bundle has their manifests and the blobs of its modules behind that, so nothing else is needed to load it; one without
is loaded as a lockfile is. The same classifier always gives the same bytes. A file may come from anywhere: what it says
is bounded and checked before it is believed, and what is in the bundle is hashed before it is used.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StrictBool, StringConstraints, ValidationError

from modhub.composition.recipe import Recipe, Stage
from modhub.errors import Conflict, IntegrityError, UsageError, plain, shown
from modhub.installation.lockfile import SettingsTable, Url
from modhub.limits import MAX_CLASSIFIER_BYTES, MAX_LOCKED_MODULES, MAX_MANIFEST_BYTES
from modhub.spec.digests import parse_digest
from modhub.spec.folder_refs import CLASSIFIER_SUFFIX, is_classifier_name
from modhub.spec.layout import blob_path
from modhub.spec.manifest import Manifest, StoredBlob, read_manifest, write_manifest
from modhub.spec.places import is_folder, is_there
from modhub.spec.refs import MODEL_NAME_PATTERN
from modhub.spec.schema import Count, DigestText, DisplayName, Name, Stored, VersionText, checked_object, with_checksum
from modhub.spec.schema import invalid as not_following
from modhub.storage.tar import ArchiveKind, BoundedFile, archive_members, opened_archive, plain_member, written_archive
from modhub.storage.verify import VerifiedBlob, verified_blob

CLASSIFIER_FORMAT: Final = 1
#: The first member: what the classifier is.
_RECIPE: Final = "classifier.json"
#: Members of one file: a release, its weights and a blob for each of its modules.
_MOST_MEMBERS: Final = 3 * MAX_LOCKED_MODULES + 1
_KIND: Final = ArchiveKind(
    kind="not-a-classifier",
    broken_kind="bad-classifier",
    written_by="modhub compose --save",
    again="copy the file again from where it was saved, or save it again.",
    example=f"pets{CLASSIFIER_SUFFIX}",
)


class KeptRelease(Stored):
    """A release that modules are from. ``digest`` is that of its content, ``registry`` where it was found first.

    Without ``registry`` it was never published, and only a bundle has it; it has no ``version`` then, or that of the
    release from which its modules were changed.
    """

    digest: DigestText
    name: Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]
    version: VersionText | None
    registry: Url | None

    def ref(self, slug: str) -> str:
        """The whole name of one of its modules."""
        return f"{self.name}:{slug}" + (f"@{self.version}" if self.version else "")


class KeptModule(Stored):
    """One module: the digest of its release, its slug there, and the class as the data set spells it."""

    release: DigestText
    slug: Name
    name: DisplayName


class KeptClass(KeptModule):
    """A class of the classifier, in column order: its label, and the module that recognises it."""

    label: DisplayName


class KeptStage(Stored):
    """When a class in one of ``columns`` wins, ``modules`` decide between these again; one module a column."""

    columns: Annotated[tuple[Count, ...], Field(min_length=2, max_length=MAX_LOCKED_MODULES)]
    modules: Annotated[tuple[KeptModule, ...], Field(min_length=2, max_length=MAX_LOCKED_MODULES)]


class KeptClassifier(Stored):
    """What a classifier's file says first. ``releases`` are those of its modules, each once, by digest."""

    format: int
    bundle: StrictBool
    settings: SettingsTable
    releases: Annotated[tuple[KeptRelease, ...], Field(min_length=1, max_length=MAX_LOCKED_MODULES)]
    classes: Annotated[tuple[KeptClass, ...], Field(min_length=1, max_length=MAX_LOCKED_MODULES)]
    stages: Annotated[tuple[KeptStage, ...], Field(max_length=MAX_LOCKED_MODULES)] = ()

    @property
    def recipe(self) -> Recipe[KeptModule]:
        """How the modules become a classifier."""
        classes = tuple((each.label, KeptModule(**each.model_dump(exclude={"label"}))) for each in self.classes)
        stages = tuple(Stage(stage.columns, stage.modules) for stage in self.stages)
        return Recipe(classes, stages, self.settings.settings)

    @property
    def modules(self) -> tuple[KeptModule, ...]:
        """Those of the classes, then those of the stages."""
        return self.recipe.every_module

    def release_of(self, module: KeptModule) -> KeptRelease:
        return next(release for release in self.releases if release.digest == module.release)


class OpenClassifier:
    """A classifier's file that is open. ``kept`` is what it says first; what is behind that is read when it is asked
    for, and is hashed then."""

    def __init__(self, raw: BoundedFile) -> None:
        self._raw = raw
        self._members = archive_members(raw)
        self._places: dict[str, tuple[int, int]] | None = None
        self._used: set[str] = set()
        self.kept = self._first()

    def _first(self) -> KeptClassifier:
        member, content = next(self._members, (None, iter(())))
        if member is None or member.name != _RECIPE or member.size > MAX_CLASSIFIER_BYTES:
            raise self._raw.broken(
                f"does not begin with {_RECIPE}, or that is larger than {MAX_CLASSIFIER_BYTES} bytes"
            )
        return _kept(b"".join(content), what=f"{_RECIPE} in {self._raw.path}", broken=self._raw.broken)

    def manifest(self, release: KeptRelease) -> Manifest:
        """The manifest of one of its releases. Raises IntegrityError."""
        path = _manifest_path(release.digest)
        offset, size = self._place(path, f"the release {release.name}")
        if size > MAX_MANIFEST_BYTES:
            raise self._raw.broken(f"has {size} bytes as {path}; at most {MAX_MANIFEST_BYTES} are allowed")
        data = b"".join(self._raw.stream(path, offset, size))
        manifest = read_manifest(data, what=f"{path} in {self._raw.path}")
        content = manifest.content
        found = (manifest.digest, content.name, content.version)
        if found != (release.digest, release.name, release.version):
            raise self._raw.broken(f"has {content.name} {manifest.digest} as {path}, where {release.name} was promised")
        return manifest

    def blob(self, record: StoredBlob) -> VerifiedBlob:
        """One blob's stored bytes, verified. Raises IntegrityError."""
        path = blob_path(record.sha256)
        offset, size = self._place(path, "a module")
        if size != record.size:
            raise self._raw.broken(f"has {size} bytes as {path} where {record.size} were promised")
        what = f"{path} in {self._raw.path}"
        return verified_blob(self._raw.stream(path, offset, size), record, what=what, hint=_KIND.again)

    def check_nothing_else(self, wanted: set[str]) -> None:
        """Raise IntegrityError for a member that is neither a manifest of its releases nor one of the blobs ``wanted``,
        by stored digest."""
        allowed = {*map(blob_path, wanted), *(_manifest_path(release.digest) for release in self.kept.releases)}
        for path in self._found().keys() - allowed:
            raise self._raw.broken(f"has {shown(path)}, which its classifier does not need")

    def broken(self, reason: str) -> IntegrityError:
        """The error for a file that is damaged, incomplete or contradicts itself."""
        return self._raw.broken(reason)

    def _place(self, path: str, needed_by: str) -> tuple[int, int]:
        found = self._found().get(path)
        if found is None:
            raise self._raw.broken(f"is incomplete: it lacks {path}, which {needed_by} needs")
        return found

    def _found(self) -> dict[str, tuple[int, int]]:
        """Where each member behind the first begins, and its size."""
        if self._places is None:
            places: dict[str, tuple[int, int]] = {}
            for member, _ in self._members:
                if member.name in places or len(places) >= _MOST_MEMBERS:
                    raise self._raw.broken(f"has {shown(member.name)} twice, or more than {_MOST_MEMBERS} files")
                places[member.name] = member.offset_data, member.size
            self._places = places
        return self._places


@contextmanager
def opened_classifier(file: Path) -> Iterator[OpenClassifier]:
    """The file of a classifier. Raises UsageError, kind ``not-a-classifier``, IntegrityError, Incompatible."""
    with opened_archive(file, _KIND) as raw:
        yield OpenClassifier(raw)


def read_classifier(file: Path) -> KeptClassifier:
    """What the file of a classifier says first. Raises as ``opened_classifier``."""
    with opened_classifier(file) as opened:
        return opened.kept


def check_place_of_classifier(file: Path, *, force: bool) -> None:
    """Raise what keeps a classifier from being written there, before any work: UsageError, Conflict."""
    if not is_classifier_name(file):
        raise UsageError(
            f"{shown(str(file))} is no name for a classifier's file, which ends in {CLASSIFIER_SUFFIX}.",
            kind="bad-suffix",
            hint=f"use {plain(file.stem) or 'pets'}{CLASSIFIER_SUFFIX}.",
            path=str(file),
        )
    if is_folder(file) or not is_folder(file.absolute().parent):
        raise UsageError(
            f"{file} is a folder." if is_folder(file) else f"there is no folder {file.parent}.",
            kind="no-folder",
            hint="name a file in a folder that exists.",
            path=str(file),
        )
    if is_there(file) and not force:
        raise Conflict(
            f"{file} exists.",
            kind="output-exists",
            hint="replace it with --force (force=True), or choose another name.",
            path=str(file),
        )


def write_classifier(
    file: Path,
    kept: KeptClassifier,
    manifests: Mapping[str, Manifest],
    blobs: Mapping[str, tuple[StoredBlob, Callable[[], VerifiedBlob]]],
) -> None:
    """Write a classifier's file, which is there whole or not at all.

    ``manifests`` by digest, and what gives each blob by its stored digest, are the bundle. Raises StorageError.
    """
    with written_archive(file, _KIND) as out, tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:

        def add(path: str, data: bytes) -> None:
            tar.addfile(plain_member(path, len(data)), io.BytesIO(data))

        add(_RECIPE, with_checksum(kept.model_dump(mode="json")))
        for digest in sorted(manifests):
            add(_manifest_path(digest), write_manifest(manifests[digest]))
        for sha256 in sorted(blobs):
            add(blob_path(sha256), blobs[sha256][1]().stored)


def _manifest_path(digest: str) -> str:
    return f"manifests/{parse_digest(digest).removeprefix('sha256:')}.json"


def _kept(data: bytes, *, what: str, broken: Callable[[str], IntegrityError]) -> KeptClassifier:
    """Untrusted bytes of the first member, checked. Raises IntegrityError, Incompatible."""
    value, _ = checked_object(data, what=what, newest=CLASSIFIER_FORMAT)
    try:
        kept = KeptClassifier.model_validate(value)
    except ValidationError as error:
        raise not_following(what, error) from error
    digests = [release.digest for release in kept.releases]
    if len(set(digests)) < len(digests) or set(digests) != {module.release for module in kept.modules}:
        raise broken("names a release twice, or other releases than those of its modules")
    for stage in kept.stages:
        columns = set(stage.columns)
        if len(columns) < len(stage.modules) or len(stage.columns) != len(stage.modules):
            raise broken("has a stage without one module for each of its classes")
        if max(columns) >= len(kept.classes):
            raise broken("has a stage of a class that it does not have")
    if not kept.bundle and any(release.version is None or release.registry is None for release in kept.releases):
        raise broken("has no bundle, but modules that were never published")
    return kept
