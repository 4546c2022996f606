"""``modhub.decompose`` as a user calls it: a Keras model and raw images in, the oracle's modules out."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

import modhub
from modhub.spec.manifest import DecomposeOptions
from tests.oracle.forward import features, logits
from tests.oracle.fuzzing import fuzz
from tests.oracle.keras_models import build, styles
from tests.oracle.networks import Examples, Network, networks
from tests.oracle.origins import assert_same_masks, assume_exact, observation_of, oracle_modules


def labelled_by_itself(network: Network, random: np.random.Generator) -> tuple[Network, np.ndarray, Examples]:
    """Raw images 0 to 12 for a network that takes a quarter of them, and labels that the network itself gives.

    The head's bias is moved so that every class wins somewhere; a network that sees no difference is given up.
    """
    raw = random.choice([0, 0, 4, 8, 12], size=(24, *network.architecture.input_shape)).astype(np.uint8)
    images = raw.astype(np.float32) / 4
    vectors = [features(network.architecture, network.weights, image) for image in images]
    kernel, classes = network.weights["head/kernel"], network.classes
    scores = np.array([logits(kernel, np.zeros(classes), vector) for vector in vectors])
    bias = np.round(-np.median(scores, axis=0)) + 0.0
    if network.architecture.head == "sigmoid":
        bias[0] = 0.0
    labels = np.argmax(scores + bias, axis=1)
    assume(set(labels) == set(range(classes)))
    moved = replace(network, weights=network.weights | {"head/bias": bias.astype(np.float32)})
    return moved, raw, Examples(images, labels)


@fuzz(4)
@given(st.data())
def test_decompose_gives_the_oracles_modules(data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    network, raw, inputs = labelled_by_itself(data.draw(networks()), random)
    model = build(network, data.draw(styles(network)))
    chosen = DecomposeOptions(
        observe=data.draw(st.sampled_from(["relu", "conv"])),
        backtrack=data.draw(st.sampled_from(["none", "last-conv", "input"])),
        rule=data.draw(st.sampled_from(["text", "printed"])),
        delta=data.draw(st.sampled_from([0.5, "q75"])),
        samples_per_class=data.draw(st.sampled_from([3, 1000])),
        seed=data.draw(st.integers(0, 3)),
        batch_size=8,
    )
    names = [f"thing {k}" for k in range(network.classes)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = modhub.decompose(
            model, raw, inputs.labels, classes=names, name="me/net", rescale=0.25, **chosen.model_dump()
        )
    origin = result.origin
    read = replace(network, architecture=origin.architecture, weights=dict(origin.weights), blocks=(), twins=())
    observation = observation_of(read, inputs, seed=chosen.seed, samples_per_class=chosen.samples_per_class)
    assume_exact(observation)
    for module, oracle in zip(result.modules, oracle_modules(read, observation, chosen), strict=True):
        assert module.name == names[module.index]
        assert_same_masks(oracle.keep, module.keep, module.name)
        assert_same_masks(oracle.concern, module.concern, module.name)
        assert {name: tuple(counts) for name, counts in module.stages.model_dump().items()} == oracle.stages
        np.testing.assert_allclose(module.head.kernel, oracle.kernel, rtol=1e-6)


@fuzz(2)
@given(st.data())
def test_the_same_input_gives_the_same_digests(data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    network, raw, inputs = labelled_by_itself(data.draw(networks()), random)
    model = build(network)
    names = [f"thing {k}" for k in range(network.classes)]

    def digests() -> list[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            decomposition = modhub.decompose(
                model, raw, inputs.labels, classes=names, name="me/net", rescale=0.25, batch_size=8
            )
        return [module.digest for module in decomposition.modules]

    first = digests()
    assert all(first)
    assert digests() == first
