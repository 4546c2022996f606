"""What bounds connections, pictures and stopping, each beside a service of its own or without any."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.routing import Mount

from modhub.composition.composite import Composite
from modhub.data.picture_reader import PictureReader
from modhub.errors import InvalidData, Refused
from modhub.serving.application import application
from modhub.serving.batching import Batcher
from modhub.serving.bounds import ServingLimits
from modhub.serving.hosting import Hosted, HostTiming, deaf_to_hangup, hosted
from modhub.serving.pictures import PictureBounds, pictures_of
from modhub.serving.served import ServedClassifier
from modhub.serving.service import PictureWay, Service
from tests.serving.conftest import Gate, png

PICTURE = png(np.zeros((10, 10, 1), np.uint8))
GET = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"


def service_of(composite: Composite, limits: ServingLimits | None = None) -> Service:
    return Service(ServedClassifier(composite, "pets", 64), limits or ServingLimits(), PictureWay())


class CountingService(Service):
    """How many pieces of work its readers were given."""

    count = 0

    async def in_reader(self, work: Callable[[], Any]) -> Any:
        self.count += 1
        return await super().in_reader(work)


def test_a_compressed_request_is_unpacked_and_read_in_one_piece(pets: Composite, x: NDArray[np.uint8]) -> None:
    """Else what is unpacked would queue up, without a bound, before it is read."""
    service = CountingService(ServedClassifier(pets, "pets", 64), ServingLimits(), PictureWay())
    tensor = {"name": "images", "shape": [1, 12, 12, 1], "datatype": "UINT8", "data": x[:1].tolist()}
    body = gzip.compress(json.dumps({"inputs": [tensor]}).encode())
    with hosted(application(service)) as server:
        url = f"{server.url}/v2/models/pets/infer"
        answer = requests.post(url, data=body, headers={"content-encoding": "gzip"}, timeout=60)
    assert (answer.status_code, service.count) == (200, 1)


def test_pictures_of_a_request_are_bounded_together_and_in_time() -> None:
    files = [(f"{number}.png", PICTURE) for number in range(3)]
    now = time.monotonic()
    assert pictures_of(files, PictureReader(), PictureBounds(100, 300, now + 60)).shape[:3] == (3, 10, 10)
    with pytest.raises(Refused, match=r"more than 299 pixels together, with 2\.png") as caught:
        pictures_of(files, PictureReader(), PictureBounds(100, 299, now + 60))
    assert caught.value.kind == "too-large"
    with pytest.raises(InvalidData, match="at most 99 are taken"):
        pictures_of(files, PictureReader(), PictureBounds(99, 299, now + 60))
    with pytest.raises(Refused) as caught:
        pictures_of(files, PictureReader(), PictureBounds(100, 300, now - 1))
    assert caught.value.kind == "late"


def test_reading_that_takes_too_long_and_stopping_meanwhile(gated: Composite, gate: Gate, x: NDArray[np.uint8]) -> None:
    """Neither a batch nor a reader that is stuck keeps a service from stopping."""
    service = service_of(gated, ServingLimits(answering=0.1))
    service.start()
    gate.shut()
    try:
        for coming in (service.in_reader(lambda: gate.open.wait(20)), service.answer(service.classifier, x[:1])):
            with pytest.raises(Refused) as caught:
                asyncio.run(coming)  # type: ignore[arg-type]
            assert caught.value.kind == "late"
        service.stop()
        assert service.is_busy
        assert not gate.open.is_set()
    finally:
        gate.open.set()


def test_what_cannot_be_one_batch_is_answered_one_by_one(pets: Composite, x: NDArray[np.uint8]) -> None:
    batcher = Batcher(ServingLimits(gather=0.1, batch=3), lambda images, seconds: None)
    served = ServedClassifier(pets, "pets", 64)
    batcher.start()

    async def both() -> list[Any]:
        async with asyncio.timeout(30):
            asked = (batcher.ask(served, images) for images in (x[:1], x[:2, :6]))
            return await asyncio.gather(*asked, return_exceptions=True)

    good, bad = asyncio.run(both())
    batcher.stop()
    assert good.labels == pets.predict(x[:1]).labels
    assert isinstance(bad, Exception)


def test_sighup_is_remembered_while_something_loads() -> None:
    with deaf_to_hangup() as heard:
        assert not heard.is_set()
        os.kill(os.getpid(), signal.SIGHUP)
        assert heard.wait(10)


@pytest.fixture(scope="module")
def hurried(pets: Composite) -> Iterator[Hosted]:
    """Gives a head 0.3 s."""
    with hosted(application(service_of(pets)), timing=HostTiming(headers=0.3)) as server:
        yield server


def connected(server: Hosted) -> socket.socket:
    place = urlsplit(server.url)
    return socket.create_connection((place.hostname, place.port), timeout=10)


@pytest.mark.parametrize("begun", [b"", b"GET /v2", b"\r\n"])
def test_every_head_has_its_clock(hurried: Hosted, begun: bytes) -> None:
    """The idle connection's own clock is 15 s, which this one's 10 s of patience do not reach."""
    with connected(hurried) as connection:
        for _ in range(2 if begun else 0):
            connection.sendall(GET)
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(10_000)
            assert answer.startswith(b"HTTP/1.1 200 ")
        connection.sendall(begun)
        assert connection.recv(1) == b""


def test_a_head_is_bounded(pets: Composite) -> None:
    def send_head(connection: socket.socket) -> None:
        connection.sendall(GET[:-2])
        for _ in range(1000):
            connection.sendall(b"a: " + b"b" * 60_000 + b"\r\n")

    server = hosted(application(service_of(pets)))
    with server, connected(server) as connection, pytest.raises(ConnectionError):
        send_head(connection)


def test_an_answer_before_the_request_was_read_closes(pets: Composite) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n"
    with hosted(application(service_of(pets), token="a-token-of-some-length")) as server, connected(server) as socket_:
        socket_.sendall(head)
        answer = b""
        while data := socket_.recv(10_000):
            answer += data
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer.lower()


def test_health_is_open_where_the_application_is_mounted(pets: Composite) -> None:
    inner = application(service_of(pets), token="a-token-of-some-length")
    with hosted(Starlette(routes=[Mount("/pets", inner)])) as server:
        for path, status in (("/v2/health/live", 200), ("/v2", 401)):
            assert requests.get(f"{server.url}/pets{path}", timeout=60).status_code == status


def test_what_must_be_ready_is_not_there_while_it_stops(pets: Composite) -> None:
    service = service_of(pets)
    with hosted(application(service)) as server:
        url = f"{server.url}/v2/repository/index"
        assert [row["state"] for row in requests.post(url, json={"ready": True}, timeout=60).json()] == ["READY"]
        service.leave()
        assert requests.post(url, json={"ready": True}, timeout=60).json() == []
        assert [row["state"] for row in requests.post(url, json={}, timeout=60).json()] == ["UNAVAILABLE"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("predict", "image/png"),
        ("predict", "application/json"),
        ("predict", "multipart/form-data; boundary=cut"),
        ("v2/models/pets/infer", "application/json"),
    ],
)
def test_a_request_that_is_cut_off_is_no_failure_of_ours(
    pets: Composite, caplog: pytest.LogCaptureFixture, path: str, kind: str
) -> None:
    head = f"POST /{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: 9999\r\n\r\n"
    with hosted(application(service_of(pets))) as server:
        with connected(server) as connection:
            connection.sendall(head.encode() + b"--cut\r\n")
        assert requests.get(f"{server.url}/v2/health/live", timeout=60).status_code == 200
    # Stopping has waited until it ended.
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
