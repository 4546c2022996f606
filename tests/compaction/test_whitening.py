"""Steps in whitened coordinates: those of Adam on other variables, literally, and fewer for the same error."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from modhub.engine.compact.observing import tensors_of
from modhub.engine.compact.whitening import WhitenedAdam, input_factors
from modhub.engine.run.network import Network
from tests.compaction.small_training import images, part


def model_of(start: Any) -> Any:
    given = keras.Input((6,))
    layer = keras.layers.Dense(3, name="dense")
    model = keras.Model(given, layer(given))
    layer.set_weights(start)
    return model


def problem(seed: int) -> tuple[Any, Any, Any, Any]:
    """Inputs whose directions differ a hundredfold, what is wanted for them, a start, and the factor of the inputs."""
    random = np.random.default_rng(seed)
    turned = np.linalg.qr(random.normal(size=(6, 6)))[0] * np.geomspace(1, 0.01, 6)
    x = (random.normal(size=(400, 6)) @ turned.T).astype(np.float32)
    wanted = (x @ np.linalg.pinv(turned).T @ random.normal(size=(6, 3))).astype(np.float32)
    moment = x.T.astype(np.float64) @ x
    lower = np.linalg.cholesky(moment / np.trace(moment) * 6 + 0.01 * np.eye(6))
    return x, wanted, [np.zeros((6, 3), np.float32), np.zeros(3, np.float32)], np.linalg.inv(lower).T


def trained(optimizer: Any, x: Any, wanted: Any, start: Any, steps: int, rate: float) -> Any:
    model = model_of(start)
    model.compile(optimizer, loss="mse")
    optimizer.build(model.trainable_variables)
    optimizer.learning_rate = rate
    for _ in range(steps):
        model.train_on_batch(x, wanted)
    return model.get_weights()


def test_steps_are_those_of_adam_on_the_other_variables() -> None:
    x, wanted, start, factor = problem(0)
    found = trained(WhitenedAdam([factor.astype(np.float32), None]), x, wanted, start, 5, 0.05)
    literal = trained(keras.optimizers.Adam(0.05), x @ factor.astype(np.float32), wanted, start, 5, 0.05)
    np.testing.assert_allclose(found[0], factor @ literal[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1], literal[1], rtol=1e-4, atol=1e-5)


def test_fewer_steps_reach_the_same_error() -> None:
    x, wanted, start, factor = problem(1)

    def error(optimizer: Any) -> float:
        kernel, bias = trained(optimizer, x, wanted, start, 100, 0.05)
        return float(np.mean((x @ kernel + bias - wanted) ** 2))

    plain = error(keras.optimizers.Adam(0.0))
    assert error(WhitenedAdam([factor.astype(np.float32), None])) < 0.5 * plain


def test_factors_make_white_what_layers_read() -> None:
    made = part()
    network = Network(made.architecture, made.weights)
    found = input_factors(network, made.contract, images().x)
    assert set(found) == {"conv", "head"}
    features = np.concatenate(
        [each["pool"] for _, each in tensors_of(network, made.contract, images().x, ["pool"])]
    ).astype(np.float64)
    moment = features.T @ features
    relative = moment / np.trace(moment) * len(moment) + 0.01 * np.eye(len(moment))
    factor = found["head"].astype(np.float64)
    assert factor.T @ relative @ factor == pytest.approx(np.eye(len(moment)), abs=1e-3)
    assert found["conv"].shape == (9, 9)
