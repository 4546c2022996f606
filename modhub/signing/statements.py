"""What is signed: a statement that one name stands for one digest, as bytes that no other statement has.

The bytes are canonical JSON of named fields, so neither a kind, a name nor a number can be read as part of its
neighbour, and the type keeps them apart from whatever else a key may sign one day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from modhub.spec.digests import canonical_json, parse_digest

#: What can be signed. The first is a release, the others are entries of append-only histories.
KINDS: Final = ("release", "alias", "yank", "class-yank", "tombstone", "revocation", "advisory", "deprecation")

_TYPE: Final = "modhub-signature:1"
_ENTRY: Final = re.compile(r"[^#]+#[1-9][0-9]*\Z")


@dataclass(frozen=True)
class Statement:
    """``name`` stands for ``digest``.

    A release's name is ``namespace/model@version`` and its digest that of its content. A record's name is the
    record's own with its number, such as ``c10#3``, and its digest the sha256 of the whole file, which names the entry
    before it. Raises ValueError for any other kind or form of name, IntegrityError for a bad digest.
    """

    kind: str
    name: str
    digest: str

    def __post_init__(self) -> None:
        parse_digest(self.digest)
        is_entry = _ENTRY.match(self.name) is not None
        if self.kind not in KINDS or not self.name or is_entry is (self.kind == "release"):
            raise ValueError(f"nothing is signed as {self.kind} {self.name!r}")

    @property
    def what(self) -> str:
        """The thing as messages call it."""
        if self.kind == "release":
            return f"the release {self.name}"
        name, _, number = self.name.rpartition("#")
        return f"entry {number} of the {self.kind} {name!r}"

    def to_bytes(self) -> bytes:
        """The bytes that are signed."""
        return canonical_json({"type": _TYPE, "kind": self.kind, "name": self.name, "digest": self.digest})
