"""MC-BLC and MC-BI, literally: which nodes lead only to nodes that are gone.

Tensors are walked from the features backwards. An element is dead when every reader of its tensor says so. Masks change
only at sites: there a node goes when it is dead, and every node that is not kept, for whatever reason, is dead for the
layers before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from modhub.spec.architecture import Architecture
from tests.oracle.forward import forward, windows
from tests.oracle.masks import Masks


def threshold(delta: float | str, numbers: Any) -> float:
    """``delta`` as a number: itself, or for ``q95`` the .95 quantile of the absolute values of ``numbers``.

    Between two values it interpolates linearly; it counts in fractions, so no rounding decides a tie.
    """
    if not isinstance(delta, str):
        return float(delta)
    ordered = sorted(abs(float(number)) for number in np.ravel(numbers))
    place = Fraction(delta.removeprefix("q")) / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = Fraction(ordered[below]), Fraction(ordered[above])
    return float(low + (high - low) * (place - below))


def backtrack(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    head: np.ndarray,
    keep: Masks,
    *,
    reach: str,
    rule: str,
    delta: float | str,
) -> Masks:
    """``keep`` less the nodes that backtracking removes.

    ``head`` is the module's two-output kernel (features, 2). ``reach`` is ``last-conv`` or ``input``.
    """
    walk = _Walk(architecture, weights, reach, rule, delta)
    result: Masks = {}
    dead: dict[str, np.ndarray] = {}
    for call in reversed(architecture.calls):
        opinions = [
            walk.says_dead(reader, place, dead[reader.id])
            for reader in architecture.calls
            for place, source in enumerate(reader.inputs)
            if source == call.id
        ]
        if call.id == architecture.features:
            opinions.append(dead_features(head, rule, delta))
        gone = np.zeros(walk.shapes[call.id], dtype=bool)
        for position in np.ndindex(gone.shape):
            gone[position] = bool(opinions) and all(opinion[position] for opinion in opinions)
        if call.id in keep:
            mask = keep[call.id].copy()
            for position in np.ndindex(mask.shape):
                if gone[position]:
                    mask[position] = False
                gone[position] = not mask[position]
            result[call.id] = mask
        dead[call.id] = gone
    return {site: result[site] for site in keep}


def dead_features(head: np.ndarray, rule: str, delta: float | str) -> np.ndarray:
    """What the two-output head says about the last hidden vector."""
    concerned, unconcerned = (threshold(delta, head[:, column]) for column in (0, 1))
    dead = np.zeros(len(head), dtype=bool)
    for i, (w_c, w_uc) in enumerate(head):
        if rule == "text":
            dead[i] = w_uc >= unconcerned and w_c <= -concerned
        else:
            dead[i] = w_uc <= -unconcerned and w_c >= concerned
    return dead


class _Walk:
    """What one layer says about its input, given which elements of its output are dead."""

    def __init__(
        self, architecture: Architecture, weights: Mapping[str, np.ndarray], reach: str, rule: str, delta: float | str
    ) -> None:
        self.architecture, self.weights = architecture, weights
        self.reach, self.rule, self.delta = reach, rule, delta
        blank = forward(architecture, weights, np.zeros(architecture.input_shape))
        self.shapes = {name: value.shape for name, value in blank.items()}

    def says_dead(self, call: Any, place: int, dead: np.ndarray) -> np.ndarray:
        """Per element of input number ``place`` of ``call``; ``dead`` is over the call's output."""
        layer = self.architecture.layers[call.layer]
        shape = self.shapes[call.inputs[place]]
        match layer.kind:
            case "relu" | "batch_normalization" | "identity" | "rescaling" | "normalization" | "add" | "elementwise":
                return dead.copy()
            case "multiply" | "subtract" | "average" | "maximum":
                return _repeated(dead, shape)
            case "layer_normalization" | "group_normalization":
                return _everything(dead, shape)
            case "permute":
                return _permuted(layer.dims, dead, shape)
            case "cropping2d":
                return _cropped(layer.cropping, dead, shape)
            case "upsampling2d":
                return _upsampled(layer.size, dead, shape)
            case "flatten" | "reshape":
                return _one_to_one(dead, shape)
            case "concatenate":
                first = sum(self.shapes[source][layer.axis] for source in call.inputs[:place])
                return _moved(dead, shape, layer.axis, first)
            case "zero_padding2d":
                return _moved(_moved_rows(dead, shape, layer.padding), shape, 1, layer.padding[1][0])
            case "global_max_pooling2d" | "global_average_pooling2d":
                return _channels(dead, shape)
            case "max_pooling2d" | "average_pooling2d":
                return _pooled(layer, dead, shape)
            case "dense":
                return self._dense(self.weights[f"{call.layer}/kernel"], dead, shape)
            case "conv2d":
                return _convolved(layer, dead, shape) if self.reach == "input" else np.zeros(shape, dtype=bool)
        raise AssertionError(f"the oracle does not know the layer kind {layer.kind!r}")

    def _dense(self, kernel: np.ndarray, dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        delta = threshold(self.delta, kernel)
        answer = np.zeros(shape, dtype=bool)
        for position in np.ndindex(shape):
            outgoing = [float(weight) for weight in kernel[position[-1]]]
            if self.rule == "text":
                connected = [unit for unit, weight in enumerate(outgoing) if abs(weight) >= delta]
                answer[position] = bool(connected) and all(dead[(*position[:-1], unit)] for unit in connected)
            else:
                answer[position] = all(weight <= -delta for weight in outgoing)
        return answer


def _one_to_one(dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    answer = np.zeros(shape, dtype=bool)
    for source, target in zip(np.ndindex(dead.shape), np.ndindex(shape), strict=True):
        answer[target] = dead[source]
    return answer


def _moved(dead: np.ndarray, shape: tuple[int, ...], axis: int, first: int) -> np.ndarray:
    answer = np.zeros(shape, dtype=bool)
    for position in np.ndindex(shape):
        answer[position] = dead[(*position[:axis], position[axis] + first, *position[axis + 1 :])]
    return answer


def _moved_rows(dead: np.ndarray, shape: tuple[int, ...], padding: Any) -> np.ndarray:
    return _moved(dead, (shape[0], dead.shape[1], shape[2]), 0, padding[0][0])


def _channels(dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    answer = np.zeros(shape, dtype=bool)
    for r, c, channel in np.ndindex(shape):
        answer[r, c, channel] = dead[(0,) * (dead.ndim - 1) + (channel,)]
    return answer


def _pooled(layer: Any, dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    readers: dict[tuple[int, ...], list[bool]] = {position: [] for position in np.ndindex(shape)}
    for row, column, read in windows(layer, shape):
        for _, _, r, c in read:
            for channel in range(shape[2]):
                readers[r, c, channel].append(bool(dead[row, column, channel]))
    return _all_readers_dead(readers, shape)


def _convolved(layer: Any, dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    readers: dict[tuple[int, ...], list[bool]] = {position: [] for position in np.ndindex(shape)}
    channels, filters = shape[2] // layer.groups, layer.filters // layer.groups
    for row, column, read in windows(layer, shape):
        for f in range(layer.filters):
            first = (f // filters) * channels
            for _, _, r, c in read:
                for channel in range(first, first + channels):
                    readers[r, c, channel].append(bool(dead[row, column, f]))
    return _all_readers_dead(readers, shape)


def _all_readers_dead(readers: dict[tuple[int, ...], list[bool]], shape: tuple[int, ...]) -> np.ndarray:
    answer = np.zeros(shape, dtype=bool)
    for position, verdicts in readers.items():
        answer[position] = bool(verdicts) and all(verdicts)
    return answer


def _repeated(dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An element that stands for many, along axes of length 1, goes when all of those are dead."""
    readers: dict[tuple[int, ...], list[bool]] = {position: [] for position in np.ndindex(shape)}
    for position in np.ndindex(dead.shape):
        own = tuple(0 if extent == 1 else index for extent, index in zip(shape, position, strict=True))
        readers[own].append(bool(dead[position]))
    return _all_readers_dead(readers, shape)


def _everything(dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    answer = np.zeros(shape, dtype=bool)
    for position in np.ndindex(shape):
        answer[position] = all(bool(dead[other]) for other in np.ndindex(dead.shape))
    return answer


def _permuted(dims: tuple[int, ...], dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    answer = np.zeros(shape, dtype=bool)
    for position in np.ndindex(shape):
        answer[position] = dead[tuple(position[axis] for axis in dims)]
    return answer


def _cropped(cropping: Any, dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What is cropped away is read by nothing, and so by nothing that could be dead: it stays."""
    answer = np.zeros(shape, dtype=bool)
    for r, c, k in np.ndindex(dead.shape):
        answer[r + cropping[0][0], c + cropping[1][0], k] = dead[r, c, k]
    return answer


def _upsampled(size: tuple[int, int], dead: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    readers: dict[tuple[int, ...], list[bool]] = {position: [] for position in np.ndindex(shape)}
    for r, c, k in np.ndindex(dead.shape):
        readers[r // size[0], c // size[1], k].append(bool(dead[r, c, k]))
    return _all_readers_dead(readers, shape)
