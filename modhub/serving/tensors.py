"""Tensors of the Open Inference Protocol, as JSON or as bytes behind it (the binary tensor data extension).

Everything that a client says of a tensor is checked against its bytes before anything is made of it. Little-endian,
row-major, as the protocol has it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from modhub.errors import InvalidData, plain, shown
from modhub.serving.guard import body_too_large
from modhub.serving.pictures import decoded, json_of

#: The protocol's numbers; BF16, which numpy has not, is read as the upper half of FP32.
NUMBERS: Final = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
TEXTS: Final = "BYTES"
_MOST_AXES: Final = 6
_MOST_TENSORS: Final = 16
_MOST_DIGITS: Final = 12

_Name = Annotated[StrictStr, Field(min_length=1, max_length=200)]


class _Said(BaseModel):
    # Parameters of other servers are no error.
    model_config = ConfigDict(extra="ignore")


class TensorParameters(_Said):
    """What is said of one tensor beside its values."""

    binary_data_size: Annotated[StrictInt, Field(ge=0)] | None = None
    binary_data: StrictBool | None = None
    classification: Annotated[StrictInt, Field(ge=0)] = 0


class InputTensor(_Said):
    """A tensor that a client sends; ``data`` where it is not in the bytes behind the JSON."""

    name: _Name
    shape: Annotated[list[Annotated[StrictInt, Field(ge=0, le=2**31)]], Field(max_length=_MOST_AXES)]
    datatype: _Name
    parameters: TensorParameters = TensorParameters()
    data: list[Any] | None = None


class WantedTensor(_Said):
    """A tensor that a client wants."""

    name: _Name
    parameters: TensorParameters = TensorParameters()


class RequestParameters(_Said):
    """What is said of the whole request: whether tensors come as bytes unless they say otherwise."""

    binary_data_output: StrictBool = False


class InferenceRequest(_Said):
    """The JSON of a request."""

    id: Annotated[StrictStr, Field(max_length=1000)] | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=_MOST_TENSORS)]
    outputs: Annotated[list[WantedTensor], Field(max_length=_MOST_TENSORS)] = []


@dataclass(frozen=True, eq=False)
class AnsweredTensor:
    """A tensor of an answer: numbers, or texts where ``values`` holds ``bytes``."""

    name: str
    datatype: str
    values: NDArray[Any]

    def described(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.values.shape)}

    def as_json(self) -> list[Any]:
        """The values in one list, row-major."""
        if self.datatype == TEXTS:
            return [text.decode() for text in self.values.ravel()]
        return list(self.values.ravel().tolist())

    def as_bytes(self) -> bytes:
        if self.datatype == TEXTS:
            return b"".join(struct.pack("<I", len(text)) + text for text in self.values.ravel())
        return np.ascontiguousarray(self.values, NUMBERS[self.datatype]).tobytes()


def texts(values: Sequence[str], *shape: int) -> NDArray[Any]:
    """Texts as a tensor holds them."""
    array = np.empty(len(values), object)
    array[:] = [value.encode() for value in values]
    return array.reshape(shape or (len(values),))


def json_length(body: bytes, header: str | None) -> int:
    """How many bytes of a body are JSON, as ``header`` (Inference-Header-Content-Length) says. Raises InvalidData."""
    if header is None:
        return len(body)
    if not (header.isascii() and header.isdigit() and len(header) <= _MOST_DIGITS) or int(header) > len(body):
        raise _bad(f"Inference-Header-Content-Length is {shown(header)} for a body of {len(body)} bytes")
    return int(header)


def inference_request(body: bytes, header: str | None, most_json: int) -> tuple[InferenceRequest, list[bytes | None]]:
    """A request's JSON, and each input's bytes behind it, see ``json_length``. Raises InvalidData, Refused."""
    length = json_length(body, header)
    if length > most_json:
        raise body_too_large(most_json)
    try:
        request = InferenceRequest.model_validate(json_of(body[:length]))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _bad(f"{plain(where)}: {first['msg']}") from None
    parts: list[bytes | None] = []
    for tensor in request.inputs:
        size = tensor.parameters.binary_data_size
        if size is None and tensor.data is None and header is not None and len(request.inputs) == 1:
            # One tensor whose bytes are all the rest, as the extension allows.
            size = len(body) - length
        if size is not None:
            if size > len(body) - length:
                raise _bad(f"{shown(tensor.name)} has {size} bytes, and {len(body) - length} are left")
            parts.append(body[length : length + size])
            length += size
        else:
            parts.append(None)
    if length != len(body):
        raise _bad(f"{len(body) - length} bytes belong to no tensor")
    return request, parts


def numbers_of(tensor: InputTensor, data: bytes | None) -> NDArray[Any]:
    """An input's values, in its shape. Raises InvalidData."""
    kind = NUMBERS.get(tensor.datatype)
    if kind is None:
        raise _bad(f"{shown(tensor.name)} has the datatype {shown(tensor.datatype)}; it is one of {', '.join(NUMBERS)}")
    count = prod(tensor.shape)
    if data is not None:
        if len(data) != count * kind.itemsize:
            raise _bad(
                f"{shown(tensor.name)} has {len(data)} bytes; {tensor.datatype} of {_shape(tensor.shape)} has "
                f"{count * kind.itemsize}"
            )
        array = np.frombuffer(data, kind)
        if tensor.datatype == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
    else:
        array = _of_json(tensor, np.dtype("<f4") if tensor.datatype == "BF16" else kind)
    if array.size != count:
        raise _bad(f"{shown(tensor.name)} has {array.size} values; {_shape(tensor.shape)} has {count}")
    return array.reshape(tensor.shape)


def _of_json(tensor: InputTensor, kind: np.dtype[Any]) -> NDArray[Any]:
    try:
        given = np.asarray(tensor.data)
        if given.dtype.kind not in "biuf":
            raise ValueError
        if kind.kind in "iu":
            bounds = np.iinfo(kind)
            is_whole = given.dtype.kind in "biu" or bool((given == np.floor(given)).all())
            if not is_whole or (given.size and (given.min() < bounds.min or given.max() > bounds.max)):
                raise ValueError
        with np.errstate(over="ignore"):
            return given.astype(kind)
    except (ValueError, OverflowError, RecursionError, TypeError):
        raise _bad(f"the data of {shown(tensor.name)} are not all numbers of {tensor.datatype}, in one shape") from None


def encoded_pictures(tensor: InputTensor, data: bytes | None) -> list[tuple[str, bytes]]:
    """Encoded pictures that a tensor of BYTES has, in JSON as base64. Raises InvalidData."""
    found: list[bytes]
    count = prod(tensor.shape)
    if data is None:
        given = tensor.data or []
        _check_elements(tensor, len(given), count)
        if not all(isinstance(each, str) for each in given):
            raise _bad(f"the data of {shown(tensor.name)} are no texts in one list")
        found = [decoded(each, f"image {number}") for number, each in enumerate(given)]
    else:
        found = []
        start = 0
        while start < len(data):
            if len(found) == count:
                raise _bad(f"{shown(tensor.name)} has more than the {count} elements of {_shape(tensor.shape)}")
            size = int.from_bytes(data[start : start + 4], "little")
            start += 4
            if start + size > len(data):
                raise _bad(f"{shown(tensor.name)} ends inside an element")
            found.append(data[start : start + size])
            start += size
        _check_elements(tensor, len(found), count)
    return [(f"image {number}", each) for number, each in enumerate(found)]


def _check_elements(tensor: InputTensor, found: int, wanted: int) -> None:
    if found != wanted:
        raise _bad(f"{shown(tensor.name)} has {found} elements; {_shape(tensor.shape)} has {wanted}")


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "no axis"


def _bad(reason: str) -> InvalidData:
    return InvalidData(
        f"the inference request is wrong: {reason}.", kind="bad-request", hint="see GET /v2/models/NAME for its inputs."
    )
