"""Whom a user believes, and the one question asked of it: does a trusted key vouch for this, for these namespaces?

A key counts only for the namespaces that it is bound to, and not at all once it is revoked, for old signatures as for
new ones: nothing says when a signature was made. Signatures are looked up by the ids of trusted keys, because a host
may be unable to list them; those of other keys are never read. Whatever is wrong with a signature makes it no
signature: nothing but a good one lets anything pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modhub.errors import IntegrityError, Untrusted
from modhub.signing.statements import Statement

if TYPE_CHECKING:
    from modhub.signing.trusted_key import TrustedKey

#: The file of a key's signature as stored, None when there is none. May raise IntegrityError for one that is too large.
ReadSignature = Callable[[str], bytes | None]


@dataclass(frozen=True)
class _Finding:
    """What one key's signature came to. ``reason`` says why a bad one is bad, or why the key was revoked."""

    key: TrustedKey
    verdict: Literal["good", "absent", "bad", "revoked"]
    reason: str = ""
    data: bytes = b""


@dataclass(frozen=True)
class Trust:
    """The keys that a user trusts, and whether everything must be signed by them."""

    keys: tuple[TrustedKey, ...] = ()
    required: bool = False

    def candidates(self, namespaces: Iterable[str]) -> list[TrustedKey]:
        """The keys that are not revoked and bound to one of ``namespaces`` or more."""
        wanted = list(namespaces)
        return [key for key in self.keys if key.revoked is None and any(map(key.is_bound_to, wanted))]

    def require(
        self,
        statement: Statement,
        namespaces: Collection[str],
        read: ReadSignature,
        is_revoked: Callable[[TrustedKey], str | None],
    ) -> list[tuple[str, bytes]]:
        """Ids of trusted keys and files of their signatures that together cover every one of ``namespaces``.

        ``read`` gives the signature by a key id, ``is_revoked`` the reason for which a registry says that a key was
        revoked. Raises Untrusted: ``untrusted-namespace`` when no key is trusted for a namespace,
        ``bad-signature`` when a trusted key's does not verify, ``revoked-key`` when only revoked keys signed, else
        ``unsigned``.
        """
        if not namespaces:
            raise _refusal("unsigned", statement, None, f"{statement.what} belongs to no namespace, so to nobody", None)
        vouching: dict[str, bytes] = {}
        for namespace in sorted(namespaces):
            if any(key.id in vouching and key.is_bound_to(namespace) for key in self.keys):
                continue
            findings: list[_Finding] = []
            for key in self.candidates([namespace]):
                finding = _finding_of(key, statement, read, is_revoked)
                if finding.verdict == "good":
                    vouching[key.id] = finding.data
                    break
                findings.append(finding)
            else:
                revoked = [key for key in self.keys if key.revoked is not None and key.is_bound_to(namespace)]
                findings += [_finding_of(key, statement, read, is_revoked) for key in revoked]
                raise _explained(statement, namespace, findings)
        return list(vouching.items())


def _finding_of(
    key: TrustedKey, statement: Statement, read: ReadSignature, is_revoked: Callable[[TrustedKey], str | None]
) -> _Finding:
    try:
        data = read(key.id)
    except IntegrityError as error:
        return _Finding(key, "bad", error.message)
    if data is None:
        return _Finding(key, "absent")
    if not key.verifies(statement, data):
        return _Finding(key, "bad", "the signature, or what it signs, was altered or swapped.")
    # Asked last, because the answer may cost a look at the registry.
    reason = key.revoked if key.revoked is not None else is_revoked(key)
    return _Finding(key, "good", data=data) if reason is None else _Finding(key, "revoked", reason)


def _explained(statement: Statement, namespace: str, findings: list[_Finding]) -> Untrusted:
    """Why no trusted key vouches for it: the nearest thing to a good signature that was found."""
    trust = f"modhub key trust PUBLIC_KEY --namespace {namespace}"
    holding = [finding for finding in findings if finding.key.revoked is None]
    for bad in (finding for finding in holding if finding.verdict == "bad"):
        reason = f"the signature of {statement.what} by the key {bad.key} does not verify: {bad.reason.rstrip('.')}"
        hint = "do not use it; take it from another registry, and tell the administrator of this one."
        return _refusal("bad-signature", statement, namespace, reason, hint, bad.key)
    for old in (finding for finding in findings if finding.verdict == "revoked"):
        reason = (
            f"for the namespace {namespace!r}, {statement.what} is signed only by the key {old.key}, "
            f"which was revoked: {old.reason.rstrip('.')}"
        )
        hint = f"ask its publisher to sign it with a key that holds, then: {trust}"
        return _refusal("revoked-key", statement, namespace, reason, hint, old.key)
    if not holding:
        gone = f" any more: {findings[0].key} was revoked" if findings else ""
        reason = f"no key is trusted for the namespace {namespace!r}{gone}, so {statement.what} is not believed"
        hint = f"get its publisher's public key in a way that you trust, then: {trust}"
        return _refusal("untrusted-namespace", statement, namespace, reason, hint)
    names = ", ".join(str(finding.key) for finding in holding)
    reason = f"{statement.what} is not signed by any key trusted for the namespace {namespace!r}: {names}"
    hint = f"ask its publisher for a signature, or trust the key that signed it: {trust}"
    return _refusal("unsigned", statement, namespace, reason, hint)


def _refusal(
    kind: str, statement: Statement, namespace: str | None, reason: str, hint: str | None, key: TrustedKey | None = None
) -> Untrusted:
    return Untrusted(
        f"{reason}.",
        kind=kind,
        hint=hint,
        signed=statement.what,
        digest=statement.digest,
        namespace=namespace,
        key=key.id if key else None,
    )
