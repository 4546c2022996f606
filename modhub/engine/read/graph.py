"""From a live Keras model to the flat list of its calls.

Keras keeps one graph a model; nested models hide theirs behind one call. This walks every graph backwards from its
outputs, so that each call of each primitive layer or operation appears once, in execution order, under a path such as
``mid:0/block:0/activation_2:0``. A layer object keeps one name however often, and in however many models, it is called.

Models and layers of a person's own, whose graph Keras does not record, are called once with symbolic tensors: where
their ``call`` is made of Keras layers and operations, that records the graph. What was read is compared with the model
on real images afterwards (``check``), so a ``call`` that does something else is refused there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modhub.engine.library import keras
from modhub.engine.packaged import half_for
from modhub.engine.read.given_functions import given_activation, outcome_of
from modhub.errors import UnsupportedModel, plain
from modhub.spec.architecture import INPUT


@dataclass(frozen=True)
class TensorArgument:
    """Stands for a tensor among the arguments of an operation: the ``number``-th of the call's ``inputs``."""

    number: int


@dataclass(frozen=True)
class LayerCall:
    """One call: its path, the layer or operation, that one's own path, and the paths of the calls that it reads.

    ``arguments`` are an operation's by name, with ``TensorArgument`` for tensors; ``shape`` is the output's per image,
    None where Keras does not know it. ``without_activation`` is for a layer whose activation stands behind it as
    calls of its own.
    """

    id: str
    layer: keras.Layer
    name: str
    inputs: tuple[str, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int | None, ...] | None = None
    without_activation: bool = False

    @property
    def type(self) -> str:
        """The class's name, for messages and for finding what reads it."""
        return type(self.layer).__name__


def layer_calls(model: keras.Model) -> tuple[list[LayerCall], str, tuple[int | None, ...]]:
    """All primitive calls of a one-input, one-output model in execution order, the output's call id, the input's shape.

    The shape is per image. Raises UnsupportedModel for models whose graph cannot be recorded, several inputs or
    outputs, and layers called with more than tensors.
    """
    walk = _Walk()
    if _is_sequential(model) or _is_functional(model):
        shape = tuple(model.inputs[0].shape[1:]) if model.built and model.inputs else ()
        output = walk.model(model, [INPUT], "", "")
    else:
        shape = _built_shape(model)
        output = walk.traced(model, [keras.KerasTensor((None, *shape))], {}, [INPUT], "", "")
    return walk.calls, output[0], shape


def _is_sequential(layer: Any) -> bool:
    return isinstance(layer, keras.Sequential)


def _is_functional(layer: Any) -> bool:
    return isinstance(layer, keras.Model) and not _is_sequential(layer) and hasattr(layer, "operations")


def _built_shape(model: Any) -> tuple[int | None, ...]:
    """The shape, per image, that a model without a graph was built for."""
    config = (model.get_build_config() or {}) if model.built else {}
    shape = config.get("input_shape") or next(iter(config.get("shapes_dict", {}).values()), None)
    if not isinstance(shape, list | tuple):
        raise UnsupportedModel(
            f"the model {model.name!r} is a {type(model).__name__} that has not been called yet, so its graph is not "
            "known.",
            kind="no-graph",
            hint="call it once on an image, or build it with keras.Sequential or the functional API.",
            layer=model.name,
        )
    return tuple(shape[1:])


class _Walk:
    def __init__(self) -> None:
        self.calls: list[LayerCall] = []
        self._names: dict[int, tuple[str, str]] = {}
        self._taken: set[str] = set()
        # Operations of a graph recorded here must outlive it: names belong to objects by their identity.
        self._kept: list[Any] = []

    def model(self, model: Any, inputs: list[str], call_path: str, layer_path: str) -> list[str]:
        """Append the calls of ``model`` fed with ``inputs``; the ids of its outputs."""
        if _is_sequential(model):
            return self._sequential(model, inputs, call_path, layer_path)
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise UnsupportedModel(
                f"the model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
                "modhub takes one image and one class vector.",
                kind="not-a-classifier",
                hint="make the branch that classifies a model of its own: keras.Model(inputs, its_output).",
                layer=model.name,
            )
        return self._graph(model.inputs, model.outputs, inputs, call_path, layer_path)

    def traced(
        self, layer: Any, tensors: Any, keywords: dict[str, Any], inputs: list[str], call_path: str, layer_path: str
    ) -> list[str]:
        """Append the calls that ``layer.call`` makes of symbolic ``tensors``, as it takes them, fed with ``inputs``."""
        flat = keras.tree.flatten(tensors)
        if "training" in inspect.signature(layer.call).parameters:
            keywords = {**keywords, "training": False}
        try:
            outputs = keras.tree.flatten(layer.call(*tensors, **keywords))
        except Exception as error:
            raise UnsupportedModel(
                f"the {'model' if isinstance(layer, keras.Model) else 'layer'} {layer.name!r} is a "
                f"{type(layer).__name__}, whose call is no graph of Keras layers and operations "
                f"({type(error).__name__}).",
                kind="no-graph",
                hint="make it of keras.layers and keras.ops alone, with tensors first (x * self.weight), or use the "
                "functional API.",
                layer=layer.name,
                type=type(layer).__name__,
            ) from error
        if len(outputs) != 1 or not isinstance(outputs[0], keras.KerasTensor):
            raise UnsupportedModel(
                f"the layer {layer.name!r} ({type(layer).__name__}) gives {len(outputs)} tensors.",
                kind="unsupported-layer",
                hint="modhub follows layers that give one.",
                layer=layer.name,
                type=type(layer).__name__,
            )
        self._kept.append(outputs)
        return self._graph(flat, outputs, inputs, call_path, layer_path)

    def _sequential(self, model: Any, inputs: list[str], call_path: str, layer_path: str) -> list[str]:
        if not model.built:
            raise UnsupportedModel(
                f"the model {model.name!r} has not been built.", kind="no-graph", hint="give it an Input layer."
            )
        counts: dict[int, int] = {}
        tensors = list(model.inputs)
        for layer in model.layers:
            number = counts.get(id(layer), 0)
            counts[id(layer)] = number + 1
            shapes = [tuple(tensor.shape) for tensor in tensors]
            tensors = [keras.KerasTensor(_shape_after(layer, shapes[0]) or shapes[0])]
            inputs = self._call(
                layer, inputs, call_path, layer_path, number, [keras.KerasTensor(shape) for shape in shapes], tensors[0]
            )
        return inputs

    def _graph(
        self, tensors: Sequence[Any], outputs: Sequence[Any], inputs: list[str], call_path: str, layer_path: str
    ) -> list[str]:
        known = {id(tensor): name for tensor, name in zip(tensors, inputs, strict=True)}
        for operation, node, number in _nodes(tensors, outputs):
            if id(node.output_tensors[0]) in known:
                continue
            is_layer = isinstance(operation, keras.layers.Layer)
            if is_layer:
                _check_arguments(operation, node)
            if len(node.output_tensors) != 1 and not isinstance(operation, keras.Model) and not _is_split(operation):
                raise UnsupportedModel(
                    f"the layer {operation.name!r} ({type(operation).__name__}) gives "
                    f"{len(node.output_tensors)} tensors.",
                    kind="unsupported-layer",
                    hint="modhub follows layers that give one.",
                    layer=operation.name,
                    type=type(operation).__name__,
                )
            sources = [known[id(tensor)] for tensor in node.input_tensors]
            arguments = {} if is_layer else _arguments(operation, node)
            if _is_split(operation):
                names = self._parts(operation, sources, call_path, layer_path, number, node.output_tensors, arguments)
            else:
                names = self._call(
                    operation,
                    sources,
                    call_path,
                    layer_path,
                    number,
                    node.arguments.args,
                    node.output_tensors[0],
                    arguments,
                )
            for tensor, name in zip(node.output_tensors, names, strict=True):
                known[id(tensor)] = name
        return [known[id(tensor)] for tensor in outputs]

    def _call(
        self,
        layer: Any,
        inputs: list[str],
        call_path: str,
        layer_path: str,
        number: int,
        given: Sequence[Any],
        output: Any,
        arguments: dict[str, Any] | None = None,
    ) -> list[str]:
        if isinstance(layer, keras.layers.InputLayer):
            return inputs
        own, label = self._name_of(layer, layer_path)
        path = f"{call_path}{label}:{number}"
        if _is_sequential(layer) or _is_functional(layer):
            return self.model(layer, inputs, path + "/", own + "/")
        if _has_own_call(layer):
            fresh = keras.tree.map_structure(_fresh, list(given))
            return self.traced(layer, fresh, {}, inputs, path + "/", own + "/")
        shape = tuple(output.shape[1:]) if output is not None else None
        call = LayerCall(path, layer, own, tuple(inputs), arguments or {}, shape)
        function = given_activation(layer)
        if function is not None and output is not None and (names := self._activated(call, function, output)):
            return names
        self.calls.append(call)
        return [path]

    def _parts(
        self,
        operation: Any,
        inputs: list[str],
        call_path: str,
        layer_path: str,
        number: int,
        outputs: Sequence[Any],
        arguments: dict[str, Any],
    ) -> list[str]:
        """Append a call for each tensor that ``split`` gives."""
        own, label = self._name_of(operation, layer_path)
        names = []
        for part, output in enumerate(outputs):
            path, shape = f"{call_path}{label}:{number}/{part}", tuple(output.shape[1:])
            given = {**arguments, "part": part}
            self.calls.append(LayerCall(path, operation, f"{own}/{part}", tuple(inputs), given, shape))
            names.append(path)
        return names

    def _activated(self, call: LayerCall, function: Any, output: Any) -> list[str]:
        """Append ``call`` without its activation, and then what ``function`` is made of; nothing if that is unknown."""
        linear = replace(call, id=f"{call.id}/linear", without_activation=True)
        tensor = keras.KerasTensor(output.shape, output.dtype)
        if isinstance(function, keras.layers.Layer):
            self.calls.append(linear)
            return self._call(function, [linear.id], f"{call.id}/", f"{call.name}/", 0, [tensor], output)
        made = outcome_of(function, tensor)
        if made is None:
            return []
        self.calls.append(linear)
        self._kept.append(made)
        return self._graph([tensor], [made], [linear.id], f"{call.id}/", f"{call.name}/")

    def _name_of(self, layer: Any, layer_path: str) -> tuple[str, str]:
        """The path of a layer object, that of its first call, and its last part.

        Two objects of one name, which only recorded calls can have, are told apart by a number.
        """
        if id(layer) not in self._names:
            label, number = layer.name, 1
            while layer_path + label in self._taken:
                number += 1
                label = f"{layer.name}_{number}"
            self._names[id(layer)] = layer_path + label, label
            self._taken.add(layer_path + label)
        return self._names[id(layer)]


def _fresh(value: Any) -> Any:
    return keras.KerasTensor(value.shape, value.dtype) if isinstance(value, keras.KerasTensor) else value


def _is_split(operation: Any) -> bool:
    return type(operation).__name__ == "Split" and type(operation).__module__.startswith("keras.src.")


def _has_own_call(layer: Any) -> bool:
    """Whether the layer's class is a person's own, or one of Keras' that applies a function or inner layers."""
    if isinstance(layer, keras.Model) or type(layer) in (keras.layers.Lambda, keras.layers.SpectralNormalization):
        return True
    is_own = isinstance(layer, keras.layers.Layer) and not type(layer).__module__.startswith("keras.src.layers.")
    return is_own and half_for(layer) is None


def _shape_after(layer: Any, shape: tuple[int | None, ...]) -> tuple[int | None, ...] | None:
    try:
        return tuple(layer.compute_output_shape(shape))
    except Exception:
        return None


def _nodes(tensors: Sequence[Any], outputs: Sequence[Any]) -> Iterator[tuple[Any, Any, int]]:
    """The nodes between the tensors in execution order, each with its operation and its rank among those of that here.

    An operation may also have nodes in other models; those that the outputs do not reach are left out.
    """
    order: list[tuple[Any, int]] = []
    done: set[tuple[int, int]] = set()
    inputs = {id(tensor) for tensor in tensors}
    stack = [(tensor, False) for tensor in reversed(outputs)]
    while stack:
        tensor, expanded = stack.pop()
        if id(tensor) in inputs:
            continue
        operation, index, _ = tensor._keras_history
        if expanded:
            if (id(operation), index) not in done:
                done.add((id(operation), index))
                order.append((operation, index))
            continue
        if (id(operation), index) in done:
            continue
        stack.append((tensor, True))
        stack.extend((source, False) for source in reversed(operation._inbound_nodes[index].input_tensors))
    ranks: dict[int, list[int]] = {}
    for operation, index in order:
        ranks.setdefault(id(operation), []).append(index)
    for operation, index in order:
        yield operation, operation._inbound_nodes[index], sorted(ranks[id(operation)]).index(index)


def _arguments(operation: Any, node: Any) -> dict[str, Any]:
    """What an operation was called with, by name, with ``TensorArgument`` in the place of tensors."""
    numbers = {id(tensor): number for number, tensor in reversed(list(enumerate(node.input_tensors)))}

    def placed(value: Any) -> Any:
        return TensorArgument(numbers[id(value)]) if isinstance(value, keras.KerasTensor) else value

    names = inspect.signature(operation.call).parameters
    given = dict(zip(names, node.arguments.args, strict=False)) | dict(node.arguments.kwargs)
    return {name: keras.tree.map_structure(placed, value) for name, value in given.items()}


def _check_arguments(operation: Any, node: Any) -> None:
    """Refuse calls whose meaning hangs on more than their tensors, such as ``training=True``."""
    # Layers for augmentation have training=True as their default; Keras sets it to False when it predicts.
    defaults = {name: parameter.default for name, parameter in inspect.signature(operation.call).parameters.items()}
    arguments = {
        key: value
        for key, value in node.arguments.kwargs.items()
        if key != "mask"
        and not isinstance(value, keras.KerasTensor)
        and not any(value is harmless for harmless in (None, False, defaults.get(key)))
    }
    if arguments:
        named = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise UnsupportedModel(
            f"the layer {operation.name!r} ({type(operation).__name__}) is called with {plain(named)}.",
            kind="unsupported-layer",
            hint="rebuild the model without call arguments.",
            layer=operation.name,
        )
