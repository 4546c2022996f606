"""A decomposition with validation data records how its modules answer fused; auto believes it; old releases read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modhub
from modhub.composition.operations import on_scale_of
from modhub.engine.decompose.metrics import fused_agreement, recorded_agreement
from modhub.installation.registries import STARTER_FOLDER
from modhub.package.decomposition import decomposition_from, modules_from, with_digests
from modhub.spec.manifest import FusedAgreement, read_manifest, write_manifest
from tests.engine.test_fused import by_hand
from tests.engine.test_running import IMAGES, margins_by_hand, masked_modules
from tests.small_origins import bar_modules, bars, quadrant_modules, with_random_masks


def test_what_is_recorded_is_what_both_ways_answer():
    modules = masked_modules()
    isolated = np.stack([margins_by_hand(module, IMAGES) for module in modules], axis=1).astype(np.float32)
    together = by_hand(modules, IMAGES)
    found = fused_agreement(modules, IMAGES, "held out", isolated, 16)
    assert (found.data, found.examples, found.classes) == ("held out", len(IMAGES), 4)
    assert found.labels == (isolated.argmax(axis=1) == together.argmax(axis=1)).mean() < 1
    largest = np.abs(isolated - together).max()
    assert largest <= found.margin <= 1.11 * largest


@settings(max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=5))
def test_the_largest_difference_is_rounded_up_to_two_digits(values):
    fused = np.array(values, np.float32)[:, None]
    largest = float(np.abs(fused).max())
    found = recorded_agreement(fused, np.zeros_like(fused), "x").margin
    assert largest * (1 - 1e-9) <= found <= largest * 1.1 * (1 + 1e-9)
    assert len(f"{found:.10e}".split("e")[0].replace(".", "").rstrip("0")) <= 2


def test_decomposing_with_validation_data_records_it_and_without_does_not():
    validated, plain = bar_modules(), quadrant_modules()
    held_out = bars(seed=5)
    (found,) = {module.fused for module in validated.modules}
    exact = modhub.compose(list(validated.modules)).predict(held_out.x)
    together = modhub.compose(list(validated.modules), mode="fused").predict(held_out.x)
    assert (found.examples, found.classes) == (len(held_out.x), 3)
    assert found.labels == (exact.indices == together.indices).mean()
    assert {module.fused for module in plain.modules} == {None}


def read_back(decomposition, version="1.0.0"):
    package = decomposition.package
    manifest = read_manifest(write_manifest(package.manifest), what="it")
    return manifest, decomposition_from(manifest, lambda _, record: package.blobs[record.sha256])


def recorded(decomposition, **fields):
    agreement = FusedAgreement(
        data="held out", examples=5000, classes=len(decomposition.modules), labels=0.9991, margin=0.1
    )
    agreement = agreement.model_copy(update=fields)
    return replace(decomposition, modules=tuple(replace(m, fused=agreement) for m in decomposition.modules)), agreement


def test_it_survives_the_file():
    decomposition, agreement = recorded(quadrant_modules())
    manifest, again = read_back(decomposition)
    assert manifest.content.fused == agreement
    assert {module.fused for module in again.modules} == {agreement}
    one = modules_from(manifest, lambda _, record: decomposition.package.blobs[record.sha256], ["top-left"])
    assert one[0].fused == agreement


def test_a_release_without_it_is_written_as_before():
    manifest, again = read_back(quadrant_modules())
    assert "fused" not in json.loads(write_manifest(manifest))["content"]
    assert {module.fused for module in again.modules} == {None}
    for file in Path(STARTER_FOLDER).glob("releases/*/*/*.json"):
        data = file.read_bytes()
        assert write_manifest(read_manifest(data, what="starter")) == data


def test_only_what_was_measured_together_is_recorded_together():
    decomposition, _ = recorded(quadrant_modules())
    some = replace(decomposition, modules=decomposition.modules[:3])
    assert some.package.manifest.content.fused is None
    mixed = replace(decomposition, modules=(replace(decomposition.modules[0], fused=None), *decomposition.modules[1:]))
    assert mixed.package.manifest.content.fused is None


def test_a_module_that_changes_loses_it():
    decomposition, agreement = recorded(quadrant_modules())
    one, two, *_ = decomposition.modules
    assert with_digests([one])[0].fused == agreement
    assert with_random_masks(one, 1).fused is None
    assert on_scale_of(one, replace(two, scale=2 * one.scale)).fused is None


def test_auto_runs_as_what_was_recorded_and_as_the_plan_says():
    modules = masked_modules()
    fused = modhub.compose(modules, mode="fused").predict(IMAGES).margins
    isolated = modhub.compose(modules).predict(IMAGES).margins
    for labels, wanted in ((0.9995, fused), (0.99, isolated), (None, isolated)):
        agreement = labels and FusedAgreement(data="d", examples=1000, classes=4, labels=labels, margin=1.0)
        found = modhub.compose([replace(m, fused=agreement) for m in modules], mode="auto")
        np.testing.assert_array_equal(found.predict(IMAGES).margins, wanted)
        assert ("runs fused" in str(found.plan)) == (wanted is fused)


@pytest.mark.parametrize("value", [{"labels": 1.5}, {"margin": -1.0}, {"examples": 0}, {"classes": 0}])
def test_nonsense_is_not_read(value):
    good = {"data": "d", "examples": 1, "classes": 1, "labels": 1.0, "margin": 0.0}
    FusedAgreement.model_validate(good)
    with pytest.raises(ValueError, match="validation error"):
        FusedAgreement.model_validate(good | value)
