"""One of several registries is dead: what the others have is had all the same, and nothing else is taken instead."""

from __future__ import annotations

import socket
import warnings
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path

import pytest
from synthetic import release

from modhub.errors import NotFound, RegistryUnreachable
from modhub.installation.context import Places
from modhub.ops.info import info
from modhub.ops.install import install, lock
from modhub.ops.search import search
from modhub.registry.writer import Registry
from modhub.storage.http import HttpStore
from modhub.storage.local import LocalStore
from modhub.storage.retry import Retry


@pytest.fixture
def alive(tmp_path):
    registry = Registry(LocalStore(tmp_path / "alive"))
    registry.publish(*release())
    registry.set_alias("n", "me/net")
    return registry.url


@pytest.fixture
def other(tmp_path):
    registry = Registry(LocalStore(tmp_path / "other"))
    registry.publish(*release("me/net", "2.0.0", seed=1))
    registry.publish(*release("far/net"))
    return registry.url


@pytest.fixture(params=["nobody listens", "no such folder"])
def dead(request, tmp_path, monkeypatch):
    monkeypatch.setattr(HttpStore, "__init__", partialmethod(HttpStore.__init__, retry=Retry(attempts=1)))
    if request.param == "no such folder":
        yield str(tmp_path / "gone")
        return
    with socket.socket() as bound:
        # Bound, so that nobody else takes it, and not listening.
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/x"


@contextmanager
def warned_once_of(url):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    (text,) = [str(one.message) for one in said]
    assert url in text
    assert text.endswith("Going on without it.")


@pytest.mark.parametrize("name", ["me/net:cat", "n:cat", "me/net:cat@^1"])
def test_what_the_first_has_is_installed(alive, dead, tmp_path, name):
    with warned_once_of(dead):
        (installed,) = install(name, registry=[alive, dead], cache=tmp_path / "cache")
    assert (str(installed.ref), installed.registry) == ("me/net:cat@1.0.0", alive)


def test_what_only_the_dead_one_can_have_is_its_error(alive, dead, other, tmp_path):
    # An alias of the dead one could stand for the namespace, too.
    for name in ("far/net:cat", "me/net:cat@^2", "nobody:cat", "me:cat"):
        with warnings.catch_warnings(record=True), pytest.raises(RegistryUnreachable) as caught:
            install(name, registry=[alive, dead, other], cache=tmp_path / "cache")
        assert dead in caught.value.message


def test_a_farther_registry_never_answers_for_a_dead_nearer_one(alive, dead, tmp_path):
    for name in ("me/net:cat", "n:cat", "me:cat"):
        with warnings.catch_warnings(record=True), pytest.raises(RegistryUnreachable):
            install(name, registry=[dead, alive], cache=tmp_path / "cache")


def test_the_only_registry_that_is_dead_is_an_error_without_a_warning(dead, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RegistryUnreachable):
            install("me/net:cat", registry=dead, cache=tmp_path / "cache")


def test_what_is_locked_is_installed_from_any_place_with_the_digest(alive, dead, tmp_path):
    lock("me/net:cat", tmp_path / "lock", registry=alive)
    for order in ([alive, dead], [dead, alive]):
        with warned_once_of(dead):
            (installed,) = install(locked=tmp_path / "lock", registry=order, cache=tmp_path / "cache")
        assert installed.registry == alive


def test_what_is_locked_and_cached_needs_no_registry(alive, dead, tmp_path):
    lock("me/net:cat", tmp_path / "lock", registry=alive)
    install("me/net:cat", registry=alive, cache=tmp_path / "cache")
    with warned_once_of(dead):
        (installed,) = install(locked=tmp_path / "lock", registry=dead, cache=tmp_path / "cache")
    assert installed.already
    with warnings.catch_warnings(record=True), pytest.raises(RegistryUnreachable):
        install(locked=tmp_path / "lock", registry=dead, cache=tmp_path / "empty")


def test_what_is_cached_replaces_the_dead_one_in_its_place(alive, dead, other, tmp_path):
    cache = tmp_path / "cache"
    install("far/net:cat", registry=other, cache=cache)
    install("me/net:cat@^2", registry=other, cache=cache)
    with warnings.catch_warnings(record=True):
        places = Places.open_or_cached([alive, dead], cache)
        found = [str(pin.ref) for group in places.resolve(["me/net:cat", "far/net:cat"]) for pin in group.modules]
        with pytest.raises(NotFound):
            places.resolve(["nobody/net:cat"])
    assert found == ["me/net:cat@1.0.0", "far/net:cat@1.0.0"]


def test_searching_shows_what_there_is(alive, dead, other):
    with warned_once_of(dead):
        hits = search("net", registry=[alive, dead, other])
    assert {(hit.ref, hit.registry) for hit in hits} >= {("me/net", alive), ("far/net", other)}
    with warned_once_of(dead):
        assert info("me/net", registry=[alive, dead]).registry == alive


def test_a_lockfile_written_beside_a_dead_registry_is_whole(alive, dead, tmp_path):
    with warned_once_of(dead):
        lock("me/net:cat", tmp_path / "lock", registry=[alive, dead])
    assert alive in Path(tmp_path / "lock").read_text()
