"""Networks that Keras 2 wrote, built from their configuration: layers by a table, weights by place, nothing executed.

Keras 3 does not read ``.keras`` files of Keras 2, and of its HDF5 files not those with depthwise convolutions,
augmentation or operators of TensorFlow. What a configuration says of training (initializers, regularizers, losses) is
never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras
from modhub.engine.read.tensorflow_ops import called_by_table
from modhub.errors import UnsupportedModel, plain, shown
from modhub.limits import MAX_LAYERS

_TRAINING_ONLY: Final = """
    Dropout SpatialDropout1D SpatialDropout2D AlphaDropout GaussianDropout GaussianNoise ActivityRegularization
    RandomFlip RandomRotation RandomZoom RandomTranslation RandomContrast RandomBrightness RandomHeight RandomWidth
"""
_ALIKE: Final = """
    Activation Add Average AveragePooling1D AveragePooling2D BatchNormalization CenterCrop Concatenate Conv1D Conv2D
    Conv2DTranspose Cropping1D Cropping2D Dense DepthwiseConv2D ELU Flatten GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D GroupNormalization LayerNormalization LeakyReLU
    Maximum MaxPooling1D MaxPooling2D Minimum Multiply Normalization PReLU Permute ReLU Rescaling Reshape Resizing
    SeparableConv1D SeparableConv2D Softmax Subtract UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D
"""
_NAMED: Final = """
    linear relu relu6 elu selu softplus softsign swish silu gelu tanh sigmoid hard_sigmoid exponential softmax mish
    leaky_relu
"""
#: Layers that act in training only.
_TRAINING: Final = frozenset(_TRAINING_ONLY.split())
#: Layers that Keras 3 has as Keras 2 had them, up to the arguments that ``_arguments`` looks at.
_LAYERS: Final = frozenset(_ALIKE.split())
#: Activations by name; any other is a function of somebody's own.
_ACTIVATIONS: Final = frozenset(_NAMED.split())
_OTHER_NAMES: Final = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "Convolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
}
_MODELS: Final = ("Functional", "Model")
_OPERATIONS: Final = ("TFOpLambda", "SlicingOpLambda")
#: Arguments that say nothing of what a layer computes, or nothing that is not said elsewhere.
_LEFT_OUT: Final = re.compile(
    r".*_(initializer|regularizer|constraint)|batch_input_shape|input_dtype|dtype|sparse|ragged|optional|rng_type|"
    r"renorm.*|fused|virtual_batch_size|adjustment|input_dim|input_length|crop_to_aspect_ratio_name|synchronized"
)
_CONSTANT: Final = "_CONSTANT_VALUE"
_HINT: Final = "open it with the Keras that wrote it, build that part of standard layers, and save it again."


@dataclass(frozen=True, eq=False)
class OldPart:
    """What a configuration became: a layer or a model, with the parts of a model; None for what has no weights."""

    kind: str
    layer: Any
    parts: list[OldPart] = field(default_factory=list)


def built(config: Any) -> OldPart:
    """The model that a configuration of Keras 2 describes, without its weights. Raises UnsupportedModel."""
    try:
        return _model(config)
    except UnsupportedModel:
        raise
    # A configuration is anybody's JSON, and Keras raises whatever its layers raise.
    except Exception as error:
        reason = plain(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
        raise UnsupportedModel(
            f"its configuration cannot be read: {reason}.", kind="unreadable-model", hint=_HINT
        ) from error


def set_weights(part: OldPart, stored: Mapping[str, Any]) -> None:
    """Give a model its weights from the groups of a ``.keras`` file: each part's under its kind and number.

    Raises UnsupportedModel for other weights than the layers have.
    """
    group: Any = next((stored[name] for name in ("layers", "_layer_checkpoint_dependencies") if name in stored), {})
    counts: dict[str, int] = {}
    for each in part.parts:
        name = _snake(each.kind)
        number = counts.get(name, 0)
        counts[name] = number + 1
        found = group.get(f"{name}_{number}" if number else name)
        if each.parts:
            set_weights(each, found if found is not None else {})
        elif isinstance(each.layer, keras.layers.Layer) and each.layer.weights:
            _set(each.layer, list(_variables(found)))


def _variables(group: Any) -> Iterator[NDArray[Any]]:
    values = {} if group is None or "vars" not in group else group["vars"]
    for number in range(len(values)):
        yield np.asarray(values[str(number)])


def _set(layer: Any, values: Sequence[NDArray[Any]]) -> None:
    wanted = [tuple(weight.shape) for weight in layer.weights]
    if wanted != [value.shape for value in values]:
        raise UnsupportedModel(
            f"layer {shown(layer.name)} has weights {wanted}, and the file {[value.shape for value in values]}.",
            kind="unreadable-model",
            hint=_HINT,
        )
    layer.set_weights(values)
    if hasattr(layer, "finalize_state"):
        layer.finalize_state()


def _model(config: Any) -> OldPart:
    kind, inner = config["class_name"], config["config"]
    if kind == "Sequential":
        return _sequential(inner)
    if kind in _MODELS and isinstance(inner, Mapping) and "input_layers" in inner:
        return _functional(inner)
    raise UnsupportedModel(
        f"it holds a {shown(str(kind))}, which is a class of its own.", kind="unsupported-layer", hint=_HINT
    )


def _sequential(config: Any) -> OldPart:
    # Before Keras 2.2.3 it was the bare list of layers.
    layers = config if isinstance(config, list) else config["layers"]
    shape = None if isinstance(config, list) else config.get("build_input_shape")
    first = layers[0]["config"] if isinstance(layers[0]["config"], Mapping) else {}
    shape = first.get("batch_input_shape") or first.get("batch_shape") or shape
    if shape is None and layers[0]["class_name"] in ("Sequential", *_MODELS):
        shape = _model(layers[0]).layer.input_shape
    if shape is None:
        raise UnsupportedModel("it says no input shape.", kind="unreadable-model", hint=_HINT)
    parts = [_layer(each) for each in layers]
    made = [keras.Input(tuple(shape[1:])), *(part.layer for part in parts if part.kind != "InputLayer")]
    name = None if isinstance(config, list) else config.get("name")
    return OldPart("Sequential", keras.Sequential(made, name=_name(name)), parts)


def _functional(config: Mapping[str, Any]) -> OldPart:
    layers = config["layers"]
    if len(layers) > MAX_LAYERS:
        raise UnsupportedModel(f"it has {len(layers)} layers.", kind="beyond-limits", hint=_HINT)
    made = {each["config"]["name"]: _layer(each) for each in layers}
    tensors: dict[tuple[str, int], Any] = {}
    for name, part in made.items():
        if part.kind == "InputLayer":
            tensors[name, 0] = part.layer
    # A model has a node of its own before those that call it.
    waiting = [
        (each, number, node)
        for each in layers
        for number, node in enumerate(each["inbound_nodes"], int(bool(made[each["config"]["name"]].parts)))
        if each["class_name"] != "InputLayer"
    ]
    while waiting:
        left = [one for one in waiting if not _called(*one, made, tensors)]
        if len(left) == len(waiting):
            raise UnsupportedModel("its layers read each other in a circle.", kind="unreadable-model", hint=_HINT)
        waiting = left
    inputs, outputs = (_ends(config[key], tensors) for key in ("input_layers", "output_layers"))
    model = keras.Model(inputs, outputs, name=_name(config.get("name")))
    return OldPart("Functional", model, [made[each["config"]["name"]] for each in layers])


def _called(
    layer: Mapping[str, Any],
    number: int,
    node: Sequence[Any],
    made: Mapping[str, OldPart],
    tensors: dict[tuple[str, int], Any],
) -> bool:
    """Call a layer as ``node`` says, unless something that it reads has not been computed yet."""
    name = layer["config"]["name"]
    # Of an operation on one tensor the node is that tensor itself.
    is_bare = bool(node) and isinstance(node[0], str)
    options: dict[str, Any] = {}
    inputs = []
    for source, at, constant, *rest in [node] if is_bare else node:
        options |= rest[0] if rest else {}
        value = constant if source == _CONSTANT else [source, at, constant]
        if not _is_there(value, tensors, made):
            return False
        inputs.append(_value(value, tensors, made))
    if not all(_is_there(value, tensors, made) for value in options.values()):
        return False
    if made[name].kind in _OPERATIONS:
        given = {key: _value(value, tensors, made) for key, value in options.items()}
        # Only what joins tensors has them in a list.
        arguments = inputs if is_bare else [inputs]
        result = called_by_table(str(layer["config"].get("function")), name, arguments, given)
        # By itself Keras would number operations into the names that layers of the file have.
        if not isinstance(operation := result._keras_history.operation, keras.Layer):
            operation.name = f"{_name(name)}_{number}"
        tensors[name, number] = result
        return True
    if other := {key for key, value in options.items() if value is not None} - {"training", "mask"}:
        raise UnsupportedModel(
            f"layer {shown(name)} is called with {', '.join(sorted(other))}.", kind="unsupported-layer", hint=_HINT
        )
    tensors[name, number] = made[name].layer(inputs[0] if len(inputs) == 1 else inputs)
    return True


def _is_reference(value: Any, made: Mapping[str, OldPart]) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and value[0] in made


def _is_there(value: Any, tensors: Mapping[tuple[str, int], Any], made: Mapping[str, OldPart]) -> bool:
    return not _is_reference(value, made) or (value[0], value[1]) in tensors


def _value(value: Any, tensors: Mapping[tuple[str, int], Any], made: Mapping[str, OldPart]) -> Any:
    if _is_reference(value, made):
        return tensors[value[0], value[1]]
    return value


def _ends(ends: Any, tensors: Mapping[tuple[str, int], Any]) -> Any:
    listed = [ends] if ends and isinstance(ends[0], str) else ends
    found = [tensors[name, number] for name, number, _ in listed]
    return found[0] if len(found) == 1 else found


def _layer(config: Mapping[str, Any]) -> OldPart:
    kind = str(config["class_name"])
    own = config["config"]
    if kind == "Sequential" or kind in _MODELS:
        return _model(config)
    if kind == "InputLayer":
        shape = own.get("batch_input_shape") or own.get("batch_shape")
        return OldPart(kind, keras.Input(tuple(shape[1:]), name=_name(own["name"])))
    if kind in _OPERATIONS:
        return OldPart(kind, None)
    name = _OTHER_NAMES.get(kind, kind)
    if kind in _TRAINING:
        return OldPart(kind, keras.layers.Identity(name=_name(own["name"])))
    if name not in _LAYERS:
        raise UnsupportedModel(
            f"layer {shown(str(own.get('name')))} is a {shown(kind)}, which is not read from files of Keras 2.",
            kind="unsupported-layer",
            hint=_HINT,
            layers=[kind],
        )
    return OldPart(kind, getattr(keras.layers, name)(**_arguments(name, own)))


def _arguments(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What Keras 3 takes of a layer's configuration, under the names that it has."""
    found = {key: _plain(value) for key, value in config.items() if not _LEFT_OUT.fullmatch(key)}
    found["name"] = _name(config.get("name"))
    # One group is what layers have that know no others.
    if found.get("groups") == 1 and kind not in ("Conv1D", "Conv2D"):
        del found["groups"]
    if isinstance(found.get("axis"), list) and len(found["axis"]) == 1:
        found["axis"] = found["axis"][0]
    if kind == "LeakyReLU" and "alpha" in found:
        found["negative_slope"] = found.pop("alpha")
    if kind == "Normalization":
        found = {key: value for key, value in found.items() if value is not None}
    for key in ("activation", "recurrent_activation"):
        if key in found and found[key] is not None:
            found[key] = _activation(found[key], str(config.get("name")))
    return found


def _activation(value: Any, layer: str) -> str:
    # Later versions wrap the name of a function.
    name = value.get("config") if isinstance(value, Mapping) else value
    if not isinstance(name, str) or name not in _ACTIVATIONS:
        raise UnsupportedModel(
            f"layer {shown(layer)} has the activation {shown(str(value))}, a function of its own.",
            kind="unsupported-layer",
            hint=_HINT,
        )
    return name


def _plain(value: Any) -> Any:
    """Numbers that were saved as arrays, as numbers."""
    if isinstance(value, Mapping) and "value" in value and set(value) <= {"type", "value", "class_name"}:
        return value["value"]
    return value


def _name(name: Any) -> str | None:
    # Keras 3 takes no slash in a name.
    return None if name is None else str(name).replace("/", "_")


def _snake(kind: str) -> str:
    """As Keras calls the groups of a weights file."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
