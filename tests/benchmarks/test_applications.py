"""The benchmark over ``keras.applications``, on one small network that has most of what had to be rewritten."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import applications


def test_one_application_goes_all_the_way_and_answers_as_it_did() -> None:
    found = applications.measure("MobileNetV3Small", 32)
    assert found["difference"] < 1e-4
    assert found["lowered"] > 5
    assert found["sites"] > 0
    assert found["bytes_share"] < 1.2
    assert "| MobileNetV3Small | 32x32x3 |" in applications.table([found])


def test_all_of_them_are_listed() -> None:
    assert {"VGG16", "EfficientNetB0", "ConvNeXtTiny", "NASNetMobile"} <= set(applications.names())
    assert len(applications.names()) >= 38
