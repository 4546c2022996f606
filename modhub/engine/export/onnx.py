"""A composite's Keras model as an ONNX file, by tf2onnx (the extra ``modhub[onnx]``).

Numbered again from first to last, because tf2onnx counts all that the process ever converted: equal models, equal
bytes.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from modhub.errors import UnsupportedModel, UsageError, plain

#: The set of operators, of 2022: everything that runs ONNX knows it.
_OPSET: Final = 17
_NO_COPIES: Final = "TF2ONNX_CATCH_ERRORS"
_PACKAGES: Final = ("onnx", "tf2onnx", "onnxruntime")


def check_onnx_installed() -> None:
    """Raise UsageError, kind ``missing-extra``, without the packages that write and check ONNX."""
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise UsageError(
            f"ONNX files are written and checked with {', '.join(_PACKAGES)}; not installed: {', '.join(missing)}.",
            kind="missing-extra",
            hint="pip install 'modhub[onnx]'",
            packages=missing,
        )


def onnx_bytes(model: Any, metadata: Mapping[str, str]) -> bytes:
    """``model`` (raw images to margins) as an ONNX file: its input by its name, output ``margins`` (N, k).

    ``metadata`` goes into ``metadata_props``. Raises UnsupportedModel, kind ``unsupported-operator``.
    """
    check_onnx_installed()
    # The extra ``onnx`` has tf2onnx and onnx; what traces a network imports keras.
    import tf2onnx

    from modhub.engine.export.tensorflow import traced

    function, images = traced(model)
    try:
        with _quick_and_silent():
            proto, _ = tf2onnx.convert.from_function(function, input_signature=[images], opset=_OPSET)
    # tf2onnx raises whatever its handlers of single operators raise.
    except Exception as error:
        raise _refused([], plain(str(error).strip() or type(error).__name__)) from error
    if unknown := _unknown_operators(proto.graph):
        raise _refused(unknown, "")
    renumber(proto.graph, images.name)
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    return bytes(proto.SerializeToString(deterministic=True))


@contextmanager
def _quick_and_silent() -> Iterator[None]:
    """What tf2onnx has to say ends up in an error of ours, or does not matter.

    By itself it copies the whole graph some fifty times, in case an optimisation fails; its own switch keeps it from
    that, which makes large composites possible at all.
    """
    logger = logging.getLogger("tf2onnx")
    level, switch = logger.level, os.environ.get(_NO_COPIES)
    logger.setLevel(logging.CRITICAL)
    os.environ[_NO_COPIES] = "FALSE"
    try:
        yield
    finally:
        logger.setLevel(level)
        if switch is None:
            del os.environ[_NO_COPIES]
        else:
            os.environ[_NO_COPIES] = switch


def _unknown_operators(graph: Any) -> list[str]:
    """Operators that ONNX does not have, in order; tf2onnx leaves what it cannot convert as it was."""
    import onnx

    found = [
        node.op_type
        for node in _nodes(graph)
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type, _OPSET, "")
    ]
    return list(dict.fromkeys(found))


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _refused(operators: list[str], reason: str) -> UnsupportedModel:
    named = f"has no operator {', '.join(operators)}" if operators else f"cannot hold this classifier: {reason}"
    return UnsupportedModel(
        f"the format onnx {named}{'' if named.endswith('.') else '.'}",
        kind="unsupported-operator",
        hint="export it with --format saved-model or --format keras.",
        format="onnx",
        operators=operators,
    )


def renumber(graph: Any, given: str = "images") -> None:
    """Order and number nodes, tensors and weights as the output asks for them; the batch is called N, the input so."""
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return  # an inner graph sees the names of the outer one
    names = {graph.input[0].name: given, graph.output[0].name: "margins"}
    weights = {weight.name: weight for weight in graph.initializer}
    nodes = _in_order(graph)
    for number, node in enumerate(nodes):
        node.name, node.doc_string = f"{node.op_type}_{number}", ""
        for source in node.input:
            if source in weights:
                names.setdefault(source, f"weight_{len(names)}")
        for place, output in enumerate(node.output):
            names.setdefault(output, f"tensor_{number}_{place}")
        node.input[:] = [names.get(source, source) for source in node.input]
        node.output[:] = [names[output] for output in node.output]
    used = [_copy(weights[name]) for name in names if name in weights]
    for tensor in (*graph.input, *graph.output, *used):
        tensor.name = names[tensor.name]
    for field, values in (("node", nodes), ("initializer", used), ("value_info", [])):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    graph.name, graph.doc_string = "composite", ""
    for tensor in (graph.input[0], graph.output[0]):
        tensor.type.tensor_type.shape.dim[0].dim_param = "N"


def _in_order(graph: Any) -> list[Any]:
    """Copies of the nodes that the output needs, each behind those that it reads, as their inputs name them."""
    makers = {output: number for number, node in enumerate(graph.node) for output in node.output}
    done: set[int] = set()
    order: list[Any] = []
    stack = [(makers[graph.output[0].name], False)]
    while stack:
        number, read = stack.pop()
        if number in done:
            continue
        node = graph.node[number]
        if read:
            done.add(number)
            order.append(_copy(node))
        else:
            stack.append((number, True))
            stack += [(makers[source], False) for source in reversed(node.input) if source in makers]
    return order


def _copy(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())
