"""Where a site is written: a folder, which gets the new one as a whole, or a store, which shows the new one last.

A site says in ``modhub-site.json`` which files it has. What says nothing is no site, and nothing of it is replaced.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Final

from modhub.errors import Conflict, IntegrityError, NotFound, StorageError, plain
from modhub.limits import MAX_MANIFEST_BYTES
from modhub.site.paths import HOME, SITE_MARKER
from modhub.spec.digests import canonical_json, parse_json
from modhub.spec.layout import MARKER
from modhub.spec.places import is_file, is_folder, is_there
from modhub.storage import files
from modhub.storage.parallel import each
from modhub.storage.store import Store
from modhub.storage.trees import remove_tree

SITE_FORMAT: Final = 1
#: What a site may have lying about: nothing else is ever removed from a store, whatever its marker says.
_OURS: Final = re.compile(r"(assets|data|models|namespaces)/.+|[a-z]+\.(html|txt)")
_AT_ONCE: Final = 64

Files = Iterable[tuple[str, bytes]]


@dataclass(frozen=True)
class SiteFolder:
    """A folder of this machine, for a site alone."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def check_free(self, *, force: bool) -> None:
        """Raise Conflict, kind ``not-a-site`` or ``output-exists``, before any work."""
        folder = self.folder
        if not is_there(folder) or (is_folder(folder) and not files.visible(folder)):
            return
        if not is_file(folder / SITE_MARKER):
            raise _no_site(folder)
        if not force:
            raise _taken(folder)

    def write(self, made: Files) -> tuple[int, int]:
        """How many files were written, and their bytes. The old site stays until the new one is whole."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f".{self.folder.name}.", dir=self.folder.parent))
        except OSError as error:
            raise self._refused(error) from error
        try:
            scratch.chmod(0o755)
            written = _Written()
            for path, data in written.noted(made):
                full = scratch / path
                full.parent.mkdir(parents=True, exist_ok=True)
                full.write_bytes(data)
            (scratch / SITE_MARKER).write_bytes(written.marker())
            files.put_in_place(scratch, self.folder)
        except OSError as error:
            raise self._refused(error) from error
        finally:
            remove_tree(scratch)
        return len(written.sizes), sum(written.sizes.values())

    def _refused(self, error: OSError) -> StorageError:
        return StorageError(
            f"the site {self.folder} cannot be written: {plain(str(error.strerror or error))}.",
            kind="not-writable",
            hint="choose another --out, or make room.",
            path=str(self.folder),
        )


@dataclass(frozen=True)
class SiteInStore:
    """A bucket or the like: a site alone, or ``prefix``, a folder of something else, with a slash at its end.

    There, files cannot be given their names together. So what pages load has new names when it is new; pages are
    replaced one by one, each whole, and the one by which people enter last; then what is left of the old site goes.
    """

    store: Store
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.store.url}/{self.prefix}".rstrip("/")

    def check_free(self, *, force: bool) -> None:
        """Raise Conflict, kind ``not-a-site`` or ``output-exists``, before any work."""
        if self.store.exists(self.prefix + SITE_MARKER):
            if not force:
                raise _taken(self)
        elif self.store.exists(MARKER) and not self.prefix:
            hint = "put the site into the registry with --into-registry, or choose another --out."
            raise _no_site(self, hint)
        elif self.store.capabilities.can_list and self.store.list(self.prefix.rstrip("/")):
            raise _no_site(self)

    def write(self, made: Files) -> tuple[int, int]:
        """How many files were written, and their bytes."""
        old = self._old()
        written = _Written()
        # Before anything of it, or a site that was never finished would be taken for something else.
        self.store.replace(self.prefix + SITE_MARKER, _marker(old))
        last: list[tuple[str, bytes]] = []
        every = written.noted(made)
        while some := list(islice(every, _AT_ONCE)):
            last += [file for file in some if file[0] == HOME]
            each(self._put, [file for file in some if file[0] != HOME], at_once=self.store.capabilities.parallel)
        each(self._put, last, at_once=1)
        self.store.replace(self.prefix + SITE_MARKER, written.marker())
        stale = [self.prefix + path for path in old if path not in written.sizes]
        each(self.store.delete, stale, at_once=self.store.capabilities.parallel)
        return len(written.sizes), sum(written.sizes.values())

    def _put(self, file: tuple[str, bytes]) -> None:
        self.store.replace(self.prefix + file[0], file[1])

    def _old(self) -> list[str]:
        """The files of the site that is there, as it says; nothing where it cannot be read."""
        what = f"{self}/{SITE_MARKER}"
        try:
            data = self.store.get(self.prefix + SITE_MARKER, max_bytes=MAX_MANIFEST_BYTES)
            value = parse_json(data, what=what)
        except (NotFound, IntegrityError):
            return []
        listed = value.get("files") if isinstance(value, dict) else None
        return [path for path in listed or () if isinstance(path, str) and _OURS.fullmatch(path)]


class _Written:
    """The sizes of what was written, by path."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    def noted(self, made: Files) -> Iterator[tuple[str, bytes]]:
        for path, data in made:
            self.sizes[path] = len(data)
            yield path, data

    def marker(self) -> bytes:
        return _marker(self.sizes)


def _marker(paths: Iterable[str]) -> bytes:
    made_by = f"modhub {version('modhub')}"
    return canonical_json({"files": sorted(paths), "format": SITE_FORMAT, "made_by": made_by})


def _taken(place: object) -> Conflict:
    return Conflict(
        f"there is a site in {place}.", kind="output-exists", hint="replace it with --force.", path=str(place)
    )


def _no_site(place: object, hint: str = "choose another --out, or remove it.") -> Conflict:
    return Conflict(f"{place} exists and is not a site.", kind="not-a-site", hint=hint, path=str(place))
