"""Who signed a release, and how that was decided, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modhub.registry.signers import SignatureStatus, SigningStatus

#: Digits of a key's id that people compare.
_DIGITS = 16


def signing_text(status: SigningStatus) -> str:
    """One line a signature, or one that says that there is none."""
    if status.signatures:
        return "\n".join(map(_line, status.signatures))
    return "by nobody" if status.complete else "by no key that you trust; this host cannot list what other keys signed"


def _line(each: SignatureStatus) -> str:
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
    }
