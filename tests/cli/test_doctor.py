"""modhub doctor: says what is there, and ends with exit code 1 for each kind of thing that is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.settings.config import load_config
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]


def health(result: Result) -> dict[tuple[str, str], str]:
    return {(each["area"], each["name"]): each["health"] for each in result.document["checks"]}


def broken(run: Run) -> tuple[int, list[tuple[str, str]]]:
    result = run("doctor", "--no-backend", "--json")
    return result.code, [key for key, value in health(result).items() if value == "broken"]


def test_a_healthy_installation(run: Run, workshop: Workshop) -> None:
    run("install", "me:cat", "--registry", workshop.registry)
    result = run("doctor", "--json")
    assert (result.code, result.err) == (0, "")
    document = result.document
    assert document["healthy"]
    areas = [each["area"] for each in document["checks"]]
    assert list(dict.fromkeys(areas)) == [
        "versions", "backend", "memory", "configuration", "registries", "keys", "cache",
    ]  # fmt: skip
    checks = {(each["area"], each["name"]): each for each in document["checks"]}
    assert "computes on cpu:0" in checks["backend", "keras"]["text"]
    assert checks["cache", "bytes"]["data"]["modules"] == 1
    assert checks["registries", "starter"]["data"]["is"] == ["read-only"]
    text = run("doctor", "--no-backend")
    assert (text.code, "nothing is broken" in text.err, "BROKEN" in text.out) == (0, True, False)


def test_a_registry_says_what_it_guarantees(run: Run, workshop: Workshop) -> None:
    run("registry", "add", "team", workshop.registry)
    checks = run("doctor", "--no-backend", "--json").document["checks"]
    (team,) = [each for each in checks if (each["area"], each["name"]) == ("registries", "team")]
    assert team["data"]["models"] == 1
    assert team["data"]["is"] == ["writable", "keeps publishers of one version apart", "lists"]


def test_a_registry_that_cannot_be_read(run: Run) -> None:
    run("registry", "add", "team", "./nowhere")
    assert broken(run) == (1, [("registries", "team")])
    result = run("doctor", "--no-backend")
    assert "BROKEN  team: there is no registry at" in result.out
    assert "error: 1 thing broken: registries team." in result.err
    assert run("doctor", "--no-backend", "--offline").code == 0


def test_a_configuration_that_cannot_be_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = load_config().path
    path.parent.mkdir(parents=True)
    path.write_text("cache = 5\n")
    assert broken(run) == (1, [("configuration", str(path))])
    path.unlink()
    monkeypatch.setenv("MODHUB_REQUIRE_SIGNATURE", "maybe")
    assert broken(run)[1] == [("configuration", str(path))]


def test_a_damaged_cache(run: Run, workshop: Workshop) -> None:
    run("install", "me:cat", "--registry", workshop.registry)
    blob = next(path for path in (load_config().cache_folder / "blobs").rglob("*") if path.is_file())
    blob.unlink()
    blob.write_bytes(b"x")
    code, found = broken(run)
    assert (code, found) == (1, [("cache", "bytes")])
    assert "modhub install me/net:cat@1.0.0" in run("doctor", "--no-backend").out


def test_keys(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Path(run("key", "new", "mine", "--json").document["path"])
    assert broken(run) == (0, [])
    made.chmod(0o644)
    assert broken(run) == (1, [("keys", "mine")])
    made.chmod(0o600)
    monkeypatch.setenv("MODHUB_SIGN", "other")
    assert broken(run) == (1, [("keys", "other")])
    monkeypatch.delenv("MODHUB_SIGN")
    made.write_bytes(b"x")
    assert broken(run) == (1, [("keys", "mine")])


def test_a_backend_that_was_chosen_and_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setenv("KERAS_BACKEND", "mxnet")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    assert broken(run) == (1, [("backend", "keras")])
