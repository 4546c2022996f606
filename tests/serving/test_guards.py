"""Whom a server answers, what it tells browsers, and what it says of itself."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import modhub
import modhub.serving
from modhub.composition.composite import Composite
from modhub.errors import UsageError
from modhub.serving.hosting import is_loopback
from modhub.serving.processors import available_processors
from modhub.serving.server import ServedHere

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def locked(pets: Composite) -> Iterator[ServedHere]:
    with modhub.serve(pets, port=0, token=TOKEN) as found:
        yield found


@pytest.mark.parametrize("path", ["/v2/models/classifier", "/predict", "/metrics", "/docs", "/openapi.json", "/", "/x"])
def test_all_but_health_needs_the_token(locked: ServedHere, path: str) -> None:
    for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        answer = requests.get(locked.url + path, headers=given, timeout=60)
        assert (answer.status_code, answer.json()["kind"]) == (401, "no-token")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    answer = requests.get(locked.url + path, headers={"authorization": f"bearer {TOKEN}"}, timeout=60)
    assert answer.status_code in (200, 404, 405)
    assert requests.get(f"{locked.url}/v2/health/ready", timeout=60).json() == {"ready": True}


@pytest.mark.parametrize("token", ["", "short", "with a blank in it, long", "ümläuts-are-not-for-headers"])
def test_a_token_that_is_none(pets: Composite, token: str) -> None:
    with pytest.raises(UsageError) as caught:
        modhub.serve(pets, port=0, token=token)
    assert caught.value.kind == "bad-token"
    assert not token or token not in str(caught.value)


def test_on_loopback_it_answers_under_its_own_name_alone(pets: Composite, server: ServedHere) -> None:
    """A page elsewhere whose name leads here (DNS rebinding) says its own name."""
    answer = requests.get(f"{server.url}/v2", headers={"host": "evil.example:8000"}, timeout=60)
    assert (answer.status_code, answer.json()["kind"]) == (421, "unknown-host")
    for name in ("localhost:8000", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert requests.get(f"{server.url}/v2", headers={"host": name}, timeout=60).status_code == 200
    with modhub.serve(pets, port=0, hosts=["pets.example"]) as named:
        assert requests.get(f"{named.url}/v2", headers={"host": "pets.example"}, timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("::", False),
     ("pets.example", False), ("10.0.0.1", False)],
)  # fmt: skip
def test_loopback_is_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_places_that_cannot_be_listened_on(pets: Composite, server: ServedHere) -> None:
    with pytest.raises(UsageError, match="cannot listen") as caught:
        modhub.serve(pets, port=int(server.url.rpartition(":")[2]))
    assert caught.value.kind == "port-in-use"
    with pytest.raises(UsageError) as caught:
        modhub.serve(pets, port=0, host="no such place")
    assert caught.value.kind == "bad-host"


@pytest.mark.parametrize("path", ["/v2", "/docs", "/nothing", "/metrics", "/predict"])
def test_every_answer_is_inert_in_a_browser(server: ServedHere, path: str) -> None:
    headers = requests.get(server.url + path, timeout=60).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_the_page_shows_foreign_names_as_text(pets: Composite) -> None:
    label = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    with modhub.serve(pets.rename("cat", label), port=0) as hostile:
        page = requests.get(f"{hostile.url}/", timeout=60).text
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"https?://", page)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_openapi_document_is_whole_and_true(server: ServedHere) -> None:
    document = requests.get(f"{server.url}/openapi.json", timeout=60).json()
    assert document["openapi"] == "3.1.0"
    for reference in set(references(document)):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    version = requests.get(f"{server.url}/v2/models/pets", timeout=60).json()["versions"][0]
    assert {"/", "/v2/repository/models/{name}/load"} <= document["paths"].keys()
    assert all(
        "421" in each["responses"] for path in document["paths"].values() for each in path.values() if "summary" in each
    )
    assert {"inputs"} in [set(each["required"]) for each in document["components"]["schemas"]["Images"]["oneOf"]]
    for path, methods in document["paths"].items():
        for method in methods.keys() - {"parameters"}:
            url = server.url + path.format(name="pets", version=version)
            answer = requests.request(method, url, timeout=60)
            wanted = 200 if method == "get" or path.endswith("index") else 400
            assert answer.status_code == wanted, (path, answer.text)
            assert str(answer.status_code) in methods[method]["responses"]


def test_a_container_s_quota_counts(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    for text, wanted in (("50000 100000\n", 1), ("max 100000\n", None), ("", None), ("100000 0", None)):
        quota.write_text(text)
        assert available_processors(quota) == (wanted or available_processors(tmp_path / "none"))


def test_the_example_of_the_application() -> None:
    found = doctest.DocTestFinder().find(modhub.serving.app, "app", globs={})
    assert found[0].examples
    said: list[str] = []
    assert not doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(found[0], out=said.append).failed, (
        said
    )
