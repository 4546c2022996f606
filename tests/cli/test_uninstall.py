"""Taking modules out of the cache: what goes, what stays and for whom, and a cache that is never left half."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.cache.cache import Cache
from modhub.settings.config import load_config
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]


@pytest.fixture
def cache(run: Run, workshop: Workshop) -> Cache:
    assert run("install", "me/net", "--registry", workshop.registry).code == 0
    return Cache(load_config().cache_folder)


def classes(cache: Cache) -> list[str]:
    return [installed.ref.cls for installed in cache.installed()]


def test_a_module_goes_and_what_others_need_stays(run: Run, cache: Cache) -> None:
    before = cache.size()
    would = run("uninstall", "me/net:cat", "--dry-run", "--json").document
    assert (classes(cache), cache.size()) == (["cat", "dog", "potters-wheel"], before)
    done = run("uninstall", "me/net:cat", "--json").document
    assert done == would | {"dry_run": False}
    assert (done["modules"], done["needed_by"]) == (
        ["me/net:cat@1.0.0"], ["me/net:dog@1.0.0", "me/net:potters-wheel@1.0.0"],
    )  # fmt: skip
    assert 0 < done["freed"] == before - cache.size() < done["shared"]
    assert cache.verify().damaged == ()
    text = run("uninstall", "me:potter's wheel")
    assert text.out.startswith("removed potters-wheel of me/net@1.0.0\nfreed ")
    assert "stay, for dog of me/net@1.0.0" in text.err
    assert run("uninstall", "me/net@^1").err == ""
    assert classes(cache) == []
    # What registries said of the namespace is kept for when they cannot be asked.
    assert {found.relative_to(cache.root).parts[0] for found in cache.root.rglob("*") if found.is_file()} == {"notices"}


def test_what_is_installed_again_is_whole(run: Run, cache: Cache, workshop: Workshop) -> None:
    run("uninstall", "me/net:dog")
    assert run("install", "me/net:dog", "--registry", workshop.registry).code == 0
    assert classes(cache) == ["cat", "dog", "potters-wheel"]
    assert run("cache", "verify").code == 0


@pytest.mark.parametrize("name", ["me/net:fox", "you/net", "me/net@2.0.0", "c10"])
def test_what_is_not_installed(run: Run, cache: Cache, name: str) -> None:
    result = run("uninstall", "me/net:cat", name)
    assert (result.code, f"{name} is not installed." in result.err) == (3, True)
    assert len(classes(cache)) == 3


def test_a_project_that_needs_it_is_named(run: Run, cache: Cache, workshop: Workshop) -> None:
    assert run("new", "--here", "me/net:cat", "--registry", workshop.registry).code == 0
    result = run("uninstall", "me/net")
    assert "modhub.lock still needs me/net:cat@1.0.0; modhub sync installs it again" in result.err
    assert run("sync", "--registry", workshop.registry).code == 0
    assert classes(cache) == ["cat"]


def test_what_is_damaged_can_be_taken_out(run: Run, cache: Cache) -> None:
    for manifest in (cache.root / "manifests").rglob("*.json"):
        manifest.write_bytes(b"x")
    assert run("uninstall", "me/net:cat").code == 5
    assert len(cache.marked()) == 3
    assert run("uninstall", "me/net").code == 0
    assert cache.marked() == []


def test_clean_empties_it(run: Run, cache: Cache) -> None:
    (cache.root / "mine.txt").write_text("not modhub's")
    asked = run("cache", "clean")
    assert (asked.code, "run it again with --yes" in asked.err) == (2, True)
    would = run("cache", "clean", "--dry-run").out
    assert would.startswith("would remove cat, dog, potters-wheel of me/net@1.0.0\nwould free ")
    done = run("cache", "clean", "--yes", "--json").document
    assert (len(done["modules"]), done["left"], cache.size()) == (3, 0, 0)
    assert [path.name for path in cache.root.rglob("*") if path.is_file()] == ["mine.txt"]
    assert run("cache", "clean", "--yes").out.startswith("freed 0 bytes")


def test_an_installation_that_runs_meanwhile_stays_whole(
    run: Run, cache: Cache, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker that appears between setting aside and deleting brings its files back."""
    from modhub.cache.files import Folder

    mark = next(installed for installed in cache.installed() if installed.ref.cls == "cat")
    run("uninstall", "me/net:dog", "me/net:potters-wheel")
    find, seen = Folder.find, []

    def found(folder: Folder, prefix: str) -> object:
        if prefix == "installed":
            seen.append(prefix)
            # The second look is the one after everything was set aside.
            if len(seen) == 2:
                cache.mark(mark)
        return find(folder, prefix)

    monkeypatch.setattr(Folder, "find", found)
    run("uninstall", "me/net:cat")
    monkeypatch.undo()
    assert len(seen) == 2
    assert classes(cache) == ["cat"]
    assert cache.verify().damaged == ()


def test_the_place_of_the_cache_can_be_named(run: Run, workshop: Workshop, tmp_path: Path) -> None:
    run("install", "me/net:cat", "--registry", workshop.registry, "--cache", tmp_path / "c")
    assert run("uninstall", "me/net:cat", "--cache", tmp_path / "c").code == 0
    assert run("uninstall", "me/net:cat", "--cache", tmp_path / "nowhere").code == 3
