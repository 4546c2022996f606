"""Fitting a smaller network to the whole one, layer after layer, each in closed form on what the smaller one reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.channels import is_contraction, is_depthwise
from modhub.compaction.patches import Positions, at_positions, drawn_positions, kernel_rows, patches_at
from modhub.compaction.refitting import Rectified, refitted, refitted_depthwise
from modhub.engine.compact.observing import prepared_images, run_call, tensors_of
from modhub.engine.run.network import Network
from modhub.limits import MIB
from modhub.package.module import Weights
from modhub.spec.architecture import INPUT, Architecture, Call
from modhub.spec.input_contract import InputContract
from modhub.spec.layer_record import LayerRecord
from modhub.spec.layers import Conv2D, Dense, ReLU
from modhub.spec.rearrangements import Add

_Singles = NDArray[np.float32]

#: Shares of the mean of the diagonal of ``X'X``.
RIDGE: Final = 3e-4
HEAD_RIDGE: Final = 1e-2
#: Tensors of all images are held between layers; so many images are taken that those fit into this.
_HELD_BYTES: Final = 1536 * MIB


@dataclass(frozen=True)
class RefitSettings:
    """How many images at most, positions of each, and rounds where a ReLU follows."""

    images: int = 3000
    positions: int = 16
    rounds: int = 8


#: To choose among structures.
QUICK: Final = RefitSettings(images=500, positions=20, rounds=3)


@dataclass(frozen=True)
class Targets:
    """What the whole network gives for ``images``: ``values`` (images * positions, channels) at ``positions`` of each
    call before its activation, and ``logits`` (images, classes)."""

    images: _Singles
    positions: Mapping[str, Positions]
    values: Mapping[str, _Singles]
    logits: _Singles


def targets_of(
    network: Network,
    weights: Weights,
    contract: InputContract,
    images: NDArray[Any],
    settings: RefitSettings,
    seed: int,
) -> Targets:
    """The targets of every convolution, dense layer and sum of a folded network."""
    architecture = network.architecture
    images = images[: _affordable(network, settings.images)]
    calls = [call.id for call in architecture.calls if isinstance(architecture.layer_of(call), Conv2D | Dense | Add)]
    positions = {
        name: drawn_positions(name, network.shapes[name], len(images), settings.positions, seed) for name in calls
    }
    values: dict[str, list[_Singles]] = {name: [] for name in calls}
    features = []
    for part, found in tensors_of(network, contract, images, [*calls, architecture.features]):
        for name in calls:
            values[name].append(at_positions(found[name], positions[name][part]))
        features.append(found[architecture.features])
    logits = np.concatenate(features) @ weights["head/kernel"] + weights["head/bias"]
    joined = {name: np.concatenate(parts) for name, parts in values.items()}
    return Targets(prepared_images(images, contract), positions, joined, np.asarray(logits, np.float32))


def _affordable(network: Network, images: int) -> int:
    largest = max(prod(shape) for shape in network.shapes.values())
    # At a sum two inputs and the output are held, and in a block's branch its skip as well.
    return int(np.clip(_HELD_BYTES // (16 * largest), 1, images))


def refit(
    architecture: Architecture,
    weights: Weights,
    whole: Architecture,
    kept: Mapping[str, NDArray[np.bool_]],
    targets: Targets,
    rounds: int,
) -> dict[str, _Singles]:
    """New weights for a smaller network with old ones; ``whole`` is the folded network that ``targets`` are of, and
    ``kept`` says for each tensor which of its channels the smaller one has.

    Layers whose input is as it was keep their weights. The head is fitted to the logits.
    """
    walk = _Walk(architecture, dict(weights), whole, kept, targets, rounds)
    for call in architecture.calls:
        walk.advance(call)
    walk.fit_head()
    return walk.weights


class _Walk:
    """The smaller network, whose tensors up to one call are known for all images."""

    def __init__(
        self,
        architecture: Architecture,
        weights: dict[str, _Singles],
        whole: Architecture,
        kept: Mapping[str, NDArray[np.bool_]],
        targets: Targets,
        rounds: int,
    ) -> None:
        self.architecture, self.weights, self.kept = architecture, weights, kept
        self.targets, self.rounds = targets, rounds
        self.network = Network(architecture, weights)
        self.readers = architecture.consumers()
        self.calls = {call.id: call for call in architecture.calls}
        self.before = {call.id: call for call in whole.calls}
        self.uses: dict[str, int] = {}
        for call in architecture.calls:
            self.uses[call.layer] = self.uses.get(call.layer, 0) + 1
        #: How many calls have yet to read a tensor; one that waits for its sum reads late.
        self.unread = {name: len(calls) for name, calls in self.readers.items()}
        self.live: dict[str, _Singles] = {INPUT: targets.images}
        #: Layers that are fitted with the sum they go into, and tensors with the whole network's values.
        self.waiting: set[str] = set()
        self.same = {INPUT}

    def advance(self, call: Call) -> None:
        """Fit what ``call`` completes, and run it."""
        layer = self.architecture.layer_of(call)
        if self._is_fitted(call, layer):
            if self._goes_into_sum(call):
                self.waiting.add(call.id)
                return
            self._fit(call, [call])
        elif isinstance(layer, Add):
            own = [self.calls[name] for name in dict.fromkeys(call.inputs) if name in self.waiting]
            if own:
                self._fit(call, own)
            for each in own:
                self.waiting.discard(each.id)
                self._run(each)
        self._run(call)

    def fit_head(self) -> None:
        features = self.architecture.features
        if features in self.same and self.kept[features].all():
            return
        old = np.vstack([self.weights["head/kernel"], self.weights["head/bias"]]).astype(np.float64)
        solved = refitted(
            self.live[features], self.targets.logits, old, ridge=HEAD_RIDGE, rectified=None, rounds=1
        ).astype(np.float32)
        self.weights |= {"head/kernel": solved[:-1], "head/bias": solved[-1]}

    def _is_fitted(self, call: Call, layer: LayerRecord) -> bool:
        if not isinstance(layer, Conv2D | Dense) or self.uses[call.layer] > 1:
            return False
        source = call.inputs[0]
        shape = self.network.shapes[source]
        is_known = is_contraction(layer, shape) or is_depthwise(layer, shape)
        return is_known and not self._reads_same(call)

    def _reads_same(self, call: Call) -> bool:
        """Whether a call reads just what it reads in the whole network, apart from channels that it drops itself."""
        known = call.inputs == self.before[call.id].inputs and all(source in self.same for source in call.inputs)
        if not isinstance(self.architecture.layer_of(call), Conv2D | Dense):
            return known
        return known and (self._is_depthwise(call) or bool(self.kept[call.inputs[0]].all()))

    def _is_depthwise(self, call: Call) -> bool:
        return is_depthwise(self.architecture.layer_of(call), self.network.shapes[call.inputs[0]])

    def _goes_into_sum(self, call: Call) -> bool:
        readers = self.readers[call.id]
        if len(readers) != 1 or self._is_depthwise(call) or call.id == self.architecture.features:
            return False
        return isinstance(self.architecture.layer_of(readers[0]), Add) and readers[0].inputs.count(call.id) == 1

    def _fit(self, target: Call, own: Sequence[Call]) -> None:
        """Fit the layers ``own``, one or several summed in ``target``, to what the whole network gives there."""
        shape = self.network.shapes[target.id]
        columns = shape[1] if len(shape) == 3 else 1
        positions = self.targets.positions[target.id]
        wanted = self.targets.values[target.id][:, self.kept[target.id]]
        designs = [
            patches_at(self.architecture.layer_of(call), self.live[call.inputs[0]], positions, columns) for call in own
        ]
        old = [kernel_rows(self.weights[f"{call.layer}/kernel"]) for call in own]
        bias = np.sum([self.weights[f"{call.layer}/bias"] for call in own], axis=0, dtype=np.float64)
        others = [name for name in target.inputs if name in self.live] if target is not own[0] else []
        shift = np.sum([at_positions(self.live[name], positions) for name in others], axis=0) if others else None
        solve = refitted_depthwise if self._is_depthwise(own[0]) else refitted
        solved = solve(
            designs[0] if len(designs) == 1 else np.concatenate(designs, axis=1),
            wanted,
            np.vstack([*old, bias]),
            ridge=RIDGE,
            rectified=self._rectified(target),
            rounds=self.rounds,
            shift=shift,
        )
        start = 0
        for number, (call, part) in enumerate(zip(own, old, strict=True)):
            rows = solved[start : start + len(part)]
            # The sum has one constant, which its first layer takes.
            self._set(call, rows, solved[-1] if number == 0 else np.zeros_like(solved[-1]))
            start += len(part)

    def _rectified(self, target: Call) -> Rectified | None:
        """The ReLU that is all that reads ``target``."""
        readers = [self.architecture.layer_of(call) for call in self.readers[target.id]]
        if target.id == self.architecture.features or not readers:
            return None
        if not all(isinstance(layer, ReLU) and layer == readers[0] for layer in readers):
            return None
        assert isinstance(readers[0], ReLU)
        return Rectified(readers[0].max_value)

    def _set(self, call: Call, rows: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
        kernel = rows.reshape(self.weights[f"{call.layer}/kernel"].shape).astype(np.float32)
        self.weights |= {f"{call.layer}/kernel": kernel, f"{call.layer}/bias": bias.astype(np.float32)}
        layer = self.network.layers[call.layer]
        layer.kernel.assign(kernel.reshape(layer.kernel.shape))
        layer.bias.assign(self.weights[f"{call.layer}/bias"])

    def _run(self, call: Call) -> None:
        layer = self.architecture.layer_of(call)
        inputs = [self.live[source] for source in call.inputs]
        self.live[call.id] = run_call(self.network, call.layer, layer.takes_many, inputs)
        if self._reads_same(call):
            self.same.add(call.id)
        for source in set(call.inputs):
            self.unread[source] -= 1
            if not self.unread[source] and source != self.architecture.features:
                del self.live[source]
