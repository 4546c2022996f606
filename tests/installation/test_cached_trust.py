"""Where signatures are required, nothing that is in the cache is believed without one, by whichever way it is asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from synthetic import release

from modhub import Project
from modhub.cache.cache import Cache
from modhub.cache.catalog import CacheCatalog
from modhub.errors import Untrusted
from modhub.installation.backend import InstalledBackend
from modhub.installation.registries import STARTER_FOLDER
from modhub.ops.info import info
from modhub.ops.install import install
from modhub.ops.install import lock as write_lock
from modhub.project.diff import compared_releases
from modhub.registry.writer import Registry
from modhub.settings.config import load_config
from modhub.settings.private_keys import create_key
from modhub.settings.trusted_keys import trust_key
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store

REFS = ["me/net:cat@1.0.0", "me/net:dog@1.1.0"]


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """A project, made and installed before signatures were required, of a registry that has gone since.

    Its releases are signed by a key that is trusted, but their signatures were not kept, as nobody asked for them.
    """
    signer = create_key("alice")
    trust_key(str(signer.public), ["me"])
    registry = Registry(open_store(str(tmp_path / "registry")))
    for version in ("1.0.0", "1.1.0"):
        registry.publish(*release(version=version, seed=int(version[2])), signer=signer)
    project = Project.new(tmp_path / "pets", REFS[:1], registry=registry.url)
    install(REFS, registry=registry.url)
    (tmp_path / "registry").rename(tmp_path / "away")
    monkeypatch.setenv("MODHUB_OFFLINE", "1")
    monkeypatch.setenv("MODHUB_REQUIRE_SIGNATURE", "1")
    return project


#: Every way to something that a manifest in the cache says.
WAYS = {
    "install": lambda pets: install(REFS),
    "lock names": lambda pets: write_lock(REFS, pets.folder / "names.lock"),
    "info": lambda pets: info("me/net@1.0.0"),
    "diff": lambda pets: compared_releases("me/net@1.0.0", "me/net@1.1.0"),
    "compose": lambda pets: InstalledBackend(None, None).find(REFS),
    "new": lambda pets: Project.new(pets.folder.parent / "zoo", REFS[:1]),
    "add": lambda pets: pets.add("me/net:dog@1.0.0"),
    "lock": lambda pets: pets.lock(),
    "sync": lambda pets: pets.sync(),
    "upgrade": lambda pets: pets.upgrade(),
    "tree": lambda pets: pets.tree(),
    "project's composite": lambda pets: pets.compose(),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_was_installed_without_signatures_is_refused(pets, way):
    project = Project.open(pets.folder)
    with pytest.raises(Untrusted, match="is not signed by any key trusted for the namespace 'me'") as caught:
        way(project)
    assert caught.value.kind == "unsigned"
    assert not (pets.folder / "names.lock").exists()


def test_verify_says_so_of_each_release(pets):
    (problem,) = Project.open(pets.folder).verify().problems
    assert isinstance(problem, Untrusted)


@pytest.mark.parametrize("way", ["install", "lock names", "info", "new", "add", "lock", "sync", "tree"])
def test_what_was_installed_with_them_is_believed(pets, way, monkeypatch, tmp_path):
    monkeypatch.delenv("MODHUB_OFFLINE")
    (tmp_path / "away").rename(tmp_path / "registry")
    install([*REFS, "me/net:dog@1.0.0"], registry=str(tmp_path / "registry"))
    (tmp_path / "registry").rename(tmp_path / "away")
    monkeypatch.setenv("MODHUB_OFFLINE", "1")
    WAYS[way](Project.open(pets.folder))
    assert Project.open(pets.folder).verify().problems == ()


def test_a_marker_that_names_the_starter_does_not_vouch(pets, monkeypatch):
    """Only a release that the registry inside the package really has is believed as the package is."""
    cache = Cache(load_config().cache_folder)
    for installed in cache.installed():
        cache.mark(type(installed)(installed.ref, installed.name, installed.digest, str(STARTER_FOLDER)))
    with pytest.raises(Untrusted):
        install(REFS)
    # What did come from there is believed.
    monkeypatch.delenv("MODHUB_OFFLINE")
    assert [each.name for each in install(["cifar10/r56:cat"])] == ["cat"]
    assert [each.name for each in install(["cifar10/r56:cat"], offline=True)] == ["cat"]


def test_the_resolver_asks_the_same_cache(pets):
    """A catalog of a cache that demands nothing answers; the one that calls use does not."""
    folder = load_config().cache_folder
    assert CacheCatalog(Cache(folder)).summary(ModelRef("me", "net", "1.0.0")).slugs == ("cat",)
    shutil.rmtree(Path(folder) / "signatures", ignore_errors=True)
    with pytest.raises(Untrusted):
        install(REFS)
