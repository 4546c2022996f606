"""Many requests at once: batches, what is too much, too late or too slow, stopping, and another classifier."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

import modhub
from modhub.composition.composite import Composite
from modhub.errors import UnsupportedModel
from modhub.serving.bounds import ServingLimits
from modhub.serving.server import ServedHere
from tests.serving.conftest import Gate, GatedBackend, png


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as found:
        yield found


Ask = Callable[[NDArray[np.uint8]], Future[requests.Response]]


def asking(server: ServedHere, clients: ThreadPoolExecutor) -> Ask:
    def ask(images: NDArray[np.uint8]) -> Future[requests.Response]:
        document = {"images": images.tolist()}
        return clients.submit(requests.post, f"{server.url}/predict", json=document, timeout=60)

    return ask


def metrics(server: ServedHere) -> dict[str, float]:
    """Name with labels -> value."""
    text = requests.get(f"{server.url}/metrics", timeout=60).text
    return {
        "|".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def wait_until(server: ServedHere, name: str, value: float) -> None:
    """Ask for a metric until it is so; the server answers each time, so this is no busy loop of ours alone."""
    for _ in range(2000):
        if metrics(server).get(name) == value:
            return
    raise AssertionError(f"{name} never was {value}")


def margins(answer: requests.Response) -> NDArray[np.float64]:
    assert answer.status_code == 200, answer.text
    return np.array([row["margins"] for row in answer.json()["images"]])


def test_what_comes_at_once_is_classified_together(
    gated: Composite, gate: Gate, pets: Composite, x: NDArray[np.uint8], clients: ThreadPoolExecutor
) -> None:
    with modhub.serve(gated, port=0, limits=ServingLimits(batch=6, gather=0)) as server:
        ask = asking(server, clients)
        gate.shut()
        first = ask(x[:1])
        gate.wait_for_batch()
        rest = [ask(x[number : number + 2]) for number in range(5)]
        wait_until(server, "modhub_queue_images", 10)
        gate.open.set()
        np.testing.assert_allclose(margins(first.result()), pets.predict(x[:1]).margins, atol=1e-5)
        for number, each in enumerate(rest):
            np.testing.assert_allclose(margins(each.result()), pets.predict(x[number : number + 2]).margins, atol=1e-5)
        assert gate.batches == [1, 6, 4]
        found = metrics(server)
        assert found["modhub_batch_images_sum"] == 11
        assert found["modhub_requests_total|predict|200"] == 6


def test_too_much_is_told_to_come_again(
    gated: Composite, gate: Gate, x: NDArray[np.uint8], clients: ThreadPoolExecutor
) -> None:
    limits = ServingLimits(waiting=4, requests=4, gather=0)
    with modhub.serve(gated, port=0, limits=limits) as server:
        ask = asking(server, clients)
        gate.shut()
        accepted = [ask(x[:1])]
        gate.wait_for_batch()
        accepted.append(ask(x[:4]))
        wait_until(server, "modhub_queue_images", 4)
        too_many_images = ask(x[:1]).result()
        assert too_many_images.status_code == 429
        assert int(too_many_images.headers["retry-after"]) >= 1
        assert too_many_images.json()["kind"] == "busy"
        gate.open.set()
        assert [each.result().status_code for each in accepted] == [200, 200]


def test_only_so_many_requests_are_under_way(
    gated: Composite, gate: Gate, x: NDArray[np.uint8], clients: ThreadPoolExecutor
) -> None:
    with modhub.serve(gated, port=0, limits=ServingLimits(requests=2)) as server:
        ask = asking(server, clients)
        gate.shut()
        accepted = [ask(x[:1]), ask(x[:1])]
        wait_until(server, "modhub_requests_in_flight", 3)
        refused = ask(x[:1]).result()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert requests.get(f"{server.url}/v2/health/live", timeout=60).status_code == 200
        gate.open.set()
        assert [each.result().status_code for each in accepted] == [200, 200]


def test_memory_for_bodies_is_bounded(pets: Composite) -> None:
    with modhub.serve(pets, port=0, limits=ServingLimits(buffered=1000)) as server:
        answer = requests.post(f"{server.url}/predict", data=bytes(2000), timeout=60)
        assert (answer.status_code, answer.json()["kind"]) == (429, "busy")
        picture = png(np.zeros((12, 12, 1), np.uint8))
        for _ in range(20):
            assert requests.post(f"{server.url}/predict", data=picture, timeout=60).status_code == 200


def test_an_answer_that_is_late_is_504(
    gated: Composite, gate: Gate, x: NDArray[np.uint8], clients: ThreadPoolExecutor
) -> None:
    with modhub.serve(gated, port=0, limits=ServingLimits(answering=0.2)) as server:
        gate.shut()
        late = asking(server, clients)(x[:1]).result()
        assert (late.status_code, late.json()["kind"]) == (504, "late")
        gate.open.set()


def test_one_request_that_fails_does_not_fail_those_beside_it(
    gated: Composite, gate: Gate, x: NDArray[np.uint8], clients: ThreadPoolExecutor
) -> None:
    gate.fails_on = lambda images: bool((images == 255).all(axis=(1, 2, 3)).any())
    with modhub.serve(gated, port=0) as server:
        ask = asking(server, clients)
        gate.shut()
        answers = [ask(x[:1]), ask(x[:2]), ask(np.full((1, 12, 12, 1), 255, np.uint8)), ask(x[2:3])]
        wait_until(server, "modhub_requests_in_flight", 5)
        gate.open.set()
        assert [each.result().status_code for each in answers] == [200, 200, 500, 200]
        assert answers[2].result().json()["error"] == "the server failed; its log says why."


def begun(server: ServedHere, body: bytes, sent: int) -> socket.socket:
    """A connection that has sent its headers and so many bytes of its body."""
    place = urlsplit(server.url)
    connection = socket.create_connection((place.hostname, place.port), timeout=60)
    head = (
        f"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body[:sent])
    return connection


def test_a_client_that_is_too_slow_is_let_go(pets: Composite, x: NDArray[np.uint8]) -> None:
    limits = ServingLimits(reading=0.1)
    with modhub.serve(pets, port=0, limits=limits) as server, begun(server, png(x[0]), 10) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_stopping_answers_what_was_accepted(
    gated: Composite, gate: Gate, x: NDArray[np.uint8], clients: ThreadPoolExecutor
) -> None:
    """One request waits for its answer, of another the half is there; both are answered, and nobody new is."""
    server = modhub.serve(gated, port=0)
    gate.shut()
    waiting = asking(server, clients)(x[:1])
    wait_until(server, "modhub_requests_in_flight", 2)
    body = png(x[0])
    with begun(server, body, 10) as connection:
        wait_until(server, "modhub_requests_in_flight", 3)
        stopping = clients.submit(server.stop)
        while requests.get(f"{server.url}/v2/health/ready", timeout=60).status_code != 503:
            pass
        connection.sendall(body[10:])
        gate.open.set()
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200 ")
    assert waiting.result().status_code == 200
    stopping.result()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=60)
    server.stop()


def test_another_classifier_takes_over_without_a_gap(
    gated: Composite, gate: Gate, pets: Composite, x: NDArray[np.uint8], clients: ThreadPoolExecutor
) -> None:
    """What was asked of the old one is answered by the old one, whatever comes first."""
    with modhub.serve(gated, port=0, name="pets") as server:
        about = requests.get(f"{server.url}/v2/models/pets", timeout=60).json()
        assert about["modhub"]["remarks"] == ["me/net:cat is faulty (high, MH-1): it is a dog"]
        gate.shut()
        old = asking(server, clients)(x[:1])
        wait_until(server, "modhub_requests_in_flight", 2)
        server.replace(pets.restrict(["dog", "cat"]))
        gate.open.set()
        new = asking(server, clients)(x[:1]).result()
        assert (old.result().json()["classes"], new.json()["classes"]) == (pets.classes, ["dog", "cat"])
        assert old.result().json()["model"] == {"name": "pets", "version": about["versions"][0]}
        assert new.json()["model"]["version"] != about["versions"][0]


def test_a_classifier_that_does_not_work_never_takes_over(
    pets: Composite, gate: Gate, gated: Composite, x: NDArray[np.uint8], clients: ThreadPoolExecutor
) -> None:
    gate.fails_on = lambda images: True
    broken = Composite(gated.restrict(["cat", "dog"]).plan, GatedBackend(pets, gate))  # type: ignore[arg-type]
    with modhub.serve(pets, port=0) as server:
        with pytest.raises((ZeroDivisionError, UnsupportedModel)):
            server.replace(broken)
        assert asking(server, clients)(x[:1]).result().json()["classes"] == pets.classes
