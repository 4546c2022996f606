"""The paths of everything in a registry. No other module spells these paths.

Names and digests are checked here once more, although data is checked on reading: a path is the one place where a bad
one does harm.
"""

from __future__ import annotations

import re
from typing import Final

from modhub.errors import IntegrityError
from modhub.spec.digests import parse_digest
from modhub.spec.refs import ModelRef, check_name, check_version
from modhub.spec.registry_files import KEY_ID_PATTERN

MARKER: Final = "modhub-registry.json"
CATALOG: Final = "catalog.json"
RELEASES: Final = "releases"
BLOBS: Final = "blobs"
SIGNATURES: Final = "signatures"
NOTICES: Final = "notices"
RECORDS: Final = "records"
#: Web pages that show the registry: made from it, read by browsers alone.
SITE: Final = "site"


def blob_path(digest: str) -> str:
    """The path of the blob whose stored bytes have this sha256."""
    hexadecimal = parse_digest(digest).removeprefix("sha256:")
    return f"blobs/sha256/{hexadecimal[:2]}/{hexadecimal[2:]}"


def model_folder(namespace: str, model: str) -> str:
    return f"{RELEASES}/{check_name(namespace, 'namespace')}/{check_name(model, 'model')}"


def release_path(ref: ModelRef) -> str:
    """The path of a release's manifest. Creating it is the publication."""
    check_version(ref.version)
    return f"{model_folder(ref.namespace, ref.model)}/{ref.version}.json"


def index_path(namespace: str, model: str) -> str:
    return f"index/{check_name(namespace, 'namespace')}/{check_name(model, 'model')}.json"


def catalog_path(namespace: str) -> str:
    return f"catalog/{check_name(namespace, 'namespace')}.json"


def notices_path(namespace: str) -> str:
    return f"{NOTICES}/{check_name(namespace, 'namespace')}.json"


def signature_path(digest: str, key: str) -> str:
    """The path of the signature by ``key`` (64 hexadecimal digits) of what has this digest."""
    if not re.fullmatch(KEY_ID_PATTERN, key):
        raise IntegrityError(f"{key[:80]!r} is not the id of a key.", kind="bad-key-id", key=key)
    return f"{SIGNATURES}/{parse_digest(digest).removeprefix('sha256:')}/{key}.json"


def signature_at(path: str) -> tuple[str, str] | None:
    """The digest that is signed there, and the id of the key."""
    match path.split("/"):
        case [folder, digits, file] if folder == SIGNATURES and file.endswith(".json"):
            found = f"sha256:{digits}", file.removesuffix(".json")
            try:
                return found if signature_path(*found) == path else None
            except IntegrityError:
                return None
    return None


def records_folder(kind: str, name: str) -> str:
    """The folder of one name's append-only history; ``name`` may have several parts joined by ``/``."""
    return f"{RECORDS}/{kind}/{name}"


def record_path(kind: str, name: str, number: int) -> str:
    return f"{records_folder(kind, name)}/{number:06d}.json"
