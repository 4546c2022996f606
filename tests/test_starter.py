"""The starter registry, which is also the sample of format 1 that every later version has to read."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

import modhub
from modhub.data.images import load_data
from modhub.errors import RegistryUnreachable
from modhub.installation.lockfile import Lock
from modhub.installation.registries import STARTER_FOLDER
from modhub.package.decomposition import trunk_fingerprint
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.spec.text import is_observed
from modhub.storage.local import LocalStore

#: Content digests as released. They never change: a release that reads differently is another release. Versions 1.0.0
#: and 1.0.1 differ in the fingerprint of their data alone, which FORMAT.md has defined since; 1.1.0 says how its
#: margins vote beside those of others.
DIGESTS = {
    "cifar10/r20": {
        "1.0.0": "sha256:6e7a11e77fc88dba8da4b29624ae76efcf105d5774e2fb45481e7ed9a5d895f6",
        "1.0.1": "sha256:233ecfd78b1858e5ceea3e0ccd9e915db5218aee44c391a312a395e8448d71be",
        "1.1.0": "sha256:5c2e0dc0d490e6f0afb682e74549e8cd241c66355482ec5135cc93c7456b7bcf",
    },
    "cifar10/r56": {
        "1.0.0": "sha256:9b5c1dc64b545de44e820f25b2fe0b09c9cb9c799fe76e1d790df0f8a5eb9233",
        "1.0.1": "sha256:f122ac6b48df3d8c8959ecb664bc9f178dbf23521fe86643b3bb0e9ffc25afbf",
        "1.1.0": "sha256:a3a9a7e176ce7a546b0c9c660707174c6055acc453abfd704d65171cfe4ea95f",
    },
    "cifar10/vgg": {
        "1.0.0": "sha256:3feab50060a8aef298abefcb242587a0c80fd1cbc194105afbc5e467fdba257d",
        "1.0.1": "sha256:cb82dc58cc17556bb36e693ce4e2e81a04f4c6c0c56723b739e8a4781af6ad8f",
        "1.1.0": "sha256:95f83e97b781ad37e59ee132ca72e52e86d344fb86767af68dfee56b733367b3",
    },
    "cifar100/r20": {
        "1.0.0": "sha256:3d60f3c19a77eba9b047401a63788d4d2a8f243bba9d7ba2a6c62e2f6051ecf0",
        "1.0.1": "sha256:7331c3a0510a610d06fcd76b831202e49a38ca725577833bc24cef6de66b63cc",
        "1.1.0": "sha256:ef28cb69ccf5210483cae11436051bae38875a2905e538475506b34013d62b89",
    },
}
#: Made smaller out of another release of the starter.
COMPACT = {"cifar10/r20-half": "cifar10/r20"}
DIGESTS_OF_COMPACT = {
    "cifar10/r20-half": {
        "1.0.0": "sha256:c3a524747df749f3783f020712a3a27c09accc75a245ce38d6af469823ee40ea",
        "1.1.0": "sha256:9660af0ff6e7a781ecc6ca1269a8918a8f7a0a387c66896ed7e6950eca18d345",
    },
}
#: A project and its lockfile, written when the starter had 1.0.0 alone.
OLD_PROJECT = Path(__file__).parent / "samples" / "starter-1.0.0"


@pytest.fixture(scope="module")
def starter() -> Registry:
    return Registry(LocalStore(STARTER_FOLDER, writable=False), name="starter")


def test_it_holds_the_releases_as_released(starter: Registry) -> None:
    found = {
        name: {
            version: starter.manifest(ModelRef(*name.split("/"), version)).digest
            for version in starter.versions(*name.split("/"))
        }
        for name in starter.models()
    }
    assert found == DIGESTS | DIGESTS_OF_COMPACT


@pytest.mark.parametrize("name", DIGESTS)
def test_the_second_version_differs_in_the_fingerprint_of_its_data_alone(starter: Registry, name: str) -> None:
    old, new = (starter.manifest(ModelRef(*name.split("/"), version)) for version in ("1.0.0", "1.0.1"))
    before, after = (each.content.origin.dataset.fingerprint for each in (old, new))
    assert before != after
    assert new.blobs == old.blobs
    dataset = old.content.origin.dataset.model_copy(update={"fingerprint": after})
    origin = old.content.origin.model_copy(update={"dataset": dataset})
    assert new.content == old.content.model_copy(update={"version": "1.0.1", "origin": origin})


@pytest.mark.parametrize("name", DIGESTS)
def test_the_third_version_has_the_same_masks_and_heads_and_says_how_its_margins_vote(
    starter: Registry, name: str
) -> None:
    old, new = (starter.manifest(ModelRef(*name.split("/"), version)) for version in ("1.0.1", "1.1.0"))
    assert old.content.origin.vote is None
    assert [module.blob for module in new.content.modules] == [module.blob for module in old.content.modules]
    vote = new.content.origin.vote
    assert vote is not None
    assert (vote.data, vote.examples) == (
        old.content.origin.accuracy[-1].data,
        old.content.origin.accuracy[-1].examples,
    )
    assert 5 < vote.margin_scale < 20
    assert 1 < vote.temperature < 2


def test_the_fingerprints_are_those_of_the_data(starter: Registry, shared_data: Path) -> None:
    for dataset in ("cifar10", "cifar100"):
        manifest = starter.manifest(ModelRef(dataset, "r20", "1.1.0"))
        data = load_data(shared_data / f"{dataset}_train.npz")
        assert manifest.content.origin.dataset.fingerprint == data.fingerprint


def test_a_project_that_was_locked_before_installs_and_composes_what_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    copytree(OLD_PROJECT, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    pets = modhub.Project.open(folder)
    pets.sync()
    assert pets.verify().problems == ()
    composite = pets.compose()
    assert [str(module.ref) for module in composite.modules] == [
        "cifar10/r56:cat@1.0.0",
        "cifar10/r56:dog@1.0.0",
        "cifar100/r20:apple@1.0.0",
    ]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    digests = {module.digest for module in composite.modules}
    pets.upgrade()
    assert {pin.ref.version for pin in Lock.of_project(pets.locked).modules} == {"1.1.0"}
    assert {module.digest for module in pets.compose().modules} == digests


def test_its_aliases(starter: Registry) -> None:
    assert starter.aliases() == {"c10": "cifar10/r56", "c100": "cifar100/r20"}


def test_every_blob_is_there_and_sound(starter: Registry) -> None:
    newest = [(name, "1.1.0") for name in DIGESTS] + [(name, "1.0.0") for name in COMPACT]
    for name, version in newest:
        manifest = starter.manifest(ModelRef(*name.split("/"), version))
        for blob in manifest.blobs.values():
            assert len(starter.blob(blob).stored) == blob.size


def test_its_index_covers_its_releases(starter: Registry) -> None:
    for name, digests in (DIGESTS | DIGESTS_OF_COMPACT).items():
        shard = starter.index(*name.split("/"))
        assert {entry.version: entry.digest for entry in shard.releases} == digests


@pytest.mark.parametrize("name", COMPACT)
def test_a_compact_release_says_what_it_is_of_and_what_it_costs_on_unused_images(starter: Registry, name: str) -> None:
    whole = starter.manifest(ModelRef(*COMPACT[name].split("/"), "1.1.0"))
    small = starter.manifest(ModelRef(*name.split("/"), "1.0.0"))
    found, origin = small.content.compacted, whole.content.origin
    assert found is not None
    trunk = trunk_fingerprint(origin.architecture, origin.weights, whole.content.contract)
    assert [each.trunk for each in found.of] == [trunk]
    assert found.flops <= 0.5
    assert found.nodes <= 0.5
    assert sum(blob.size for blob in small.blobs.values()) <= 0.8 * sum(blob.size for blob in whole.blobs.values())
    # Made with the training images alone: what is recorded of the test images is not marked as observed.
    assert small.content.origin.dataset == whole.content.origin.dataset.model_copy(
        update={
            "examples": small.content.origin.dataset.examples,
            "fingerprint": small.content.origin.dataset.fingerprint,
        }
    )
    (tested,) = [each for each in small.content.origin.accuracy if not is_observed(each.data)]
    assert found.validation is not None
    assert (tested.data, tested.examples) == (found.validation.data, found.validation.examples)
    lost = 100 * (origin.accuracy[-1].top_1 - tested.top_1)
    assert found.validation.points == pytest.approx(lost, abs=0.05)
    assert lost < 2.3


def test_a_whole_release_names_its_compact_ones_and_searching_says_which_they_are() -> None:
    for name, whole in COMPACT.items():
        assert name in [each.ref for each in modhub.info(whole).compact]
        (hit,) = [hit for hit in modhub.search(name) if hit.ref == name]
        assert hit.release.compacted is not None
        assert hit.release.compacted.of == (whole,)


@pytest.mark.parametrize("name", COMPACT)
def test_a_compact_release_answers_unused_images_as_it_says(starter: Registry, name: str, shared_data: Path) -> None:
    """The first 500 test images; what is recorded is of 5,000."""
    tested = starter.manifest(ModelRef(*name.split("/"), "1.0.0")).content.origin.accuracy[-1]
    images = load_data(shared_data / "cifar10_test.npz")
    found = modhub.compose(name, mode="fused").predict(images.x[:500]).indices
    assert np.mean(found == images.y[:500]) == pytest.approx(tested.top_1, abs=0.05)


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in STARTER_FOLDER.rglob("*") if file.is_file()) <= 14_000_000


def test_it_is_read_only(starter: Registry) -> None:
    with pytest.raises(RegistryUnreachable, match="read-only"):
        starter.set_alias("mine", "cifar10/r20")


@pytest.mark.parametrize("name", [*DIGESTS, *COMPACT])
def test_its_modules_run(name: str) -> None:
    """All modules of a release decode, fit their architecture, and answer."""
    composite = modhub.compose(name)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    two = composite.modules[:2]
    assert len(composite) == {"cifar100/r20": 100}.get(name, 10)
    margins = modhub.compose(two).predict(images).margins
    assert margins.shape == (2, 2)
    assert np.isfinite(margins).all()


@pytest.mark.parametrize("name", [*DIGESTS, *COMPACT])
def test_auto_fuses_what_agrees(name: str) -> None:
    """Each release records how fused agrees with isolated; the hundred classes agree on 98.45 % and stay isolated."""
    (way,) = modhub.compose(name, mode="auto").plan.ways
    assert way.fused == (name != "cifar100/r20")


def test_it_is_found_last(tmp_path: Path) -> None:
    """A registry of the user's own comes before the starter for the same name."""
    own = str(tmp_path / "registry")
    source = Registry(LocalStore(STARTER_FOLDER, writable=False))
    manifest = source.manifest(ModelRef("cifar10", "vgg", "1.0.1"))
    blobs = {blob.sha256: source.blob(blob) for blob in manifest.blobs.values()}
    target = Registry(LocalStore(own))
    target.publish(manifest, blobs)
    assert modhub.install("cifar10/vgg:cat", registry=own)[0].registry == target.url
    assert "starter" in modhub.install("cifar10/r20:cat", registry=own)[0].registry
