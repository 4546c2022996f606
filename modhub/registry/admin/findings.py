"""What an examination of a registry finds, and its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["damage", "untidy"]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    ``damage``: a reader would fail because of it. ``untidy``: what any crash may leave behind, and the next
    publication, collection or reindexing removes. ``kind`` is stable. ``repaired``: it was so, and is repaired.
    """

    severity: Severity
    kind: str
    path: str
    message: str
    repaired: bool = False

    @classmethod
    def after_repair(cls, severity: Severity, kind: str, path: str, message: str, reason: str | None) -> Finding:
        """``reason``: None when it was repaired, else why not; empty when nobody tried."""
        text = f"{message} Not repaired: {reason}." if reason else message
        return cls(severity, kind, path, text.replace("..", "."), repaired=reason is None)


@dataclass(frozen=True)
class FsckReport:
    """What was looked at and what was found. ``size``: bytes of the blobs; ``records``: entries of histories."""

    registry: str
    releases: int
    blobs: int
    size: int
    records: int
    signatures: int
    findings: tuple[Finding, ...]

    @property
    def damage(self) -> tuple[Finding, ...]:
        """What would still make a reader fail."""
        return tuple(found for found in self.findings if found.severity == "damage" and not found.repaired)

    @property
    def repaired(self) -> tuple[Finding, ...]:
        return tuple(found for found in self.findings if found.repaired)

    @property
    def untidy(self) -> tuple[Finding, ...]:
        return tuple(found for found in self.findings if found.severity == "untidy")

    @property
    def clean(self) -> bool:
        """Whether every reader gets what was published."""
        return not self.damage
