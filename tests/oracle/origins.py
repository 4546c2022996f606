"""From a random network to what the code under test takes, and the oracle's side of the same case."""

from __future__ import annotations

import numpy as np
from hypothesis import assume

from modhub.decomposition.sampling import class_order
from modhub.package.module import Origin
from modhub.spec.input_contract import ArrayContract, ImageContract, InputContract
from modhub.spec.manifest import DecomposeOptions
from tests.oracle.decomposition import OracleModule, decompose
from tests.oracle.forward import is_exact
from tests.oracle.masks import Observation, observe_inputs
from tests.oracle.networks import Examples, Network


def origin_of(network: Network) -> Origin:
    """The network as an origin that takes raw images, or arrays, as they are."""
    shape = network.architecture.input_shape
    if len(shape) == 3:
        height, width, channels = shape
        contract: InputContract = ImageContract(
            height=height, width=width, channels=channels, dtype="float32", value_range=(0.0, 3.0), colour="other"
        )
    else:
        contract = ArrayContract(shape=shape, dtype="float32", value_range=(0.0, 3.0))
    return Origin(
        namespace="test",
        model="net",
        classes=tuple(f"class {k}" for k in range(network.classes)),
        architecture=network.architecture,
        weights=network.weights,
        contract=contract,
        fingerprint="sha256:" + "0" * 64,
    )


def slugs_of(network: Network) -> list[str]:
    return [f"class-{k}" for k in range(network.classes)]


def observation_of(
    network: Network, examples: Examples, *, seed: int = 0, samples_per_class: int = 1000
) -> Observation:
    """The oracle's pass over the data, each class's inputs in the seeded order."""
    counts = [int(sum(label == k for label in examples.labels)) for k in range(network.classes)]
    return observe_inputs(
        network.architecture,
        network.weights,
        examples.images,
        examples.labels,
        [class_order(count, k, seed) for k, count in enumerate(counts)],
        samples_per_class,
    )


def assume_exact(observation: Observation) -> None:
    """Give a random case up when float32 could not hold its numbers exactly."""
    assume(all(is_exact(values) for inputs in observation.inputs for values in inputs))


def oracle_modules(network: Network, observation: Observation, options: DecomposeOptions) -> list[OracleModule]:
    return decompose(
        network.architecture,
        network.weights,
        observation,
        observe=options.observe,
        reach=options.backtrack,
        rule=options.rule,
        delta=options.delta,
    )


def assert_same_masks(ours, theirs, what: str) -> None:
    """``ours`` are the oracle's masks, ``theirs`` the fast version's; the same sites, the same nodes."""
    assert list(theirs) == list(ours), what
    for site, mask in ours.items():
        found = np.asarray(theirs[site])
        assert found.dtype == bool
        np.testing.assert_array_equal(found, mask, err_msg=f"{what} at {site}")
