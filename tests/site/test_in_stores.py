"""A site in a registry's own store: nothing of the registry changes, and a visitor always meets a whole page."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

import modhub
from modhub.errors import Conflict, StorageError
from modhub.installation.registries import STARTER_FOLDER
from modhub.ops.site import open_site_reader, site_files, site_source
from modhub.ops.site_places import SiteInStore
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store
from tests.synthetic import release


@pytest.fixture
def registry() -> Registry:
    made = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
    made.initialise()
    made.publish(*release("me/net"))
    return made


def objects(registry: Registry) -> dict[str, bytes]:
    return {path: registry.store.get(path, max_bytes=10**7) for path in registry.store.list("")}


def test_a_site_inside_its_registry_changes_nothing_of_it(registry: Registry) -> None:
    before = objects(registry)
    modhub.build_site(registry=registry.url, quick=True)
    after = objects(registry)
    assert {path: data for path, data in after.items() if not path.startswith("site/")} == before
    assert "site/index.html" in after
    report = fsck(registry)
    assert report.findings == ()
    collect(registry, older_than=timedelta(0))
    assert objects(registry).keys() >= after.keys()


def test_a_newer_site_takes_the_place_of_the_older_and_leaves_nothing(registry: Registry) -> None:
    modhub.build_site(registry=registry.url, quick=True)
    registry.take_down(ModelRef("me", "net", "1.0.0"), "not ours")
    registry.publish(*release("me/other"))
    with pytest.raises(Conflict):
        modhub.build_site(registry=registry.url, quick=True)
    modhub.build_site(registry=registry.url, quick=True, force=True)
    site = registry.store.list("site")
    assert "site/models/me/other/index.html" in site
    assert "site/models/me/net/versions/1.0.0.html" not in site
    assert len([path for path in site if path.startswith("site/data/") and path.endswith("releases.json")]) == 1


class Failing:
    """A store that refuses the write with this number, and all after it."""

    def __init__(self, store, left: int) -> None:
        self._store, self._left = store, left

    def __getattr__(self, name):
        return getattr(self._store, name)

    def replace(self, path, data):
        self._left -= 1
        if self._left < 0:
            raise StorageError("the disk is full.", kind="no-space")
        self._store.replace(path, data)


def test_a_site_that_was_cut_off_still_shows_the_old_one(registry: Registry) -> None:
    place = SiteInStore(registry.store, "site/")
    old = [("assets/1/a.js", b"old"), ("models/a/b/index.html", b"old"), ("index.html", b"assets/1/a.js")]
    new = [("assets/2/a.js", b"new"), ("models/a/c/index.html", b"new"), ("index.html", b"assets/2/a.js")]
    place.write(old)
    for left in range(4):
        with pytest.raises(StorageError):
            SiteInStore(Failing(registry.store, left), "site/").write(new)
        home = registry.store.get("site/index.html", max_bytes=100)
        assert registry.store.exists(f"site/{home.decode()}")
        assert home == b"assets/1/a.js"
    place.check_free(force=True)
    place.write(new)
    assert registry.store.list("site") == sorted(
        f"site/{name}" for name in ("assets/2/a.js", "index.html", "models/a/c/index.html", "modhub-site.json")
    )


def test_a_marker_cannot_have_other_files_removed(registry: Registry) -> None:
    """It lies where others may write, and names what a new site removes."""
    place = SiteInStore(registry.store)
    before = objects(registry)
    listed = b'{"files":["modhub-registry.json","../x.html","releases/me/net/1.0.0.json","data/old.json"],"format":1}'
    registry.store.replace("modhub-site.json", listed)
    registry.store.replace("data/old.json", b"{}")
    place.write([("index.html", b"new")])
    after = objects(registry)
    assert {path: after[path] for path in before} == before
    assert "data/old.json" not in after


def test_what_commands_need_is_the_one_registry_that_is_not_there_anyway(registry: Registry) -> None:
    assert site_source(open_site_reader([registry.url, str(STARTER_FOLDER)], quick=True)) == registry.url
    assert site_source(open_site_reader(str(STARTER_FOLDER), quick=True)) is None


class FailingOnce(Failing):
    """As ``Failing``, and well again after."""

    def replace(self, path, data):
        self._left -= 1
        if self._left == -1:
            raise StorageError("it went away.", kind="no-space")
        self._store.replace(path, data)


def test_what_a_site_that_was_cut_off_wrote_goes_with_it(registry: Registry) -> None:
    with pytest.raises(StorageError):
        SiteInStore(FailingOnce(registry.store, 3), "site/").write(
            [("assets/1/a.js", b"1"), ("models/a/b/index.html", b"1"), ("index.html", b"1")]
        )
    SiteInStore(registry.store, "site/").write([("index.html", b"2")])
    assert registry.store.list("site") == ["site/index.html", "site/modhub-site.json"]


class Noting(Failing):
    """A store that notes what was written, in its order."""

    def __init__(self, store) -> None:
        super().__init__(store, 0)
        self.written: list[str] = []

    def replace(self, path, data):
        self.written.append(path)
        self._store.replace(path, data)


def test_what_pages_load_is_there_before_any_page(registry: Registry) -> None:
    store = Noting(registry.store)
    SiteInStore(store, "site/").write(site_files(open_site_reader(registry.url, quick=True)))
    pages = [number for number, path in enumerate(store.written) if path.endswith(".html")]
    assert max(number for number, path in enumerate(store.written) if "/assets/" in path) < pages[0]
    assert store.written[pages[-1]] == "site/index.html"
