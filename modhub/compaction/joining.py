"""Several networks that read the same images as one, whose features stand side by side under one head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modhub.decomposition.vote import margins_of_logits
from modhub.package.module import Weights
from modhub.spec.architecture import INPUT, Architecture, Call
from modhub.spec.input_contract import InputContract
from modhub.spec.layer_record import LayerRecord
from modhub.spec.layers import Rescaling
from modhub.spec.rearrangements import Concatenate

_Singles = NDArray[np.float32]


@dataclass(frozen=True)
class JoinedPart:
    """One network with a head for its chosen classes, (features, classes) and (classes,), and how it takes images."""

    architecture: Architecture
    weights: Weights
    contract: InputContract


def joined(parts: Sequence[JoinedPart]) -> JoinedPart:
    """One network whose logits are those of the parts, one after another.

    Parts that take images otherwise preprocessed begin with a rescaling of their own, and the whole then takes raw
    images. All must take images of one shape.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0].contract
    alike = all(same_preprocessing(part.contract, first) for part in parts)
    layers: dict[str, LayerRecord] = {}
    calls: list[Call] = []
    weights: dict[str, _Singles] = {}
    features = []
    for number, part in enumerate(parts, 1):
        prefix = part_prefix(number)
        source = INPUT
        if not alike:
            source = f"{prefix}rescaling"
            layers[source] = rescaling(part.contract)
            calls.append(Call(id=source, layer=source, inputs=(INPUT,)))
        names = {INPUT: source} | {call.id: prefix + call.id for call in part.architecture.calls}
        for name, layer in part.architecture.layers.items():
            layers[prefix + name] = layer
        for call in part.architecture.calls:
            inputs = tuple(names[each] for each in call.inputs)
            calls.append(Call(id=names[call.id], layer=prefix + call.layer, inputs=inputs))
        weights |= {prefix + name: np.asarray(value) for name, value in part.weights.items() if name[:5] != "head/"}
        features.append(names[part.architecture.features])
    together = "joined_features"
    layers[together] = Concatenate(axis=0)
    calls.append(Call(id=together, layer=together, inputs=tuple(features)))
    architecture = Architecture(
        input_shape=parts[0].architecture.input_shape,
        layers=layers,
        calls=tuple(calls),
        features=together,
        head="logits",
    )
    contract = first if alike else first.model_copy(update={"rescale": 1.0, "mean": None, "std": None})
    return JoinedPart(architecture, weights | _head(parts), contract)


def part_prefix(number: int) -> str:
    """What stands before the names of the layers of a part, which count from 1."""
    return f"part{number}_"


def same_preprocessing(one: InputContract, other: InputContract) -> bool:
    """Whether both prepare an image to the same numbers, apart from the order of its colours."""
    return (one.rescale, one.mean, one.std) == (other.rescale, other.mean, other.std)


def rescaling(contract: InputContract) -> Rescaling:
    """The layer that prepares raw images as ``contract`` says, apart from the order of their colours."""
    std = np.asarray([1.0] if contract.std is None else contract.std, np.float64)
    mean = np.asarray([0.0] if contract.mean is None else contract.mean, np.float64)
    return Rescaling(scale=tuple((contract.rescale / std).tolist()), offset=tuple((-mean / std).tolist()))


def _head(parts: Sequence[JoinedPart]) -> dict[str, _Singles]:
    """A block for each part, zeros elsewhere."""
    heads = [np.asarray(part.weights["head/kernel"]) for part in parts]
    rows, columns = (sum(head.shape[axis] for head in heads) for axis in (0, 1))
    kernel = np.zeros((rows, columns), np.float32)
    row = column = 0
    for head in heads:
        kernel[row : row + head.shape[0], column : column + head.shape[1]] = head
        row, column = row + head.shape[0], column + head.shape[1]
    return {"head/kernel": kernel, "head/bias": np.concatenate([part.weights["head/bias"] for part in parts])}


def margin_head(weights: Weights, columns: NDArray[np.int64], scale: float) -> dict[str, _Singles]:
    """A head whose outputs are the margins of ``columns`` over ``scale``: each logit less the mean of all others."""
    kernel, bias = (np.asarray(weights[f"head/{name}"], np.float64) for name in ("kernel", "bias"))
    # Margins are linear in the logits, so the rows of the kernel and the bias change as logits do.
    rows = margins_of_logits(np.vstack([kernel, bias]))[:, columns] / scale
    return {"head/kernel": rows[:-1].astype(np.float32), "head/bias": rows[-1].astype(np.float32)}
