"""The small files of a registry, as pydantic models: marker, records, signatures, and what is derived from releases.

All are canonical JSON with a checksum, as releases are. Records are append-only histories; index shards and catalogs
are derived and may be rebuilt at any time.
"""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, ValidationError, model_validator

from modhub.errors import IntegrityError, UsageError
from modhub.limits import (
    MAX_CLASSES,
    MAX_INDEX_KEYWORDS,
    MAX_INDEX_ORIGINS,
    MAX_INDEX_SIGNERS,
    MAX_MANIFEST_BYTES,
    MAX_REASON_CHARS,
    MAX_RECORD_BYTES,
    MAX_SIGNATURE_BYTES,
)
from modhub.spec.card_texts import Keyword, LicenseText
from modhub.spec.refs import MODEL_NAME_PATTERN
from modhub.spec.schema import (
    TEXT_PATTERN,
    Count,
    DigestText,
    DisplayName,
    Extent,
    Length,
    Name,
    PositiveCount,
    Share,
    Stored,
    VersionText,
    checked_object,
    invalid,
    with_checksum,
)
from modhub.spec.text import is_observed

#: The newest format of each file that this version of modhub reads and writes.
INDEX_FORMAT: Final = 1
CATALOG_FORMAT: Final = 1
RECORD_FORMAT: Final = 1
SIGNATURE_FORMAT: Final = 1
MODEL_SIGNATURE_FORMAT: Final = 2
REGISTRY_FORMAT: Final = 1
GC_FORMAT: Final = 1

KEY_ID_PATTERN: Final = r"^[0-9a-f]{64}$"
KeyId = Annotated[str, StringConstraints(pattern=KEY_ID_PATTERN)]
Reason = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1, max_length=MAX_REASON_CHARS)]

_File = TypeVar("_File", bound=BaseModel)


class CompactedEntry(Stored):
    """Of a release whose network was made smaller: the names of those from which it was, the first few, and the share
    of their multiply-adds that is left."""

    of: Annotated[tuple[DisplayName, ...], Field(min_length=1, max_length=MAX_INDEX_ORIGINS)]
    flops: Share


class IndexEntry(Stored):
    """One release as the index shows it, enough to search without its manifest. ``yanked`` is the reason, if it is;
    ``yanked_classes`` are slugs of classes that were yanked alone, and why.

    ``license``, ``keywords`` (the first few) and ``description`` (its beginning) are the card's; ``signers`` are ids of
    the keys of whose signatures, and digests of the bundles of which, there were files when the entry was written;
    nobody has verified them.

    ``input_shape`` is of images: rows, columns, channels. Where modules take arrays, ``array_shape`` has their axes,
    and ``input_shape`` the same filled up in front with 1, for a modhub that knows images only.
    """

    version: VersionText
    digest: DigestText
    size: Count
    classes: Annotated[tuple[DisplayName, ...], Field(max_length=MAX_CLASSES)]
    slugs: Annotated[tuple[Name, ...], Field(max_length=MAX_CLASSES)]
    dataset: DisplayName
    input_shape: tuple[Extent, Extent, Extent]
    array_shape: Annotated[tuple[Length, ...], Field(min_length=1, max_length=2)] | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    top_1: Share | None = None
    #: Left out where it is not known, so that an index from before it is written as it was read.
    top_1_data: DisplayName | None = Field(default=None, exclude_if=lambda value: value is None)
    yanked: Reason | None = None
    #: Left out of the file where it is empty, so that shards from before it are written as they were read.
    yanked_classes: Mapping[Name, Reason] = Field(default_factory=dict, exclude_if=lambda value: not value)
    license: LicenseText | None = Field(default=None, exclude_if=lambda value: value is None)
    keywords: Annotated[tuple[Keyword, ...], Field(max_length=MAX_INDEX_KEYWORDS)] = Field(
        default=(), exclude_if=lambda value: not value
    )
    description: DisplayName | None = Field(default=None, exclude_if=lambda value: value is None)
    signers: Annotated[tuple[KeyId, ...], Field(max_length=MAX_INDEX_SIGNERS)] = Field(
        default=(), exclude_if=lambda value: not value
    )
    compacted: CompactedEntry | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.classes) != len(self.slugs):
            raise ValueError(f"{len(self.classes)} classes with {len(self.slugs)} slugs")
        return self

    @property
    def is_held_out(self) -> bool | None:
        """Whether ``top_1`` was measured on other images than the modules were made with; None where not recorded."""
        return None if self.top_1 is None or self.top_1_data is None else not is_observed(self.top_1_data)


class LargeFile(Stored):
    """A file that grows with what a registry has, and may be as large as a manifest."""


class IndexShard(LargeFile):
    """All releases of one model that are not taken down. Derived: where a store can list, the listing is the truth."""

    format: int
    namespace: Name
    model: Name
    releases: tuple[IndexEntry, ...]


class CatalogEntry(Stored):
    """One model as searching shows it: the release that a request without a version gives."""

    model: Name
    release: IndexEntry


class NamespaceCatalog(LargeFile):
    """All models of one namespace, by name. Derived."""

    format: int
    namespace: Name
    models: tuple[CatalogEntry, ...]


class SearchCatalog(LargeFile):
    """What a host that cannot list has: its namespaces, and the names that are or were aliases. Derived."""

    format: int
    namespaces: tuple[Name, ...]
    aliases: tuple[Name, ...]


class ChainedRecord(Stored):
    """One entry of an append-only history of ``name``. ``previous`` is the digest of the entry before it, as stored.

    ``kind`` is the folder of its histories, and what a signature calls it.
    """

    kind: ClassVar[str]

    format: int
    number: PositiveCount
    name: str
    previous: DigestText | None
    created: str


class AliasRecord(ChainedRecord):
    """One entry of an alias's history. ``target`` is ``namespace/model``, None when the alias is taken back."""

    kind = "alias"

    name: Name
    target: Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)] | None


class YankRecord(ChainedRecord):
    """One entry of a release's yank history; ``name`` is ``namespace/model/version``. ``yanked`` False undoes it."""

    kind = "yank"

    yanked: bool
    reason: Reason


class ClassYankRecord(YankRecord):
    """One entry of the history of a release's classes that are yanked alone: of the class ``slug``."""

    kind = "class-yank"

    slug: Name


class TombstoneRecord(ChainedRecord):
    """The end of a release: its blobs are gone, its name and version stay taken. ``name`` as in a yank record."""

    kind = "tombstone"

    reason: Reason


class RevocationRecord(ChainedRecord):
    """A signing key that is not to be trusted any more, said by that key itself. ``name`` is the key's id."""

    kind = "revocation"

    reason: Reason


class SignatureFile(Stored):
    """An Ed25519 signature (base64) by the key with the id ``key``; FORMAT.md says which bytes are signed."""

    format: int
    key: KeyId
    signature: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{86}==$")]


class ModelSignatureFile(Stored):
    """A signature of another kind, beside those of keys: a sigstore bundle of OpenSSF Model Signing, as its text.

    ``key`` is the sha256 of that text, in the place of a key's id. What is signed is the folder of modules from which
    the release was published, file by file (FORMAT.md).
    """

    format: Annotated[int, Field(ge=MODEL_SIGNATURE_FORMAT)]
    key: KeyId
    bundle: Annotated[str, StringConstraints(min_length=2, max_length=MAX_SIGNATURE_BYTES)]


@dataclass(frozen=True)
class Withdrawal:
    """What yank and tombstone records come to: a release that no request without a lockfile is answered with.

    ``kind`` is ``yanked`` (lockfiles still install it) or ``taken-down`` (its blobs are gone).
    """

    kind: Literal["yanked", "taken-down"]
    reason: str


class RegistryMarker(Stored):
    """``modhub-registry.json`` at a registry's root.

    ``single_writer``: its creator promises that no two publish at once, because the store cannot tell them apart.
    """

    format: int
    created: str
    single_writer: bool = False


def write_document(document: BaseModel) -> bytes:
    """A small file as canonical JSON with a checksum over all the rest."""
    return with_checksum(document.model_dump(mode="json"))


def max_bytes_of(model: type[BaseModel]) -> int:
    """How large a file of this model may be, in bytes."""
    if issubclass(model, ModelSignatureFile):
        return MAX_SIGNATURE_BYTES
    return MAX_MANIFEST_BYTES if issubclass(model, LargeFile) else MAX_RECORD_BYTES


def read_document(model: type[_File], data: bytes, *, what: str, newest: int) -> _File:
    """Untrusted bytes of a small file as ``model``. Raises IntegrityError, or Incompatible for a newer format."""
    limit = max_bytes_of(model)
    if len(data) > limit:
        raise IntegrityError(f"{what} has {len(data)} bytes; at most {limit} are allowed.", kind="too-large", what=what)
    try:
        return model.model_validate(checked_object(data, what=what, newest=newest)[0])
    except ValidationError as error:
        raise invalid(what, error) from error


class GcCandidate(Stored):
    """Something that nothing needed when it was found. Both times are by the store's clock."""

    path: str
    modified: AwareDatetime
    found: AwareDatetime


class GcCandidates(LargeFile):
    """What a collection of orphans found, for a later one to delete. Losing it costs no more than time."""

    format: int
    candidates: tuple[GcCandidate, ...]


def check_reason(reason: str) -> None:
    """Raise UsageError for a reason that says nothing, says too much, or steers a terminal."""
    problem = None
    if not reason.strip():
        problem = "is empty"
    elif len(reason) > MAX_REASON_CHARS:
        problem = f"has {len(reason)} characters"
    elif any(unicodedata.category(letter) == "Cc" for letter in reason):
        problem = "has line ends or other control characters"
    if problem is not None:
        raise UsageError(
            f"the reason {problem}; it must be one line of 1 to {MAX_REASON_CHARS} characters.",
            kind="bad-reason",
            hint="say in a sentence why, for those who meet it.",
        )
