"""``modhub cache`` and ``modhub install --offline``, as people and programs see them."""

from __future__ import annotations

import json
import re
import shutil

import click
import pytest
from caches import HOUR, blob_file, get, make_older
from synthetic import release

from modhub.cli.size_option import size_in_bytes
from modhub.errors import IntegrityError, NotFound
from modhub.installation.install import install_pinned
from modhub.registry.writer import Registry
from modhub.resolve.catalog import Pinned
from modhub.spec.refs import ModuleRef
from modhub.storage.local import LocalStore


@pytest.fixture
def filled(tmp_path, registry, cache):
    """All of me/net, and one class of you/other with five in all."""
    registry.publish(*release("you/other", classes=[f"c{number}" for number in range(5)], weights_bytes=60_000))
    get(["me/net", "you/other:c1"], registry, cache)
    return cache


def damage(cache, index):
    manifest, _ = release()
    keys = [manifest.content.origin.weights, *(module.blob for module in manifest.content.modules)]
    file = blob_file(cache, manifest.blobs[keys[index]])
    file.write_bytes(bytes(file.stat().st_size))
    return file


def test_dir(run, cache):
    assert run("cache", "dir").out == f"{cache.root}\n"
    assert run("cache", "dir", "--json").document == {"cache": str(cache.root)}
    assert run("cache", "dir", "--cache", "/elsewhere").out == "/elsewhere\n"


def test_list(run, filled):
    ran = run("cache", "list")
    lines = [re.split(r"  +", line) for line in ran.out.splitlines()]
    assert lines[0] == ["release", "modules", "size", "last used"]
    assert [line[:2] for line in lines[1:]] == [
        ["me/net@1.0.0", "cat, dog, potters-wheel"],
        ["you/other@1.0.0", "c1"],
    ]
    assert all(
        re.fullmatch(r"[\d.]+ KiB", line[2]) and re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d", line[3]) for line in lines[1:]
    )
    assert re.fullmatch(r"[\d.]+ KiB in .*/cache\.\n", ran.err)


def test_list_names_few_classes_and_counts_many(run, filled, registry):
    get(["you/other"], registry, filled)
    assert "  5 classes  " in run("cache", "list").out


def test_list_as_a_document(run, filled):
    document = run("cache", "list", "--json").document
    assert (document["cache"], document["size"]) == (str(filled.root), filled.size())
    one, other = document["releases"]
    assert other["used"].endswith("+00:00")
    assert one["modules"] == ["cat", "dog", "potters-wheel"]
    assert one["size"] + other["size"] == filled.size()
    assert (one["digest"], one["problem"]) == (release()[0].digest, None)


def test_list_of_nothing(run, cache):
    ran = run("cache", "list")
    assert (ran.code, ran.out) == (0, "")
    assert re.fullmatch(r"nothing is installed in .*/cache\.\n", ran.err)


@pytest.mark.parametrize("arguments", [["list"], ["verify"], ["prune"]], ids=" ".join)
def test_a_cache_that_is_a_file(run, cache, arguments):
    cache.root.write_text("")
    ran = run("cache", *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert f"error: the cache cannot use {cache.root}" in ran.err
    assert "hint: set MODHUB_CACHE to another folder." in ran.err


def test_list_names_a_damaged_release(run, filled):
    for file in (filled.root / "manifests" / release()[0].digest[7:]).iterdir():
        file.write_bytes(b"")
    ran = run("cache", "list")
    assert "  damaged  " in ran.out.splitlines()[1]
    assert "warning: me/net@1.0.0: the cached manifest" in ran.err
    assert "See modhub cache verify" in ran.err


def test_verify_of_a_sound_cache(run, filled):
    assert re.fullmatch(r"12 files, [\d.]+ KiB: all as they should be\.\n", run("cache", "verify").out)
    document = run("cache", "verify", "--json").document
    assert document == {"cache": str(filled.root), "files": 12, "size": filled.size(), "damaged": []}


def test_verify_of_a_damaged_cache(run, filled, registry):
    weights, cat = damage(filled, 0), damage(filled, 1)
    ran = run("cache", "verify")
    assert ran.code == 5
    lines = {re.split(r"  +", line)[0]: re.split(r"  +", line)[1:] for line in ran.out.splitlines()}
    assert lines[cat.relative_to(filled.root).as_posix()] == ["zeroed", "me/net:cat@1.0.0"]
    everything = "me/net:cat@1.0.0, me/net:dog@1.0.0, me/net:potters-wheel@1.0.0"
    assert lines[weights.relative_to(filled.root).as_posix()] == ["zeroed", everything]
    assert ran.err == (
        f"error: 2 of 12 files in the cache {filled.root} are damaged or missing.\n"
        f"hint: install again what needs them: modhub install {everything.replace(',', '')}\n"
    )
    again = ran.err.split("modhub ")[1].split()
    assert run(*again, "--registry", registry.url).code == 0
    assert run("cache", "verify").code == 0


def test_verify_of_a_damaged_cache_as_a_document(run, filled):
    cat = damage(filled, 1)
    ran = run("cache", "verify", "--json")
    assert (ran.code, ran.out) == (5, "")
    error = json.loads(ran.err)
    assert (error["error"], error["modules"]) == ("damaged-cache", ["me/net:cat@1.0.0"])
    assert [(each["kind"], filled.root / each["path"]) for each in error["damaged"]] == [("zeroed", cat)]
    assert "is overwritten with zeros" in error["damaged"][0]["message"]
    assert error["message"].startswith("1 of 12 files in the cache ")
    assert " is damaged" in error["message"]


def test_verify_of_harmless_damage(run, filled):
    for marker in (filled.root / "installed").rglob("cat.json"):
        marker.unlink()
    damage(filled, 1)
    ran = run("cache", "verify")
    assert ran.code == 5
    assert "zeroed  nothing installed" in ran.out
    assert "hint: nothing installed needs them: delete those files." in ran.err


def test_prune(run, filled):
    for marker in (filled.root / "installed").rglob("cat.json"):
        marker.unlink()
    assert (
        run("cache", "prune").err == "300 bytes that nothing needs were used within the last hour; prune again later.\n"
    )
    make_older(filled.root, 2 * HOUR)
    left = filled.size() - 300
    kib = f"{left / 1024:.1f} KiB"
    assert run("cache", "prune", "--dry-run").out == f"would free 300 bytes in 1 file; {kib} would stay.\n"
    assert run("cache", "prune").out == f"freed 300 bytes in 1 file; {kib} stay.\n"
    assert run("cache", "prune").out == f"freed 0 bytes in 0 files; {kib} stay.\n"
    assert filled.size() == left


def test_prune_to_a_size(run, filled):
    make_older(filled.root, 2 * HOUR)
    small = next(release.size for release in filled.releases() if release.ref.namespace == "me")
    make_older(filled.root / "installed" / "you", HOUR)
    before = filled.size()
    arguments = ("cache", "prune", "--max-size", f"{small / 1000}KB")
    dry = run(*arguments, "--dry-run")
    assert dry.out.startswith("would delete c1 of you/other@1.0.0\nwould free 6")
    assert filled.size() == before
    document = run(*arguments, "--json").document
    assert document == {
        "cache": str(filled.root),
        "dry_run": False,
        "modules": ["you/other:c1@1.0.0"],
        "files": document["files"],
        "freed": before - small,
        "left": small,
        "waiting": 0,
    }
    assert len(document["files"]) == 4
    ran = run("cache", "prune", "--max-size", "0B")
    assert ran.out.startswith("deleted cat, dog, potters-wheel of me/net@1.0.0\nfreed ")
    assert (ran.err, filled.installed()) == ("", [])


def test_prune_to_a_size_that_cannot_be_reached(run, filled):
    ran = run("cache", "prune", "--max-size", "1KB")
    assert ran.code == 0
    assert ran.err == ("warning: more than --max-size stays: 1000 bytes is less than what was used in the last hour.\n")
    assert len(filled.installed()) == 4


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9), ("500MB", 5 * 10**8), ("1.5GiB", 3 * 2**29), ("1.5 kib", 1536), ("0B", 0),
        ("0.1KB", 100), ("3TiB", 3 * 2**40), ("7b", 7),
    ],
)  # fmt: skip
def test_sizes(text, size):
    assert size_in_bytes(None, None, text) == size


NO_SIZES = ["2", "", "GB", "2G", "-1GB", "1e3MB", "2 GB 1", "1,5GB", "\u0661GB", "9" * 400 + "GB", "2IB"]


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size(text):
    with pytest.raises(click.BadParameter, match=r"is not a size such as 2GB, 500MB or 1\.5GiB"):
        size_in_bytes(None, None, text)


def test_a_bad_size_is_named(run, cache):
    ran = run("cache", "prune", "--max-size", "2")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        "error: invalid value for '--max-size': '2' is not a size such as 2GB, 500MB or 1.5GiB.\n"
    )


def test_help_lists_the_commands(run):
    ran = run("cache")
    assert [line.split()[0] for line in ran.out.split("Commands:\n")[1].splitlines()] == [
        "clean",
        "dir",
        "list",
        "prune",
        "verify",
    ]
    for name in ("clean", "dir", "list", "prune", "verify"):
        assert f"modhub cache {name}" in run("cache", name, "--help").out.split("Examples:")[1]


# Offline


def test_offline_installs_what_is_here(run, filled, registry):
    shutil.rmtree(registry.store.root)
    ran = run("install", "n:cat", "me/net:cat", "--offline", "--registry", registry.url)
    assert ran.code == 3, "the alias n was never used to install"
    ran = run("install", "me/net:cat", "--offline", "--registry", registry.url, "--json")
    assert [(each["ref"], each["already"], each["fetched"]) for each in ran.document["installed"]] == [
        ("me/net:cat@1.0.0", True, 0)
    ]


def test_offline_never_asks_a_registry(run, cache, registry):
    ran = run("install", "me/net:cat", "--offline", "--registry", registry.url)
    assert (ran.code, ran.out) == (3, "")
    assert "'me/net' is not in any of the registries searched" in ran.err
    assert "offline" in ran.err
    assert not cache.root.exists()


@pytest.mark.parametrize(("change", "code", "kind"), [(bytes, 5, "zeroed"), (None, 3, "not-installed")])
def test_offline_says_what_is_not_whole(run, filled, registry, change, code, kind):
    file = damage(filled, 1)
    if change is None:
        file.unlink()
    ran = run("install", "me/net", "--offline", "--registry", registry.url, "--json")
    assert ran.code == code
    error = json.loads(ran.err)
    assert error["error"] == kind
    assert error["message"].startswith("me/net:cat@1.0.0 is not whole in the cache, and nothing is fetched offline: ")
    assert str(file) in error["message"]
    assert error["hint"] == "install it once without --offline: modhub install me/net:cat@1.0.0"
    assert run("install", "me/net:dog", "--offline").code == 0
    assert run("install", "me/net:cat", "--registry", registry.url).code == 0
    assert run("install", "me/net:cat", "--offline").code == 0


def test_without_offline_the_hint_is_another(filled, tmp_path):
    """Also without asking for it a module may come from the cache alone: no registry has it any more."""
    other = Registry(LocalStore(tmp_path / "other"))
    other.initialise()
    damage(filled, 1)
    with pytest.raises(IntegrityError, match=r"^the cached blob") as caught:
        get(["me/net:cat"], other, filled)
    assert caught.value.hint == "install it from a registry: modhub install me/net:cat@1.0.0"


def test_a_class_that_a_release_does_not_have(cache, registry):
    """As a lockfile may say that somebody wrote by hand."""
    pin = Pinned(ModuleRef("me", "net", "cow", "1.0.0"), "cow", release()[0].digest, registry.url)
    with pytest.raises(NotFound, match=r"me/net@1\.0\.0 has no class 'cow'") as caught:
        install_pinned([pin], [Registry(LocalStore(registry.store.root))], cache)
    assert caught.value.kind == "no-class"
