"""What a case of fuzzing is, what counts as a right answer to it, and the kinds that are one file or one text.

A right answer is a value or a ModhubError whose message a person can be shown: one line of at most a page, without
characters that steer a terminal. Everything else that a reader does with a case is a failure.
"""

from __future__ import annotations

import json
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import fuzz_samples as samples
from fuzz_formats import TOML_BOMBS, toml_spoilt
from fuzz_mutators import ODD_CHARACTERS, ODD_TEXTS, bytes_spoilt, document_spoilt, large_document, text_spoilt
from pydantic import BaseModel

from modhub.errors import ModhubError
from modhub.installation.lockfile import read_lock
from modhub.project.manifest import ProjectFile, read_project
from modhub.settings.config import load_config, load_trust
from modhub.settings.values import Config
from modhub.signing.keys import is_locked, parse_public_key, read_private_key
from modhub.signing.statements import Statement
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.digests import parse_digest
from modhub.spec.layout import blob_path, catalog_path, index_path, record_path, release_path, signature_path
from modhub.spec.refs import (
    ModelRef,
    check_name,
    is_model_name,
    parse,
    parse_model_name,
    parse_range,
    parse_version,
    select_version,
    slug_of,
)
from modhub.spec.registry_files import max_bytes_of, read_document
from modhub.storage.local import LocalStore
from modhub.storage.store import check_path, check_prefix
from modhub.storage.urls import open_store

#: Named bytes: one input, or the files of a folder or registry by path.
Case = dict[str, bytes]

MOST_CHARACTERS = 3000
#: One in so many files is about as large as may be.
_LARGE = 1500


class WrongAnswer(Exception):
    """An error that no user should see."""


@dataclass(frozen=True)
class Kind:
    """One kind of thing that is read. ``share``: of all cases, how many, in proportion to other kinds.

    ``make`` gives a case; ``read`` reads it with everything that modhub has for it, and says whether it was accepted.
    """

    name: str
    share: float
    make: Callable[[Random], Case]
    read: Callable[[Case], bool]


def attempt(*calls: Callable[[], Any]) -> list[Any]:
    """What those calls gave that gave anything; each may refuse, but only in words."""
    given = []
    for call in calls:
        try:
            given.append(call())
        except ModhubError as error:
            check_error(error)
    return given


def check_error(error: ModhubError) -> None:
    text = str(error)
    if not text or len(text) > MOST_CHARACTERS:
        raise WrongAnswer(f"a message of {len(text)} characters: {text[:200]!r}") from error
    if odd := [character for character in text if unicodedata.category(character) in ("Cc", "Cs")]:
        raise WrongAnswer(f"a message with {odd[0]!r}: {text[:500]!r}") from error
    json.dumps(error.to_dict(), allow_nan=False)


def text_of(case: Case, name: str = "text") -> str:
    return case[name].decode("utf-8", "surrogatepass")


def as_case(text: str, name: str = "text") -> Case:
    return {name: text.encode("utf-8", "surrogatepass")}


# Small files of a registry


def _document(model: type[BaseModel]) -> Kind:
    data = samples.documents()[model]
    others = list(samples.documents().values())

    def make(chance: Random) -> Case:
        if chance.random() < 1 / _LARGE:
            return {"file": large_document(chance, max_bytes_of(model))}
        return {"file": document_spoilt(chance, data, chance.choice(others))}

    def read(case: Case) -> bool:
        return bool(attempt(lambda: read_document(model, case["file"], what="the file x", newest=1)))

    return Kind(model.__name__, 2, make, read)


# Names, paths, URLs

_NAMES = [
    *(
        "cifar10/r56:cat@^1",
        "me/net",
        "c10:potter's wheel",
        "me/net:class-1@1.0.0-rc.1+build.5",
        "n@>=1,<2",
        "a/b@~1.2",
    ),
    *("1.0.0", "^1", "2.0.0-alpha.1", "1.2.x", ">=1.0.0,<2.0.0", "sha256:" + "0" * 64, "crème brûlée", "a-b.c_d"),
]
_VERSIONS = ["0.1.0", "1.0.0", "1.1.0-rc.1", "1.1.0", "1.10.0+build.7", "2.0.0-alpha.1"]


def _name(chance: Random) -> Case:
    return as_case(_any_text(chance, _NAMES))


def _any_text(chance: Random, valid: list[str]) -> str:
    if chance.random() < 0.15:
        letters = [*ODD_CHARACTERS, *"abz019-._/:@^~<>=,*x"]
        return "".join(chance.choice(letters) for _ in range(chance.choice((1, 2, 5, 20, 90, 150))))
    return text_spoilt(chance, chance.choice(valid), [*valid, *ODD_TEXTS])


def _read_name(case: Case) -> bool:
    text = text_of(case)
    slug = slug_of(text)
    if slug and is_model_name(f"a/{slug}"):
        parse(f"a/b:{slug}")
    found = attempt(
        lambda: parse(text),
        lambda: check_name(text, "namespace"),
        lambda: parse_model_name(text),
        lambda: parse_version(text),
        lambda: parse_range(text),
        lambda: select_version(_VERSIONS, text),
        lambda: select_version([*_VERSIONS, text], None),
        lambda: parse_digest(text),
    )
    return bool(found)


_PATHS = [
    "blobs/sha256/ab/" + "0" * 62,
    "releases/me/net/1.0.0.json",
    "records/alias/n/000001.json",
    "index/me/net.json",
]


def _path(chance: Random) -> Case:
    parts = {name: _any_text(chance, ["me", "net", "1.0.0", "sha256:" + "a" * 64, "f" * 64]) for name in "abc"}
    return as_case(_any_text(chance, _PATHS)) | {k: v for name in "abc" for k, v in as_case(parts[name], name).items()}


def _read_path(case: Case) -> bool:
    a, b, c = (text_of(case, name) for name in "abc")
    made = attempt(
        lambda: check_path(text_of(case)),
        lambda: check_prefix(text_of(case)) or "x",
        lambda: release_path(ModelRef(a, b, c)),
        lambda: index_path(a, b),
        lambda: catalog_path(a),
        lambda: blob_path(a),
        lambda: signature_path(a, b),
        lambda: check_path(record_path("alias", a, 1)),
    )
    for path in made:
        if check_path(path).startswith("/") or ".." in path.split("/") or not path.isascii():
            raise WrongAnswer(f"the path {path!r}")
    return bool(made)


_URLS = [
    *("/srv/modules", "~/registry", "file:///srv/with%20space", "memory://shop", "s3://bucket/prefix", "az://box/x"),
    *("abfs://box@account.dfs.core.windows.net/x", "gs://bucket/a/b", "sftp://me@host:22/srv", "https://host:8443/x/y"),
    *("http://[::1]:8000/", "https://me:secret@host/x", "simplecache::s3://bucket", "relative/../folder"),
]


def _url(chance: Random) -> Case:
    return as_case(_any_text(chance, _URLS))


def _read_url(case: Case) -> bool:
    opened = attempt(lambda: open_store(text_of(case)))
    for store in opened:
        # In the name of a folder it is none.
        if not isinstance(store, LocalStore) and urlsplit(store.url).password is not None:
            raise WrongAnswer(f"a password stays in {store.url!r}")
    return bool(opened)


# Files that people keep


def _lock(chance: Random) -> Case:
    if chance.random() < 0.02:
        return {"file": samples.lock() + chance.choice(TOML_BOMBS) + b"\n"}
    own, other = (
        (samples.lock(), samples.CONFIG) if chance.random() < 0.5 else (samples.project_lock(), samples.PROJECT)
    )
    data = toml_spoilt(chance, own, other)
    return {"file": samples.sealed_lock(data) if chance.random() < 0.8 else data}


def _read_lock(case: Case) -> bool:
    return bool(attempt(lambda: read_lock(case["file"], what="the lockfile x")))


def _project(chance: Random) -> Case:
    return {"file": toml_spoilt(chance, samples.PROJECT, samples.project_lock())}


def _read_project(case: Case) -> bool:
    def read() -> ProjectFile:
        file = read_project(case["file"])
        refs = [*file.classes.values(), *(ref for stage in file.verify for ref in stage.modules)]
        if any(file.expanded(ref).cls is None for ref in refs):
            raise WrongAnswer("a project file was read whose classes are whole models")
        return file

    return bool(attempt(read))


def _config(chance: Random) -> Case:
    return {"file": toml_spoilt(chance, samples.CONFIG, samples.lock())}


def _read_config(case: Case) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_bytes(case["file"])
        loaded = attempt(lambda: load_config(path))
        for config in loaded:
            _use_config(config)
    return bool(loaded)


def _use_config(config: Config) -> None:
    attempt(lambda: config.cache_folder, lambda: load_trust(config))
    for urls in attempt(lambda: config.registry_urls):
        attempt(*(partial(open_store, url) for url in urls))


# Keys and signatures


def _public_key(chance: Random) -> Case:
    return as_case(_any_text(chance, [str(samples.signer().public), "ed25519:" + "A" * 43 + "="]))


def _read_public_key(case: Case) -> bool:
    return bool(attempt(lambda: parse_public_key(text_of(case))))


def _private_key(chance: Random) -> Case:
    data = chance.choice((samples.private_key(), samples.private_key(), samples.LOCKED_KEY))
    if chance.random() < 0.3:
        lines = data.decode().splitlines(keepends=True)
        line = chance.randrange(len(lines))
        lines[line] = text_spoilt(chance, lines[line], ["-----BEGIN ENCRYPTED PRIVATE KEY-----\n", *ODD_TEXTS])
        return as_case("".join(lines), "file")
    return {"file": bytes_spoilt(chance, data, samples.LOCKED_KEY)}


def _read_private_key(case: Case) -> bool:
    data = case["file"]
    passphrase = "pass" if is_locked(data) else None
    return bool(attempt(lambda: read_private_key(data, "mine", passphrase, what="the key x")))


def _signature(chance: Random) -> Case:
    return {"file": document_spoilt(chance, samples.signature_of(samples.STATEMENT), samples.lock())}


def _read_signature(case: Case) -> bool:
    key = TrustedKey(key=str(samples.signer().public), name="us", namespaces=("*",))
    verified = key.verifies(samples.STATEMENT, case["file"])
    if verified and key.verifies(Statement("release", "me/other@1.0.0", samples.STATEMENT.digest), case["file"]):
        raise WrongAnswer("one signature verifies two statements")
    return verified


#: Everything but whole releases and registries.
KINDS = [
    *(_document(model) for model in samples.documents()),
    Kind("names", 10, _name, _read_name),
    Kind("paths", 4, _path, _read_path),
    Kind("urls", 4, _url, _read_url),
    Kind("locks", 8, _lock, _read_lock),
    Kind("project files", 4, _project, _read_project),
    Kind("config", 4, _config, _read_config),
    Kind("public keys", 2, _public_key, _read_public_key),
    Kind("private keys", 2, _private_key, _read_private_key),
    Kind("signatures", 4, _signature, _read_signature),
]
