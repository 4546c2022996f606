"""--dry-run of install, compose, sync and publish: the bytes are those that then go, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.settings.config import load_config
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]


def everything(folder: Path) -> set[tuple[str, bytes]]:
    return {(str(path), path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def at(workshop: Workshop) -> tuple[str, str]:
    return "--registry", workshop.registry


def test_install(run: Run, at: tuple[str, str], own_home: Path) -> None:
    before = everything(own_home)
    would = run("install", "me/net:cat", "me/net:dog", *at, "--dry-run", "--json").document
    assert everything(own_home) == before
    installed = run("install", "me/net:cat", "me/net:dog", *at, "--json").document["installed"]
    assert would["fetch"] == sum(each["fetched"] for each in installed)
    assert (would["here"], would["releases"][0]["classes"]) == (0, ["cat", "dog"])
    again = run("install", "me/net", *at, "--dry-run", "--json").document
    more = run("install", "me/net", *at, "--json").document["installed"]
    assert again["fetch"] == sum(each["fetched"] for each in more) > 0
    assert again["here"] > 0
    text = run("install", "me/net", *at, "--dry-run").out.splitlines()
    assert text[-1].startswith("would fetch 0 bytes; ")
    assert run("install", "no/net", *at, "--dry-run").code == 3


def test_install_of_a_lock(run: Run, at: tuple[str, str]) -> None:
    assert run("lock", "me/net:cat", "--out", "cat.lock", *at).code == 0
    would = run("install", "--locked", "cat.lock", *at, "--dry-run", "--json").document
    assert would["fetch"] > 0
    assert not load_config().cache_folder.exists()


def test_compose(run: Run, at: tuple[str, str], workshop: Workshop, own_home: Path) -> None:
    before = everything(own_home)
    swapped = ("compose", "me/net:cat", "me/net:dog", "--swap", "cat=me/net:potters-wheel", *at)
    would = run(*swapped, "--dry-run", "--json").document
    assert [release["classes"] for release in would["releases"]] == [["cat", "dog", "potters-wheel"]]
    assert everything(own_home) == before
    assert run("compose", workshop["net.modules"], "--dry-run", "--json").document["releases"] == []


def test_sync(run: Run, at: tuple[str, str]) -> None:
    assert run("new", "--here", "me/net:cat", *at).code == 0
    run("cache", "clean", "--yes")
    before = everything(Path.cwd())
    would = run("sync", *at, "--dry-run", "--json").document
    assert (would["changes"], would["fetch"] > 0) == ([], True)
    Path("modhub.toml").write_text(Path("modhub.toml").read_text() + 'dog = "me/net:dog"\n')
    changed = run("sync", *at, "--dry-run")
    assert changed.out.splitlines()[0] == "+ dog  me/net:dog@1.0.0"
    assert run("sync", "--frozen", *at, "--dry-run").code == 4
    Path("modhub.toml").write_text(Path("modhub.toml").read_text().replace('dog = "me/net:dog"\n', ""))
    assert everything(Path.cwd()) == before
    assert run("compose", *at, "--dry-run").code == 0
    assert run("sync", *at, "--json").document["fetched"] == would["fetch"]


def test_publish(run: Run, workshop: Workshop, other_modules: Path, tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    arguments = ("publish", workshop["net.modules"], "--registry", registry)
    would = run(*arguments, "--dry-run", "--json").document
    assert (would["ref"], would["created"], would["new_registry"]) == ("me/net@1.0.0", True, True)
    assert not registry.exists()
    done = run(*arguments, "--json").document
    assert (done["ref"], done["digest"], done["size"]) == (would["ref"], would["digest"], would["send"])
    assert "nothing would be sent" in run(*arguments, "--dry-run").out
    other = run("publish", other_modules, "--registry", registry, "--dry-run", "--json").document
    assert (other["ref"], other["created"]) == ("me/net@1.1.0", True)
    taken = run("publish", other_modules, "--version", "1.0.0", "--registry", registry, "--dry-run")
    assert (taken.code, "already published" in taken.err) == (4, True)
    assert run("publish", other_modules, "--registry", registry, "--json").document["ref"] == "me/net@1.1.0"
