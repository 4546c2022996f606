"""Where a site is written: a folder, which gets the new one as a whole, or a store, which shows the new one last.

A site says in ``modhub-site.json`` which files it has. What says nothing is no site, and nothing of it is replaced.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
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
from modhub.storage.trees import remove_tree, stranger_in

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
        if not is_there(folder):
            return
        if not is_folder(folder):
            raise _no_site(folder)
        is_site = is_file(folder / SITE_MARKER)
        own = {SITE_MARKER, *self._listed()} if is_site else set[str]()
        try:
            stranger = stranger_in(folder, own.__contains__)
        except OSError as error:
            raise self._refused(error) from error
        if stranger is not None and not is_site:
            raise _no_site(folder, stranger=stranger)
        if is_site and not force:
            raise _taken(folder)
        if stranger is not None:
            raise Conflict(
                f"{folder} has {plain(stranger[:200])}, which is not of the site in it.",
                kind="not-a-site",
                hint="move that away, or choose another --out: the whole folder is replaced.",
                path=str(folder),
                entry=stranger,
            )

    def _listed(self) -> list[str]:
        """The files of the site that is there, as it says; nothing where it cannot be read."""
        try:
            return _listed(files.read(self.folder, SITE_MARKER, max_bytes=MAX_MANIFEST_BYTES), SITE_MARKER)
        except (NotFound, IntegrityError, StorageError):
            return []

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
        try:
            self._put_all(written.noted(made))
        except BaseException:
            # Else what was written so far would be nobody's, and no later site could remove it.
            with suppress(StorageError):
                self.store.replace(self.prefix + SITE_MARKER, _marker({*old, *written.sizes}))
            raise
        self.store.replace(self.prefix + SITE_MARKER, written.marker())
        stale = [self.prefix + path for path in old if path not in written.sizes]
        each(self.store.delete, stale, at_once=self.store.capabilities.parallel)
        return len(written.sizes), sum(written.sizes.values())

    def _put_all(self, made: Iterator[tuple[str, bytes]]) -> None:
        """Write files in their order, some at a time, but what pages load before the pages, and the first page last."""
        last: list[tuple[str, bytes]] = []
        at_once = self.store.capabilities.parallel
        while some := list(islice(made, _AT_ONCE)):
            last += [file for file in some if file[0] == HOME]
            each(self._put, [file for file in some if _is_loaded(file[0])], at_once=at_once)
            pages = [file for file in some if file[0] != HOME and not _is_loaded(file[0])]
            each(self._put, pages, at_once=at_once)
        each(self._put, last, at_once=1)

    def _put(self, file: tuple[str, bytes]) -> None:
        self.store.replace(self.prefix + file[0], file[1])

    def _old(self) -> list[str]:
        """The files of the site that is there, as it says; nothing where it cannot be read."""
        what = f"{self}/{SITE_MARKER}"
        try:
            return _listed(self.store.get(self.prefix + SITE_MARKER, max_bytes=MAX_MANIFEST_BYTES), what)
        except (NotFound, IntegrityError):
            return []


def _is_loaded(path: str) -> bool:
    return path.startswith(("assets/", "data/"))


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


def _listed(marker: bytes, what: str) -> list[str]:
    """The files that a site's marker lists, of those that a site has. Raises IntegrityError."""
    value = parse_json(marker, what=what)
    listed = value.get("files") if isinstance(value, dict) else None
    return [path for path in listed or () if isinstance(path, str) and _OURS.fullmatch(path)]


def _marker(paths: Iterable[str]) -> bytes:
    made_by = f"modhub {version('modhub')}"
    return canonical_json({"files": sorted(paths), "format": SITE_FORMAT, "made_by": made_by})


def _taken(place: object) -> Conflict:
    return Conflict(
        f"there is a site in {place}.", kind="output-exists", hint="replace it with --force.", path=str(place)
    )


def _no_site(place: object, hint: str = "choose another --out, or remove it.", stranger: str | None = None) -> Conflict:
    with_what = "" if stranger is None else f": it has {plain(stranger[:200])}"
    return Conflict(
        f"{place} exists and is not a site{with_what}.", kind="not-a-site", hint=hint, path=str(place), entry=stranger
    )
