"""Who needs which files of the cache, and when they were used last."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from modhub.cache.files import Folder, Found
from modhub.cache.markers import (
    FOLDERS,
    Marked,
    marks_among,
    needed_blobs,
    not_installed,
    read_manifests,
    signatures_folder,
)
from modhub.errors import Incompatible, IntegrityError, NotFound
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModelRef, parse_version

#: What may be deleted when nothing needs it. modhub wrote nothing else into the cache's folder.
_OURS: Final = re.compile(
    r"blobs/sha256/[0-9a-f]{2}/[0-9a-f]{62}|(manifests|signatures)/[0-9a-f]{64}/[0-9a-f]{64}\.json"
)


@dataclass(frozen=True)
class CachedRelease:
    """What is installed of one release: slugs of its classes, bytes of their files, last use (seconds since 1970).

    Files that several releases share count in each. With a ``problem`` only the markers' bytes are known.
    """

    ref: ModelRef
    digest: str
    classes: tuple[str, ...]
    size: int
    used: float
    problem: str | None = None


def is_ours(path: str) -> bool:
    """Whether this is a file that pruning may delete: a blob, a manifest, a signature."""
    return _OURS.fullmatch(path) is not None


def all_files(folder: Folder) -> dict[str, Found]:
    return {found.path: found for top in FOLDERS for found in folder.find(top)}


def cache_bytes(folder: Folder) -> int:
    return sum(found.size for found in all_files(folder).values())


def by_release(marks: Iterable[Marked]) -> dict[str, list[Marked]]:
    """Markers by the digest of their release."""
    ordered = sorted(marks, key=lambda mark: (mark.digest, mark.ref))
    return {digest: list(group) for digest, group in groupby(ordered, key=lambda mark: mark.digest)}


def needs(folder: Folder, digest: str, marks: Iterable[Marked]) -> dict[Marked, frozenset[str]]:
    """The files that modules of one release need besides their markers, by any of its good manifests, here or not.

    Raises NotFound, IntegrityError or Incompatible when no manifest says so.
    """
    read, problems = read_manifests(folder, digest)
    if newer := [problem for problem in problems if isinstance(problem, Incompatible)]:
        raise newer[0]
    if not read:
        raise problems[0] if problems else not_installed(f"the manifest of {digest}")
    common = {*read, *folder.paths(signatures_folder(digest))}
    result = {mark: set(common) for mark in marks}
    for manifest in read.values():
        blobs = needed_blobs(manifest, [mark.ref.cls for mark in result])
        for mark, paths in result.items():
            paths.update(blob_path(blob.sha256) for blob in blobs.get(mark.ref.cls, ()))
    return {mark: frozenset(paths) for mark, paths in result.items()}


def cached_releases(folder: Folder) -> list[CachedRelease]:
    """What is installed, by name of release."""
    found = all_files(folder)
    releases = []
    for digest, marks in by_release(marks_among(found.values())).items():
        paths, problem = {mark.path for mark in marks}, None
        try:
            paths = paths.union(*needs(folder, digest, marks).values())
        except (NotFound, IntegrityError, Incompatible) as error:
            problem = error.message
        size = sum(found[path].size for path in paths if path in found)
        used = max(mark.used for mark in marks)
        classes = tuple(mark.ref.cls for mark in marks)
        releases.append(CachedRelease(marks[0].ref.release, digest, classes, size, used, problem))
    return sorted(releases, key=lambda release: (release.ref.name, parse_version(release.ref.version), release.digest))
