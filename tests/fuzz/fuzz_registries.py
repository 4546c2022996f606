"""Whole registries, caches and archives whose files were spoilt, moved, swapped or taken away, and all that reads them.

What one file may hold is tried in ``fuzz_kinds`` and ``fuzz_releases``; here it is what files say about each other.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import fuzz_samples as samples
from fsspec.implementations.memory import MemoryFileSystem
from fuzz_kinds import Case, Kind, WrongAnswer, attempt
from fuzz_mutators import ODD_TEXTS, bytes_spoilt, document_spoilt, parsed, sealed, text_spoilt, value_spoilt
from named import pins_of

from modhub.cache.cache import Cache
from modhub.cache.catalog import CacheCatalog
from modhub.installation.install import install_pinned
from modhub.registry.admin.archive import export_release, import_release
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.admin.mirror import mirror
from modhub.registry.writer import Registry
from modhub.signing.policy import Trust
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.manifest import Manifest
from modhub.spec.refs import ModelRef
from modhub.storage.memory import MemoryStore
from modhub.storage.store import Capabilities, is_path

_NAMES = ["n:cat", "me/net", "me/net:cat@^1", "me/net@1.1.0", "you/other@2.0.0-rc.1", "you", "me/net:potter's wheel"]
_REFS = [ModelRef("me", "net", "1.0.0"), ModelRef("me", "net", "1.1.0"), ModelRef("you", "other", "2.0.0-rc.1")]
_NUMBERS = count()


# Spoiling


def _files_spoilt(chance: Random, files: Case) -> Case:
    """Some of the files after changes in them and among them."""
    files = dict(files)
    for _ in range(chance.choice((1, 1, 2, 3))):
        path = chance.choice(list(files) or ["x"])
        data, other = files.get(path, b""), chance.choice(list(files.values()) or [b""])
        match chance.randrange(9):
            case 0:
                del files[path]
            case 1:
                files[path] = bytes_spoilt(chance, data, other)
            case 2:
                files[path] = other
            case 3:
                files[_path_spoilt(chance, path)] = data
            case 4:
                files[_path_spoilt(chance, path)] = files.pop(path)
            case 5 if path.startswith("records/"):
                files = _history_spoilt(chance, files, path)
            case _ if path.endswith(".json"):
                what = "content" if "releases/" in path or "manifests/" in path else None
                files[path] = document_spoilt(chance, data, other, digest_of=what)
            case _:
                files[path] = chance.choice((b"", b"{}", bytes(len(data)), data + b"\0", data[:-1]))
    return files


def _path_spoilt(chance: Random, path: str) -> str:
    parts = path.split("/")
    place = chance.randrange(len(parts))
    own = [
        "me",
        "net",
        "n",
        "you",
        "1.0.0.json",
        "2.0.0+b.json",
        "000002.json",
        "999999.json",
        "0000001.json",
        "x.json",
    ]
    parts[place] = chance.choice((*own, text_spoilt(chance, parts[place]), chance.choice(ODD_TEXTS)))
    spoilt = "/".join(parts)
    return spoilt if is_path(spoilt) else path


def _history_spoilt(chance: Random, files: Case, path: str) -> Case:
    """One entry changed, sealed, and every later one chained to it again, as only a whole host could."""
    folder = path.rpartition("/")[0]
    entries = sorted(each for each in files if each.startswith(f"{folder}/"))
    before = None
    for each in entries:
        value = parsed(files[each])
        if each == path:
            value = value_spoilt(chance, value)
        if before is not None and isinstance(value, dict):
            value["previous"] = before
        files[each] = sealed(value) if isinstance(value, dict) else b"[]"
        before = samples.sha256(files[each])
    return files


# Registries in memory


class Unlisted:
    """A store that gives what it is asked for and cannot say what it has, like a web server."""

    capabilities = Capabilities(writable=False, exclusive_create=False, can_list=False, parallel=1)

    def __init__(self, store: MemoryStore) -> None:
        self.url, self.get, self.stream, self.exists = store.url, store.get, store.stream, store.exists
        self.modified, self.answers_for_missing = store.modified, store.answers_for_missing

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a store that cannot list, or write, was asked for {name}")


@contextmanager
def _in_memory(files: Case) -> Iterator[MemoryStore]:
    name = f"fuzz-{next(_NUMBERS)}"
    store = MemoryStore(name)
    for path, data in files.items():
        # One spoilt path may lie below another that is an object, which fsspec's memory cannot have.
        with suppress(FileExistsError):
            store.replace(path, data)
    try:
        yield store
    finally:
        _forget(name)


def _forget(name: str) -> None:
    for full in [full for full in MemoryFileSystem.store if full.startswith(f"/{name}/")]:
        del MemoryFileSystem.store[full]
    MemoryFileSystem.pseudo_dirs[:] = [""]


def _registry(chance: Random) -> Case:
    return _files_spoilt(chance, samples.registry_files())


def _trust() -> Trust:
    key = TrustedKey(key=str(samples.signer().public), name="us", namespaces=("*",))
    return Trust((key,), required=True)


def _read_listed(case: Case) -> bool:
    with _in_memory(case) as store:
        return _read_all(Registry(store))


def _read_unlisted(case: Case) -> bool:
    with _in_memory(case) as store:
        return _read_all(Registry(Unlisted(store)))  # type: ignore[arg-type]


def _read_signed(case: Case) -> bool:
    with _in_memory(case) as store:
        return _read_all(Registry(store, trust=_trust()))


def _read_all(registry: Registry) -> bool:
    """Everything that can be asked of a registry; True when the release that the sample has can be read."""
    attempt(registry.check, registry.models, registry.alias_names, registry.aliases)
    attempt(lambda: list(registry.entries()), lambda: list(registry.entries(lambda problem: None)))
    for name in ("n", "me", "you"):
        attempt(partial(registry.alias, name), partial(registry.alias_history, name), partial(registry.models, name))
    for namespace, model in (("me", "net"), ("you", "other")):
        attempt(partial(registry.versions, namespace, model), partial(registry.index, namespace, model))
    found = [manifest for ref in _REFS for manifest in attempt(partial(_read_release, registry, ref))]
    for name in _NAMES:
        attempt(partial(pins_of, [name], [registry], {}))
    return len(found) == len(_REFS)


def _read_release(registry: Registry, ref: ModelRef) -> Manifest:
    attempt(lambda: registry.summary(ref), lambda: registry.withdrawal(ref))
    manifest = registry.manifest(ref)
    if f"{manifest.content.name}@{manifest.content.version}" != str(ref):
        raise WrongAnswer(f"{ref} is answered with {manifest.content.name}@{manifest.content.version}")
    for record in manifest.blobs.values():
        for blob in attempt(partial(registry.blob, record)):
            if samples.sha256(blob.stored) != record.sha256:
                raise WrongAnswer(f"other bytes than {record.sha256}")
    return manifest


# Administration


def _read_fsck(case: Case) -> bool:
    with _in_memory(case) as store, _in_memory(samples.registry_files()) as good:
        registry = Registry(store)
        reports = attempt(lambda: fsck(registry))
        attempt(lambda: collect(registry, dry_run=True))
        attempt(lambda: fsck(registry, repair_from=Registry(good)), lambda: collect(registry))
        return bool(reports) and not reports[0].findings


def _read_mirror(case: Case) -> bool:
    with _in_memory(case) as store, _in_memory({}) as target:
        copied = attempt(lambda: mirror(Registry(store), Registry(target)))
        for path in target.list("releases"):
            _, namespace, model, file = path.split("/")
            # What was copied was verified, whatever the source was like.
            _read_release(Registry(target), ModelRef(namespace, model, file.removesuffix(".json")))
        return bool(copied) and not copied[0].problems


# Caches


@cache
def _cache_files() -> Case:
    """A cache with everything installed, by path."""
    with tempfile.TemporaryDirectory() as folder, _in_memory(samples.registry_files()) as store:
        registry = Registry(store, name="team")
        install_pinned(pins_of(["n"], [registry], {}), [registry], Cache(folder))
        files = {path.relative_to(folder).as_posix(): path for path in Path(folder).rglob("*") if path.is_file()}
        return {path: file.read_bytes() for path, file in sorted(files.items()) if not path.startswith(".")}


def _cache(chance: Random) -> Case:
    return _files_spoilt(chance, _cache_files())


def _read_cache(case: Case) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), case)
        cache = Cache(folder)
        catalog = CacheCatalog(cache)
        installed = attempt(cache.installed)
        attempt(cache.alias_names, partial(cache.alias, "n"), cache.size, cache.releases, catalog.models)
        checked = attempt(cache.verify)
        for ref, digest in cache.marked():
            attempt(
                partial(cache.manifest, digest), partial(catalog.summary, ref.release), partial(cache.find, ref, digest)
            )
        for name in _NAMES:
            for pins in attempt(partial(pins_of, [name], [catalog], {})):
                attempt(partial(install_pinned, pins, [], cache))
        attempt(partial(cache.prune, dry_run=True), partial(cache.prune, max_size=1000))
        return bool(installed) and bool(checked) and not checked[0].damaged


def _read_install(case: Case) -> bool:
    """From a registry that cannot be trusted into a cache that was empty."""
    with tempfile.TemporaryDirectory() as folder, _in_memory(case) as store:
        registry, cache = Registry(store), Cache(folder)
        done = []
        for name in _NAMES:
            for pins in attempt(partial(pins_of, [name], [registry], {})):
                done += attempt(partial(install_pinned, pins, [registry], cache))
        # What got in is whole.
        for checked in (cache.verify(),):
            if checked.affected:
                raise WrongAnswer(f"installed and damaged: {checked.affected}")
        return bool(done)


def _write(folder: Path, files: Case) -> None:
    for path, data in files.items():
        try:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            # One spoilt path may lie below another that is a file.
            continue


# Archives


@cache
def _archive_members() -> Case:
    with tempfile.TemporaryDirectory() as folder, _in_memory(samples.registry_files()) as store:
        file = Path(folder) / "net.tar"
        export_release(Registry(store), _REFS[0], file)
        with tarfile.open(file) as tar:
            return {member.name: _content(tar, member) for member in tar}


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def _archive(chance: Random) -> Case:
    members = _archive_members()
    if chance.random() < 0.6:
        members = _files_spoilt(chance, members)
    names = list(members)
    if chance.random() < 0.2:
        chance.shuffle(names)
    form = chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name in names:
            member = _member_spoilt(chance, name, len(members[name]))
            with_content = member.isreg() and member.size == len(members[name])
            try:
                tar.addfile(member, io.BytesIO(members[name]) if with_content else None)
            except (ValueError, UnicodeError):
                # A name too long for an old format.
                continue
    data = buffer.getvalue()
    return {"file": bytes_spoilt(chance, data, data) if chance.random() < 0.3 else data}


def _member_spoilt(chance: Random, name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    if chance.random() < 0.08:
        changes: list[dict[str, Any]] = [
            {"type": chance.choice((tarfile.SYMTYPE, tarfile.LNKTYPE)), "linkname": chance.choice(ODD_TEXTS[:12])},
            {"type": chance.choice((tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE))},
            {"name": chance.choice(["../x", "/etc/passwd", "releases/../../x", name.upper(), name + "/", "./" + name])},
            {"size": chance.choice((0, size + 1, 2**33 - 1, 2**40))},
            {
                "pax_headers": {
                    chance.choice(("path", "size", "GNU.sparse.map", "hdrcharset")): chance.choice(ODD_TEXTS)
                }
            },
        ]
        for field, value in chance.choice(changes).items():
            setattr(member, field, value)
    return member


def _read_archive(case: Case) -> bool:
    with tempfile.TemporaryDirectory() as folder, _in_memory({}) as store:
        file = Path(folder) / "net.tar"
        file.write_bytes(case["file"])
        registry = Registry(store)
        imported = attempt(lambda: import_release(file, registry))
        for published in imported:
            _read_release(registry, published.ref)
        if sorted(os.listdir(folder)) != ["net.tar"]:  # noqa: PTH208
            raise WrongAnswer("the archive left something behind")
        return bool(imported)


KINDS = [
    Kind("registries", 6, _registry, _read_listed),
    Kind("registries that cannot list", 4, _registry, _read_unlisted),
    Kind("signed registries", 3, _registry, _read_signed),
    Kind("administration of a registry", 1, _registry, _read_fsck),
    Kind("mirrors", 1, _registry, _read_mirror),
    Kind("caches", 1.5, _cache, _read_cache),
    Kind("installations", 1, _registry, _read_install),
    Kind("archives", 4, _archive, _read_archive),
]
