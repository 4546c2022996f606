"""The lockfile: exactly which modules a resolution came to, so that another machine gets the same ones, or an error.

TOML for people to read, with a checksum, because a lockfile edited by hand pins something that nobody resolved. A
release's digest is what counts; the registry says where it was found and is asked first. Pure: text in, values out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from modhub.digests import canonical_json, sha256
from modhub.errors import Incompatible, IntegrityError, ModhubError, plain, shown
from modhub.limits import (
    MAX_LOCK_BYTES,
    MAX_LOCK_DOTS,
    MAX_LOCK_FIELDS,
    MAX_LOCK_LINES,
    MAX_LOCKED_MODULES,
    MAX_URL_CHARS,
)
from modhub.manifest import DigestText, DisplayName
from modhub.refs import ModuleRef, check_name, is_exact, parse
from modhub.resolve.catalog import Pinned

LOCK_FORMAT: Final = 1
#: A text on one line (the start of one over several lines is none), or a comment: what has no names in it.
_SILENT: Final = re.compile(r"""\"(?!\"\")(?:[^\"\\\n]|\\.)*\"|'(?!'')[^'\n]*'|\#[^\n]*""")
_HEADER: Final = "# Written by modhub. A change by hand is refused; lock again instead.\n"


class LockedModule(BaseModel):
    """One module. ``ref`` is complete, ``digest`` the release's, ``name`` the class as the data set spells it."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    ref: str
    name: Annotated[DisplayName, Field(alias="class")]
    digest: DigestText
    registry: Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_CHARS)]


class _LockDocument(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    format: int
    module: Annotated[tuple[LockedModule, ...], Field(min_length=1, max_length=MAX_LOCKED_MODULES)]


@dataclass(frozen=True)
class Lock:
    """The modules of a lockfile, in its order."""

    modules: tuple[Pinned, ...]

    @classmethod
    def of(cls, pinned: Sequence[Pinned]) -> Lock:
        """What a resolution came to, each module once."""
        return cls(tuple(dict.fromkeys(pinned)))

    def to_text(self) -> str:
        """The file's text; equal modules give equal text."""
        # 25 ms to import, for the one call that writes.
        import tomlkit

        body = _body(self)
        document = tomlkit.document()
        document.add("format", tomlkit.item(LOCK_FORMAT))
        document.add("checksum", tomlkit.item(_checksum(body)))
        modules = tomlkit.aot()
        for fields in body["module"]:
            table = tomlkit.table()
            for key, value in fields.items():
                table.add(key, value)
            modules.append(table)
        document.add("module", modules)
        return _HEADER + "\n" + tomlkit.dumps(document)


def read_lock(data: bytes, *, what: str) -> Lock:
    """Untrusted bytes as a Lock. Raises IntegrityError, kinds ``bad-lock`` and ``edited-lock``, or Incompatible."""
    if len(data) > MAX_LOCK_BYTES:
        raise _bad(what, f"it has {len(data)} bytes, and a lockfile has at most {MAX_LOCK_BYTES}")
    try:
        text = data.decode("utf-8")
        _check_cheap(text, what)
        value = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise _bad(what, f"it is not TOML: {plain(str(error))}") from error
    newest = value.get("format")
    if type(newest) is not int or not 1 <= newest < 2**31:
        raise _bad(what, "it names no format")
    if newest > LOCK_FORMAT:
        raise Incompatible(
            f"{what} has format {newest}; this version of modhub reads up to format {LOCK_FORMAT}.",
            kind="newer-format",
            hint="upgrade modhub: pip install --upgrade modhub.",
            what=what,
            format=newest,
            newest=LOCK_FORMAT,
        )
    checksum = value.pop("checksum", None)
    try:
        if _checksum(value) != checksum:
            raise IntegrityError(
                f"{what} was changed by hand: its checksum does not match.",
                kind="edited-lock",
                hint="lock again: modhub lock REF... --out FILE",
                what=what,
            )
        document = _LockDocument.model_validate(value)
        return Lock(tuple(_pinned(module) for module in document.module))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _bad(what, plain(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")) from error
    except (TypeError, ValueError, RecursionError) as error:
        # TOML has dates, infinities and NaN, for which JSON, and so a checksum, has nothing.
        raise _bad(what, f"it holds a value that no lockfile has ({plain(str(error))})") from error
    except ModhubError as error:
        if isinstance(error, IntegrityError):
            raise
        raise _bad(what, error.message) from error


def _check_cheap(text: str, what: str) -> None:
    """Refuse what tomllib would take gigabytes or minutes for, before it sees it."""
    bare = _SILENT.sub("_", text)
    # From there on, nobody but a whole TOML reader could tell names from texts.
    if '"' in bare or "'" in bare:
        raise _bad(what, "it has a text that does not end on its line")
    counts = (
        (bare.count("\n"), MAX_LOCK_LINES, "lines"),
        (sum(map(bare.count, "=,[{")), MAX_LOCK_FIELDS, "fields"),
        (bare.count("."), MAX_LOCK_DOTS, "dots outside texts"),
    )
    for count, limit, name in counts:
        if count > limit:
            raise _bad(what, f"it has {count} {name}, and a lockfile has at most {limit}")


def _pinned(module: LockedModule) -> Pinned:
    request = parse(module.ref)
    if not request.is_qualified or request.cls is None or not is_exact(request.version or ""):
        raise ValueError(f"{shown(module.ref)} is not a whole name, namespace/model:class@version")
    namespace, model = request.base.split("/")
    check_name(request.cls, "class")
    return Pinned(
        ModuleRef(namespace, model, request.cls, str(request.version)), module.name, module.digest, module.registry
    )


def _body(lock: Lock) -> dict[str, Any]:
    modules = [
        {"ref": str(pin.ref), "class": pin.name, "digest": pin.digest, "registry": pin.registry} for pin in lock.modules
    ]
    return {"format": LOCK_FORMAT, "module": modules}


def _checksum(body: dict[str, Any]) -> str:
    return sha256(canonical_json(body))


def _bad(what: str, reason: str) -> IntegrityError:
    return IntegrityError(
        f"{what} is no lockfile of modhub: {reason}.",
        kind="bad-lock",
        hint="lock again: modhub lock REF... --out FILE",
        what=what,
    )
