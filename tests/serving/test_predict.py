"""``POST /predict``: pictures in every form, answered as the classifier answers by itself, or refused with a reason."""

from __future__ import annotations

import base64
import io
import json
import socket
import struct
import zlib
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image

from modhub.composition.composite import Composite
from modhub.composition.votes import Prediction
from modhub.serving.server import ServedHere
from tests.serving.conftest import LIMITS, png


def post(server: ServedHere, **request: Any) -> requests.Response:
    return requests.post(f"{server.url}/predict", timeout=60, **request)


def check(answer: requests.Response, wanted: Prediction) -> None:
    assert answer.status_code == 200, answer.text
    rows = answer.json()["images"]
    assert [row["label"] for row in rows] == wanted.labels
    np.testing.assert_allclose([row["margins"] for row in rows], wanted.margins, atol=1e-5)
    np.testing.assert_allclose([row["probabilities"] for row in rows], wanted.probabilities, atol=1e-5)
    assert answer.json()["classes"] == list(wanted.classes)


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_form_has_any_number_of_files(server: ServedHere, pets: Composite, x: NDArray[np.uint8]) -> None:
    files = [("file", (f"{number}.png", png(image))) for number, image in enumerate(x)]
    answer = post(server, files=files)
    check(answer, pets.predict(x))
    assert [row["image"] for row in answer.json()["images"]] == [f"{number}.png" for number in range(8)]


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "application/x-www-form-urlencoded", ""])
def test_the_body_is_one_picture(server: ServedHere, pets: Composite, x: NDArray[np.uint8], kind: str) -> None:
    check(post(server, data=png(x[0]), headers={"content-type": kind}), pets.predict(x[:1]))


def test_json_has_pictures_in_base64_or_numbers(server: ServedHere, pets: Composite, x: NDArray[np.uint8]) -> None:
    encoded = in_base64(png(x[0]))
    for image in (encoded, f"data:image/png;base64,{encoded}", x[0].tolist(), x[0, ..., 0].tolist()):
        check(post(server, json={"image": image}), pets.predict(x[:1]))
    check(post(server, json={"images": [encoded, encoded]}), pets.predict(x[[0, 0]]))
    check(post(server, json={"images": x[:3].tolist()}), pets.predict(x[:3]))
    floats = x[:2] + 0.25
    check(post(server, json={"inputs": floats.tolist()}), pets.predict(floats.astype("float32")))


def test_photos_are_fitted_as_predict_fits_them(server: ServedHere, pets: Composite) -> None:
    """Large, coloured, transparent, turned by EXIF: what ``predict(fit="resize")`` says is the oracle."""
    random = np.random.default_rng(3)
    photo = Image.fromarray(random.integers(0, 256, (90, 60, 4), np.uint8), "RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = post(server, data=png(photo, exif=exif))
    opened = Image.open(io.BytesIO(png(photo, exif=exif)))
    check(answer, pets.predict(opened, fit="resize"))
    assert answer.json()["pictures"]["done"].keys() == {
        "turned upright", "composed on white", "RGB made grey", "resized to 12x12"
    }  # fmt: skip


def test_top_names_the_best(server: ServedHere, pets: Composite, x: NDArray[np.uint8]) -> None:
    row = post(server, params={"top": 3}, data=png(x[0])).json()["images"][0]
    assert [each["label"] for each in row["top"]] == pets.predict(x[:1]).top(3)[0]
    assert row["top"][0] | {"module_score": 0} == {
        "label": row["label"], "probability": max(row["probabilities"]), "margin": max(row["margins"]),
        "module_score": 0,
    }  # fmt: skip


def huge_png(width: int, height: int) -> bytes:
    """A PNG that says that it is so large, in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def icon() -> bytes:
    """A picture of a format that is decoded before it says how large it is."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "ICO")
    return out.getvalue()


JSON = {"content-type": "application/json"}
GOOD = png(np.zeros((12, 12, 1), np.uint8))
REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "nothing": (400, "no-images", {"data": b""}),
    "no picture": (400, "bad-file", {"data": b"hello"}),
    "half a picture": (400, "bad-file", {"data": GOOD[:40]}),
    "a program": (
        400,
        "bad-file",
        {"data": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"},
    ),
    "no JSON": (400, "bad-json", {"data": b"{", "headers": JSON}),
    "JSON without an end": (400, "bad-json", {"data": b"[" * 60_000, "headers": JSON}),
    "a huge number": (400, "bad-json", {"data": b'{"image": 1' + b"0" * 5000 + b"}", "headers": JSON}),
    "another object": (400, "bad-request", {"json": {"picture": "x"}}),
    "two words": (400, "bad-request", {"json": {"image": "x", "images": ["x"]}}),
    "a list": (400, "bad-request", {"json": ["x"]}),
    "no image in JSON": (400, "bad-request", {"json": {"images": []}}),
    "two forms": (400, "bad-request", {"json": {"images": [in_base64(GOOD), [[1]]]}}),
    "no base64": (400, "bad-base64", {"json": {"image": "äöü"}}),
    "base64 of nothing": (400, "bad-file", {"json": {"image": ""}}),
    "ragged": (400, "wrong-shape", {"json": {"image": [[1, 2], [3]]}}),
    "words": (400, "wrong-shape", {"json": {"image": [["a"]]}}),
    "truths": (400, "wrong-shape", {"json": {"image": [[True]]}}),
    "another shape": (400, "wrong-shape", {"json": {"image": [[0.5] * 3] * 3}}),
    "beyond the range": (400, "wrong-range", {"json": {"image": [[1e6] * 12] * 12}}),
    "not a number": (400, "not-finite", {"data": json.dumps({"image": [[float("nan")] * 12] * 12}), "headers": JSON}),
    "too many images": (413, "too-many-images", {"json": {"images": [in_base64(GOOD)] * 9}}),
    "too many files": (413, "too-many-images", {"files": [("f", ("a.png", GOOD))] * 9}),
    "far too many files": (413, "too-many-images", {"files": [("f", ("a.png", GOOD))] * 40}),
    "too many bytes": (413, "too-large", {"data": bytes(LIMITS.body + 1)}),
    "too many bytes in pieces": (413, "too-large", {"data": iter([bytes(LIMITS.body)] * 2)}),
    "too much JSON": (413, "too-large", {"data": b" " * (LIMITS.json_body + 1), "headers": JSON}),
    "too many pixels": (413, "too-large", {"data": huge_png(1000, 1000)}),
    "a bomb": (400, "bad-file", {"data": huge_png(2**31 - 1, 2**31 - 1)}),
    "a text": (415, "bad-media-type", {"data": b"hello", "headers": {"content-type": "text/plain"}}),
    "a broken form": (400, "bad-form", {"data": b"x", "headers": {"content-type": "multipart/form-data"}}),
    "a form without files": (400, "no-images", {"files": [("note", (None, "hello"))]}),
    "top 0": (400, "bad-option", {"data": GOOD, "params": {"top": "0"}}),
    "top of more classes": (400, "bad-option", {"data": GOOD, "params": {"top": "4"}}),
    "top beyond all digits": (400, "bad-option", {"data": GOOD, "params": {"top": "000000001" + "9" * 5000}}),
    "an icon": (400, "bad-file", {"data": icon()}),
    "a form of no encoding": (
        400,
        "bad-form",
        {
            "data": b'--x\r\ncontent-disposition: form-data; name="\xff"; filename="\xff"\r\n\r\nx\r\n--x--\r\n',
            "headers": {"content-type": "multipart/form-data; boundary=x; charset=undefined"},
        },
    ),
    "top of a word": (400, "bad-option", {"data": GOOD, "params": {"top": "²"}}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_said(server: ServedHere, name: str) -> None:
    status, kind, request = REFUSED[name]
    answer = post(server, **request)
    assert (answer.status_code, answer.json()["kind"]) == (status, kind), answer.text
    assert answer.json()["error"]
    assert len(answer.text) < 2500
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/predict", 405), ("GET", "/nothing", 404)])
def test_what_there_is_not(server: ServedHere, method: str, path: str, status: int) -> None:
    answer = requests.request(method, server.url + path, timeout=60)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_what_is_no_http_is_refused(server: ServedHere) -> None:
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
