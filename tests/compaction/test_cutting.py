"""A smaller network computes what the whole one does with its removed channels and branches at zero; costs follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.compaction.blocks import blocks_of
from modhub.compaction.channels import channels_of
from modhub.compaction.costs import CostModel, costs_of
from modhub.compaction.cutting import Structure, cut, removed_ids
from modhub.compaction.folding import folded
from modhub.spec.architecture import INPUT, Architecture, Call, shapes_of
from modhub.spec.layers import BatchNormalization, Conv2D, Dense, GlobalPooling2D, Layer, ReLU
from modhub.spec.rearrangements import Add, Concatenate, Flatten
from tests.oracle.forward import forward
from tests.oracle.fuzzing import fuzz
from tests.oracle.networks import Network, examples, networks


def drawn_structure(data: Any, channels: Any, blocks: Any) -> Structure:
    """Any groups thinned, each to one channel or more, and any blocks dropped."""
    dropped = frozenset(block.sum for block in blocks if data.draw(st.booleans()))
    kept = {}
    for group in channels.groups:
        mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(group), max_size=len(group))), bool)
        mask[0] = mask[0] or not mask.any()
        kept[group.name] = mask
    return Structure(dropped, kept)


@fuzz(20)
@given(networks(), st.data())
def test_folding_changes_no_answer(network: Network, data: Any) -> None:
    images = data.draw(examples(network, most=1)).images
    architecture, weights = folded(network.architecture, network.weights)
    whole = forward(network.architecture, network.weights, images[0])
    small = forward(architecture, weights, images[0])
    np.testing.assert_allclose(small[architecture.features], whole[network.architecture.features], rtol=1e-5, atol=1e-4)
    assert not any(
        isinstance(layer, (Conv2D, Dense)) and (layer.activation != "linear" or not layer.use_bias)
        for name, layer in architecture.layers.items()
        if sum(call.layer == name for call in architecture.calls) == 1
    )


@fuzz(40)
@given(networks(), st.data())
def test_a_cut_network_is_its_masked_twin(network: Network, data: Any) -> None:
    image = data.draw(examples(network, most=1)).images[0]
    architecture, weights = folded(network.architecture, network.weights)
    channels, blocks = channels_of(architecture), blocks_of(architecture)
    structure = drawn_structure(data, channels, blocks)
    smaller, small = cut(architecture, weights, channels, blocks, structure)

    removed = removed_ids(channels, structure)
    kept = {name: ~np.isin(ids, removed) for name, ids in channels.of.items()}
    shapes = shapes_of(architecture)
    masks = {call.id: np.broadcast_to(kept[call.id], shapes[call.id]) for call in architecture.calls}
    for block in blocks:
        if block.sum in structure.dropped:
            end = next(source for source in _call(architecture, block.sum).inputs if source != block.skip)
            masks[end] = np.zeros(shapes[end], bool)
    twin = forward(architecture, weights, image, masks)
    found = forward(smaller, small, image)
    for call in smaller.calls:
        np.testing.assert_allclose(
            found[call.id], twin[call.id][..., kept[call.id]], rtol=1e-4, atol=1e-4, err_msg=call.id
        )
    classes = weights["head/bias"].size
    assert CostModel(architecture, channels, blocks, classes).of(structure) == costs_of(smaller, classes)


def _call(architecture: Architecture, name: str) -> Call:
    return next(call for call in architecture.calls if call.id == name)


def chain(*layers: tuple[str, Layer, tuple[str, ...]], features: str, shape: Any = (4, 4, 2)) -> Architecture:
    return Architecture(
        input_shape=shape,
        layers={name: layer for name, layer, _ in layers},
        calls=tuple(Call(id=name, layer=name, inputs=inputs) for name, _, inputs in layers),
        features=features,
        head="softmax",
    )


def conv(filters: int, groups: int = 1) -> Conv2D:
    return Conv2D(filters=filters, kernel_size=(3, 3), padding="same", groups=groups)


def residual() -> Architecture:
    return chain(
        ("stem", conv(4), (INPUT,)),
        ("stem_relu", ReLU(), ("stem",)),
        ("first", conv(6), ("stem_relu",)),
        ("first_relu", ReLU(), ("first",)),
        ("second", conv(4), ("first_relu",)),
        ("sum", Add(), ("stem_relu", "second")),
        ("sum_relu", ReLU(), ("sum",)),
        ("pool", GlobalPooling2D(kind="global_average_pooling2d"), ("sum_relu",)),
        features="pool",
    )


def test_a_block_is_the_branch_that_a_sum_adds() -> None:
    (block,) = blocks_of(residual())
    assert (block.sum, block.skip, block.calls) == ("sum", "stem_relu", ("first", "first_relu", "second"))


def test_without_its_branch_the_sum_and_its_relu_are_gone() -> None:
    architecture = residual()
    weights = {
        f"{name}/{part}": np.ones(shape, np.float32)
        for name, source in (("stem", (4, 4, 2)), ("first", (4, 4, 4)), ("second", (4, 4, 6)))
        for part, shape in architecture.layers[name].weight_shapes(source).items()
    } | {"head/kernel": np.ones((4, 3), np.float32), "head/bias": np.zeros(3, np.float32)}
    channels, blocks = channels_of(architecture), blocks_of(architecture)
    smaller, small = cut(architecture, weights, channels, blocks, Structure(frozenset({"sum"}), {}))
    assert [call.id for call in smaller.calls] == ["stem", "stem_relu", "pool"]
    assert set(small) == {"stem/kernel", "stem/bias", "head/kernel", "head/bias"}


def test_channels_that_are_added_up_are_one_group() -> None:
    groups = {group.producers: group for group in channels_of(residual()).groups}
    assert groups["stem", "second"].readers == ("first",)
    assert groups["stem", "second"].in_head
    assert groups[("first",)].readers == ("second",)


def test_a_depthwise_convolution_loses_the_channels_of_what_it_reads() -> None:
    architecture = chain(
        ("wide", conv(6), (INPUT,)),
        ("depthwise", conv(6, groups=6), ("wide",)),
        ("narrow", conv(3), ("depthwise",)),
        ("flatten", Flatten(), ("narrow",)),
        features="flatten",
    )
    groups = {group.name: group for group in channels_of(architecture).groups}
    assert groups["wide"].readers == ("narrow",)
    assert groups["narrow"].in_head
    assert "depthwise" not in groups


def test_concatenated_channels_keep_their_own_groups() -> None:
    architecture = chain(
        ("left", conv(2), (INPUT,)),
        ("right", conv(3), (INPUT,)),
        ("both", Concatenate(axis=2), ("left", "right")),
        ("after", conv(4), ("both",)),
        ("pool", GlobalPooling2D(kind="global_max_pooling2d"), ("after",)),
        features="pool",
    )
    found = channels_of(architecture)
    assert {group.name: (len(group), group.readers) for group in found.groups} == {
        "left": (2, ("after",)),
        "right": (3, ("after",)),
        "after": (4, ()),
    }


@pytest.mark.parametrize("groups", [2, 3])
def test_what_cannot_be_thinned_is_named_with_the_reason(groups: int) -> None:
    architecture = chain(
        ("wide", conv(6), (INPUT,)),
        ("grouped", conv(6, groups=groups), ("wide",)),
        ("normal", BatchNormalization(), ("grouped",)),
        ("pool", GlobalPooling2D(kind="global_max_pooling2d"), ("normal",)),
        features="pool",
    )
    fixed = channels_of(architecture).fixed
    assert "mixes channels" in fixed["wide"]
    assert set(fixed) == {"wide", "grouped"}
