"""A card goes wherever its release goes, its README is a blob like any other, and older readers keep what they lack."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from modhub.cards.read import card_from
from modhub.errors import Conflict, IntegrityError
from modhub.package.folder import Package, load_blob, load_manifest, save_package
from modhub.package.readme import card_file_of, readme_of, with_card
from modhub.registry.admin.archive import export_release, import_release
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.admin.mirror import mirror
from modhub.registry.admin.takedown import take_down
from modhub.registry.reader import RegistryReader
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.spec.card import CardFile
from modhub.spec.layout import blob_path
from modhub.spec.manifest import Manifest, digest_of, format_of, read_manifest, write_manifest
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store
from modhub.storage.verify import VerifiedBlob
from tests.cards.carded import README, carded_release
from tests.synthetic import release

REF = ModelRef("me", "net", "1.0.0")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(open_store(str(tmp_path / "registry")))
    registry.publish(*carded_release())
    return registry


def readme_in(registry: RegistryReader) -> bytes:
    manifest = registry.manifest(REF)
    return readme_of(manifest, lambda _, record: registry.blob(record))


def test_a_card_is_part_of_what_a_release_is() -> None:
    plain, carded = release()[0], carded_release()[0]
    assert carded.digest == digest_of(carded.content) != plain.digest
    assert carded_release(readme=README.replace("mit", "isc"))[0].digest != carded.digest
    assert carded.format == format_of(carded.content) == plain.format
    assert plain.content.model_copy(update={"card": None}) == plain.content
    assert b'"card"' not in write_manifest(plain)


def test_a_release_with_a_card_keeps_its_bytes() -> None:
    sample = (Path(__file__).parents[1] / "spec" / "samples" / "release-with-card.json").read_bytes()
    manifest = read_manifest(sample, what="sample")
    assert write_manifest(manifest) == sample
    assert manifest.digest == "sha256:5384a4111cedaff983c33adc2737e4ff7b4cde9e8bfc153e009d577c7b38e0d1"
    card = manifest.content.card
    assert card is not None
    assert (card.license, card.keywords) == ("MIT", ("pets", "tiny"))


def test_a_reader_that_knows_no_cards_keeps_them() -> None:
    """Format 1 promises that unknown fields are kept; so it is read by what came before cards, blobs included."""
    manifest, _ = carded_release()
    fields = Manifest.model_fields["content"].annotation.model_fields  # type: ignore[union-attr]
    unknown = manifest.content.model_dump(mode="json")
    known = {name: value for name, value in unknown.items() if name in fields and name != "card"}
    assert digest_of(manifest.content) != digest_of(manifest.content.model_validate(known))
    assert unknown.keys() - known.keys() == {"card"}
    named = {manifest.content.origin.weights, *(module.blob for module in manifest.content.modules)}
    assert set(manifest.blobs) - named == {manifest.content.card.readme}  # type: ignore[union-attr]


def test_a_manifest_without_the_readme_that_its_card_names_is_refused() -> None:
    manifest, _ = carded_release()
    card = manifest.content.card
    assert card is not None
    table = {digest: record for digest, record in manifest.blobs.items() if digest != card.readme}
    with pytest.raises(IntegrityError, match="the blob table lacks"):
        read_manifest(write_manifest(manifest.model_copy(update={"blobs": table})), what="x")


def test_it_is_published_mirrored_archived_and_examined(registry: Registry, tmp_path: Path) -> None:
    assert readme_in(registry) == README.encode()
    copy = Registry(open_store(str(tmp_path / "copy")))
    mirror(registry, copy)
    export_release(registry, REF, tmp_path / "net.modhub")
    third = Registry(open_store(str(tmp_path / "third")))
    import_release(tmp_path / "net.modhub", third)
    for each in (registry, copy, third):
        assert readme_in(each) == README.encode()
        assert fsck(each).clean
        assert not fsck(each).untidy
    collect(registry, older_than=timedelta())
    collect(registry, older_than=timedelta())
    assert readme_in(registry) == README.encode()


def test_a_damaged_readme_is_found_and_repaired(registry: Registry, tmp_path: Path) -> None:
    copy = Registry(open_store(str(tmp_path / "copy")))
    mirror(registry, copy)
    manifest = registry.manifest(REF)
    card = manifest.content.card
    assert card is not None
    assert card.readme is not None
    path = Path(registry.url) / blob_path(manifest.blobs[card.readme].sha256)
    path.write_bytes(b"other")
    with pytest.raises(IntegrityError):
        readme_in(registry)
    assert not fsck(registry).clean
    fsck(registry, repair_from=copy)
    assert readme_in(registry) == README.encode()
    take_down(registry, REF, "not ours")
    assert not path.exists()


def test_another_card_is_another_release(registry: Registry) -> None:
    changed, blobs = carded_release(readme=README.replace("mit", "gpl-3.0"))
    with pytest.raises(Conflict) as caught:
        registry.publish(changed, blobs)
    assert caught.value.kind == "version-exists"
    published = registry.publish_next(changed, blobs)
    assert (published.ref.version, published.created) == ("1.1.0", True)
    assert registry.publish_next(changed, blobs).created is False


def test_the_index_shows_what_searching_needs(registry: Registry) -> None:
    (entry,) = registry.index("me", "net").releases
    assert (entry.license, entry.keywords, entry.description) == ("MIT", ("pets", "tiny"), "Tells cats from dogs.")
    before = (Path(registry.url) / "index/me/net.json").read_bytes()
    reindex(registry)
    assert (Path(registry.url) / "index/me/net.json").read_bytes() == before
    long = README.replace("Tells cats from dogs.", "x" * 900).replace("[pets, tiny]", str([f"k{i}" for i in range(99)]))
    registry.publish(*carded_release(version="1.1.0", readme=long))
    (entry,) = [each.release for each in registry.entries()]
    assert (len(entry.keywords), len(entry.description or "")) == (20, 200)


def test_a_folder_carries_its_card(tmp_path: Path) -> None:
    manifest, blobs = carded_release()
    folder = save_package(Package(manifest, blobs), tmp_path / "net.modules")

    def read(_: str, record: object) -> VerifiedBlob:
        return load_blob(folder, record)  # type: ignore[arg-type]

    found = card_file_of(load_manifest(folder), read)
    assert found == card_from(README.encode())


def test_a_new_card_takes_the_place_of_the_old_one() -> None:
    manifest, blobs = carded_release()
    other = with_card(Package(manifest, blobs), card_from(b"---\nlicense: isc\n---\nNew\n"))
    assert len(other.manifest.blobs) == len(manifest.blobs)
    assert other.blobs.keys() == {record.sha256 for record in other.manifest.blobs.values()}
    bare = with_card(other, CardFile(card_from(b"").card))
    assert len(bare.manifest.blobs) == len(manifest.blobs) - 1
    assert release()[0].content == bare.manifest.content.model_copy(update={"card": None})


def test_what_goes_along_to_modules_made_of_these() -> None:
    made = card_from(README.replace("datasets", "license_name: ours\ndatasets").encode()).inherited()
    assert made.readme == b""
    assert made.card.model_dump(mode="json") == {
        "license": "MIT",
        "license_name": "ours",
        "training_data": [{"name": "tiny"}],
    }


def test_a_blob_that_is_no_text_is_no_readme() -> None:
    manifest, blobs = carded_release()
    card = manifest.content.card
    assert card is not None
    bad = with_card(Package(manifest, blobs), CardFile(card.model_copy(update={"readme": None}), b"\xff"))
    digest = next(iter(bad.manifest.blobs.keys() - manifest.blobs.keys()))
    content = bad.manifest.content.model_copy(update={"card": card.model_copy(update={"readme": digest})})
    broken = bad.manifest.model_copy(update={"content": content})
    with pytest.raises(IntegrityError, match="not UTF-8"):
        readme_of(broken, lambda _, record: bad.blobs[record.sha256])
