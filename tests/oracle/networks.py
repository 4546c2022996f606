"""Hypothesis strategies: small random networks and data whose float32 arithmetic is exact.

Weights and pixels are small integers; divisions (average pools, batch normalisation, rescaling) are by powers of two.
Then every sum is exact in any order, no value sits a rounding error away from zero, and a fast version must find the
oracle's masks bit for bit. Biases lean to the negative so that nodes are dead and backtracking has work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log2, prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from modhub.spec import layers as kinds
from modhub.spec import rearrangements as merging
from modhub.spec.architecture import INPUT, Architecture, Call
from tests.oracle.forward import apply_layer


@dataclass(frozen=True)
class Block:
    """Calls ``first`` to ``last`` (exclusive) of a network that read one tensor and give one: a model may nest them."""

    source: str
    result: str
    first: int
    last: int


@dataclass(frozen=True)
class Network:
    """A random network: what the engine's reader would find, with its head among the weights.

    ``twins`` are pairs of equally built blocks that share their layers; ``blocks`` all others.
    """

    architecture: Architecture
    weights: dict[str, np.ndarray]
    blocks: tuple[Block, ...]
    twins: tuple[tuple[Block, Block], ...]

    @property
    def classes(self) -> int:
        return int(self.weights["head/kernel"].shape[1])

    @property
    def is_chain(self) -> bool:
        calls = self.architecture.calls
        sources = [(INPUT,), *((call.id,) for call in calls[:-1])]
        once = len({call.layer for call in calls}) == len(calls)
        return once and all(call.inputs == source for call, source in zip(calls, sources, strict=True))


@dataclass(frozen=True)
class Examples:
    """Raw images float32 (N, rows, columns, channels) of whole numbers, labels int64 (N,), shuffled."""

    images: np.ndarray
    labels: np.ndarray


@dataclass
class _Drawing:
    """A network under construction. ``random`` draws weights, hypothesis draws the structure."""

    draw: Any
    random: np.random.Generator
    shapes: dict[str, tuple[int, ...]]
    layers: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    twins: list[tuple[Block, Block]] = field(default_factory=list)

    def add(self, layer: Any, *inputs: str) -> str:
        """A new layer, called once."""
        name = f"{layer.kind}_{len(self.layers)}"
        self.layers[name] = layer
        for weight, shape in layer.weight_shapes(self.shapes[inputs[0]]).items():
            self.weights[f"{name}/{weight}"] = self._numbers(layer, weight, shape).astype(np.float32)
        return self.call(name, *inputs)

    def call(self, name: str, *inputs: str) -> str:
        call = Call(id=f"{name}:{sum(call.layer == name for call in self.calls)}", layer=name, inputs=inputs)
        self.calls.append(call)
        blanks = [np.zeros(self.shapes[source]) for source in inputs]
        self.shapes[call.id] = apply_layer(self.layers[name], name, self.weights, blanks).shape
        return call.id

    def again(self, block: Block, source: str) -> str:
        """The block once more with the same layers, reading ``source``."""
        names = {block.source: source}
        first, result = len(self.calls), source
        for call in self.calls[block.first : block.last]:
            result = names[call.id] = self.call(call.layer, *(names[read] for read in call.inputs))
        self.twins.append((block, Block(source, result, first, len(self.calls))))
        return result

    def _numbers(self, layer: Any, weight: str, shape: tuple[int, ...]) -> np.ndarray:
        choose = self.random.choice
        match weight:
            case "kernel":
                kernel = choose([-2, -1, 0, 1, 2], size=shape, p=[0.12, 0.23, 0.3, 0.23, 0.12])
                # A few units that lead only downwards give the printed rule something to find.
                kernel[..., choose([False, True], size=shape[-2], p=[0.85, 0.15]), :] = -1
                return kernel
            case "bias" | "beta":
                low = choose([-9, -2, 0])
                return choose([low, -1, 0, 1, 2], size=shape)
            case "gamma":
                return choose([-1, 0.5, 1, 1, 2], size=shape)
            case "moving_mean" | "mean":
                return choose([-1, 0, 1, 2], size=shape)
            case "moving_variance":
                return choose([0.25, 1, 1, 4], size=shape) - layer.epsilon
            case "variance":
                return choose([0.25, 1, 4], size=shape)
        raise AssertionError(f"no numbers for {weight!r}")


# ---------------------------------------------------------------- blocks: one tensor in, one tensor out


def _convolution(d: _Drawing, source: str, *, filters: int | None = None, keep_size: bool = False) -> str:
    draw, (rows, columns, channels) = d.draw, d.shapes[source]
    if filters is None:
        filters = draw(st.integers(1, 4))
    groups = draw(st.sampled_from([g for g in (1, 1, 2) if channels % g == 0 and filters % g == 0]))
    kernel_size = draw(st.sampled_from([(1, 1), (2, 2), (3, 3), (3, 1), (1, 2)]))
    strides = (1, 1) if keep_size else draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (2, 1)]))
    dilation = draw(st.sampled_from([(1, 1), (2, 2), (2, 1)])) if strides == (1, 1) else (1, 1)
    extent = [(k - 1) * step + 1 for k, step in zip(kernel_size, dilation, strict=True)]
    fits = extent[0] <= rows and extent[1] <= columns and not keep_size
    layer = kinds.Conv2D(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=draw(st.sampled_from(["same", "valid"])) if fits else "same",
        dilation=dilation,
        groups=groups,
        use_bias=draw(st.sampled_from([True, True, False])),
        activation="linear",
    )
    style = draw(st.sampled_from(["argument", "layer", "normalised", "normalised", "linear"]))
    if style == "argument":
        return d.add(layer.model_copy(update={"activation": draw(st.sampled_from(["relu", "relu", "relu6"]))}), source)
    result = d.add(layer, source)
    if style == "normalised":
        result = _batch_normalization(d, result)
    return result if style == "linear" else _relu(d, result)


#: From this many channels on, processors with wide registers take 1 / sqrt(1) for 0.99999988.
_INEXACT = 8


def _batch_normalization(d: _Drawing, source: str) -> str:
    """``source`` normalised, where float32 can do that exactly."""
    if d.shapes[source][-1] >= _INEXACT:
        return source
    center, scale = d.draw(st.booleans()), d.draw(st.booleans())
    return d.add(kinds.BatchNormalization(epsilon=0.125, center=center, scale=scale), source)


def _relu(d: _Drawing, source: str) -> str:
    return d.add(kinds.ReLU(max_value=d.draw(st.sampled_from([None, None, None, 6.0, 3.0]))), source)


def _pooling(d: _Drawing, source: str) -> str:
    rows, columns, _ = d.shapes[source]
    kind = d.draw(st.sampled_from(["max_pooling2d", "average_pooling2d"]))
    sizes = [(2, 2), (2, 1)] if kind == "average_pooling2d" else [(2, 2), (3, 3), (3, 2)]
    pool_size = d.draw(st.sampled_from(sizes))
    fits = pool_size[0] <= rows and pool_size[1] <= columns
    return d.add(
        kinds.Pooling2D(
            kind=kind,
            pool_size=pool_size,
            strides=d.draw(st.sampled_from([(1, 1), (2, 2), (2, 1), (3, 2)])),
            padding=d.draw(st.sampled_from(["same", "valid"])) if fits else "same",
        ),
        source,
    )


def _residual(d: _Drawing, source: str) -> str:
    channels = d.shapes[source][2]
    branch = _convolution(d, source, keep_size=True)
    branch = _convolution(d, branch, filters=channels, keep_size=True)
    sides = d.draw(st.permutations([source, branch]))
    merged = d.add(merging.Add(), *sides)
    return _relu(d, merged) if d.draw(st.booleans()) else merged


def _branches(d: _Drawing, source: str) -> str:
    left = _convolution(d, source, filters=d.draw(st.integers(1, 3)), keep_size=True)
    axis = d.draw(st.sampled_from([2, 2, 0, 1]))
    if axis == 2:
        right = (
            d.draw(st.sampled_from([source, left]))
            if d.draw(st.booleans())
            else _convolution(d, source, keep_size=True)
        )
    else:
        right = _convolution(d, source, filters=d.shapes[left][2], keep_size=True)
    return d.add(merging.Concatenate(axis=axis), left, right)


def _zero_padding(d: _Drawing, source: str) -> str:
    border = st.integers(0, 2)
    return d.add(merging.ZeroPadding2D(padding=((d.draw(border), d.draw(border)), (d.draw(border), 0))), source)


def _harmless(d: _Drawing, source: str) -> str:
    channels = d.shapes[source][-1]
    kind = d.draw(st.sampled_from(["rescaling", "normalization", "identity"]))
    if kind == "identity":
        return d.add(kinds.Identity(), source)
    if kind == "normalization":
        return d.add(kinds.Normalization(), source)
    scale, offset = ((0.5,), (1.0,)) if d.draw(st.booleans()) else ((2.0,) * channels, tuple(range(-1, channels - 1)))
    return d.add(kinds.Rescaling(scale=scale, offset=offset), source)


def _reshaped(d: _Drawing, source: str) -> str:
    rows, columns, channels = d.shapes[source]
    return d.add(
        merging.Reshape(target_shape=(columns, rows * channels, 1) if channels < 3 else (rows, channels, columns)),
        source,
    )


def _pointwise(d: _Drawing, source: str) -> str:
    return d.add(kinds.Dense(units=d.draw(st.integers(1, 4)), activation="relu"), source)


def _doubled(d: _Drawing, source: str) -> str:
    """One tensor read twice by one call: an element of it goes only when both readings go."""
    return d.add(
        d.draw(st.sampled_from([merging.Add(), *[merging.Concatenate(axis=axis) for axis in (0, 1, 2)]])),
        source,
        source,
    )


def _normalised_otherwise(d: _Drawing, source: str) -> str:
    """A normalisation after a convolution that is not simply its output: after the ReLU, or beside another reader."""
    activation = d.draw(st.sampled_from(["linear", "relu"]))
    layer = kinds.Conv2D(filters=d.draw(st.integers(1, 3)), kernel_size=(2, 2), padding="same", activation=activation)
    convolved = d.add(layer, source)
    normalised = _batch_normalization(d, convolved)
    merged = d.add(merging.Add(), convolved, normalised) if d.draw(st.booleans()) else normalised
    return _relu(d, merged) if d.draw(st.booleans()) else merged


def _shared(d: _Drawing, source: str) -> str:
    """A block whose layers are called twice: one after the other, or side by side on the same tensor."""
    first = len(d.calls)
    channels = d.shapes[source][-1]
    if len(d.shapes[source]) == 3:
        once = _convolution(d, source, filters=channels, keep_size=True)
    else:
        once = _hidden(d, source, units=channels)
    block = Block(source, once, first, len(d.calls))
    if d.draw(st.booleans()):
        return d.again(block, once)
    between = d.add(kinds.ReLU(), once)
    twice = d.again(block, between)
    return d.add(merging.Add(), between, twice)


def _hidden(d: _Drawing, source: str, units: int | None = None) -> str:
    units = units or d.draw(st.integers(2, 5))
    use_bias = d.draw(st.sampled_from([True, True, False]))
    style = d.draw(st.sampled_from(["argument", "argument", "layer", "normalised", "dropout", "linear"]))
    if style == "argument":
        return d.add(kinds.Dense(units=units, use_bias=use_bias, activation="relu"), source)
    result = d.add(kinds.Dense(units=units, use_bias=use_bias), source)
    if style == "normalised":
        result = _batch_normalization(d, result)
    if style == "dropout":
        result = d.add(kinds.Identity(), result)
    return result if style == "linear" else _relu(d, result)


def _dense_residual(d: _Drawing, source: str) -> str:
    return d.add(merging.Add(), source, _hidden(d, source, units=d.shapes[source][0]))


def _dense_branches(d: _Drawing, source: str) -> str:
    left = _hidden(d, source)
    return d.add(merging.Concatenate(axis=0), left, _hidden(d, source) if d.draw(st.booleans()) else source)


def _through_image(d: _Drawing, source: str) -> str:
    """Hidden dense units that become an image again, in front of a convolution."""
    units = d.add(kinds.Dense(units=8, activation="relu"), source)
    image = d.add(merging.Reshape(target_shape=(2, 2, 2)), units)
    return d.add(merging.Flatten(), _convolution(d, image))


def _cropped(d: _Drawing, source: str) -> str:
    rows, columns, _ = d.shapes[source]
    tops, lefts = (d.draw(st.integers(0, 1 if extent > 2 else 0)) for extent in (rows, columns))
    bottoms = d.draw(st.integers(0, 1 if rows > 3 else 0))
    return d.add(merging.Cropping2D(cropping=((tops, bottoms), (lefts, 0))), source)


def _upsampled(d: _Drawing, source: str) -> str:
    if prod(d.shapes[source]) > 80:
        return _cropped(d, source)
    return d.add(merging.UpSampling2D(size=d.draw(st.sampled_from([(2, 1), (1, 2), (2, 2)]))), source)


def _permuted(d: _Drawing, source: str) -> str:
    return d.add(merging.Permute(dims=tuple(d.draw(st.permutations([0, 1, 2])))), source)


def _function(d: _Drawing, source: str) -> str:
    """Of all functions of one element the hard hyperbolic tangent is exact in float32."""
    return d.add(kinds.Elementwise(function="hard_tanh"), source)


def _inexact(d: _Drawing, source: str) -> str:
    """Layers that read everything; where numbers have to be exact, networks with them are passed over."""
    center, scale = d.draw(st.booleans()), d.draw(st.booleans())
    if d.draw(st.booleans()):
        return d.add(kinds.LayerNormalization(epsilon=0.125, center=center, scale=scale), source)
    groups = d.draw(st.sampled_from([n for n in (1, 2, 3) if d.shapes[source][-1] % n == 0]))
    return d.add(kinds.GroupNormalization(groups=groups, epsilon=0.125, center=center, scale=scale), source)


def _merged(d: _Drawing, source: str) -> str:
    """A difference, mean or maximum of two readings, of which one may be repeated along rows and columns."""
    kind = d.draw(st.sampled_from(["subtract", "average", "maximum"]))
    other = _convolution(d, source, filters=d.shapes[source][2], keep_size=True)
    if d.draw(st.booleans()):
        other = d.add(kinds.GlobalPooling2D(kind="global_max_pooling2d", keepdims=True), other)
    return d.add(merging.Merge(kind=kind), *d.draw(st.permutations([source, other])))


def _gated(d: _Drawing, source: str) -> str:
    """A squeeze-and-excite block: each channel times a number that was made of all its positions."""
    squeezed = d.add(kinds.GlobalPooling2D(kind="global_max_pooling2d", keepdims=True), source)
    gate = _convolution(d, squeezed, filters=d.shapes[source][2], keep_size=True)
    gate = d.add(kinds.Elementwise(function="hard_tanh"), gate)
    return d.add(merging.Merge(kind="multiply"), *d.draw(st.permutations([source, gate])))


_CHAIN = [
    _convolution,
    _convolution,
    _convolution,
    _pooling,
    _pooling,
    _zero_padding,
    _zero_padding,
    _harmless,
    _reshaped,
    _pointwise,
    _cropped,
    _upsampled,
    _permuted,
    _function,
]
_GRAPH = [
    _residual,
    _residual,
    _branches,
    _merged,
    _merged,
    _gated,
    _inexact,
    _shared,
    _doubled,
    _normalised_otherwise,
    *_CHAIN,
]
_DENSE_CHAIN = [_hidden, _hidden, _through_image]
_DENSE_GRAPH = [_dense_residual, _dense_branches, _shared, *_DENSE_CHAIN]


def _vector(d: _Drawing, source: str) -> str:
    rows, columns, channels = d.shapes[source]
    ways = ["flatten", "reshape", "global_max_pooling2d"]
    if log2(rows * columns).is_integer():
        ways += ["global_average_pooling2d"] * 2
    way = d.draw(st.sampled_from(ways))
    if way == "flatten":
        return d.add(merging.Flatten(), source)
    if way == "reshape":
        return d.add(merging.Reshape(target_shape=(rows * columns * channels,)), source)
    keepdims = d.draw(st.sampled_from([False, False, True]))
    pooled = d.add(kinds.GlobalPooling2D(kind=way, keepdims=keepdims), source)
    return d.add(merging.Flatten(), pooled) if keepdims else pooled


@st.composite
def networks(draw: Any, *, classes: int | None = None, chain: bool | None = None, size: int = 4) -> Network:
    """Networks of a few blocks on images of 4 to 8 pixels, 1 to 3 channels.

    ``chain`` asks for one layer after the other (True) or allows branches, merges and shared layers (False).
    """
    chain = draw(st.sampled_from([False, False, True])) if chain is None else chain
    shape = (draw(st.integers(4, 8)), draw(st.integers(4, 8)), draw(st.integers(1, 3)))
    d = _Drawing(draw, np.random.default_rng(draw(st.integers(0, 2**32 - 1))), {INPUT: shape})
    tensor = INPUT
    if draw(st.sampled_from([False, False, True])):
        tensor = _block(d, _harmless, tensor)
    if draw(st.integers(0, 9)):
        tensor = _block(d, _convolution, tensor)
        for _ in range(draw(st.integers(0, size))):
            tensor = _block(d, draw(st.sampled_from(_CHAIN if chain else _GRAPH)), tensor)
            if prod(d.shapes[tensor]) > 300:
                tensor = _block(d, _pooling, tensor)
    tensor = _vector(d, tensor)
    for _ in range(draw(st.integers(0, 3))):
        tensor = _block(d, draw(st.sampled_from(_DENSE_CHAIN if chain else _DENSE_GRAPH)), tensor)
    if not any(kinds.is_relu(layer) for layer in d.layers.values()):
        tensor = d.add(kinds.ReLU(), d.add(kinds.Dense(units=3), tensor))
    n = classes or draw(st.integers(2, 4))
    head = draw(st.sampled_from(["softmax", "logits", *["sigmoid"] * (n == 2)]))
    architecture = Architecture(input_shape=shape, layers=d.layers, calls=tuple(d.calls), features=tensor, head=head)
    d.weights |= _head(d.random, d.shapes[tensor][0], n, head)
    return Network(architecture, d.weights, tuple(d.blocks), tuple(d.twins))


def _block(d: _Drawing, block: Any, source: str) -> str:
    first, twins = len(d.calls), len(d.twins)
    result = block(d, source)
    if len(d.twins) == twins:
        d.blocks.append(Block(source, result, first, len(d.calls)))
    return result


def _head(random: np.random.Generator, features: int, classes: int, head: str) -> dict[str, np.ndarray]:
    # Multiples of (classes - 1) make the mean over the other classes a short binary fraction.
    numbers = random.choice([-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3], size=(features, classes)) * (classes - 1)
    bias = random.choice([-2, -1, 0, 1, 2], size=classes) * (classes - 1)
    # Features that speak for one class only, and for every class but one, are what backtracking looks for.
    for row in np.flatnonzero(random.random(features) < 0.5):
        sign = random.choice([-1, 1])
        numbers[row] = sign * (classes - 1)
        numbers[row, random.integers(classes)] = -sign * (classes - 1)
    if head == "sigmoid":
        numbers[:, 0], bias[0] = 0, 0
    return {"head/kernel": numbers.astype(np.float32), "head/bias": bias.astype(np.float32)}


@st.composite
def examples(draw: Any, network: Network, *, most: int = 5) -> Examples:
    """1 to ``most`` images of each class, in mixed order. Classes light up different corners, so that nodes differ."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = [draw(st.integers(1, most)) for _ in range(network.classes)]
    labels = random.permutation(np.repeat(np.arange(network.classes), counts))
    rows, columns, channels = network.architecture.input_shape
    images = random.choice([0, 0, 0, 1, 2, 3], size=(len(labels), rows, columns, channels))
    for image, label in zip(images, labels, strict=True):
        image[: label % 2 * (rows // 2)] = 0
        image[:, : label // 2 * (columns // 2)] = 0
    return Examples(images.astype(np.float32), labels.astype(np.int64))
