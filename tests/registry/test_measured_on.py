"""An accuracy on images that modules were made with is never shown as if it were of held-out ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from modhub.cli.hits import measured_on
from modhub.registry.admin.fsck import fsck
from modhub.registry.index import entry_of
from modhub.registry.writer import Registry
from modhub.spec.layout import catalog_path, index_path
from modhub.spec.manifest import Accuracy, Manifest
from modhub.spec.registry_files import (
    CATALOG_FORMAT,
    INDEX_FORMAT,
    IndexEntry,
    IndexShard,
    NamespaceCatalog,
    read_document,
    write_document,
)
from modhub.storage.store import Store
from modhub.storage.urls import open_store
from tests.synthetic import release


def measured(*names: str) -> Manifest:
    """A release whose network was measured on data of these names, a worse figure on each."""
    manifest = release()[0]
    figures = tuple(
        Accuracy(data=name, examples=100, top_1=0.9 - 0.1 * number, top_5=1.0) for number, name in enumerate(names)
    )
    origin = manifest.content.origin.model_copy(update={"accuracy": figures})
    return manifest.model_copy(update={"content": manifest.content.model_copy(update={"origin": origin})})


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["d (observed)", "d test"], (0.8, "held-out images")),
        (["d (observed)"], (0.9, "images it was made with")),
        ([], (None, "-")),
    ],
)
def test_an_entry_says_which_images_were_measured(names: list[str], shown: tuple[float | None, str]) -> None:
    entry = entry_of(measured(*names))
    assert (entry.top_1, measured_on(entry.top_1, entry.is_held_out)) == (pytest.approx(shown[0]), shown[1])


def test_an_index_from_before_says_that_it_is_not_recorded_and_is_no_damage(tmp_path: Path) -> None:
    registry = Registry(open_store(str(tmp_path / "registry")))
    manifest, blobs = release()
    registry.publish(manifest, blobs)
    store, content = registry.store, manifest.content
    assert entry_of(manifest).top_1_data is not None
    shard = read_document(
        IndexShard, _read(store, index_path(content.namespace, content.model)), what="x", newest=INDEX_FORMAT
    )
    catalog = read_document(
        NamespaceCatalog, _read(store, catalog_path(content.namespace)), what="x", newest=CATALOG_FORMAT
    )
    old = tuple(_before(each) for each in shard.releases)
    models = tuple(each.model_copy(update={"release": _before(each.release)}) for each in catalog.models)
    store.replace(
        index_path(content.namespace, content.model), write_document(shard.model_copy(update={"releases": old}))
    )
    store.replace(catalog_path(content.namespace), write_document(catalog.model_copy(update={"models": models})))
    assert b"top_1_data" not in _read(store, index_path(content.namespace, content.model))
    assert not fsck(registry).findings
    assert measured_on(old[0].top_1, old[0].is_held_out) == "not recorded"


def _read(store: Store, path: str) -> bytes:
    return store.get(path, max_bytes=1_000_000)


def _before(entry: IndexEntry) -> IndexEntry:
    return entry.model_copy(update={"top_1_data": None})
