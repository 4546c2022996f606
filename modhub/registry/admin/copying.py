"""Carrying histories and signatures from one registry to another, byte by byte, checked on the way.

An entry's signature is written before the entry, as its author did. Nothing that is there already is overwritten: a
history that has gone another way in the target is a difference, and people have to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from modhub.errors import Conflict, Incompatible, IntegrityError, NotFound
from modhub.limits import MAX_RECORD_BYTES, MAX_SIGNATURE_BYTES
from modhub.registry.admin.inventory import HISTORIES
from modhub.registry.reader import RegistryReader
from modhub.registry.records import RecordLog
from modhub.registry.writer import Registry
from modhub.signing.bundles import read_model_signature
from modhub.spec.digests import sha256
from modhub.spec.layout import SIGNATURES, record_path, signature_at, signature_path
from modhub.spec.registry_files import RECORD_FORMAT, SIGNATURE_FORMAT, SignatureFile, read_document
from modhub.storage.store import Store


def history_files(registry: RegistryReader, kind: str, name: str) -> list[bytes]:
    """The files of a whole history, oldest first. Raises IntegrityError when any of it cannot be believed."""
    log = RecordLog(registry.store, kind, name, HISTORIES[kind])
    files = []
    for record, digest in log.entries():
        path = record_path(kind, name, record.number)
        data = registry.store.get(path, max_bytes=MAX_RECORD_BYTES)
        if sha256(data) != digest:
            raise IntegrityError(
                f"{registry.url}/{path} changed while it was read, which entries never do.",
                kind="broken-history",
                hint="tell the administrator of that registry.",
                path=path,
            )
        files.append(data)
    return files


def is_whole(kind: str, name: str, files: Sequence[bytes | None]) -> bool:
    """Whether these files are a history of this name, entry by entry; None is a missing one.

    Raises Incompatible for a newer format.
    """
    previous: str | None = None
    for number, data in enumerate(files, 1):
        if data is None or _parsed(kind, data) != (name, number, previous):
            return False
        previous = sha256(data)
    return True


def is_entry(kind: str, data: bytes) -> bool:
    """Whether these bytes are an entry of some history of this kind; those of newer formats count."""
    try:
        return _parsed(kind, data) is not None
    except Incompatible:
        return True


def copy_history(source: RegistryReader, target: Registry, kind: str, name: str, keys: Sequence[str] = ()) -> int:
    """Append to the target what the source's history has beyond it; how many entries that were.

    ``keys``: ids of keys whose signatures may be there, for a source that cannot list them. Raises Conflict, kind
    ``histories-differ``, unless the target's is how the source's began, and IntegrityError for a broken history.
    """
    theirs = history_files(source, kind, name)
    mine = history_files(target, kind, name)
    if mine != theirs[: len(mine)]:
        raise Conflict(
            f"the {kind} {name!r} has gone another way in {target.name} than in {source.name}; "
            f"they have {len(mine)} and {len(theirs)} entries.",
            kind="histories-differ",
            hint="nothing was overwritten; decide which of the two is right.",
            history=kind,
            name=name,
        )
    for number, data in enumerate(theirs[len(mine) :], len(mine) + 1):
        signatures = signatures_of(source, sha256(data), keys)
        put_signatures(target.store, sha256(data), signatures)
        path = record_path(kind, name, number)
        if not target.store.put_if_absent(path, data) and get_or_none(target.store, path) != data:
            raise Conflict(
                f"the {kind} {name!r} was changed in {target.name} by somebody else at the same moment.",
                kind="record-race",
                hint="run it again.",
                name=name,
                number=number,
            )
        put_missing_signatures(target.store, sha256(data), signatures)
    return len(theirs) - len(mine)


def signatures_of(registry: RegistryReader, digest: str, keys: Iterable[str] = ()) -> dict[str, bytes]:
    """Files of the signatures of what has this digest, by key id, those that are none left out."""
    store = registry.store
    if store.capabilities.can_list:
        listed = store.list(f"{SIGNATURES}/{digest.removeprefix('sha256:')}")
        keys = [found[1] for path in listed if (found := signature_at(path))]
    files = {key: get_or_none(store, signature_path(digest, key)) for key in sorted(set(keys))}
    return {key: data for key, data in files.items() if data is not None and is_signature(data, key)}


def is_signature(data: bytes, key: str) -> bool:
    """Whether these bytes are the file of a signature by this key, or of the bundle of this digest; whether it verifies
    is another matter."""
    try:
        return read_document(SignatureFile, data, what="the signature", newest=SIGNATURE_FORMAT).key == key
    except IntegrityError:
        return False
    except Incompatible:
        return _is_bundle(data, key)


def _is_bundle(data: bytes, key: str) -> bool:
    try:
        return read_model_signature(data).key == key
    except IntegrityError:
        return False
    except Incompatible:
        # Whatever a newer version wrote is not for this one to judge.
        return True


def put_signatures(store: Store, digest: str, signatures: Mapping[str, bytes]) -> None:
    """Write signatures, by key id, unless others by those keys stand there."""
    for key, data in signatures.items():
        path = signature_path(digest, key)
        if store.put_if_absent(path, data):
            continue
        existing = get_or_none(store, path)
        # The same once more makes it young, so that no collection of old orphans takes it.
        if existing is None or existing == data or not is_signature(existing, key):
            store.replace(path, data)


def put_missing_signatures(store: Store, digest: str, signatures: Mapping[str, bytes]) -> None:
    """The second look, when what they sign is there: a collection may have taken those that had been orphans."""
    for key, data in signatures.items():
        store.put_if_absent(signature_path(digest, key), data)


def get_or_none(store: Store, path: str) -> bytes | None:
    """A small file; None when it is missing or cannot be one."""
    try:
        return store.get(path, max_bytes=MAX_SIGNATURE_BYTES)
    except (NotFound, IntegrityError):
        return None


def _parsed(kind: str, data: bytes) -> tuple[str, int, str | None] | None:
    """Name, number and predecessor that an entry says it has. Raises Incompatible for a newer format."""
    try:
        record = read_document(HISTORIES[kind], data, what="the entry", newest=RECORD_FORMAT)
    except IntegrityError:
        return None
    return record.name, record.number, record.previous
