"""What ``modhub registry`` prints, and with which code it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.cli.findings import duration
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path
from modhub.storage.urls import open_store
from tests.cli.running import Result
from tests.synthetic import release

Run = Callable[..., Result]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(open_store(str(tmp_path / "registry")))
    registry.publish(*release())
    registry.publish(*release(version="1.1.0", seed=1))
    return registry


def weights_file(registry: Registry) -> Path:
    manifest = release()[0]
    return Path(registry.url) / blob_path(manifest.blobs[manifest.content.origin.weights].sha256)


def test_init_with_and_without_a_url(run: Run, tmp_path: Path) -> None:
    assert run("registry", "init", "here").out == f"created the registry {tmp_path / 'here'}\n"
    assert run("registry", "init", "here").out == f"{tmp_path / 'here'} is a registry already\n"
    assert run("registry", "init", "--json").document["created"] is True
    lone = run("registry", "init", "lone", "--single-writer", "--json").document
    assert lone == {"registry": str(tmp_path / "lone"), "created": True}
    assert Registry(open_store(str(tmp_path / "lone"))).check().single_writer is True


@pytest.mark.parametrize("url", ["ftp://host/x", "s3::http://x", "simplecache::s3://b"])
def test_init_refuses_what_is_no_registry(run: Run, url: str) -> None:
    done = run("registry", "init", url)
    assert (done.code, "is not a kind of registry that modhub opens" in done.err) == (2, True)


def test_every_command_needs_a_registry(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in ("fsck", "gc", "reindex"):
        done = run("registry", command, "empty")
        assert done.code == 6, command
        assert f"there is no registry at {tmp_path / 'empty'}." in done.err
    assert list((tmp_path / "empty").iterdir()) == []


def test_fsck_of_what_is_whole(run: Run, registry: Registry) -> None:
    done = run("registry", "fsck", registry.url)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("2 releases, 8 blobs of ")
    assert done.out.endswith("0 records, 0 signatures: everything is as it should be.\n")
    document = run("registry", "fsck", registry.url, "--json").document
    assert (document["clean"], document["findings"], document["releases"]) == (True, [], 2)


def test_fsck_names_what_is_damaged_and_repairs_it(run: Run, registry: Registry, tmp_path: Path) -> None:
    run("registry", "mirror", registry.url, "copy")
    weights_file(registry).write_bytes(b"xx")
    done = run("registry", "fsck", registry.url)
    assert done.code == 5
    assert f"{weights_file(registry)} is truncated: it has 2 bytes instead of 5000 bytes." in done.out
    assert done.err.startswith(f"error: 1 thing in the registry {registry.url} is damaged.\nhint: repair it")
    failed = run("registry", "fsck", registry.url, "--json")
    assert (failed.code, failed.out) == (5, "")
    assert json.loads(failed.err)["error"] == "damaged-registry"
    assert [found["kind"] for found in json.loads(failed.err)["findings"]] == ["truncated"]
    repaired = run("registry", "fsck", registry.url, "--repair-from", "copy")
    assert (repaired.code, repaired.out.splitlines()[1].split()[0]) == (0, "repaired")
    assert repaired.out.endswith("everything is as it should be, 1 repaired.\n")
    assert run("registry", "fsck", registry.url).code == 0
    itself = run("registry", "fsck", registry.url, "--repair-from", registry.url)
    assert (itself.code, "cannot be repaired from itself" in itself.err) == (2, True)


def test_gc_waits_and_then_deletes(run: Run, registry: Registry) -> None:
    orphan = blob_path("sha256:" + "ab" * 32)
    registry.store.put_if_absent(orphan, b"nobody's")
    tried = run("registry", "gc", registry.url, "--older-than", "0", "--dry-run")
    assert tried.out == f"would delete {orphan}\nwould delete 1 object of 8 bytes, and 0 unfinished writes; 0 wait.\n"
    waiting = run("registry", "gc", registry.url)
    assert waiting.out == "deleted 0 objects of 0 bytes, and 0 unfinished writes; 1 wait.\n"
    assert "deleted by a later run" in waiting.err
    assert registry.store.exists(orphan)
    document = run("registry", "gc", registry.url, "--older-than", "0", "--json").document
    assert (document["deleted"], document["freed"], document["dry_run"]) == ([orphan], 8, False)
    assert not registry.store.exists(orphan)
    assert run("registry", "fsck", registry.url).code == 0


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("45s", 45), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)])
def test_spans_of_time(text: str, seconds: int) -> None:
    assert duration(None, None, text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5d", "7 d", "1w", "٣d", "9999999d"])
def test_what_is_no_span_of_time(run: Run, registry: Registry, text: str) -> None:
    done = run("registry", "gc", registry.url, "--older-than", text)
    assert done.code == 2
    assert "is not a span of time such as 7d, 12h, 30m or 0." in done.err


def test_reindex_repairs_and_reports_what_it_left_out(run: Run, registry: Registry) -> None:
    index = Path(registry.url) / "index/me/net.json"
    before = index.read_bytes()
    index.write_bytes(b"?")
    assert run("registry", "reindex", registry.url).out == f"rebuilt the index of 1 model in {registry.url}\n"
    assert index.read_bytes() == before
    (Path(registry.url) / "releases/me/net/1.0.0.json").write_bytes(b"{}")
    done = run("registry", "reindex", registry.url)
    assert done.code == 5
    assert "the release me/net@1.0.0" in done.err
    assert b'"1.0.0"' not in index.read_bytes()


def test_mirror_copies_continues_and_reports(run: Run, registry: Registry, tmp_path: Path) -> None:
    registry.set_alias("n", "me/net")
    first = run("registry", "mirror", registry.url, "copy", "me/net@1.0.0")
    assert first.out.startswith("copied me/net@1.0.0\ncopied 1 release, ")
    rest = run("registry", "mirror", registry.url, "copy", "--json").document
    assert (rest["copied"], rest["present"]) == (["me/net@1.1.0"], ["me/net@1.0.0"])
    assert Registry(open_store(str(tmp_path / "copy"))).alias("n") == "me/net"
    unknown = run("registry", "mirror", registry.url, "copy", "me/other")
    assert (unknown.code, "has no release me/other" in unknown.err) == (3, True)
    weights_file(registry).write_bytes(b"xx")
    damaged = run("registry", "mirror", registry.url, "again")
    assert damaged.code == 5
    assert "copied me/net@1.1.0" in damaged.out
    assert "is truncated" in damaged.err
    itself = run("registry", "mirror", registry.url, registry.url)
    assert (itself.code, "cannot be copied onto itself" in itself.err) == (2, True)


def test_takedown_wants_to_be_sure(run: Run, registry: Registry) -> None:
    arguments = ("registry", "takedown", "me/net@1.0.0", "--registry", registry.url, "--reason", "not ours")
    asked = run(*arguments)
    assert asked.code == 2
    assert asked.err == (
        "error: taking down me/net@1.0.0 cannot be undone, and there is no terminal to ask at.\n"
        "hint: run it again with --yes.\n"
    )
    assert weights_file(registry).exists()
    done = run(*arguments, "--yes")
    assert done.out.startswith("took down me/net@1.0.0: not ours\ndeleted 4 blobs of ")
    assert not weights_file(registry).exists()
    again = run(*arguments, "--yes", "--json").document
    assert (again["release"], again["deleted"], again["reason"]) == ("me/net@1.0.0", [], "not ours")
    assert run("registry", "fsck", registry.url).code == 0
    gone = run("install", "me/net:cat@1.0.0", "--registry", registry.url)
    assert (gone.code, "me/net@1.0.0 is taken down: not ours" in gone.err) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("me/net", "--reason", "x"), 2, "is not a release's name"),
        (("me/net@7.0.0", "--reason", "x"), 3, "has no release me/net@7.0.0"),
        (("me/net@1.0.0", "--reason", " "), 2, "the reason is empty"),
        (("me/net@1.0.0",), 2, "missing option '--reason'"),
    ],
)
def test_takedown_with_bad_arguments(
    run: Run, registry: Registry, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run("registry", "takedown", arguments[0], "--registry", registry.url, "--yes", *arguments[1:])
    assert (done.code, message in done.err) == (code, True), done.err
    assert run("registry", "fsck", registry.url).code == 0


def test_a_release_is_carried_in_one_file(run: Run, registry: Registry, tmp_path: Path) -> None:
    wrote = run("registry", "export", "me/net", "net.modhub", "--registry", registry.url)
    assert wrote.out.startswith("wrote me/net@1.1.0 to net.modhub, ")
    first = (tmp_path / "net.modhub").read_bytes()
    again = ("registry", "export", "me/net@1.1.0", "net.modhub", "--registry", registry.url, "--json")
    refused = run(*again)
    assert (refused.code, '"output-exists"' in refused.err) == (4, True)
    document = run(*again, "--force").document
    assert document["release"] == "me/net@1.1.0"
    assert (tmp_path / "net.modhub").read_bytes() == first
    assert (
        run("registry", "import", "net.modhub", "--registry", "there").out
        == f"published me/net@1.1.0, in {tmp_path / 'there'}\n"
    )
    assert run("registry", "import", "net.modhub", "--registry", "there").out.startswith("me/net@1.1.0 was in ")
    assert run("install", "me/net:cat", "--registry", "there").code == 0


def test_a_file_that_carries_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "truncated.modhub").write_bytes(b"")
    for file in ("truncated.modhub", "missing.modhub", "."):
        done = run("registry", "import", file, "--registry", "there")
        assert done.code in (2, 3, 5), file
        assert file in done.err
        assert "Traceback" not in done.err
