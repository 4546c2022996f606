"""From a live Keras model to the flat list of its layer calls.

Keras keeps one graph a model; nested models hide theirs behind one call. This walks every graph backwards from its
outputs, so that each call of each primitive layer appears once, in execution order, under a path such as
``mid:0/block:0/activation_2:0``. A layer object keeps one name however often, and in however many models, it is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from modhub.errors import UnsupportedModel, plain
from modhub.spec.architecture import INPUT


@dataclass(frozen=True)
class LayerCall:
    """One call: its path, the layer object, the layer's own path, and the paths of the calls that it reads."""

    id: str
    layer: keras.Layer
    name: str
    inputs: tuple[str, ...]


def layer_calls(model: keras.Model) -> tuple[list[LayerCall], str]:
    """All primitive layer calls of a one-input, one-output model in execution order, and the output's call id.

    Raises UnsupportedModel for subclassed models, several inputs or outputs, and calls with more than tensors.
    """
    walk = _Walk()
    output = walk.model(model, [INPUT], "", "")
    return walk.calls, output[0]


def _is_sequential(layer: Any) -> bool:
    return isinstance(layer, keras.Sequential)


def _is_functional(layer: Any) -> bool:
    return isinstance(layer, keras.Model) and not _is_sequential(layer) and hasattr(layer, "operations")


class _Walk:
    def __init__(self) -> None:
        self.calls: list[LayerCall] = []
        self._names: dict[int, str] = {}

    def model(self, model: Any, inputs: list[str], call_path: str, layer_path: str) -> list[str]:
        """Append the calls of ``model`` fed with ``inputs``; the ids of its outputs."""
        if _is_sequential(model):
            return self._sequential(model, inputs, call_path, layer_path)
        if not _is_functional(model):
            raise UnsupportedModel(
                f"the model {model.name!r} is a {type(model).__name__}, whose graph Keras does not record.",
                kind="no-graph",
                hint="build it with keras.Sequential or the functional API.",
                layer=model.name,
            )
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise UnsupportedModel(
                f"the model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
                "modhub takes one image and one class vector.",
                kind="not-a-classifier",
                hint="cut the branch that classifies into a model of its own.",
                layer=model.name,
            )
        return self._functional(model, inputs, call_path, layer_path)

    def _sequential(self, model: Any, inputs: list[str], call_path: str, layer_path: str) -> list[str]:
        if not model.built:
            raise UnsupportedModel(
                f"the model {model.name!r} has not been built.", kind="no-graph", hint="give it an Input layer."
            )
        counts: dict[int, int] = {}
        for layer in model.layers:
            number = counts.get(id(layer), 0)
            counts[id(layer)] = number + 1
            inputs = self._call(layer, inputs, call_path, layer_path, number)
        return inputs

    def _functional(self, model: Any, inputs: list[str], call_path: str, layer_path: str) -> list[str]:
        known = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}
        for operation, node, number in _nodes(model):
            if id(node.output_tensors[0]) in known:
                continue
            _check_arguments(operation, node)
            if len(node.output_tensors) != 1 and not isinstance(operation, keras.Model):
                raise UnsupportedModel(
                    f"the layer {operation.name!r} ({type(operation).__name__}) gives "
                    f"{len(node.output_tensors)} tensors.",
                    kind="unsupported-layer",
                    hint="modhub follows layers that give one.",
                    layer=operation.name,
                    type=type(operation).__name__,
                )
            sources = [known[id(tensor)] for tensor in node.input_tensors]
            outputs = self._call(operation, sources, call_path, layer_path, number)
            for tensor, name in zip(node.output_tensors, outputs, strict=True):
                known[id(tensor)] = name
        return [known[id(tensor)] for tensor in model.outputs]

    def _call(self, layer: Any, inputs: list[str], call_path: str, layer_path: str, number: int) -> list[str]:
        if isinstance(layer, keras.layers.InputLayer):
            return inputs
        own = self._names.setdefault(id(layer), layer_path + layer.name)
        path = f"{call_path}{layer.name}:{number}"
        if isinstance(layer, keras.Model):
            return self.model(layer, inputs, path + "/", own + "/")
        self.calls.append(LayerCall(path, layer, own, tuple(inputs)))
        return [path]


def _nodes(model: Any) -> Iterator[tuple[Any, Any, int]]:
    """The model's own nodes in execution order, each with its operation and its rank among that operation's nodes here.

    An operation may also have nodes in other models; those that the outputs do not reach are left out.
    """
    order: list[tuple[Any, int]] = []
    done: set[tuple[int, int]] = set()
    inputs = {id(tensor) for tensor in model.inputs}
    stack = [(tensor, False) for tensor in reversed(model.outputs)]
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
