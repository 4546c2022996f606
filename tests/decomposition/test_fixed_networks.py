"""Networks small enough to work out on paper: which nodes each rule of backtracking removes, to the node.

The numbers in the tables were worked out by hand from docs/algorithm.md; the oracle and the fast version must both
give them.
"""

from __future__ import annotations

import numpy as np
import pytest

from modhub.decomposition.sites import find_sites
from modhub.engine.decompose.pipeline import decompose_origin
from modhub.engine.run.isolated import OriginRunner
from modhub.package.module import PackedMasks
from modhub.spec import layers as kinds
from modhub.spec import rearrangements
from modhub.spec.architecture import INPUT, Architecture, Call
from modhub.spec.manifest import DecomposeOptions
from tests.oracle.masks import sites
from tests.oracle.networks import Examples, Network
from tests.oracle.origins import assert_same_masks, observation_of, oracle_modules, origin_of, slugs_of

# Networks without training need not separate their classes, and the fit of a threshold says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*do not rise with its class")


def network_of(layers, calls, weights, head) -> Network:
    architecture = Architecture(
        input_shape=(4, 4, 1),
        layers=layers,
        calls=tuple(Call(id=name, layer=name, inputs=inputs) for name, inputs in calls.items()),
        features=list(calls)[-1],
        head="softmax",
    )
    named = {name: np.array(numbers, np.float32) for name, numbers in weights.items()}
    named |= {"head/kernel": np.array(head, np.float32), "head/bias": np.zeros(2, np.float32)}
    return Network(architecture, named, (), ())


def chain() -> Network:
    """Two channels of one pixel each, halved channel by channel, flattened onto three hidden units.

    Unit 0 reads channel 0; units 1 and 2 read channel 1, but for its last position, which speaks against all three.
    Unit 0 speaks for class 1 and against class 0, unit 1 the other way round, unit 2 for both.
    """
    dense = np.zeros((2, 2, 2, 3))
    dense[:, :, 0, 0] = 1
    dense[:, :, 1, 1:] = 1
    dense[1, 1, 1, :] = -1
    return network_of(
        {
            "spread": kinds.Conv2D(filters=2, kernel_size=(1, 1), activation="relu"),
            "halve": kinds.Conv2D(filters=2, kernel_size=(2, 2), strides=(2, 2), groups=2, activation="relu"),
            "flatten": rearrangements.Flatten(),
            "hidden": kinds.Dense(units=3, activation="relu"),
        },
        {"spread": (INPUT,), "halve": ("spread",), "flatten": ("halve",), "hidden": ("flatten",)},
        {
            "spread/kernel": np.ones((1, 1, 1, 2)),
            "spread/bias": [0, 0],
            "halve/kernel": np.ones((2, 2, 1, 2)),
            "halve/bias": [0, 0],
            "hidden/kernel": dense.reshape(8, 3),
            "hidden/bias": [0, 0, 0],
        },
        [[-1, 1], [1, -1], [1, 1]],
    )


def shortcut() -> Network:
    """A shortcut past a normalised convolution whose two channels do not mix, then one global mean a channel."""
    kernel = np.zeros((3, 3, 1, 2))
    kernel[1, 1] = 1
    return network_of(
        {
            "spread": kinds.Conv2D(filters=2, kernel_size=(1, 1), activation="relu"),
            "conv": kinds.Conv2D(filters=2, kernel_size=(3, 3), padding="same", groups=2, use_bias=False),
            "norm": kinds.BatchNormalization(epsilon=0.25, center=False, scale=False),
            "add": rearrangements.Add(),
            "relu": kinds.ReLU(),
            "mean": kinds.GlobalPooling2D(kind="global_average_pooling2d"),
        },
        {
            "spread": (INPUT,),
            "conv": ("spread",),
            "norm": ("conv",),
            "add": ("spread", "norm"),
            "relu": ("add",),
            "mean": ("relu",),
        },
        {
            "spread/kernel": np.ones((1, 1, 1, 2)),
            "spread/bias": [0, 0],
            "conv/kernel": kernel,
            "norm/moving_mean": [0, 0],
            "norm/moving_variance": [0.75, 0.75],
        },
        [[-1, 1], [1, 1]],
    )


def overlapping() -> Network:
    """Rows and columns pooled three by three at stride two, so that positions 0 to 4 share a border at position 2.

    The pools' four outputs lead to two hidden units: the first row to unit 0, the second to unit 1. Of the 5 x 5
    positions, padded from 4 x 4, only those that no window of the second row reads go with unit 0.
    """
    dense = np.zeros((2, 2, 2))
    dense[0, :, 0] = 1
    dense[1, :, 1] = 1
    return network_of(
        {
            "spread": kinds.Conv2D(filters=1, kernel_size=(1, 1), activation="relu"),
            "pad": rearrangements.ZeroPadding2D(padding=((1, 0), (0, 1))),
            "pool": kinds.Pooling2D(kind="max_pooling2d", pool_size=(3, 3), strides=(2, 2)),
            "flatten": rearrangements.Flatten(),
            "hidden": kinds.Dense(units=2, activation="relu"),
        },
        {"spread": (INPUT,), "pad": ("spread",), "pool": ("pad",), "flatten": ("pool",), "hidden": ("flatten",)},
        {
            "spread/kernel": np.ones((1, 1, 1, 1)),
            "spread/bias": [0],
            "hidden/kernel": dense.reshape(4, 2),
            "hidden/bias": [0, 0],
        },
        [[-1, 1], [1, 1]],
    )


BRIGHT = Examples(np.ones((4, 4, 4, 1), np.float32), np.array([0, 1, 0, 1]))


def test_sites_are_where_the_two_readings_of_activity_put_them():
    """Every case of "a convolution's own output": normalised, with its ReLU inside, and read by others as well."""
    conv = kinds.Conv2D(filters=1, kernel_size=(1, 1))
    layers = {
        "plain": conv,
        "plain_norm": kinds.BatchNormalization(),
        "plain_relu": kinds.ReLU(),
        "inside": conv.model_copy(update={"activation": "relu"}),
        "inside_norm": kinds.BatchNormalization(),
        "bypassed": conv,
        "bypassed_norm": kinds.BatchNormalization(),
        "add": rearrangements.Add(),
        "flatten": rearrangements.Flatten(),
        "flat_relu": kinds.ReLU(),
        "dense": kinds.Dense(units=2),
        "dense_norm": kinds.BatchNormalization(),
        "dropout": kinds.Identity(),
        "dense_relu": kinds.ReLU(),
        "hidden": kinds.Dense(units=2, activation="relu6"),
        "linear": kinds.Dense(units=2),
    }
    sources = dict(zip(layers, [(INPUT,), *((name,) for name in layers)], strict=False))
    network = network_of(layers, sources | {"add": ("bypassed", "bypassed_norm")}, {}, np.zeros((2, 2)))
    readings = {
        "relu": ["plain_relu", "inside", "flat_relu", "dense_relu", "hidden"],
        "conv": ["plain_norm", "inside", "bypassed", "dense_relu", "hidden"],
    }
    for observe, expected in readings.items():
        assert [site.id for site in find_sites(network.architecture, observe)] == expected
        assert sites(network.architecture, observe) == expected


#: network, observe, rule; for each class the nodes removed at each site up to the last convolution, then further.
WORKED_OUT = [
    # Class 0 loses unit 0 and the four positions of channel 0 before it; MC-BI also the sixteen that only they read.
    (chain, "relu", "text", [((0, 4, 1), (16, 0, 0)), ((0, 0, 1), (0, 0, 0))]),
    # The printed rule takes the unit that speaks for the class, and the position whose weights are all negative.
    (chain, "relu", "printed", [((0, 1, 1), (4, 0, 0)), ((0, 1, 1), (4, 0, 0))]),
    (chain, "conv", "text", [((0, 4, 1), (16, 0, 0)), ((0, 0, 1), (0, 0, 0))]),
    # The shortcut keeps channel 0 of the first site alive until the convolution beside it is passed as well.
    (shortcut, "relu", "text", [((0, 16), (16, 0)), ((0, 0), (0, 0))]),
    (shortcut, "conv", "text", [((0, 16), (16, 0)), ((0, 0), (0, 0))]),
    (shortcut, "relu", "printed", [((0, 0), (0, 0)), ((0, 16), (16, 0))]),
    # Rows 0 and 1 of the padded image go, of which row 0 is padding: one row of four.
    (overlapping, "relu", "text", [((4, 1), (0, 0)), ((0, 0), (0, 0))]),
]


@pytest.mark.parametrize(("make", "observe", "rule", "removed"), WORKED_OUT)
@pytest.mark.parametrize("backtrack", ["last-conv", "input"])
def test_backtracking_removes_what_was_worked_out_by_hand(make, observe, rule, removed, backtrack):
    network = make()
    options = DecomposeOptions(observe=observe, backtrack=backtrack, rule=rule, delta=0.5, batch_size=4)
    modules = decompose_origin(origin_of(network), slugs_of(network), BRIGHT.images, BRIGHT.labels, options).modules
    oracle = oracle_modules(network, observation_of(network, BRIGHT), options)
    for fast, slow, (last_conv, further) in zip(modules, oracle, removed, strict=True):
        further = further if backtrack == "input" else (0,) * len(further)
        assert slow.stages["last_conv"] == fast.stages.last_conv == last_conv
        assert slow.stages["input"] == fast.stages.input == further
        assert slow.stages["tangled"] == fast.stages.tangled == (0,) * len(further)
        assert_same_masks(slow.keep, fast.keep, f"class {fast.index}")


def test_masks_remove_the_right_nodes_and_change_the_answer():
    """The counts above could be right at the wrong places; here are the places, and what they do to the margin."""
    network = chain()
    options = DecomposeOptions(backtrack="input", batch_size=4)
    module = decompose_origin(origin_of(network), slugs_of(network), BRIGHT.images, BRIGHT.labels, options).modules[0]
    np.testing.assert_array_equal(module.keep["hidden"], [False, True, True])
    np.testing.assert_array_equal(module.keep["halve"], np.broadcast_to([False, True], (2, 2, 2)))
    np.testing.assert_array_equal(module.keep["spread"], np.broadcast_to([False, True], (4, 4, 2)))
    # Units 0, 1, 2 hold 4 * 4 - 4 = 12, 3 * 4 - 4 = 8 and 8; the head's margins a unit are -2, 2 and 0.
    whole = PackedMasks.of({site: np.ones_like(mask) for site, mask in module.keep.items()})
    origin = module.__class__(**{**vars(module), "keep": whole})
    margins = OriginRunner(module.origin, [module, origin]).margins(BRIGHT.images, 4)
    np.testing.assert_allclose(margins, np.broadcast_to([16.0, -8.0], (4, 2)))


@pytest.mark.parametrize(("delta", "gone"), [(0.5, 1), (1.0, 1), (1.5, 0), ("q50", 1), ("q95", 1)])
def test_delta_may_be_a_number_or_a_quantile_of_the_weights_compared(delta, gone):
    network = chain()
    options = DecomposeOptions(backtrack="last-conv", delta=delta, batch_size=4)
    module = decompose_origin(origin_of(network), slugs_of(network), BRIGHT.images, BRIGHT.labels, options).modules[0]
    assert module.stages.last_conv[2] == gone
    assert (
        module.stages.last_conv
        == oracle_modules(network, observation_of(network, BRIGHT), options)[0].stages["last_conv"]
    )


def test_tangling_takes_one_unconcerned_input_for_each_concerned_one():
    """Every input lights its own node. Of 4, 2 and 2 inputs, class 0 takes 2 of each other class, they 1 of each."""
    network = network_of(
        {
            "spread": kinds.Conv2D(filters=1, kernel_size=(1, 1), activation="relu"),
            "flatten": rearrangements.Flatten(),
        },
        {"spread": (INPUT,), "flatten": ("spread",)},
        {"spread/kernel": np.ones((1, 1, 1, 1)), "spread/bias": [0]},
        np.ones((16, 3)),
    )
    network.weights["head/bias"] = np.zeros(3, np.float32)
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    images = np.zeros((8, 4, 4, 1), np.float32)
    for place, image in enumerate(images):
        image[place // 4, place % 4] = 1
    options = DecomposeOptions(backtrack="none", batch_size=4)
    modules = decompose_origin(origin_of(network), slugs_of(network), images, labels, options).modules
    assert [module.stages.concern for module in modules] == [(4,), (2,), (2,)]
    assert [module.stages.tangled for module in modules] == [(4,), (2,), (2,)]
    assert [(module.concerned, module.unconcerned) for module in modules] == [(4, 4), (2, 2), (2, 2)]
    assert [round(module.jaccard * 8) for module in modules] == [8, 4, 4]
