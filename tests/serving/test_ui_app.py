"""``modhub ui`` over HTTP: who may ask, for what, how much of it, and that what goes wrong is told in words."""

from __future__ import annotations

import io
import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

import modhub
from modhub.installation.registries import STARTER_FOLDER
from modhub.limits import MAX_SENT_BYTES
from tests.cli.running import plain_environment
from tests.small_origins import bar_modules, quadrant_modules

pytest.importorskip("starlette", reason="modhub[ui] is not installed")

from modhub.ops.site_live import open_live_site
from modhub.serving.hosting import Hosted, hosted
from modhub.serving.ui.app import BrowserApp
from modhub.serving.ui.classifiers import ComposedClassifiers

REFS = ["shapes/quadrants:top-left@1.0.0", "lines/bars:vertical@1.0.0"]
TWO = {"modules": [{"ref": REFS[0]}, {"ref": REFS[1], "label": "line"}]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("shown") / "registry")
    modhub.publish(quadrant_modules(), version="1.0.0", registry=folder)
    modhub.publish(bar_modules(), version="1.0.0", registry=folder)
    return folder


@pytest.fixture(scope="module")
def server(cache: Path, registry: str) -> Iterator[Hosted]:
    with hosted(BrowserApp(open_live_site(registry), ComposedClassifiers(registry, cache, most=2)).app) as server:
        yield server


@pytest.fixture(scope="module")
def token(server: Hosted) -> str:
    return requests.get(f"{server.url}/api/session", timeout=60).json()["token"]


def post(server: Hosted, path: str, body: Any, token: str, **headers: str) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"x-modhub-token": token, **headers}
    return requests.post(f"{server.url}/api/{path}", data=data, headers=headers, timeout=120)


def picture(width: int = 40, height: int = 30, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


# Pages


def test_pages_come_with_headers_under_which_nothing_of_them_can_run(server: Hosted) -> None:
    for path in ("", "index.html", "models/shapes/quadrants/index.html", "no/such/page.html", "api/session"):
        answer = requests.get(f"{server.url}/{path}", timeout=60)
        parts = answer.headers["content-security-policy"].split(";")
        policy = dict(part.strip().partition(" ")[::2] for part in parts)
        assert {policy[name] for name in ("default-src", "base-uri", "object-src", "frame-ancestors")} == {"'none'"}
        assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/modhub-registry.json",
        "assets/../../modhub/errors.py",
        "models/shapes/quadrants/versions/..%2f..%2f..%2findex.html",
        "models/shapes/..%2f..%2fquadrants/index.html",
        "modhub-registry.json",
        "%00",
    ],
)
def test_nothing_but_the_sites_files_is_served(server: Hosted, path: str) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        # By hand, because every library tidies paths.
        connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"There is no such page" in answer


def test_a_page_of_another_name_gets_no_answer(server: Hosted) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        answer = requests.get(f"{server.url}/index.html", headers={"host": host}, timeout=60)
        assert answer.status_code in (400, 421), host
    assert requests.get(f"{server.url}/index.html", headers={"host": "localhost:1"}, timeout=60).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_origin_gets_no_token_and_no_answer(
    server: Hosted, token: str, headers: Mapping[str, str]
) -> None:
    asked = requests.get(f"{server.url}/api/session", headers=headers, timeout=60)
    assert (asked.status_code, asked.json()["kind"]) == (400, "foreign-page")
    assert token not in asked.text
    assert post(server, "classifiers", TWO, token, **headers).json()["kind"] == "foreign-page"


def test_without_this_sessions_token_nothing_is_computed(server: Hosted, token: str) -> None:
    for wrong in ("", token[:-1], token + "x", "é"):
        answer = post(server, "classifiers", TWO, wrong.encode().decode("latin-1"))
        assert (answer.status_code, answer.json()["kind"]) == (401, "no-token")
    assert requests.get(f"{server.url}/api/classifiers", timeout=60).status_code in (404, 405)


# Composing


def test_the_plan_is_that_of_compose(server: Hosted, token: str, registry: str, cache: Path) -> None:
    made = post(server, "classifiers", TWO | {"adapt": "crop"}, token).json()
    classifier = modhub.compose(REFS, adapt="crop", registry=registry, cache=cache).rename("vertical", "line")
    assert made["plan"] == json.loads(json.dumps(classifier.plan.to_dict()))
    assert made["summary"] == classifier.plan.summary
    assert post(server, "classifiers", TWO | {"adapt": "crop"}, token).json()["id"] == made["id"]
    assert post(server, "classifiers", TWO, token).json()["id"] != made["id"]


def test_labels_may_change_places(server: Hosted, token: str) -> None:
    labels = ["top right", "top left"]
    names = [label.replace(" ", "-") for label in reversed(labels)]
    parts = [{"ref": f"shapes/quadrants:{name}", "label": label} for name, label in zip(names, labels, strict=True)]
    members = post(server, "classifiers", {"modules": parts}, token).json()["plan"]["members"]
    assert [each["label"] for each in members] == labels
    assert [each["class"] for each in members] == labels[::-1]


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"modules": [{"ref": "shapes/quadrants:unicorn"}]}, "no-class"),
        ({"modules": [{"ref": "shapes/quadrants:top-left"}] * 2}, "duplicate-module"),
        ({"modules": []}, "bad-request"),
        ({"modules": [{"ref": "shapes/quadrants:top-left", "path": "/etc"}]}, "bad-request"),
        ({"modules": [{"ref": "shapes/quadrants:top-left"}], "adapt": "bend"}, "bad-request"),
        ({"modules": [{"ref": "shapes/quadrants"}]}, "invalid-ref"),
        ({"modules": [{"ref": "c10:cat"}]}, "invalid-ref"),
        ({"modules": [{"ref": "../net.modules:cat"}]}, "invalid-ref"),
        ({"modules": [{"ref": "here/net.modules:cat"}]}, "invalid-ref"),
        ({"modules": [{"ref": "here/pets.modhub:cat"}]}, "invalid-ref"),
        ({"modules": [{"ref": "/etc/passwd:cat"}]}, "invalid-ref"),
        ({"modules": [{"ref": "a/" + "b" * 5000 + ":c"}]}, "bad-request"),
        (b"{", "bad-request"),
        (b"[" * 10_000, "bad-request"),
        (b'{"modules": [], "modules": []}', "bad-request"),
        (b"{" + b" " * (600 * 1024) + b"}", "too-large"),
    ],
)
def test_what_cannot_be_composed_is_told(server: Hosted, token: str, asked: Any, kind: str) -> None:
    answer = post(server, "classifiers", asked, token)
    assert (400 <= answer.status_code < 500, answer.json()["kind"]) == (True, kind)
    assert answer.json()["error"]
    assert "Traceback" not in answer.text


# Photos


def test_a_photo_is_answered_as_predict_answers_it(
    server: Hosted, token: str, registry: str, cache: Path, tmp_path: Path
) -> None:
    made = post(server, "classifiers", TWO, token).json()
    file = tmp_path / "photo.png"
    file.write_bytes(picture())
    answer = post(server, f"classifiers/{made['id']}/answer?fit=letterbox", file.read_bytes(), token).json()
    classifier = modhub.compose(REFS, registry=registry, cache=cache).rename("vertical", "line")
    prediction = classifier.predict(file, fit="letterbox")
    assert answer["label"] == prediction.labels[0]
    assert answer["photo"]["done"] == ["RGB made grey", "letterboxed to 8x8"]
    for each in answer["members"]:
        column = prediction.classes.index(each["label"])
        assert each["margin"] == pytest.approx(prediction.margins[0, column], abs=1e-5)
        assert each["probability"] == pytest.approx(prediction.probabilities[0, column], abs=1e-5)
    seen = post(server, f"classifiers/{made['id']}/explanation?fit=letterbox", file.read_bytes(), token).json()
    told = modhub.explain(classifier, file, fit="letterbox")
    assert seen["verdict"] == str(told.verdict)
    for each, said in zip(seen["maps"], told.ranked(), strict=True):
        assert said.seen is not None
        assert each["label"] == said.label
        assert np.allclose(each["parts"], said.seen.parts / said.divisor, atol=1e-5)
        assert each["box"] == {"top": 0, "left": 0, "height": 1, "width": 1}
    kept = [file for file in cache.rglob("*") if file.is_file() and picture()[-40:] in file.read_bytes()]
    assert kept == []


def test_what_is_no_photo_is_told(server: Hosted, token: str) -> None:
    made = post(server, "classifiers", TWO, token).json()
    path = f"classifiers/{made['id']}/answer"
    for data in (b"", b"GIF89a", picture()[:80], b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        answer = post(server, path, data, token)
        assert (answer.status_code, answer.json()["kind"]) == (400, "bad-file")
    assert post(server, f"{path}?fit=none", picture(), token).json()["kind"] == "wrong-shape"
    assert post(server, f"{path}?fit=bend", picture(), token).json()["kind"] == "bad-fit"
    assert post(server, "classifiers/" + "0" * 32 + "/answer", picture(), token).json()["kind"] == "no-classifier"


def test_photos_are_bounded_in_bytes_and_in_pixels(server: Hosted, token: str) -> None:
    made = post(server, "classifiers", TWO, token).json()
    path = f"classifiers/{made['id']}/answer"
    # 8,100 x 8,000 white pixels are a file of 8 KiB.
    file = io.BytesIO()
    Image.new("1", (8_100, 8_000)).save(file, "PNG")
    answer = post(server, path, file.getvalue(), token)
    assert (answer.status_code, answer.json()["kind"]) == (413, "too-large")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST /api/{path} HTTP/1.1\r\nHost: {host}\r\nx-modhub-token: {token}\r\n"
        connection.sendall(f"{head}Content-Length: {MAX_SENT_BYTES + 1}\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_an_upload_that_is_cut_off_is_no_failure_of_ours(
    registry: str, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hosted(BrowserApp(open_live_site(registry), ComposedClassifiers(registry, cache)).app) as server:
        token = requests.get(f"{server.url}/api/session", timeout=60).json()["token"]
        host, port = server.url.removeprefix("http://").split(":")
        for path in ("classifiers", "classifiers/0/answer", "classifiers/0/explanation"):
            head = f"POST /api/{path} HTTP/1.1\r\nHost: {host}\r\nx-modhub-token: {token}\r\n"
            with socket.create_connection((host, int(port)), timeout=60) as connection:
                connection.sendall(f"{head}Content-Length: 9999\r\n\r\n".encode() + picture()[:100])
            assert requests.get(f"{server.url}/api/session", timeout=60).json()["token"] == token
    # Stopping has waited until all of them ended.
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_is_said_against_modules_comes_with_the_answer(tmp_path: Path) -> None:
    registry = str(tmp_path / "registry")
    modhub.publish(quadrant_modules(), version="1.0.0", registry=registry)
    modhub.advise("shapes/quadrants:top-left", "Takes shadows for light.", severity="high", registry=registry)
    classifiers = ComposedClassifiers(registry, tmp_path / "cache")
    with hosted(BrowserApp(open_live_site(registry), classifiers).app) as server:
        token = requests.get(f"{server.url}/api/session", timeout=60).json()["token"]
        asked = {"modules": [{"ref": "shapes/quadrants:top-left"}, {"ref": "shapes/quadrants:top-right"}]}
        made = post(server, "classifiers", asked, token).json()
        for _ in range(2):
            answer = post(server, f"classifiers/{made['id']}/answer", picture(), token).json()
            assert any("Takes shadows for light" in text for text in answer["said"])


def test_few_classifiers_are_kept(server: Hosted, token: str) -> None:
    first = post(server, "classifiers", TWO, token).json()["id"]
    for name in ("top-right", "bottom-left"):
        post(server, "classifiers", {"modules": [{"ref": f"shapes/quadrants:{name}"}]}, token)
    assert post(server, f"classifiers/{first}/answer", picture(), token).status_code == 404


# The command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_where_it_is_and_stops_when_told(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "modhub", "ui", "--no-browser", "--json", "--registry", str(STARTER_FOLDER)]
    environment = plain_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            url = json.loads("".join(lines))["url"]
            assert requests.get(f"{url}/models.html", timeout=60).status_code == 200
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "", "")


def test_a_port_that_is_taken_is_told(server: Hosted, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    # Before the registry is read, which may take long.
    command = [sys.executable, "-m", "modhub", "ui", "--no-browser", "--port", port, "--registry", "nowhere"]
    environment = plain_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "Traceback" not in done.stderr
