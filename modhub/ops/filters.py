"""What ``search`` filters by that plain searching does without: licences, and keys that signed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from modhub.errors import UsageError
from modhub.licensing.allowed import LicensedRelease, canonical_allow, check_allowed
from modhub.registry.signers import SignedBy
from modhub.settings.trusted_keys import find_key
from modhub.signing.keys import PREFIX, PublicKey, parse_public_key

if TYPE_CHECKING:
    from modhub.registry.reader import RegistryReader, SearchEntry


def licensed(entries: Iterable[SearchEntry], licenses: str | Sequence[str]) -> list[SearchEntry]:
    """Those that can be used under one of ``licenses``. Raises UsageError, kind ``bad-license``."""
    allow = canonical_allow([licenses] if isinstance(licenses, str) else licenses)
    stated = {entry.release.license for entry in entries} - {None}
    refused = {found.license for found in check_allowed([LicensedRelease("", text) for text in stated], allow)}
    return [entry for entry in entries if entry.release.license in stated - refused]


def signed(text: str, places: Iterable[RegistryReader]) -> Callable[[SearchEntry], bool]:
    """Whether the key that ``text`` means signed a release of one of ``places``. Raises NotFound, UsageError."""
    key = signing_key(text)
    checks = {place.url: SignedBy(place, key) for place in places}
    return lambda entry: checks[entry.registry](entry)


def signing_key(text: str) -> PublicKey:
    """The key that ``text`` means: a public key, or the name or id of one that is the user's own or trusted.

    Raises NotFound, UsageError.
    """
    if text.startswith(PREFIX):
        return parse_public_key(text)
    public = find_key(text).public
    if public is None:
        raise UsageError(
            f"the key {text!r} is locked by a passphrase, or damaged.",
            kind="bad-key",
            hint="give its public half: ed25519:...; see modhub key list.",
            key=text,
        )
    return public
