"""Every field of every kind of layer with hostile values: what an architecture can still say is listed here.

Numbers beyond all bounds, of the wrong type or shape, or nested deeply are refused as they are read, in words. What is
accepted all the same is harmless: it means a number that the field may have, and the engine builds and runs it.
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from modhub.engine.run.network import Network
from modhub.errors import IntegrityError
from modhub.spec.architecture import Architecture, shapes_of
from modhub.spec.digests import parse_json
from modhub.spec.layer_record import LayerRecord
from tests.decomposition.test_connectivity import RECORDS


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: dict[str, Any] = {
    "minus one": -1,
    "nothing": 0,
    "2^31": 2**31,
    "beyond 64 bits": 10**30,
    "far below": -(10**30),
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "beyond float32": 1e308,
    "below float32": 1e-320,
    "a half": 0.5,
    "true": True,
    "null": None,
    "text": "relu; import os",
    "a number as text": "3",
    "a long text": "n" * 2**16,
    "an object": {"class_name": "Lambda"},
    "no list": [],
    "a pair": [1, 1],
    "a pair below": [-1, 1],
    "a pair beyond": [2**40, 1],
    "a pair of halves": [1.5, 1.5],
    "a pair of NaN": [math.nan, math.nan],
    "five": [1, 1, 1, 1, 1],
    "ten thousand": [1] * 10_000,
    "pairs": [[1, 1], [1, 1]],
    "pairs beyond": [[2**40, 0], [0, 0]],
    "nested": nested(10),
    "nested deeply": nested(200),
}

#: What each field takes of them. A number may be written as text, and true for one; all of it is a value in its bounds.
_WHOLE = {"a number as text", "true"}
_FLAG = {"nothing", "true"}
_SHARE = {"a half", "true"}
SAYABLE: dict[str, set[str]] = {
    "use_bias": _FLAG,
    "center": _FLAG,
    "scale of a normalisation": _FLAG,
    "keepdims": _FLAG,
    "filters": _WHOLE,
    "units": _WHOLE,
    "groups": {"true"},
    "axis": {"nothing", "true"},
    "epsilon": _SHARE,
    "kernel_size": {"a pair"},
    "strides": {"a pair"},
    "dilation": {"a pair"},
    "pool_size": {"a pair"},
    "size": {"a pair"},
    "padding of an image": {"pairs"},
    "cropping": {"pairs"},
    "max_value": {"a half", "true", "null", "a number as text", "2^31", "beyond 64 bits"},
    "alpha": {"a half", "true", "null", "a number as text"},
}


def field_of(record: LayerRecord, name: str) -> str:
    """The field's name in the list above; three names mean different things in different kinds."""
    if name == "scale" and record.kind != "rescaling":
        return "scale of a normalisation"
    return "padding of an image" if name == "padding" and record.kind == "zero_padding2d" else name


def text_of(record: LayerRecord, **fields: Any) -> bytes:
    """An architecture of this layer, with ``fields`` instead of its own, as a file has it."""
    own = record.model_dump(mode="json") | fields
    inputs = ["input", "input"] if record.takes_many else ["input"]
    return json.dumps(
        {
            "input_shape": [4, 4, 4],
            "layers": {"own": own, "flat": {"kind": "flatten"}},
            "calls": [{"id": "own", "layer": "own", "inputs": inputs}, {"id": "f", "layer": "flat", "inputs": ["own"]}],
            "features": "f",
            "head": "logits",
        }
    ).encode()


def read(text: bytes) -> Architecture:
    """As a manifest's architecture is read: JSON, the schema, shapes."""
    architecture = Architecture.model_validate(parse_json(text, what="the manifest"))
    shapes_of(architecture)
    return architecture


@cache
def accepted(number: int, name: str) -> dict[str, Architecture]:
    """The hostile values that a field of a record takes, and what they make."""
    found = {}
    for title, value in HOSTILE.items():
        try:
            found[title] = read(text_of(RECORDS[number], **{name: value}))
        except (IntegrityError, ValidationError):
            continue
    return found


FIELDS = [(number, name) for number, record in enumerate(RECORDS) for name in type(record).model_fields]


def ids(case: Any) -> str:
    return f"{RECORDS[case].kind}" if isinstance(case, int) else str(case)


@pytest.mark.parametrize(("number", "name"), FIELDS, ids=ids)
def test_a_field_takes_nothing_hostile_but_what_is_listed(number, name):
    record = RECORDS[number]
    assert read(text_of(record)).layers["own"] == record
    assert set(accepted(number, name)) <= SAYABLE.get(field_of(record, name), set())


def test_what_is_taken_all_the_same_can_be_built_and_run():
    images, taken = np.ones((1, 4, 4, 4), np.float32), 0
    for number, name in FIELDS:
        for architecture in accepted(number, name).values():
            shapes = shapes_of(architecture)
            own = architecture.layers["own"].weight_shapes((4, 4, 4))
            weights = {f"own/{key}": np.ones(shape, np.float32) for key, shape in own.items()}
            features = np.asarray(Network(architecture, weights).run(images))
            assert features.shape == (1, *shapes["f"])
            assert np.isfinite(features).all()
            taken += 1
    assert taken > 30


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.kind)
def test_a_field_more_or_less_is_refused(record):
    with pytest.raises(ValidationError, match="Extra inputs"):
        read(text_of(record, function_body="__import__('os').abort()"))
    for name, field in type(record).model_fields.items():
        if field.is_required():
            lacking = json.loads(text_of(record))
            del lacking["layers"]["own"][name]
            with pytest.raises(ValidationError):
                read(json.dumps(lacking).encode())
