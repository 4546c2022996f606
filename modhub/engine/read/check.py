"""Is the network what we think it is? Comparisons that run the network a little before and after cutting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras
from modhub.engine.run.isolated import MaskedNetwork
from modhub.engine.run.network import Network, preprocess
from modhub.errors import UnsupportedModel
from modhub.package.codec import negative_variance
from modhub.package.module import Origin, Weights
from modhub.spec.input_contract import InputContract
from modhub.spec.manifest import Accuracy

_COMPARED = 16


def check_reading(model: keras.Model, origin: Origin, images: NDArray[Any], network: Network | None = None) -> None:
    """Raise UnsupportedModel unless the rebuilt network answers as ``model`` does on a few raw images.

    Keras loads some models wrongly without an error, and a graph may hold what its layers do not say. ``network`` is
    the rebuilt one where it stands already. Both run uncompiled: so few images are not worth a compilation.
    """
    few = preprocess(images[:_COMPARED], origin.contract)
    answer = keras.tree.flatten(model(few, training=False))[0]
    expected = keras.ops.convert_to_numpy(keras.ops.cast(answer, "float32"))
    if not np.isfinite(expected).all():
        raise UnsupportedModel(
            f"the model {model.name!r} answers NaN or infinity.",
            kind="not-finite",
            hint="its training diverged; or do rescale, mean and std match it?",
        )
    network = network or Network(origin.architecture, origin.weights)
    features = keras.ops.convert_to_numpy(network.run(few))
    logits = features @ origin.weights["head/kernel"] + origin.weights["head/bias"]
    actual = _squashed(logits, origin.architecture.head)
    if expected.shape[1:] == (1,) and actual.shape[1] == 2:
        # One logit z is stored as the pair (0, z).
        actual = actual[:, 1:]
    exact = all(layer.compute_dtype in ("float32", "float64") for layer in model._flatten_layers())
    tolerance = 1e-3 if exact else 5e-2
    if origin.architecture.head != "logits":
        # Confident models answer 0 and 1 whatever else is wrong; logarithms still tell.
        least = 1e-30 if exact else 1e-4
        expected, actual = (np.log(np.maximum(answers, least)) for answers in (expected, actual))
    difference = float(np.abs(expected - actual).max()) if expected.shape == actual.shape else np.inf
    scale = max(1.0, float(np.abs(expected).max()))
    if not difference <= tolerance * scale:
        raise UnsupportedModel(
            f"rebuilt from its layers, the model {model.name!r} answers differently (by {difference:.3g}).",
            kind="unsupported-graph",
            hint="its graph does something that its layers do not say; build it from standard layers.",
            difference=difference,
        )


def logits_of(origin: Origin, contract: InputContract, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
    """The origin's logits under ``contract`` for raw images; float32 (N, classes)."""
    network = MaskedNetwork(Network(origin.architecture, origin.weights), contract, ())
    return np.asarray(
        network.features(images, batch_size) @ origin.weights["head/kernel"] + origin.weights["head/bias"]
    )


def _squashed(logits: NDArray[np.float32], head: str) -> NDArray[np.float32]:
    if head == "logits":
        return logits
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities[:, 1:] if head == "sigmoid" else probabilities


def accuracy_of(logits: NDArray[np.floating], labels: NDArray[np.integer], data: str) -> Accuracy:
    """Top-1 and top-5 shares of scores (N, classes) against labels (N,)."""
    order = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    return Accuracy(
        data=data,
        examples=len(labels),
        top_1=float((order[:, 0] == labels).mean()),
        top_5=float((order == labels[:, None]).any(axis=1).mean()),
    )


def check_weights_finite(weights: Weights) -> None:
    """Raise UnsupportedModel naming the first weight with NaN or infinity, or a variance below zero."""
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise UnsupportedModel(
                f"the weight {name} holds NaN or infinity.",
                kind="not-finite",
                hint="the training diverged; train it again.",
            )
    if (negative := negative_variance(weights)) is not None:
        raise UnsupportedModel(
            f"the weight {negative} holds a variance below zero, of which there is no root.",
            kind="not-finite",
            hint="was the file damaged, or written by another program? train or save the model again.",
        )
