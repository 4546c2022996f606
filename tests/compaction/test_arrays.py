"""Networks of tables and signals are made compact as those of images are, and what had to stay is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import modhub
from modhub.cli.root import root
from modhub.spec.compact_text import unthinned_lines
from tests.small_origins import Data, fitted_model

L = keras.layers


def table(given: Any) -> Any:
    x = L.ReLU()(L.BatchNormalization()(L.Dense(32)(given)))
    return L.Dense(16, activation="relu")(x)


def signal(given: Any) -> Any:
    x = L.ReLU()(L.LayerNormalization()(L.Conv1D(8, 3, padding="same")(given)))
    y = L.Conv1D(12, 5, padding="same", dilation_rate=2, activation="relu")(x)
    x = L.ReLU()(L.Add()([x, L.Conv1D(8, 3, padding="same")(y)]))
    return L.GlobalAveragePooling1D()(L.SeparableConv1D(10, 3, strides=2, activation="relu")(x))


@pytest.mark.parametrize(("features", "shape"), [(table, (6,)), (signal, (16, 2))])
def test_a_network_of_arrays_is_made_compact(
    features: Callable[[Any], Any], shape: tuple[int, ...], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = (2 * random.normal(size=(3, *shape))[y] + random.normal(size=(240, *shape))).astype(np.float32)
    data = Data(x, y, ("a", "b", "c"))
    model = fitted_model(data, features, rescale=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = modhub.compact(
            model, (x, y, data.classes), name="me/small", flops=0.6, polish=features is signal, polish_steps=30
        )
    found = made.compacted
    assert found is not None
    assert found.flops <= 0.6
    assert found.explained > 0.5
    assert made.origin.contract.shape == shape
    assert made.origin.accuracy[-1].top_1 > 0.8
    lines = unthinned_lines(found)
    if features is table:
        assert not lines
    else:
        made.save(tmp_path / "small.modules")
        shown = CliRunner().invoke(root, ["info", str(tmp_path / "small.modules")]).stdout
        assert lines
        assert all("which mixes channels" in line for line in lines)
        assert all(" ".join(line.split()) in " ".join(shown.split()) for line in lines)
