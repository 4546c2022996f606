"""The keys that the user trusts, ``[[trust]]`` tables of the configuration, and finding a key by what people type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import tomlkit
from pydantic import ValidationError
from tomlkit import TOMLDocument
from tomlkit.items import Comment, Table, Whitespace

from modhub.errors import Conflict, NotFound, UsageError, did_you_mean
from modhub.settings.config import edit_config, load_config
from modhub.settings.private_keys import OwnKey, load_private_key, own_keys, revoked
from modhub.signing.keys import PREFIX, PublicKey, parse_public_key
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.registry_files import check_reason

#: The least number of an id's first digits that may stand for it.
_LEAST_DIGITS: Final = 8


@dataclass(frozen=True)
class KnownKey:
    """A key that is the user's own, trusted, or both."""

    own: OwnKey | None
    trusted: TrustedKey | None

    @property
    def names(self) -> list[str]:
        """What it is called: the file of an own key first, then what it is trusted as."""
        both = [self.own.name if self.own else None, self.trusted.name if self.trusted else None]
        return list(dict.fromkeys(name for name in both if name is not None))

    @property
    def public(self) -> PublicKey | None:
        """None for an own key's file that does not say."""
        return self.trusted.public if self.trusted is not None else self.own.public if self.own is not None else None


def known_keys() -> list[KnownKey]:
    """The user's own keys by name, then those that they trust, in the order of the configuration."""
    trusted = {key.id: key for key in load_config().trust}
    own = [KnownKey(key, trusted.pop(key.public.id, None) if key.public else None) for key in own_keys()]
    return own + [KnownKey(None, key) for key in trusted.values()]


def find_key(text: str) -> KnownKey:
    """The key that a name, a public key, or eight or more first digits of an id stand for.

    Raises NotFound, kind ``no-key``, and UsageError, kind ``ambiguous-key``.
    """
    known = known_keys()
    if text.startswith(PREFIX):
        text = parse_public_key(text).id
    is_id = re.fullmatch(rf"[0-9a-f]{{{_LEAST_DIGITS},64}}", text) is not None
    found = [key for key in known if text in key.names or (is_id and key.public and key.public.id.startswith(text))]
    if len(found) > 1:
        ids = ", ".join(key.public.id if key.public else "one that is locked or damaged" for key in found)
        raise UsageError(
            f"{text!r} stands for {len(found)} keys: {ids}.",
            kind="ambiguous-key",
            hint="give the first digits of its id instead, as many as it takes.",
            key=text,
        )
    if not found:
        raise NotFound(
            f"no key of yours, and none that you trust, is called {text!r}.",
            kind="no-key",
            hint=did_you_mean(text, [name for key in known for name in key.names]) or "see modhub key list",
            key=text,
        )
    return found[0]


def trust_key(text: str, namespaces: Sequence[str], *, name: str | None = None) -> TrustedKey:
    """Trust a key for ``namespaces``, in addition to those it is trusted for already, and write that to the
    configuration.

    ``text`` is a public key, or what ``find_key`` knows. ``name`` is what to call it, by default what it is called, or
    ``key-`` and the first digits of its id. Raises Conflict, kind ``revoked-key`` or ``key-name-taken``, what
    ``find_key`` raises, and UsageError for a bad namespace or name.
    """
    public, called = _public_key(text)
    config = load_config()
    old = next((key for key in config.trust if key.id == public.id), None)
    if old is not None and old.revoked is not None:
        raise revoked(
            old, f"trust another one. If revoking it was a mistake, take its [[trust]] table out of {config.path}."
        )
    new = _trusted(
        key=str(public),
        name=name or (old.name if old else called or f"key-{public.id[:_LEAST_DIGITS]}"),
        namespaces=tuple(dict.fromkeys([*(old.namespaces if old else ()), *namespaces])),
    )
    if namesake := next((key for key in config.trust if key.name == new.name and key.id != new.id), None):
        raise Conflict(
            f"another trusted key is called {new.name!r}: {namesake.key}.",
            kind="key-name-taken",
            hint="call this one something else: --name NAME.",
            key=namesake.id,
        )
    if new != old:
        _write_trusted(old, new)
    return new


def _public_key(text: str) -> tuple[PublicKey, str | None]:
    """The key, and what its file is called if it is the user's own."""
    if text.startswith(PREFIX):
        return parse_public_key(text), None
    found = find_key(text)
    own = found.own.name if found.own is not None else None
    # Opening a file that does not say either gives the key or raises what is wrong.
    return found.public or load_private_key(own or text).public, own


def revoke_trusted(key: TrustedKey, reason: str) -> TrustedKey:
    """Stop believing a trusted key, whatever it has signed, and write that to the configuration.

    A key that was revoked before keeps its first reason. Raises UsageError for a reason that is empty or too long.
    """
    check_reason(reason)
    if key.revoked is not None:
        return key
    new = key.model_copy(update={"revoked": reason})
    _write_trusted(key, new)
    return new


def _trusted(**fields: Any) -> TrustedKey:
    try:
        return TrustedKey(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = str(first.get("ctx", {}).get("error", f"{first['loc'][0]}: {first['msg']}"))
        raise UsageError(f"{reason}.", kind="bad-trust", hint="see modhub key trust --help.") from error


def _write_trusted(old: TrustedKey | None, new: TrustedKey) -> None:
    def change(document: TOMLDocument) -> None:
        if old is None:
            _add_table(document, new)
        else:
            _change_table(next(t for t in document["trust"] if parse_public_key(t["key"]).id == old.id), new)

    edit_config(change)


def _add_table(document: TOMLDocument, new: TrustedKey) -> None:
    table = tomlkit.table()
    table.update(new.model_dump(mode="json", exclude_none=True))
    if document.body:
        table.trivia.indent = "\n"
    trust = document.setdefault("trust", tomlkit.aot())
    if not isinstance(trust, tomlkit.items.AoT):
        # A file in which trust = [{...}] was written by hand gets one more of those.
        trust.append(dict(table))
        return
    tail = _without_tail(trust[-1]) if trust else []
    trust.append(table)
    trust[-1].value.body.extend(tail)


def _change_table(table: Any, new: TrustedKey) -> None:
    """Bring a ``[[trust]]`` table to ``new``, touching only what differs."""
    if table["name"] != new.name:
        table["name"] = new.name
    for namespace in new.namespaces:
        if namespace not in table["namespaces"]:
            table["namespaces"].append(namespace)
    if new.revoked is not None:
        tail = _without_tail(table) if isinstance(table, tomlkit.items.Table) else []
        table["revoked"] = new.revoked
        table.value.body.extend(tail)


def _without_tail(table: Table) -> list[Any]:
    """Take off what is behind a table's last value, such as the comment above the next table, to put it back last.

    tomlkit counts it to the table above, and would write what is added below it.
    """
    body = table.value.body
    tail: list[Any] = []
    while body and isinstance(body[-1][1], (Comment, Whitespace)):
        tail.insert(0, body.pop())
    return tail
