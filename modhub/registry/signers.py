"""Who signed a release, as far as its signatures and the user's trusted keys say; nothing is decided by it.

Deciding is ``signing.policy``'s, when signatures are required. This is for people who ask: every signature that is
there gets a line, also one by a key that nobody here knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound
from modhub.limits import MAX_SIGNATURE_BYTES
from modhub.registry.objects import get_object
from modhub.signing.bundles import ModelBundle, read_bundle, read_model_signature
from modhub.signing.statements import Statement
from modhub.spec.layout import signature_path

if TYPE_CHECKING:
    from modhub.registry.reader import RegistryReader, SearchEntry
    from modhub.signing.keys import PublicKey
    from modhub.signing.policy import Trust
    from modhub.signing.trusted_key import TrustedKey
    from modhub.spec.refs import ModelRef

#: ``good``: a trusted key's, for this namespace. ``other-namespace``: it verifies, by a key trusted for others only.
#: ``bad``: it does not verify. ``revoked``: it verifies, by a key that was revoked. ``unknown-key``: not checked,
#: because the key is not known here.
SignatureVerdict = Literal["good", "other-namespace", "bad", "revoked", "unknown-key"]


@dataclass(frozen=True)
class SignatureStatus:
    """One signature of a release. ``key`` is its key's id, ``name`` what the user calls that, ``reason`` says more."""

    key: str
    name: str | None
    verdict: SignatureVerdict
    reason: str = ""


@dataclass(frozen=True)
class Signatures:
    """Where signatures are read: ``read`` gives the file by a key's id, ``is_revoked`` why a key revoked itself."""

    read: Callable[[str], bytes | None]
    is_revoked: Callable[[TrustedKey], str | None]


class Cached(Protocol):
    """What of a cache is asked here."""

    def signature(self, digest: str, key: str) -> bytes | None:
        """The file by which ``key`` signed the release ``digest``."""

    def signers(self, digest: str) -> list[str]:
        """Ids of the keys whose signatures of it are kept."""


@dataclass(frozen=True)
class SigningStatus:
    """What is known of a release's signatures. ``complete``: whether all there are were seen; a web host cannot list
    them, so that only those by keys that are trusted, or that its index names, were looked for. ``bundles`` are OpenSSF
    model signatures, which are not verified here."""

    signatures: tuple[SignatureStatus, ...]
    complete: bool
    bundles: tuple[ModelBundle, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether a key that is trusted for the namespace signed it, and was not revoked."""
        return any(each.verdict == "good" for each in self.signatures)


def signing_status(
    ref: ModelRef, digest: str, trust: Trust, places: Signatures, found: Iterable[str], *, complete: bool
) -> SigningStatus:
    """The status of a release. ``found``: ids of keys whose signatures are, or may be, there."""
    statement = Statement("release", str(ref), digest)
    known = {key.id: key for key in trust.keys}
    statuses: list[SignatureStatus] = []
    bundles: list[ModelBundle] = []
    for key_id in sorted({*found, *known}):
        problem = "the signature, or what it signs, was altered or swapped."
        try:
            data = places.read(key_id)
        except IntegrityError as error:
            data, problem = b"", error.message
        if data is not None and (bundle := _bundle(data)) is not None:
            bundles.append(bundle)
        elif data is not None:
            key = known.get(key_id)
            verdict, reason = _judged(key, statement, data, ref.namespace, places) if key else ("unknown-key", "")
            statuses.append(
                SignatureStatus(key_id, key.name if key else None, verdict, problem if verdict == "bad" else reason)
            )
    return SigningStatus(tuple(statuses), complete, tuple(bundles))


def _bundle(data: bytes) -> ModelBundle | None:
    try:
        return read_bundle(read_model_signature(data).bundle.encode(), what="the model signature")
    except (IntegrityError, Incompatible):
        return None


def status_in(source: RegistryReader | None, cache: Cached, ref: ModelRef, digest: str, trust: Trust) -> SigningStatus:
    """The status of a release in ``source``, or in the cache where no registry has it."""
    if source is None:
        places = Signatures(lambda key: cache.signature(digest, key), lambda key: None)
        return signing_status(ref, digest, trust, places, cache.signers(digest), complete=False)
    places = Signatures(lambda key: signature_file(source, digest, key), source.revocation)
    complete = source.store.capabilities.can_list
    found = source.signers(digest).get(digest, []) if complete else indexed_signers(source, ref)
    return signing_status(ref, digest, trust, places, found, complete=complete)


def _judged(
    key: TrustedKey, statement: Statement, data: bytes, namespace: str, places: Signatures
) -> tuple[SignatureVerdict, str]:
    if not key.verifies(statement, data):
        return "bad", ""
    reason = key.revoked if key.revoked is not None else places.is_revoked(key)
    if reason is not None:
        return "revoked", reason
    if not key.is_bound_to(namespace):
        return "other-namespace", f"it is trusted for {', '.join(key.namespaces)}"
    return "good", ""


def indexed_signers(source: RegistryReader, ref: ModelRef) -> list[str]:
    """Ids of the keys, and digests of the bundles, that the index names: for a host that cannot list."""
    try:
        shard = source.index(ref.namespace, ref.model)
    except ModhubError:
        return []
    return [key for entry in shard.releases if entry.version == ref.version for key in entry.signers]


def signature_file(source: RegistryReader, digest: str, key: str) -> bytes | None:
    """The file of ``key``'s signature, None where there is none. Raises IntegrityError for one that is too large."""
    try:
        return get_object(source.store, signature_path(digest, key), max_bytes=MAX_SIGNATURE_BYTES)
    except NotFound:
        return None


class SignedBy:
    """Whether ``key`` signed releases of ``source``, each verified when it is asked for.

    Where the registry can list, its signatures say which to look at, else its index.
    """

    def __init__(self, source: RegistryReader, key: PublicKey) -> None:
        self._source, self._key = source, key
        self._listed = source.signers() if source.store.capabilities.can_list else None

    def __call__(self, entry: SearchEntry) -> bool:
        release, key = entry.release, self._key
        signers = release.signers if self._listed is None else self._listed.get(release.digest, ())
        if key.id not in signers:
            return False
        try:
            data = signature_file(self._source, release.digest, key.id)
        except IntegrityError:
            return False
        return data is not None and key.verifies(Statement("release", str(entry.ref), release.digest), data)
