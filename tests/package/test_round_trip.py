"""A decomposition through a folder and through a registry: the same arrays, numbers, digests and answers."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

import modhub
from modhub.package.decomposition import modules_from
from modhub.package.folder import load_blob, load_manifest
from modhub.package.module import Module
from tests.small_origins import bar_modules, bars, quadrant_modules

ARRAYS = {"origin", "keep", "concern", "head", "version", "pin"}


def assert_same_module(found: Module, module: Module) -> None:
    for field in fields(Module):
        if field.name not in ARRAYS:
            assert getattr(found, field.name) == getattr(module, field.name), field.name
    for ours, theirs in ((module.keep, found.keep), (module.concern, found.concern)):
        assert list(theirs) == list(ours)
        assert theirs.key() == ours.key()
        assert theirs.shapes == ours.shapes
    np.testing.assert_array_equal(found.head.kernel, module.head.kernel)
    np.testing.assert_array_equal(found.head.bias, module.head.bias)
    assert found.origin.fingerprint == module.origin.fingerprint
    assert found.origin.architecture == module.origin.architecture
    assert found.origin.contract == module.origin.contract
    assert found.origin.classes == module.origin.classes
    assert found.origin.accuracy == module.origin.accuracy
    assert set(found.origin.weights) == set(module.origin.weights)
    for name, value in module.origin.weights.items():
        np.testing.assert_array_equal(found.origin.weights[name], value)


@pytest.mark.parametrize("make", [quadrant_modules, bar_modules])
def test_what_is_saved_comes_back(make, tmp_path):
    decomposition = make()
    found = modhub.load(decomposition.save(tmp_path / "net.modules"))
    assert len(found.modules) == len(decomposition.modules)
    for module, saved in zip(found.modules, decomposition.modules, strict=True):
        assert_same_module(module, saved)
    assert found.options == decomposition.options
    assert found.sites == decomposition.sites
    assert found.dataset == decomposition.dataset
    assert found.provenance == decomposition.provenance
    assert found.package.manifest == decomposition.package.manifest
    assert found.package.blobs == decomposition.package.blobs
    assert found.report().to_dict() == decomposition.report().to_dict()


def test_a_path_may_be_text(tmp_path):
    saved = bar_modules().save(str(tmp_path / "net.modules"))
    assert modhub.load(str(saved)).name == "lines/bars"


def test_validation_figures_travel(tmp_path):
    found = modhub.load(bar_modules().save(tmp_path / "net.modules"))
    assert [accuracy.data for accuracy in found.origin.accuracy] == ["data (observed)", "data (validation)"]
    for module in found.modules:
        (metric,) = module.metrics
        assert metric.data == "data (validation)"
        assert metric.examples == 30
    votes = modhub.compose(list(found.modules)).predict(bars(seed=5).x)
    own = bars(seed=5).y == 0
    won = np.array(votes.labels) == "horizontal"
    assert found.modules[0].metrics[0].vote_recall == pytest.approx((own & won).sum() / own.sum())
    assert found.modules[0].metrics[0].vote_precision == pytest.approx((own & won).sum() / won.sum())
    positive = votes.positive[:, 0]
    assert found.modules[0].metrics[0].own_recall == pytest.approx((own & positive).sum() / own.sum())
    assert found.modules[0].metrics[0].own_precision == pytest.approx((own & positive).sum() / positive.sum())


def test_what_is_published_and_installed_is_what_was_decomposed(tmp_path):
    registry = str(tmp_path / "registry")
    decomposition = bar_modules()
    release = modhub.publish(decomposition, version="1.2.0", registry=registry)
    assert release.created
    assert release.classes == bars().classes
    installed = modhub.install("lines/bars", registry=registry)
    assert {str(one.ref) for one in installed} == {
        f"lines/bars:{slug}@1.2.0" for slug in ("horizontal", "vertical", "top-left")
    }
    composite = modhub.compose("lines/bars", registry=registry)
    for module, own in zip(composite.modules, decomposition.modules, strict=True):
        assert module.version == "1.2.0"
        assert_same_module(module, own)
    np.testing.assert_array_equal(
        composite.predict(bars().x).margins,
        modhub.compose(list(decomposition.modules)).predict(bars().x).margins,
    )


def test_the_folder_publishes_as_the_decomposition_does(tmp_path):
    folder = bar_modules().save(tmp_path / "net.modules")
    first = modhub.publish(folder, version="1.0.0", registry=str(tmp_path / "one"))
    second = modhub.publish(bar_modules(), version="1.0.0", registry=str(tmp_path / "two"))
    again = modhub.publish(modhub.load(folder), version="1.0.0", registry=str(tmp_path / "one"))
    assert first.digest == second.digest == again.digest
    assert (first.created, again.created) == (True, False)


def test_modules_of_one_release_share_their_weights(tmp_path):
    manifest = bar_modules().package.manifest
    assert len(manifest.blobs) == 1 + len(manifest.content.modules)
    folder = bar_modules().save(tmp_path / "net.modules")
    read = []

    def read_blob(digest, record):
        read.append(digest)
        return load_blob(folder, record)

    modules = modules_from(load_manifest(folder), read_blob, ["top-left", "horizontal"])
    assert [module.slug for module in modules] == ["top-left", "horizontal"]
    assert modules[0].origin is modules[1].origin
    assert len(read) == 3
    assert set(read) == {manifest.content.origin.weights, *(module.digest for module in modules)}


def test_a_folder_with_one_byte_changed_anywhere_does_not_load(tmp_path):
    folder = quadrant_modules().save(tmp_path / "net.modules")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 6
    for path in files:
        data = path.read_bytes()
        for position in np.linspace(0, len(data) - 1, 7, dtype=int):
            path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
            with pytest.raises(modhub.ModhubError) as caught:
                modhub.load(folder)
            assert caught.value.exit_code == 5 or caught.value.kind == "newer-format"
        path.write_bytes(data)
    modhub.load(folder)
