"""``modhub decompose --dry-run``: what a network would be, or all that is in the way, without any data."""

from __future__ import annotations

import json

import keras
import pytest

from modhub.cli import main

L = keras.layers


def saved(folder, *layers):
    path = folder / "net.keras"
    keras.Sequential([keras.Input((8, 8, 3)), *layers, L.Flatten(), L.Dense(3)], name="net").save(path)
    return str(path)


def test_it_says_what_the_network_will_be(tmp_path, capsys):
    path = saved(tmp_path, L.DepthwiseConv2D(3, name="deep"), L.Conv2D(4, 3, activation="relu"))
    assert main(["decompose", path, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "64 nodes at 1 ReLUs" in out
    assert "3 (logits)" in out
    assert "deep (DepthwiseConv2D): a convolution of as many groups as channels" in out
    assert main(["decompose", path, "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sites"], found["nodes"], found["classes"]) == (1, 64, 3)
    # 3x3 on 6x6x3 channels, then 3x3x3 to 4 on 4x4, then the head; two operations a weight.
    assert found["operations"] == 2 * (9 * 3 * 36 + 27 * 4 * 16 + 64 * 3)


def test_all_obstacles_are_named(tmp_path, capsys):
    path = saved(tmp_path, L.Conv2D(4, 3, activation="softmax"), L.Conv2DTranspose(3, 2))
    assert main(["decompose", path, "--dry-run", "--json"]) == 1
    error = json.loads(capsys.readouterr().err)
    assert error["error"] == "unsupported-activation"
    assert len(error["obstacles"]) == 2


@pytest.mark.parametrize("missing", [["--as", "me/net"], ["--data", "cifar10"]])
def test_without_it_data_and_a_name_are_asked_for(tmp_path, capsys, missing):
    assert main(["decompose", str(tmp_path / "net.keras"), *missing]) == 2
    assert "is missing" in capsys.readouterr().err
