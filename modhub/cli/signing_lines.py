"""Who signed a release, and how that was decided, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modhub.cli import printing

if TYPE_CHECKING:
    from modhub.ops.verify_signature import BundleOutcome, VerifiedSignatures
    from modhub.registry.signers import SignatureStatus, SigningStatus
    from modhub.signing.bundles import ModelBundle

#: Digits of a key's id that people compare.
_DIGITS = 16


def signing_text(status: SigningStatus) -> str:
    """One line a signature, or one that says that there is none."""
    if status.signatures or status.bundles:
        return "\n".join([*map(signature_line, status.signatures), *map(bundle_line, status.bundles)])
    return "by nobody" if status.complete else "by no key that you trust; this host cannot list what other keys signed"


def signature_line(each: SignatureStatus) -> str:
    """By which key, and what its signature came to."""
    name = f"{each.name!r} ({each.key[:_DIGITS]})" if each.name else each.key[:_DIGITS]
    return (
        f"by {name}: "
        + {
            "good": "verified; you trust this key for this namespace",
            "other-namespace": f"verified, but not for this namespace: {each.reason}",
            "bad": f"does NOT verify: {each.reason}",
            "revoked": f"verified, but the key was revoked: {each.reason}",
            "unknown-key": "not checked; you do not know this key (modhub key trust)",
        }[each.verdict]
    )


def bundle_line(bundle: ModelBundle) -> str:
    """An OpenSSF model signature: how it is verified, and that it was not."""
    signer = f" {bundle.signer[:_DIGITS]}" if bundle.signer else ""
    return f"OpenSSF model signature by a {bundle.method}{signer}: not checked here (modhub verify-signature)"


def print_signatures(found: VerifiedSignatures) -> None:
    """A release, and below it what each of its signatures came to."""
    printing.line(f"{found.name}  {found.digest}")
    own = found.signing.signatures if found.signing else ()
    lines = [*map(signature_line, own), *map(_outcome_line, found.bundles)]
    for text in lines or ["no signature"]:
        printing.line(f"  {text}")


def _outcome_line(outcome: BundleOutcome) -> str:
    if outcome.is_good is None:
        return bundle_line(outcome.bundle)
    verdict = "verified, all files of the release" if outcome.is_good else f"NOT good: {outcome.reason}"
    return f"OpenSSF model signature by a {outcome.bundle.method}: {verdict}"


def signing_fields(status: SigningStatus | None) -> dict[str, Any] | None:
    """The same for ``--json``."""
    if status is None:
        return None
    return {
        "good": status.is_good,
        "complete": status.complete,
        "signatures": [
            {"key": each.key, "name": each.name, "verdict": each.verdict, "reason": each.reason or None}
            for each in status.signatures
        ],
        "model_signatures": [
            {"digest": each.digest, "method": each.method, "signer": each.signer} for each in status.bundles
        ],
    }
