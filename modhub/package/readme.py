"""A package's card: put into its manifest with the README as a blob, and the README read back."""

from __future__ import annotations

from collections.abc import Callable

from modhub.errors import IntegrityError
from modhub.limits import MAX_README_BYTES
from modhub.package.codec import decode, encode
from modhub.package.folder import Package
from modhub.spec.card import CardFile
from modhub.spec.manifest import Manifest, StoredBlob, digest_of
from modhub.storage.verify import VerifiedBlob


def with_card(package: Package, given: CardFile) -> Package:
    """The same modules with this card, in the place of the one that they may have; the digest follows."""
    manifest, blobs = package.manifest, dict(package.blobs)
    table = dict(manifest.blobs)
    old = manifest.content.card
    if old is not None and old.readme is not None:
        blobs.pop(table.pop(old.readme).sha256, None)
    if given.readme:
        blob = encode(given.readme)
        table[blob.digest], blobs[blob.record.sha256] = blob.record, blob.verified
    content = manifest.content.model_copy(update={"card": given.card})
    changed = manifest.model_copy(update={"content": content, "digest": digest_of(content), "blobs": table})
    return Package(changed, blobs)


def readme_of(manifest: Manifest, read_blob: Callable[[str, StoredBlob], VerifiedBlob]) -> bytes:
    """The README of a release, UTF-8; empty where it has none. Raises IntegrityError."""
    card = manifest.content.card
    if card is None or card.readme is None:
        return b""
    readme = decode(read_blob(card.readme, manifest.blobs[card.readme]), card.readme, most=MAX_README_BYTES)
    try:
        readme.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError(
            f"the README of {manifest.content.name} is not UTF-8 text.", kind="bad-blob", digest=card.readme
        ) from error
    return readme


def card_file_of(manifest: Manifest, read_blob: Callable[[str, StoredBlob], VerifiedBlob]) -> CardFile | None:
    """The card of a release with its README; None where it has none. Raises IntegrityError."""
    card = manifest.content.card
    return None if card is None else CardFile(card, readme_of(manifest, read_blob))
