"""From a trained Keras model to an Architecture and named weights, or an error that names everything in the way.

Reading happens before any work on data. What cannot be represented exactly is refused, never approximated; the caller
compares the rebuilt network's answers with the model's own before trusting the reading. The calls of the graph
(``graph``) are read one by one, by rules for layers and operations, into the builder's records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from modhub.engine.library import keras
from modhub.engine.packaged import half_for
from modhub.engine.read import layer_rules, one_row, operation_rules
from modhub.engine.read.builder import Builder, refuse
from modhub.engine.read.graph import LayerCall, layer_calls
from modhub.engine.read.head import DenseHead, find_head
from modhub.errors import IntegrityError, UnsupportedModel
from modhub.spec.architecture import HEAD, Architecture
from modhub.spec.layer_record import LayerRecord, Shape
from modhub.spec.layers import GlobalPooling2D
from modhub.spec.rearrangements import Flatten

#: Obstacles that a message names; more are counted.
_NAMED = 6


@dataclass(frozen=True, eq=False)
class Reading:
    """What a model was read as. ``weights`` are float32 by ``layer/weight``, with the head's under ``head``.

    ``lowered`` says, a line each, which layers became others that compute the same.
    """

    architecture: Architecture
    weights: dict[str, NDArray[np.float32]]
    lowered: tuple[str, ...]


def read_model(model: keras.Model) -> Reading:
    """The network up to its penultimate features, and all weights with the head's.

    Raises UnsupportedModel for what stands in the way; all of it is in ``error.data["obstacles"]``.
    """
    if not isinstance(model, keras.Model):
        raise UnsupportedModel(
            f"expected a keras.Model, got {type(model).__name__}.",
            kind="not-a-model",
            hint="load it first: keras.models.load_model(path).",
        )
    calls, output, input_shape = layer_calls(model)
    head = find_head(calls, output)
    build = Builder(_input_shape(model, input_shape))
    obstacles = _read_all(build, _needed(calls, head.features))
    if obstacles:
        raise _all_of(obstacles)
    features = _vector(build, head)
    try:
        architecture = Architecture(
            input_shape=build.shapes["input"],
            layers=build.layers,
            calls=tuple(build.calls),
            features=features,
            head=head.style,
        )
    except ValidationError as error:
        raise UnsupportedModel(
            f"the model {model.name!r} is beyond what modhub stores: {_first_problem(error)}.", kind="beyond-limits"
        ) from error
    head_weights = {f"{HEAD}/{name}": value for name, value in head.weights().items()}
    return Reading(architecture, build.weights | head_weights, tuple(build.lowered))


def _read_all(build: Builder, calls: Sequence[LayerCall]) -> list[UnsupportedModel]:
    """Read the calls; what stands in the way of some. Behind a call whose shape nobody knows reading ends."""
    obstacles: list[UnsupportedModel] = []
    for call in calls:
        try:
            _read(build, call)
        except UnsupportedModel as error:
            obstacles.append(error)
            try:
                build.skip(call)
            except KeyError:
                break
    return obstacles


def _read(build: Builder, call: LayerCall) -> None:
    if getattr(call.layer, "data_format", None) not in (None, "channels_last"):
        raise refuse(call, "keeps its channels first", hint="build it with data_format='channels_last'.")
    if isinstance(call.layer, keras.layers.Layer):
        if not call.layer.built:
            raise refuse(call, "has no weights yet", hint="call the model on an input once, which makes them.")
        rule = layer_rules.RULES.get(type(call.layer)) or (_packaged if half_for(call.layer) is not None else None)
    else:
        rule = operation_rules.RULES.get(call.type) if operation_rules.is_kerass_own(call.layer) else None
    if rule is None:
        raise refuse(call, "is not supported")
    try:
        own = one_row.placed(build, call)
        rule(build, own)
        one_row.remember(build, own)
    except ValidationError as error:
        raise refuse(call, f"is beyond what modhub stores ({_first_problem(error)})") from error
    except IntegrityError as error:
        raise refuse(call, f"does not fit: {error.message.rstrip('.')}") from error


def _packaged(build: Builder, call: LayerCall) -> None:
    """Read a layer by the package that brings its kind, whose weights have to be those that its record wants."""
    half = half_for(call.layer)
    assert half is not None
    record, weights = half.read(call.layer)
    arrays = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    found = {name: value.shape for name, value in arrays.items()}
    if (wanted := record.weight_shapes(build.shape(call))) != found:
        raise refuse(call, f"has the weights {found}, but its kind {record.kind!r} wants {wanted}")
    build.put(call, record, arrays)


def _all_of(obstacles: Sequence[UnsupportedModel]) -> UnsupportedModel:
    """One error for all that is in the way; a single obstacle as it is."""
    first = obstacles[0]
    lines = [f"{error.message} Hint: {error.hint}" for error in obstacles]
    if len(obstacles) == 1:
        return UnsupportedModel(first.message, kind=first.kind, hint=first.hint, **first.data, obstacles=lines)
    more = f" and {len(obstacles) - _NAMED} more" if len(obstacles) > _NAMED else ""
    named = " ".join(f"({number}) {error.message}" for number, error in enumerate(obstacles[:_NAMED], 1))
    return UnsupportedModel(
        f"{len(obstacles)} layers are in the way: {named}{more}",
        kind=first.kind,
        hint="; ".join(dict.fromkeys(str(error.hint).rstrip(".") for error in obstacles[:3])) + ".",
        **first.data,
        obstacles=lines,
    )


def _vector(build: Builder, head: DenseHead) -> str:
    """The call that gives the head's features as a vector."""
    shape = build.shapes[head.features]
    if head.pooled == "average":
        features = one_row.with_row(build, head.features) if len(shape) == 2 else head.features
        return _emitted(build, GlobalPooling2D(kind="global_average_pooling2d"), [features])
    if head.pooled == "flatten" and shape[:2] == (1, 1):
        return _emitted(build, Flatten(), [head.features])
    if len(shape) != 1:
        raise UnsupportedModel(
            f"the head reads a map of shape {shape[1:] if head.features in build.one_row else shape}, not a vector.",
            kind="unsupported-head",
            hint="put Flatten or global average pooling before the last Dense layer.",
        )
    return head.features


def _emitted(build: Builder, record: LayerRecord, inputs: Sequence[str]) -> str:
    name = _free(build)
    return build.emit(name, name, record, inputs)


def _free(build: Builder) -> str:
    """A name for the head's input that no layer or call has."""
    name = "features"
    while name in build.layers or name in build.shapes:
        name += "_"
    return name


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc']))} {str(problem['input'])[:60]}: {problem['msg']}"


def _input_shape(model: keras.Model, shape: tuple[int | None, ...]) -> Shape:
    if len(shape) not in (1, 2, 3) or any(extent is None for extent in shape):
        raise UnsupportedModel(
            f"the model {model.name!r} takes inputs of shape {shape}; modhub takes images and arrays of a fixed size.",
            kind="not-an-image-model",
            hint="give the Input layer a shape such as (32, 32, 3), (784,) or (128, 6).",
            shape=list(shape),
        )
    return tuple(extent for extent in shape if extent is not None)


def _needed(calls: Sequence[LayerCall], features: str) -> list[LayerCall]:
    """The calls that the features depend on, in execution order; everything behind the features is the head."""
    needed = {features}
    for call in reversed(calls):
        if call.id in needed:
            needed.update(call.inputs)
    return [call for call in calls if call.id in needed]
