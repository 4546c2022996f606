"""The Open Inference Protocol: a client that exists works unchanged, and what is wrong with a request is said."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from modhub.composition.composite import Composite
from modhub.serving.server import ServedHere
from tests.serving.conftest import png

triton = pytest.importorskip("tritonclient.http", reason="the client of the protocol (tritonclient[http]) is missing")

FIGURES = ("probabilities", "margins", "module_scores")


@pytest.fixture(scope="module")
def client(server: ServedHere) -> Iterator[Any]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as found:
        yield found


def given(x: NDArray[Any], kind: str = "UINT8", **how: Any) -> Any:
    tensor = triton.InferInput("images", x.shape, kind)
    tensor.set_data_from_numpy(x, **how)
    return tensor


def test_it_lists_and_checks(client: Any, pets: Composite) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("pets")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    [row] = client.get_model_repository_index()
    assert (row["name"], row["state"]) == ("pets", "READY")
    assert client.is_model_ready("pets", row["version"])
    about = client.get_model_metadata("pets", row["version"])
    assert about["versions"] == [row["version"]]
    assert about["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 12, 12, 1]}]
    assert {each["name"]: (each["datatype"], each["shape"]) for each in about["outputs"]} == {
        "labels": ("BYTES", [-1]), **dict.fromkeys(FIGURES, ("FP32", [-1, 3]))
    }  # fmt: skip
    assert about["modhub"]["classes"] == pets.classes


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("kind", ["UINT8", "FP32"])
def test_it_infers_as_the_classifier_does(
    client: Any, pets: Composite, x: NDArray[np.uint8], binary: bool, kind: str
) -> None:
    images = x if kind == "UINT8" else x.astype("float32")
    result = client.infer("pets", [given(images, kind, binary_data=binary)], request_id="7")
    wanted = pets.predict(x)
    for name in FIGURES:
        np.testing.assert_allclose(result.as_numpy(name), getattr(wanted, name), atol=1e-5)
    assert [label.decode() for label in result.as_numpy("labels")] == wanted.labels
    assert result.get_response()["id"] == "7"


def test_outputs_come_as_they_are_wanted(client: Any, pets: Composite, x: NDArray[np.uint8]) -> None:
    wanted = [
        triton.InferRequestedOutput("margins", binary_data=False),
        triton.InferRequestedOutput("probabilities", class_count=2),
        triton.InferRequestedOutput("labels", binary_data=False),
    ]
    result = client.infer("pets", [given(x)], outputs=wanted)
    prediction = pets.predict(x)
    np.testing.assert_allclose(result.as_numpy("margins"), prediction.margins, atol=1e-5)
    best = [[text.decode().split(":") for text in row] for row in result.as_numpy("probabilities")]
    assert [[label for _, _, label in row] for row in best] == prediction.top(2)
    assert all(pets.classes[int(column)] == label for row in best for _, column, label in row)
    assert list(result.as_numpy("labels")) == prediction.labels
    assert result.as_numpy("module_scores") is None


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_requests_may_be_compressed(client: Any, pets: Composite, x: NDArray[np.uint8], compression: str) -> None:
    result = client.infer("pets", [given(x)], request_compression_algorithm=compression)
    np.testing.assert_allclose(result.as_numpy("margins"), pets.predict(x).margins, atol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_encoded_pictures_are_fitted(server: ServedHere, client: Any, pets: Composite, binary: bool) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (30, 20, 1), np.uint8)
    wanted = pets.predict([photo], fit="resize").margins
    if binary:
        array = np.array([png(photo)], object)
        found = client.infer("pets", [given(array, "BYTES")]).as_numpy("margins")
    else:
        import base64

        tensor = {"name": "images", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(png(photo)).decode()]}
        found = outputs(infer(server, inputs=[tensor]))["margins"]
    np.testing.assert_allclose(np.reshape(found, wanted.shape), wanted, atol=1e-5)


def test_the_client_is_told_what_is_wrong(client: Any, x: NDArray[np.uint8]) -> None:
    with pytest.raises(triton.InferenceServerException, match="no model 'other'"):
        client.infer("other", [given(x)])
    with pytest.raises(triton.InferenceServerException, match=r"takes \[-1, 12, 12, 1\]"):
        client.infer("pets", [given(x[:, :6])])
    with pytest.raises(triton.InferenceServerException, match="not allowed"):
        client.load_model("pets")
    assert not client.is_model_ready("pets", "99")


def infer(server: ServedHere, **document: Any) -> requests.Response:
    return requests.post(f"{server.url}/v2/models/pets/infer", json=document, timeout=60)


def outputs(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {each["name"]: each["data"] for each in answer.json()["outputs"]}


@pytest.mark.parametrize("kind", ["INT8", "INT64", "UINT16", "FP64", "FP16", "BF16", "INT32"])
def test_numbers_of_every_kind_are_taken(server: ServedHere, pets: Composite, kind: str) -> None:
    images = np.random.default_rng(4).integers(2, 100, (2, 12, 12, 1), np.uint8)
    tensor = {"name": "images", "shape": list(images.shape), "datatype": kind, "data": images.tolist()}
    found = outputs(infer(server, inputs=[tensor]))["margins"]
    np.testing.assert_allclose(np.reshape(found, (2, 3)), pets.predict(images).margins, atol=1e-5)


ZEROS = {"name": "images", "shape": [1, 12, 12, 1], "datatype": "UINT8", "data": [0] * 144}
WRONG: dict[str, Any] = {
    "nothing": {},
    "no inputs": {"inputs": []},
    "two inputs": {"inputs": [ZEROS, ZEROS]},
    "another name": {"inputs": [ZEROS | {"name": "x"}]},
    "too few values": {"inputs": [ZEROS | {"data": [0] * 143}]},
    "no values": {"inputs": [{key: ZEROS[key] for key in ("name", "shape", "datatype")}]},
    "another shape": {"inputs": [ZEROS | {"shape": [1, 144]}]},
    "a negative shape": {"inputs": [ZEROS | {"shape": [-1, 12, 12, 1]}]},
    "an endless shape": {"inputs": [ZEROS | {"shape": [2**31, 2**31, 2**31, 2**31]}]},
    "a shape of fractions": {"inputs": [ZEROS | {"shape": [1.5, 12, 12, 1]}]},
    "no images": {"inputs": [ZEROS | {"shape": [0, 12, 12, 1], "data": []}]},
    "another datatype": {"inputs": [ZEROS | {"datatype": "INT4"}]},
    "beyond the datatype": {"inputs": [ZEROS | {"data": [256] * 144}]},
    "halves": {"inputs": [ZEROS | {"data": [0.5] * 144}]},
    "words": {"inputs": [ZEROS | {"data": ["0"] * 144}]},
    "nested words": {"inputs": [ZEROS | {"data": [[["a"]]]}]},
    "a huge integer": {"inputs": [ZEROS | {"datatype": "INT64", "data": [2**70] * 144}]},
    "bytes that are not there": {"inputs": [ZEROS | {"parameters": {"binary_data_size": 144}}]},
    "a negative size": {"inputs": [ZEROS | {"parameters": {"binary_data_size": -1}}]},
    "another output": {"inputs": [ZEROS], "outputs": [{"name": "logits"}]},
    "no base64": {"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["?"]}]},
    "pictures of numbers": {"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": [1]}]},
    "a number as an id": {"id": 7, "inputs": [ZEROS]},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_refused(server: ServedHere, name: str) -> None:
    answer = infer(server, **WRONG[name])
    assert answer.status_code == 400, answer.text
    assert len(answer.json()["error"]) < 1000


HEAD = json.dumps({"inputs": [{**{key: ZEROS[key] for key in ("name", "shape", "datatype")}}]}).encode()
BYTES = json.dumps({"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES"}]}).encode()
MANY = BYTES.replace(b"[1]", b"[1000]")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (HEAD + bytes(144), {"inference-header-content-length": str(len(HEAD))}, 200),
        (HEAD + bytes(143), {"inference-header-content-length": str(len(HEAD))}, 400),
        (HEAD + bytes(145), {"inference-header-content-length": str(len(HEAD))}, 400),
        (HEAD, {"inference-header-content-length": "99999999999999999999"}, 400),
        (HEAD, {"inference-header-content-length": "0" * 12 + "9" * 5000}, 400),
        (HEAD, {"inference-header-content-length": "-1"}, 400),
        (HEAD, {"inference-header-content-length": "x"}, 400),
        (BYTES + b"\xff\xff\xff\xff", {"inference-header-content-length": str(len(BYTES))}, 400),
        (BYTES + b"\x09\0\0\0", {"inference-header-content-length": str(len(BYTES))}, 400),
        (MANY + bytes(4), {"inference-header-content-length": str(len(MANY))}, 413),
        (b"", {}, 400),
        (b"[" * 50_000, {}, 400),
        (gzip.compress(bytes(10_000_000), mtime=0), {"content-encoding": "gzip"}, 413),
        (gzip.compress(HEAD, mtime=0)[:-9], {"content-encoding": "gzip"}, 400),
        (b"hello", {"content-encoding": "gzip"}, 400),
        (HEAD, {"content-encoding": "br"}, 415),
    ],
)
def test_bytes_are_bounded_and_checked(server: ServedHere, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = requests.post(f"{server.url}/v2/models/pets/infer", data=body, headers=headers, timeout=60)
    assert answer.status_code == status, answer.text
