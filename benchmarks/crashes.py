#!/usr/bin/env python3
"""A publisher, an installer and a collector of orphans die at every step they take: what is left, and does it go on?

    python benchmarks/crashes.py [--stores folder memory S3] [--short]

On a folder each is a process that is killed (SIGKILL) just before its first write, then just before its second, and so
on until it outlives them all. In memory and on S3 (moto) the store dies instead, at the first operation, the second and
so on, once before the operation took effect and once after. Each death is tried in a fresh copy of the registry, and
then once more on what all deaths before it have left.

After each death every release that is listed has to be whole, fsck must find no damage, and every module that the cache
calls installed must be. Then the same command runs again: it has to succeed, and whatever was whole before still is.
The registry has one release whose blobs the publisher uses again, and blobs of publishers that died before.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import registries
import report
import servers
from admin_stores import Died, dying, memory
from crashing import PROCESSES, crashes
from synthetic import release

from modhub.cache.cache import Cache
from modhub.errors import ModhubError
from modhub.installation.install import install_pinned
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.index import Listing
from modhub.registry.writer import Registry
from modhub.resolve.catalog import all_modules
from modhub.resolve.resolver import resolve
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModelRef, ModuleRef
from modhub.storage.remote import FileSystemStore
from modhub.storage.store import Store
from modhub.storage.urls import open_store

PROCESSES.set_forkserver_preload(["synthetic", "modhub.installation.install", "modhub.registry.admin"])

PUBLISHED = release("me/net", "1.0.0", classes=("cat", "dog"))
#: Uses every blob of the existing release, one that a crash left behind, and one of its own.
NEXT = release("me/net", "1.1.0", classes=("cat", "dog", "eel", "fox"))
LEFT_BEHIND = release("me/net", "1.1.0", classes=("cat", "dog", "eel"))
ABANDONED = release("me/lost", "1.0.0", classes=("cat", "dog"))
WANTED = ["me/net@1.0.0"]


def build(store: Store) -> None:
    registry = Registry(store)
    registry.initialise()
    assert not registry.publish(*PUBLISHED).warnings
    for digest, data in (*LEFT_BEHIND[1].items(), *ABANDONED[1].items()):
        store.put_if_absent(blob_path(digest), data)


# The three


def publish(store: Store, cache: str) -> None:
    assert not Registry(store).publish(*NEXT).warnings


def install_modules(store: Store, cache: str) -> None:
    registry = Registry(store)
    install_pinned(all_modules(resolve(WANTED, [registry], {})), [registry], Cache(cache))


def collect_orphans(store: Store, cache: str) -> None:
    collect(Registry(store), older_than=timedelta(0))


WORK: dict[str, Callable[[Store, str], None]] = {
    "publisher": publish,
    "installer": install_modules,
    "collector": collect_orphans,
}


def by_name(who: str, url: str, cache: str) -> None:
    # What a killed process has put aside goes with everything else in the end.
    tempfile.tempdir = str(Path(url).parent)
    WORK[who](open_store(url), cache)


def is_done(who: str, store: Store, cache: str) -> bool:
    """Whether what the command is for has come about."""
    if who == "publisher":
        return ModelRef("me", "net", "1.1.0") in whole(store)
    if who == "installer":
        return {one.name for one in Cache(cache).installed()} == {"cat", "dog"}
    return not any(found.kind == "orphaned-blob" for found in fsck(Registry(store)).untidy)


# What must hold


def whole(store: Store) -> set[ModelRef]:
    """The releases that a reader gets now, with every byte."""
    registry, found = Registry(store), set()
    for name, versions in Listing.of(store).versions.items():
        for ref in (ModelRef(*name.split("/"), version) for version in versions):
            try:
                if all(map(registry.holds, registry.manifest(ref).blobs.values())):
                    found.add(ref)
            except ModhubError:
                continue
    return found


def wrong(store: Store, cache: str) -> list[str]:
    """What a reader must never meet, whatever happened."""
    listed = {
        ModelRef(*name.split("/"), version)
        for name, versions in Listing.of(store).versions.items()
        for version in versions
    }
    found = [f"{ref} is listed and not whole" for ref in listed - whole(store)]
    found += [f"fsck: {damage.message}" for damage in fsck(Registry(store)).damage]
    return found + [f"cache: {damage.message}" for damage in Cache(cache).verify().damaged if damage.modules]


@dataclass
class Witness:
    """Remembers what was ever whole in one registry and one cache."""

    store: Store
    cache: str
    releases: set[ModelRef] = field(default_factory=set)
    modules: set[ModuleRef] = field(default_factory=set)

    def look(self) -> Iterator[str]:
        """What is wrong now."""
        yield from wrong(self.store, self.cache)
        releases, modules = whole(self.store), {one.ref for one in Cache(self.cache).installed()}
        yield from (f"{ref} was whole and is not any more" for ref in self.releases - releases)
        yield from (f"{ref} was installed and is not any more" for ref in self.modules - modules)
        self.releases |= releases
        self.modules |= modules

    def look_after_running(self, who: str) -> Iterator[str]:
        """What is wrong when the command has run again, this time to its end."""
        try:
            WORK[who](self.store, self.cache)
        except ModhubError as error:
            yield f"running it again: {error}"
            return
        yield from self.look()
        if not is_done(who, self.store, self.cache):
            yield "it was run again and said that all is well, and it is not done"


# Dying


@dataclass
class Row:
    """``deaths``: how often a process died; ``failures``: what was wrong afterwards, in words."""

    who: str
    store: str
    left: str
    deaths: int = 0
    failures: list[str] = field(default_factory=list)

    def after_death(self, where: str, witness: Witness) -> None:
        self.deaths += 1
        self._note(where, witness.look())
        if self.left == "fresh":
            self._note(f"{where}, then run again", witness.look_after_running(self.who))

    def in_the_end(self, witness: Witness) -> None:
        self._note("in the end", witness.look_after_running(self.who))

    def _note(self, where: str, problems: Iterable[str]) -> None:
        self.failures += [f"{where}: {problem}" for problem in problems]


def witness_of(store: Store, cache: Path) -> Witness:
    """A publisher that has just seen that all is well."""
    witness = Witness(store, str(cache))
    assert not list(witness.look())
    assert witness.releases == {ModelRef("me", "net", "1.0.0")}
    return witness


def killed(who: str, scratch: Path, *, fresh: bool) -> Row:
    """Real processes on a folder, killed before each write: the installer's into the cache, the others' there."""
    template, root, cache = scratch / "template", scratch / "registry", scratch / "cache"
    if not template.exists():
        build(open_store(str(template)))
    row = Row(who, "folder", "fresh" if fresh else "piled up")

    def renew() -> Witness:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(template, root)
        return witness_of(open_store(str(root)), cache)

    witness = renew()
    for step in crashes("kill", cache if who == "installer" else root, by_name, who, str(root), str(cache)):
        row.after_death(f"write {step}", witness)
        if fresh:
            witness = renew()
    row.in_the_end(witness)
    return row


def died(who: str, name: str, fresh_store: Callable[[], Store], scratch: Path, *, fresh: bool) -> Row:
    """A store that dies at each of its operations, before and after it took effect."""
    row, cache = Row(who, name, "fresh" if fresh else "piled up"), scratch / "cache"

    def renew() -> Witness:
        shutil.rmtree(cache, ignore_errors=True)
        return witness_of(fresh_store(), cache)

    witness = renew()
    for number, after in ((number, after) for number in itertools.count(1) for after in (False, True)):
        try:
            WORK[who](dying(witness.store, number, after), str(cache))
        except Died:
            row.after_death(f"operation {number}, {'after' if after else 'before'}", witness)
        else:
            break
        if fresh:
            witness = renew()
    row.in_the_end(witness)
    return row


def copies(make: Callable[[], Store]) -> Callable[[], Store]:
    """Gives stores with the same objects: the registry that everything begins with."""
    first = make()
    build(first)
    objects = {path: first.get(path, max_bytes=10**9) for path in first.list("")}

    def copy() -> Store:
        store = make()
        for path, data in objects.items():
            store.put_if_absent(path, data)
        return store

    return copy


@contextmanager
def s3_stores() -> Iterator[Callable[[], Store]]:
    with registries.s3() as server:
        bucket, numbers, backend = server.bucket("crashes"), itertools.count(), servers.shared_s3(server.endpoint)
        yield lambda: FileSystemStore(f"s3://{bucket}/registry-{next(numbers)}", backend=backend)


def measured(stores: tuple[str, ...], who: tuple[str, ...] = tuple(WORK)) -> Iterator[Row]:
    with registries.own_home(), registries.folder() as scratch:
        for one, fresh in itertools.product(who, (True, False)):
            if "folder" in stores:
                yield killed(one, scratch, fresh=fresh)
            if "memory" in stores:
                yield died(one, "memory", copies(memory), scratch, fresh=fresh)
        if "S3" in stores:
            with s3_stores() as make:
                copy = copies(make)
                for one, fresh in itertools.product(who, (True, False)):
                    yield died(one, "S3", copy, scratch, fresh=fresh)


def main() -> None:
    arguments = registries.parser(__doc__ or "")
    arguments.add_argument(
        "--stores", nargs="+", choices=("folder", "memory", "S3"), default=("folder", "memory", "S3")
    )
    options = arguments.parse_args()
    rows: list[Row] = []
    for row in measured(("memory",) if options.short else tuple(options.stores)):
        rows.append(row)
        print(row, file=sys.stderr)
    figures: list[dict[str, Any]] = [asdict(row) for row in rows]
    if not options.short:
        common.keep(options.out, "crashes", figures)
    print(report.crashes(figures))
    sys.exit(any(row.failures for row in rows))


if __name__ == "__main__":
    main()
