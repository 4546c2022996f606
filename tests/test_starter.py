"""The starter registry, which is also the sample of format 1 that every later version has to read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.errors import RegistryUnreachable
from modhub.installation.registries import STARTER_FOLDER
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore

#: Content digests as released. They never change: a release that reads differently is another release.
DIGESTS = {
    "cifar10/r20": "sha256:6e7a11e77fc88dba8da4b29624ae76efcf105d5774e2fb45481e7ed9a5d895f6",
    "cifar10/r56": "sha256:9b5c1dc64b545de44e820f25b2fe0b09c9cb9c799fe76e1d790df0f8a5eb9233",
    "cifar10/vgg": "sha256:3feab50060a8aef298abefcb242587a0c80fd1cbc194105afbc5e467fdba257d",
    "cifar100/r20": "sha256:3d60f3c19a77eba9b047401a63788d4d2a8f243bba9d7ba2a6c62e2f6051ecf0",
}


@pytest.fixture(scope="module")
def starter() -> Registry:
    return Registry(LocalStore(STARTER_FOLDER, writable=False), name="starter")


def test_it_holds_the_releases_as_released(starter: Registry) -> None:
    found = {name: starter.manifest(ModelRef(*name.split("/"), "1.0.0")).digest for name in starter.models()}
    assert found == DIGESTS


def test_its_aliases(starter: Registry) -> None:
    assert starter.aliases() == {"c10": "cifar10/r56", "c100": "cifar100/r20"}


def test_every_blob_is_there_and_sound(starter: Registry) -> None:
    for name in DIGESTS:
        manifest = starter.manifest(ModelRef(*name.split("/"), "1.0.0"))
        for blob in manifest.blobs.values():
            assert len(starter.blob(blob).stored) == blob.size


def test_its_index_covers_its_releases(starter: Registry) -> None:
    for name in DIGESTS:
        shard = starter.index(*name.split("/"))
        assert [(entry.version, entry.digest) for entry in shard.releases] == [("1.0.0", DIGESTS[name])]


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in STARTER_FOLDER.rglob("*") if file.is_file()) <= 14_000_000


def test_it_is_read_only(starter: Registry) -> None:
    with pytest.raises(RegistryUnreachable, match="read-only"):
        starter.set_alias("mine", "cifar10/r20")


@pytest.mark.parametrize("name", DIGESTS)
def test_its_modules_run(name: str) -> None:
    """All modules of a release decode, fit their architecture, and answer."""
    composite = modhub.compose(name)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    two = composite.modules[:2]
    assert len(composite) == {"cifar100/r20": 100}.get(name, 10)
    margins = modhub.compose(two).predict(images).margins
    assert margins.shape == (2, 2)
    assert np.isfinite(margins).all()


@pytest.mark.parametrize("name", DIGESTS)
def test_auto_fuses_what_agrees(name: str) -> None:
    """Each release records how fused agrees with isolated; the hundred classes agree on 98.45 % and stay isolated."""
    (way,) = modhub.compose(name, mode="auto").plan.ways
    assert way.fused == (name != "cifar100/r20")


def test_it_is_found_last(tmp_path: Path) -> None:
    """A registry of the user's own comes before the starter for the same name."""
    own = str(tmp_path / "registry")
    source = Registry(LocalStore(STARTER_FOLDER, writable=False))
    manifest = source.manifest(ModelRef("cifar10", "vgg", "1.0.0"))
    blobs = {blob.sha256: source.blob(blob) for blob in manifest.blobs.values()}
    target = Registry(LocalStore(own))
    target.publish(manifest, blobs)
    assert modhub.install("cifar10/vgg:cat", registry=own)[0].registry == target.url
    assert "starter" in modhub.install("cifar10/r20:cat", registry=own)[0].registry
