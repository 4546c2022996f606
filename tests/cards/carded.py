"""A synthetic release with a card."""

from __future__ import annotations

from modhub.cards.read import card_from
from modhub.package.folder import Package
from modhub.package.readme import with_card
from modhub.spec.manifest import Manifest
from modhub.storage.verify import VerifiedBlob
from tests.synthetic import release

README = """---
license: mit
description: Tells cats from dogs.
tags: [pets, tiny]
datasets: [tiny]
---

# Pets

It **tells** cats from dogs.
"""


def carded_release(
    name: str = "me/net", version: str = "1.0.0", *, readme: str = README, seed: int = 0
) -> tuple[Manifest, dict[str, VerifiedBlob]]:
    """A manifest with a card, and all blobs by stored sha256."""
    manifest, blobs = release(name, version, seed=seed)
    records = {record.sha256: record for record in manifest.blobs.values()}
    package = Package(manifest, {digest: VerifiedBlob(records[digest], data) for digest, data in blobs.items()})
    made = with_card(package, card_from(readme.encode()))
    return made.manifest, dict(made.blobs)
