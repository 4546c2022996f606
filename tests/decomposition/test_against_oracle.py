"""The fast decomposition finds, node for node, what the slow literal one finds, on random networks."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modhub.decomposition.backtrack import backtracked
from modhub.decomposition.calibration import fit_platt
from modhub.decomposition.head import modular_head
from modhub.decomposition.sites import find_sites
from modhub.engine.decompose.pipeline import decompose_origin
from modhub.engine.read.reader import read_model
from modhub.engine.run.isolated import MaskedNetwork, OriginRunner
from modhub.engine.run.network import Network as Rebuilt
from modhub.package.module import PackedMasks
from modhub.spec.layers import Layer
from modhub.spec.manifest import DecomposeOptions
from tests.oracle import masks as literal
from tests.oracle.backtracking import backtrack
from tests.oracle.decomposition import margin
from tests.oracle.forward import features, logits
from tests.oracle.fuzzing import fuzz
from tests.oracle.keras_models import build, styles
from tests.oracle.networks import Network, examples, networks
from tests.oracle.origins import assert_same_masks, assume_exact, observation_of, oracle_modules, origin_of, slugs_of

# Networks without training need not separate their classes, and the fit of a threshold says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*do not rise with its class")

LAYER_KINDS = [
    kind for layer in get_args(get_args(Layer)[0]) for kind in get_args(layer.model_fields["kind"].annotation)
]
DELTAS = st.sampled_from([0.25, 0.5, 1.0, 2.0, "q50", "q75", "q87.5", "q90", "q95"])


@st.composite
def options(draw, **fixed):
    chosen = {
        "observe": draw(st.sampled_from(["relu", "conv"])),
        "backtrack": draw(st.sampled_from(["none", "last-conv", "input", "input"])),
        "rule": draw(st.sampled_from(["text", "printed"])),
        "delta": draw(DELTAS),
        "seed": draw(st.integers(0, 5)),
        "samples_per_class": draw(st.sampled_from([1, 2, 3, 1000])),
        "batch_size": draw(st.sampled_from([1, 4, 6, 16])),
    }
    return DecomposeOptions(**(chosen | fixed))


def decomposed_quietly(network: Network, data, chosen: DecomposeOptions):
    """Few examples a class are the rule here, so the warning about the ratio is expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return decompose_origin(origin_of(network), slugs_of(network), data.images, data.labels, chosen)


def assert_equal_modules(fast, slow) -> None:
    for module, oracle in zip(fast, slow, strict=True):
        assert_same_masks(oracle.concern, module.concern, f"concern of class {module.index}")
        assert_same_masks(oracle.keep, module.keep, f"masks of class {module.index}")
        found = {name: tuple(counts) for name, counts in module.stages.model_dump().items()}
        assert found == oracle.stages
        assert (module.concerned, module.unconcerned) == (oracle.concerned, oracle.unconcerned)
        if oracle.jaccard is not None:
            assert abs(module.jaccard - oracle.jaccard) < 1e-12
        np.testing.assert_allclose(module.head.kernel, oracle.kernel, rtol=1e-6)
        np.testing.assert_allclose(module.head.bias, oracle.bias, rtol=1e-6)


def test_the_random_networks_reach_every_layer_and_every_stage():
    """What the properties below are worth: all kinds of layers, merges, shared layers, and nodes to remove."""
    ways = list(product(["relu", "conv"], ["text", "printed"]))
    stages = [(*way, stage) for way in ways for stage in ("tangled", "last_conv", "input")]
    wanted: Counter = Counter(dict.fromkeys([*LAYER_KINDS, "shared", "groups", "dilation", *stages], 1))

    @fuzz(200)
    @given(st.data())
    def collect(data):
        network = data.draw(networks())
        inputs = data.draw(examples(network))
        if not +wanted:
            return
        layers = [network.architecture.layers[call.layer] for call in network.architecture.calls]
        seen = {layer.kind for layer in layers} | {"shared" for _ in network.twins}
        seen |= {"groups" for layer in layers if getattr(layer, "groups", 1) > 1}
        seen |= {"dilation" for layer in layers if getattr(layer, "dilation", (1, 1)) != (1, 1)}
        # The oracle is slow, so that it decomposes only in ways of which a stage is missing.
        missing = [way for way in ways if any(wanted[stage] > 0 for stage in stages if stage[:2] == way)]
        observation = observation_of(network, inputs) if missing else None
        for observe, rule in missing:
            chosen = DecomposeOptions(observe=observe, backtrack="input", rule=rule, delta=0.5)
            for module in oracle_modules(network, observation, chosen):
                seen |= {(observe, rule, stage) for stage, counts in module.stages.items() if any(counts)}
        wanted.subtract(seen)

    collect()
    assert not +wanted


@fuzz(80)
@given(networks(), st.sampled_from(["relu", "conv"]))
def test_sites_are_the_oracles(network, observe):
    found = find_sites(network.architecture, observe)
    assert [site.id for site in found] == literal.sites(network.architecture, observe)


@fuzz(16)
@given(st.data())
def test_masks_counts_heads_and_indices_are_the_oracles(data):
    network = data.draw(networks())
    inputs, chosen = data.draw(examples(network)), data.draw(options())
    observation = observation_of(network, inputs, seed=chosen.seed, samples_per_class=chosen.samples_per_class)
    assume_exact(observation)
    result = decomposed_quietly(network, inputs, chosen)
    assert_equal_modules(result.modules, oracle_modules(network, observation, chosen))


@fuzz(50)
@given(st.data())
def test_backtracking_of_any_masks_is_the_oracles(data):
    """Masks drawn at random, not from data: more shapes of holes than concerns make, and no Keras in between."""
    network = data.draw(networks())
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    share = data.draw(st.sampled_from([0.05, 0.3, 0.8, 1.0]))
    observe, delta = data.draw(st.sampled_from(["relu", "conv"])), data.draw(DELTAS)
    keep = {site.id: random.random(site.shape) < share for site in find_sites(network.architecture, observe)}
    kernel, bias = network.weights["head/kernel"], network.weights["head/bias"]
    for c in range(network.classes):
        head = modular_head(kernel, bias, c)
        oracle_head, _ = literal.two_outputs(kernel, bias, c)
        for reach in ("last-conv", "input"):
            for rule in ("text", "printed"):
                ours = backtrack(
                    network.architecture, network.weights, oracle_head, keep, reach=reach, rule=rule, delta=delta
                )
                theirs = backtracked(
                    network.architecture, network.weights, head, keep, backtrack=reach, rule=rule, delta=delta
                )
                assert_same_masks(ours, theirs, f"class {c}, {reach}, {rule}, {delta}")


@fuzz(8)
@given(st.data())
def test_modules_run_by_the_engine_answer_what_the_oracle_answers(data):
    """With their own masks, and with masks of holes that change most answers."""
    network = data.draw(networks())
    inputs, chosen = data.draw(examples(network, most=2)), data.draw(options(backtrack="input"))
    observation = observation_of(network, inputs, seed=chosen.seed, samples_per_class=chosen.samples_per_class)
    assume_exact(observation)
    result = decomposed_quietly(network, inputs, chosen)
    modules = list(result.modules)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    slow = oracle_modules(network, observation, chosen)
    for module, oracle in zip(modules[:], slow[:], strict=True):
        holes = {site: mask & (random.random(mask.shape) < 0.7) for site, mask in module.keep.items()}
        modules.append(replace(module, keep=PackedMasks.of(holes)))
        slow.append(replace(oracle, keep=holes))
    found = OriginRunner(modules[0].origin, modules).margins(inputs.images, chosen.batch_size)
    expected = np.array(
        [[margin(network.architecture, network.weights, oracle, image) for oracle in slow] for image in inputs.images]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    for c, module in enumerate(result.modules):
        own, others = expected[result.sample.indices[c], c], expected[result.sample.unconcerned(c), c]
        np.testing.assert_allclose((module.threshold, module.scale), fit_platt(own, others), rtol=1e-3, atol=1e-3)


@fuzz(8)
@given(st.data())
def test_on_observed_inputs_a_relu_module_has_its_origins_features(data):
    network = data.draw(networks())
    inputs, chosen = data.draw(examples(network)), data.draw(options(observe="relu", backtrack="none"))
    assume_exact(observation_of(network, inputs))
    result = decomposed_quietly(network, inputs, chosen)
    assume(any(not mask.all() for module in result.modules for mask in module.keep.values()))
    origin = result.modules[0].origin
    runner = MaskedNetwork(Rebuilt(origin.architecture, origin.weights), origin.contract, result.modules[0].keep)
    for module in result.modules:
        observed = np.concatenate([result.sample.indices[module.index], result.sample.unconcerned(module.index)])
        runner.set_masks(module.keep)
        found = runner.features(inputs.images[observed], chosen.batch_size)
        whole = [features(network.architecture, network.weights, inputs.images[n]) for n in observed]
        np.testing.assert_allclose(found, np.array(whole), rtol=1e-5, atol=1e-5)


@fuzz(10)
@given(st.data())
def test_real_models_are_read_and_decomposed_as_the_oracle_says(data):
    """Sequential and functional models, nested and with shared layers, from Keras all the way to the masks."""
    network = data.draw(networks())
    inputs, chosen = data.draw(examples(network, most=3)), data.draw(options())
    assume_exact(observation_of(network, inputs))
    model = build(network, data.draw(styles(network)))
    reading = read_model(model)
    architecture, weights = reading.architecture, reading.weights
    read = replace(network, architecture=architecture, weights=weights, blocks=(), twins=())

    def kinds(of: Network) -> Counter:
        return Counter(of.architecture.layers[call.layer].kind for call in of.architecture.calls)

    assert kinds(read) == kinds(network)
    assert len(architecture.layers) == len(network.architecture.layers)
    for image in inputs.images:
        expected = features(network.architecture, network.weights, image)
        np.testing.assert_array_equal(features(architecture, weights, image), expected)
        head = (logits(of.weights["head/kernel"], of.weights["head/bias"], expected) for of in (network, read))
        assert next(head) == next(head)
    observation = observation_of(read, inputs, seed=chosen.seed, samples_per_class=chosen.samples_per_class)
    result = decomposed_quietly(read, inputs, chosen)
    assert_equal_modules(result.modules, oracle_modules(read, observation, chosen))
