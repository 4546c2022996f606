"""The user's private keys, one file each: ``NAME.pem`` in the folder that MODHUB_KEYS names, or a default one.

The default is ``keys`` in the user's configuration folder, also when MODHUB_CONFIG names a file elsewhere: that may lie
in a project that is shared. A file is readable by its owner only, appears whole or not at all, and is never
overwritten. MODHUB_KEY_PASSPHRASE opens locked keys where there is no terminal to ask at.
"""

from __future__ import annotations

import codecs
import os
import stat
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from modhub.errors import Conflict, NotFound, StorageError, UsageError, did_you_mean
from modhub.limits import MAX_RECORD_BYTES
from modhub.settings.config import load_config
from modhub.signing.keys import (
    PublicKey,
    Signer,
    is_locked,
    new_signer,
    public_line,
    read_private_key,
    write_private_key,
)
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.refs import check_name, check_new_name
from modhub.storage import files
from modhub.storage.fsync import flush

#: What gives the passphrase of the key of this name: a person who is asked, for example.
AskPassphrase = Callable[[str], str]

_SUFFIX: Final = ".pem"
_MAX_PASSPHRASE_BYTES: Final = 1000


@dataclass(frozen=True)
class OwnKey:
    """A private key's file. ``public`` is None when it needs the passphrase or the file is damaged."""

    name: str
    path: Path
    public: PublicKey | None


def keys_folder() -> Path:
    """MODHUB_KEYS, else ``keys`` in the user's configuration folder."""
    if chosen := os.environ.get("MODHUB_KEYS"):
        return files.absolute(chosen)
    return platformdirs.user_config_path("modhub", appauthor=False) / "keys"


def key_path(name: str) -> Path:
    """Where the private key ``name`` is. Raises InvalidRef."""
    return keys_folder() / f"{check_name(name, 'key')}{_SUFFIX}"


def create_key(name: str, passphrase: str | None = None) -> Signer:
    """Make a key and keep it; with a passphrase, locked.

    Raises Conflict, kind ``key-exists``, UsageError for an unusable passphrase, StorageError.
    """
    path = key_path(check_new_name(name, "key"))
    if passphrase is not None and not 1 <= len(passphrase.encode("utf-8", "surrogateescape")) <= _MAX_PASSPHRASE_BYTES:
        raise UsageError(
            f"the passphrase has {len(passphrase)} characters; it must have 1 to {_MAX_PASSPHRASE_BYTES} bytes.",
            kind="bad-passphrase",
            hint="choose another.",
        )
    signer = new_signer(name)
    try:
        created = _create_private(path, write_private_key(signer, passphrase))
    except OSError as error:
        raise StorageError(
            f"the key {path} cannot be written: {error.strerror or error}.",
            hint="free the disk or get the right to write there, or set MODHUB_KEYS to another folder.",
            path=str(path),
        ) from error
    if not created:
        raise Conflict(
            f"there is a key {name!r} already: {path}.",
            kind="key-exists",
            hint="choose another name; keys are never overwritten.",
            key=name,
            path=str(path),
        )
    return signer


def load_private_key(name: str, ask: AskPassphrase | None = None) -> Signer:
    """The private key ``name``; a locked one is opened with MODHUB_KEY_PASSPHRASE, else with what ``ask`` gives.

    Warns when others can read the file. Raises NotFound, kind ``no-key``, and UsageError, kind ``bad-key``,
    ``passphrase-needed`` or ``wrong-passphrase``.
    """
    path = key_path(name)
    data = _read_private(path, name)
    passphrase = os.environ.get("MODHUB_KEY_PASSPHRASE") or None
    if is_locked(data) and passphrase is None:
        if ask is None:
            raise UsageError(
                f"the key {name!r} is locked with a passphrase.",
                kind="passphrase-needed",
                hint="set MODHUB_KEY_PASSPHRASE, or run the command in a terminal.",
                key=name,
            )
        passphrase = ask(name)
    return read_private_key(data, name, passphrase, what=f"the key {path}")


def load_signer(name: str, ask: AskPassphrase | None = None) -> Signer:
    """``load_private_key`` for signing something new: raises Conflict, kind ``revoked-key``, for a revoked key."""
    signer = load_private_key(name, ask)
    for key in load_config().trust:
        if key.id == signer.id and key.revoked is not None:
            raise revoked(key, "sign with another key: modhub key new NAME")
    return signer


def as_signer(sign: str | Signer | None) -> Signer | None:
    """One of the user's keys by its name; None and keys are given back. Raises as ``load_signer``."""
    return load_signer(sign) if isinstance(sign, str) else sign


def own_keys() -> list[OwnKey]:
    """The user's private keys by name, without opening locked ones; files that cannot be used too."""
    names = sorted(path.stem for path in keys_folder().glob(f"*{_SUFFIX}") if _is_key_name(path.stem))
    return [OwnKey(name, key_path(name), _public_half(name)) for name in names]


def revoked(key: TrustedKey, hint: str) -> Conflict:
    """The error for any use of a revoked key."""
    reason = (key.revoked or "").rstrip(".")
    return Conflict(f"the key {key} was revoked: {reason}.", kind="revoked-key", hint=hint, key=key.id)


def _public_half(name: str) -> PublicKey | None:
    path = key_path(name)
    try:
        data = _read_private(path, name)
        public = public_line(data)
        if public is None and not is_locked(data):
            return read_private_key(data, name, None, what=f"the key {path}").public
    except UsageError:
        return None
    return public


def _is_key_name(text: str) -> bool:
    try:
        check_name(text, "key")
    except UsageError:
        return False
    return True


def _create_private(path: Path, data: bytes) -> bool:
    """Write a file that only its owner can read, whole or not at all. False when the name is taken."""
    files.make_private_folder(path.parent.parent)
    files.make_private_folder(path.parent)
    # mkstemp opens it for its owner only, from the start.
    descriptor, temporary = tempfile.mkstemp(prefix=files.TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        files.remove(temporary)
    flush(str(path.parent))
    return True


def _read_private(path: Path, name: str) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_RECORD_BYTES:
            raise UsageError(
                f"{path} is no private key: it is no file, or too large.",
                kind="bad-key",
                hint="move it away.",
                key=name,
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        others = [other.stem for other in path.parent.glob(f"*{_SUFFIX}")]
        raise NotFound(
            f"there is no private key {name!r} in {path.parent}.",
            kind="no-key",
            hint=did_you_mean(name, others) or f"make it: modhub key new {name}",
            key=name,
        ) from error
    except OSError as error:
        raise UsageError(
            f"the key {path} cannot be read: {error.strerror or error}.",
            kind="bad-key",
            hint="get the right to read it, or use another key.",
            key=name,
        ) from error
    # Other systems than POSIX keep who may read a file elsewhere.
    if os.name == "posix" and found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        warnings.warn(f"others can read the private key {path} (mode {mode:04o}): chmod 600 {path}", stacklevel=3)
    # What an editor put in front of it is not the key's.
    return data.removeprefix(codecs.BOM_UTF8)
