"""The Open Inference Protocol, version 2 (KServe, Triton): what the classifier is, whether it is ready, and inferring.

https://github.com/kserve/open-inference-protocol; the extensions are those of Triton of the same names: binary tensor
data, classification, and of the model repository the index.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modhub.data.arrays import Images
from modhub.errors import InvalidData, NotFound, UsageError, shown
from modhub.limits import KIB
from modhub.serving.guard import body_too_large
from modhub.serving.library import JSONResponse, Request, Response, Route
from modhub.serving.pictures import PictureBounds, as_given, fitted_numbers, json_of, pictures_of
from modhub.serving.tensors import (
    TEXTS,
    AnsweredTensor,
    InferenceRequest,
    InputTensor,
    WantedTensor,
    encoded_pictures,
    inference_request,
    json_length,
    numbers_of,
    texts,
)

if TYPE_CHECKING:
    from modhub.composition.votes import Prediction
    from modhub.serving.served import ServedClassifier
    from modhub.serving.service import Service

#: The one input of every classifier.
INPUT: Final = "images"
_EXTENSIONS: Final = ("binary_tensor_data", "classification", "model_repository")
_HEADER: Final = "inference-header-content-length"
_PLATFORM: Final = "modhub"
#: Bytes of JSON that are read in no time.
_SMALL: Final = 32 * KIB


def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def _classifier(request: Request) -> ServedClassifier:
    """The classifier that the path names. Raises NotFound."""
    found = _service(request).classifier
    name, version = request.path_params["name"], request.path_params.get("version", found.version)
    if name != found.name:
        raise NotFound(f"there is no model {shown(name)}.", kind="no-model", hint=f"this server has {found.name}.")
    if version != found.version:
        raise NotFound(
            f"{found.name} has no version {shown(version)}.", kind="no-version", hint=f"it has {found.version}."
        )
    return found


async def server_metadata(request: Request) -> JSONResponse:
    from_package = request.app.state.version
    return JSONResponse({"name": "modhub", "version": from_package, "extensions": list(_EXTENSIONS)})


async def server_live(request: Request) -> JSONResponse:
    return JSONResponse({"live": True})


async def server_ready(request: Request) -> JSONResponse:
    return _readiness(request, {})


async def model_ready(request: Request) -> JSONResponse:
    return _readiness(request, {"name": _classifier(request).name})


def _readiness(request: Request, more: dict[str, Any]) -> JSONResponse:
    is_ready = not _service(request).is_stopping
    return JSONResponse({**more, "ready": is_ready}, 200 if is_ready else 503)


async def model_metadata(request: Request) -> JSONResponse:
    """Inputs and outputs; under ``modhub`` what the protocol has no words for."""
    served = _classifier(request)
    count = len(served.classes)
    dtype = {"uint8": "UINT8", "float32": "FP32"}[served.contract.dtype]
    return JSONResponse(
        {
            "name": served.name,
            "versions": [served.version],
            "platform": _PLATFORM,
            "inputs": [{"name": INPUT, "datatype": dtype, "shape": [-1, *served.contract.shape]}],
            "outputs": [
                {"name": "labels", "datatype": TEXTS, "shape": [-1]},
                *({"name": name, "datatype": "FP32", "shape": [-1, count]} for name in _FIGURES),
            ],
            "modhub": {
                "classes": served.classes,
                "modules": served.modules,
                "value_range": list(served.contract.value_range),
                "remarks": served.remarks,
            },
        }
    )


async def repository_index(request: Request) -> JSONResponse:
    service = _service(request)
    body = await request.body()
    asked = json_of(body) if body else {}
    if not isinstance(asked, dict):
        raise InvalidData(
            "the request has to be a JSON object.", kind="bad-request", hint='send {} or {"ready": true}.'
        )
    if asked.get("ready") is True and service.is_stopping:
        return JSONResponse([])
    served = service.classifier
    row = {"name": served.name, "version": served.version, "state": "READY", "reason": ""}
    return JSONResponse([{**row, "state": "UNAVAILABLE", "reason": "stopping"} if service.is_stopping else row])


async def repository_change(request: Request) -> JSONResponse:
    raise UsageError(
        "loading and unloading over HTTP is not allowed.",
        kind="not-allowed",
        hint="change the project and send SIGHUP to the server.",
    )


async def infer(request: Request) -> Response:
    service = _service(request)
    async with service.room_for_request():
        served = _classifier(request)
        asked, images = await _asked(request, service, served)
        prediction = await service.answer(served, images)
    return _answer(served, asked, prediction)


async def _asked(request: Request, service: Service, served: ServedClassifier) -> tuple[InferenceRequest, Images]:
    """What is asked, and the images. Bytes become an array in no time; what takes long is done by a reader thread."""
    body, header = await request.body(), request.headers.get(_HEADER)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    limits = service.limits
    is_small = encoding == "identity" and json_length(body, header) <= _SMALL

    def read_request() -> tuple[InferenceRequest, list[bytes | None]]:
        return inference_request(_decompressed(body, encoding, limits.body), header, limits.json_body)

    bounds = service.picture_bounds()

    def read_images(asked: InferenceRequest, parts: Sequence[bytes | None]) -> tuple[InferenceRequest, Images]:
        for wanted in asked.outputs:
            _check_output(wanted)
        return asked, _images(asked.inputs, parts, service, served, bounds)

    if not is_small:
        # In one piece: only as many requests are unpacked at once as there are readers.
        return await service.in_reader(lambda: read_images(*read_request()))
    asked, parts = read_request()
    if any(tensor.datatype == TEXTS for tensor in asked.inputs):
        return await service.in_reader(lambda: read_images(asked, parts))
    return read_images(asked, parts)


def _images(
    inputs: Sequence[InputTensor],
    parts: Sequence[bytes | None],
    service: Service,
    served: ServedClassifier,
    bounds: PictureBounds,
) -> Images:
    if len(inputs) != 1 or inputs[0].name != INPUT:
        names = ", ".join(shown(each.name) for each in inputs)
        raise InvalidData(
            f"the inputs are {names}; {served.name} takes one, {INPUT!r}.", kind="bad-request", hint="send that one."
        )
    tensor, data = inputs[0], parts[0]
    reader = service.picture_reader(served)
    if tensor.datatype == TEXTS:
        # Before millions of elements are split up.
        service.check_count(prod(tensor.shape))
        return pictures_of(encoded_pictures(tensor, data), reader, bounds)
    array = numbers_of(tensor, data)
    service.check_count(array.shape[0] if array.ndim else 0)
    # A tensor of another shape was not meant for this classifier, so it is not fitted.
    if array.shape[1:] != served.contract.shape:
        raise InvalidData(
            f"{INPUT!r} has the shape {list(array.shape)}; {served.name} takes {[-1, *served.contract.shape]}.",
            kind="wrong-shape",
            hint="send images of that size, or encoded pictures as BYTES, which are fitted.",
        )
    return fitted_numbers(as_given(array), reader)


def _decompressed(body: bytes, encoding: str, most: int) -> bytes:
    if encoding in ("identity", ""):
        return body
    if encoding not in ("gzip", "deflate"):
        raise UsageError(
            f"the content encoding {shown(encoding)} is not taken.",
            kind="bad-media-type",
            hint="send gzip, deflate, or nothing compressed.",
        )
    # 32 takes either form by its own header.
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        data = unpacking.decompress(body, most + 1)
    except zlib.error:
        raise InvalidData(f"the body is no {encoding}.", kind="bad-request", hint="compress it again.") from None
    if len(data) > most:
        raise body_too_large(most)
    if not unpacking.eof:
        raise InvalidData("the compressed body is cut short.", kind="bad-request", hint="send all of it.")
    return data


_FIGURES: Final = ("probabilities", "margins", "module_scores")


def _check_output(wanted: WantedTensor) -> None:
    if wanted.name != "labels" and wanted.name not in _FIGURES:
        raise InvalidData(
            f"there is no output {shown(wanted.name)}.",
            kind="bad-request",
            hint=f"ask for labels, {', '.join(_FIGURES)}.",
        )


def _answer(served: ServedClassifier, asked: InferenceRequest, prediction: Prediction) -> Response:
    outputs: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for wanted in asked.outputs or [WantedTensor(name=name) for name in ("labels", *_FIGURES)]:
        tensor = _tensor(wanted, prediction)
        is_binary = wanted.parameters.binary_data
        output = tensor.described()
        if asked.parameters.binary_data_output if is_binary is None else is_binary:
            behind.append(tensor.as_bytes())
            output["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            output["data"] = tensor.as_json()
        outputs.append(output)
    document: dict[str, Any] = {"model_name": served.name, "model_version": served.version, "outputs": outputs}
    if asked.id is not None:
        document["id"] = asked.id
    said = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    if not behind:
        return Response(said, media_type="application/json")
    headers = {_HEADER: str(len(said))}
    return Response(b"".join([said, *behind]), media_type="application/octet-stream", headers=headers)


def _tensor(wanted: WantedTensor, prediction: Prediction) -> AnsweredTensor:
    """One output. With ``classification`` its largest values as texts: value, column, label."""
    if wanted.name == "labels":
        return AnsweredTensor("labels", TEXTS, texts(prediction.labels))
    values = getattr(prediction, wanted.name)
    count = min(wanted.parameters.classification, values.shape[1])
    if not count:
        return AnsweredTensor(wanted.name, "FP32", values)
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    said = [
        f"{values[row, column]:.6f}:{column}:{prediction.classes[column]}"
        for row, columns in enumerate(order)
        for column in columns
    ]
    return AnsweredTensor(wanted.name, TEXTS, texts(said, len(values), count))


_MODEL: Final = "/v2/models/{name}"
_VERSION: Final = _MODEL + "/versions/{version}"

#: All paths of the protocol.
PROTOCOL_ROUTES: Final = (
    Route("/v2", server_metadata),
    Route("/v2/health/live", server_live),
    Route("/v2/health/ready", server_ready),
    *(Route(f"{path}", model_metadata) for path in (_MODEL, _VERSION)),
    *(Route(f"{path}/ready", model_ready) for path in (_MODEL, _VERSION)),
    *(Route(f"{path}/infer", infer, methods=["POST"]) for path in (_MODEL, _VERSION)),
    Route("/v2/repository/index", repository_index, methods=["POST"]),
    Route("/v2/repository/models/{name}/load", repository_change, methods=["POST"]),
    Route("/v2/repository/models/{name}/unload", repository_change, methods=["POST"]),
)
