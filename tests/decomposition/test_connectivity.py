"""What follows from how kinds of layer say that they read their inputs: backtracking, Jaccard indices, what is unread.

Saying too much would cut a node that is read. So nothing that is called unread may change an answer, whatever stands
there; and a kind that says nothing reads everything.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.decomposition.backtrack import backtracked, unread_tensors
from modhub.decomposition.jaccard import UsedWeights
from modhub.decomposition.sites import find_sites
from modhub.package.module import Head
from modhub.spec import layers as kinds
from modhub.spec import rearrangements as moving
from modhub.spec.architecture import INPUT, Architecture, Call, shapes_of
from modhub.spec.layer_record import LayerRecord
from modhub.spec.layers import Layer
from tests.oracle.forward import forward
from tests.oracle.fuzzing import fuzz
from tests.oracle.networks import networks

#: One or more of every kind, for images of 4 x 4 x 4.
RECORDS: list[LayerRecord] = [
    kinds.Conv2D(filters=2, kernel_size=(2, 3), strides=(2, 1), padding="same"),
    kinds.Conv2D(filters=4, kernel_size=(2, 2), dilation=(2, 1), groups=2),
    kinds.Dense(units=3),
    kinds.BatchNormalization(),
    kinds.ReLU(),
    kinds.Pooling2D(kind="max_pooling2d", pool_size=(2, 2), strides=(3, 2)),
    kinds.Pooling2D(kind="average_pooling2d", pool_size=(3, 2), strides=(1, 2), padding="same"),
    kinds.GlobalPooling2D(kind="global_max_pooling2d", keepdims=True),
    kinds.GlobalPooling2D(kind="global_average_pooling2d"),
    kinds.Identity(),
    kinds.Rescaling(scale=(2.0,), offset=(1.0,)),
    kinds.Normalization(),
    kinds.Elementwise(function="tanh"),
    kinds.Elementwise(function="elu", alpha=0.5),
    kinds.LayerNormalization(epsilon=0.1),
    kinds.GroupNormalization(groups=2, epsilon=0.1),
    moving.Add(),
    moving.Merge(kind="multiply"),
    moving.Merge(kind="subtract"),
    moving.Merge(kind="average"),
    moving.Merge(kind="maximum"),
    moving.Concatenate(axis=1),
    moving.Flatten(),
    moving.Reshape(target_shape=(2, 8, 4)),
    moving.Permute(dims=(2, 0, 1)),
    moving.ZeroPadding2D(padding=((1, 0), (2, 1))),
    moving.Cropping2D(cropping=((1, 0), (0, 2))),
    moving.UpSampling2D(size=(2, 1)),
]


def network_of(record: LayerRecord, random: np.random.Generator) -> tuple[Architecture, dict[str, np.ndarray]]:
    """Two tensors, of which one may be repeated along the other, the ``record`` on them, and a flat vector of it."""
    layers: dict[str, LayerRecord] = {"one": kinds.Identity(), "other": kinds.Identity(), "own": record}
    if isinstance(record, moving.Merge):
        layers["other"] = kinds.GlobalPooling2D(kind="global_average_pooling2d", keepdims=True)
    layers["flat"] = moving.Flatten()
    calls = [Call(id=name, layer=name, inputs=(INPUT,)) for name in ("one", "other")]
    calls.append(Call(id="own", layer="own", inputs=("one", "other") if record.takes_many else ("one",)))
    calls.append(Call(id="flat", layer="flat", inputs=("own",)))
    architecture = Architecture(
        input_shape=(4, 4, 4), layers=layers, calls=tuple(calls), features="flat", head="logits"
    )  # fmt: skip
    shapes = record.weight_shapes((4, 4, 4))
    return architecture, {f"own/{name}": random.uniform(0.5, 2, shape) for name, shape in shapes.items()}


def assert_unread_changes_nothing(
    architecture: Architecture, weights: dict[str, np.ndarray], masks: dict[str, np.ndarray], image: np.ndarray
) -> int:
    """Whatever stands where nothing reads, the features are the same; how many elements nothing reads."""
    unread = unread_tensors(architecture, weights, masks)
    values, count = forward(architecture, weights, image, masks), 0
    random = np.random.default_rng(0)
    for call in architecture.calls:
        if unread[call.id].any():
            count += int(unread[call.id].sum())
            other = np.where(unread[call.id], random.normal(0, 9, unread[call.id].shape), values[call.id])
            found = forward(architecture, weights, image, masks, instead={call.id: other})[architecture.features]
            np.testing.assert_array_equal(found, values[architecture.features], err_msg=call.id)
    return count


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.kind)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_what_a_kind_does_not_read_changes_no_output_of_it(record, share):
    random = np.random.default_rng(RECORDS.index(record))
    architecture, weights = network_of(record, random)
    shape = shapes_of(architecture)["own"]
    image = random.normal(0, 1, (4, 4, 4))
    masks = {"own": random.random(shape) < share}
    assert assert_unread_changes_nothing(architecture, weights, masks, image)


def test_every_kind_is_among_them():
    every = [kind for layer in get_args(get_args(Layer)[0]) for kind in get_args(layer.model_fields["kind"].annotation)]
    assert {record.kind for record in RECORDS} == set(every)


@fuzz(15)
@given(st.data())
def test_what_is_called_unread_changes_no_feature_of_a_random_network(data):
    network = data.draw(networks())
    architecture = network.architecture
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    share = data.draw(st.sampled_from([0.1, 0.5, 0.9]))
    masks = {site.id: random.random(site.shape) < share for site in find_sites(architecture, "relu")}
    image = random.integers(0, 4, architecture.input_shape).astype(np.float64)
    assert_unread_changes_nothing(architecture, network.weights, masks, image)


class Scrambled(LayerRecord):
    """A kind that says nothing of how it reads, as one that somebody adds may."""

    kind: Literal["scrambled"] = "scrambled"


def scrambled_network() -> tuple[Architecture, dict[str, np.ndarray]]:
    """A convolution, a ReLU, what says nothing, and a flat vector of its elements: 2 x 2 x 3."""
    layers = {
        "conv": kinds.Conv2D(filters=3, kernel_size=(1, 1), use_bias=False),
        "relu": kinds.ReLU(),
        "odd": Scrambled(),
        "flat": moving.Flatten(),
    }
    calls = [Call(id=f"{name}:0", layer=name, inputs=(f"{before}:0" if before != INPUT else INPUT,))
             for before, name in zip([INPUT, "conv", "relu", "odd"], layers, strict=True)]  # fmt: skip
    architecture = Architecture(input_shape=(2, 2, 2), layers={}, calls=tuple(calls), features="flat:0", head="logits")
    weights = {"conv/kernel": np.ones((1, 1, 2, 3), np.float32)}
    return architecture.model_copy(update={"layers": layers}), weights


def head_without(*dead: int) -> Head:
    """A head of 12 features of which those named speak against the class, and all others for it."""
    kernel = np.tile(np.array([[1.0, -1.0]], np.float32), (12, 1))
    kernel[list(dead)] = [-1.0, 1.0]
    return Head(kernel, np.zeros(2, np.float32))


@pytest.mark.parametrize(("dead", "left"), [(range(11), 12), (range(12), 0)])
def test_a_kind_that_says_nothing_reads_everything(dead, left):
    assert Scrambled.reads == "everything"
    architecture, weights = scrambled_network()
    shape = (2, 2, 3)
    keep = {"relu:0": np.ones(shape, bool)}
    kept = backtracked(
        architecture, weights, head_without(*dead), keep, backtrack="input", rule="text", delta=0.5
    )["relu:0"]  # fmt: skip
    assert kept.sum() == left
    one = np.zeros(shape, bool)
    one[0, 0, 0] = True
    # One node alone is still read by all there is, and so the weights that lead to it are used, and no others.
    assert UsedWeights(architecture, weights).share({"relu:0": one}) == pytest.approx(1 / 3)
    assert not unread_tensors(architecture, weights, {"relu:0": one})["odd:0"].any()
