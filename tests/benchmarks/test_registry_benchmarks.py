"""The registry benchmarks work, and what they are to find they do find: every check is shown a fault of its kind."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import crashes
import races
import report
import scale
import transfer
from admin_stores import memory
from fsspec.implementations.memory import MemoryFileSystem

from modhub.errors import ModhubError
from modhub.registry import index
from modhub.registry.admin.fsck import fsck
from modhub.registry.writer import Registry
from modhub.spec.layout import CATALOG, blob_path, catalog_path, index_path, release_path
from modhub.spec.manifest import write_manifest
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import NamespaceCatalog, write_document
from modhub.storage.store import Store
from modhub.storage.urls import open_store

# Races


def test_a_small_race(tmp_path: Path) -> None:
    verdict = races.run(str(tmp_path), racers=4, releases=5)
    assert (verdict.acknowledged, verdict.conflicts) == (4 * 3 + 2, 3 * 2)
    assert verdict.is_good
    figures = {"runs": {"folder": [vars(verdict), vars(verdict)]}}
    assert "| folder | 2 | 14 | 6 | 0 | 0 | 0 | 0 |" in report.races(figures)


CONTESTED = ModelRef("team", "shared", "1.0.0")
OWN = ModelRef("team", "shared", "2.1.0")


@pytest.fixture
def published() -> tuple[Store, list[races.Reply]]:
    """A store in which two publishers, one after the other, published three releases each, and the replies."""
    store = memory()
    replies = [one for racer in range(2) for one in races.publish_all(store.url, racer, 3)]
    assert races.judged(store, replies) == races.Verdict(acknowledged=5, conflicts=1)
    return store, replies


def _lose_blob(store: Store, replies: list[races.Reply]) -> None:
    store.delete(blob_path(next(iter(Registry(store).manifest(OWN).blobs.values())).sha256))


def _spoil_blob(store: Store, replies: list[races.Reply]) -> None:
    store.replace(blob_path(next(iter(Registry(store).manifest(CONTESTED).blobs.values())).sha256), b"spoilt")


def _lose_release(store: Store, replies: list[races.Reply]) -> None:
    store.delete(release_path(OWN))


def _overwrite(store: Store, replies: list[races.Reply]) -> None:
    """The loser's content takes the winner's place."""
    manifest, blobs = races.given(1, 0)
    for digest, data in blobs.items():
        store.put_if_absent(blob_path(digest), data)
    store.replace(release_path(CONTESTED), write_manifest(manifest))


def _two_winners(store: Store, replies: list[races.Reply]) -> None:
    loser = next(number for number, one in enumerate(replies) if one.outcome == "conflict")
    replies[loser] = replace(replies[loser], outcome="created")


def _false_conflict(store: Store, replies: list[races.Reply]) -> None:
    number = next(number for number, one in enumerate(replies) if one.ref == OWN)
    replies[number] = replace(replies[number], outcome="conflict", published=replies[number].digest)


def _lose_reply(store: Store, replies: list[races.Reply]) -> None:
    replies[:] = [one for one in replies if one.ref != OWN]


def _forget_in_shard(store: Store, replies: list[races.Reply]) -> None:
    shard = index.read_shard(store, "team", "shared")
    store.replace(
        index_path("team", "shared"), write_document(shard.model_copy(update={"releases": shard.releases[1:]}))
    )


def _forget_in_namespace(store: Store, replies: list[races.Reply]) -> None:
    store.replace(catalog_path("team"), write_document(NamespaceCatalog(format=1, namespace="team", models=())))


def _forget_namespace(store: Store, replies: list[races.Reply]) -> None:
    catalog = index.read_catalog(store)
    store.replace(CATALOG, write_document(catalog.model_copy(update={"namespaces": catalog.namespaces[1:]})))


def _fail(store: Store, replies: list[races.Reply]) -> None:
    replies.append(replace(replies[0], outcome="RegistryUnreachable: away"))


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        # Both releases of the pair have the blob.
        (_lose_blob, {"lost": 2}),
        (_spoil_blob, {"lost": 1}),
        (_lose_release, {"lost": 1}),
        (_overwrite, {"mixed": 1, "not_in_index": 1}),
        (_two_winners, {"acknowledged": 6, "conflicts": 0, "mixed": 1}),
        (_false_conflict, {"acknowledged": 4, "conflicts": 2, "mixed": 1}),
        (_lose_reply, {"acknowledged": 4, "mixed": 1, "not_in_index": 1}),
        (_forget_in_shard, {"not_in_index": 1}),
        (_forget_in_namespace, {"not_in_index": 1}),
        (_forget_namespace, {"not_in_index": 1}),
        (_fail, {"failed": 1}),
    ],
)
def test_a_race_that_went_wrong_is_found(
    published: tuple[Store, list[races.Reply]], fault: Any, found: dict[str, int]
) -> None:
    store, replies = published
    fault(store, replies)
    verdict = races.judged(store, replies)
    assert verdict == replace(races.Verdict(acknowledged=5, conflicts=1), **found)
    assert not verdict.is_good


# Crashes


def test_a_small_round_of_crashes() -> None:
    rows = list(itertools.islice(crashes.measured(("folder", "memory"), ("installer",)), 2))
    assert [(row.who, row.store, row.left) for row in rows] == [
        ("installer", "folder", "fresh"),
        ("installer", "memory", "fresh"),
    ]
    assert all(row.deaths > 5 and not row.failures for row in rows)
    assert "| installer | memory | the store dies |" in report.crashes([vars(row) for row in rows])


def _manifest_first(store: Store, cache: str) -> None:
    store.put_if_absent(release_path(ModelRef("me", "net", "1.1.0")), write_manifest(crashes.NEXT[0]))
    crashes.publish(store, cache)


def _eager_collector(store: Store, cache: str) -> None:
    for path in store.list("blobs"):
        store.delete(path)


def _lazy_publisher(store: Store, cache: str) -> None:
    store.list("")


def _stubborn_publisher(store: Store, cache: str) -> None:
    path = "foreign/lock"
    if not store.put_if_absent(path, b"mine"):
        raise ModhubError("somebody else is at it")
    store.delete(path)


@pytest.mark.parametrize(
    ("who", "work", "said"),
    [
        ("publisher", _manifest_first, ["me/net@1.1.0 is listed and not whole", "fsck: "]),
        ("collector", _eager_collector, ["me/net@1.0.0 was whole and is not any more", "fsck: "]),
        ("publisher", _lazy_publisher, ["said that all is well, and it is not done"]),
        ("publisher", _stubborn_publisher, ["running it again: somebody else is at it"]),
    ],
)
def test_work_that_does_not_survive_crashes_is_found(
    who: str, work: Any, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(crashes.WORK, who, work)
    row = crashes.died(who, "memory", crashes.copies(memory), tmp_path, fresh=True)
    assert row.deaths
    for message in said:
        assert any(message in failure for failure in row.failures), (message, row.failures)


def test_a_module_that_leaves_the_cache_is_found(tmp_path: Path) -> None:
    store = memory()
    crashes.build(store)
    witness = crashes.Witness(store, str(tmp_path))
    crashes.install_modules(store, str(tmp_path))
    assert list(witness.look()) == []
    for marker in (tmp_path / "installed").rglob("cat.json"):
        marker.unlink()
    assert [problem for problem in witness.look() if "was installed and is not any more" in problem]


# Transfer


def test_a_small_transfer() -> None:
    rows = list(transfer.measured({"tiny": lambda: transfer.synthetic(3, 1000, 5000)}, 1))
    assert [(row.store, row.work) for row in rows] == [
        (store, work) for store in ("folder", "S3") for work in ("publish", "install")
    ]
    figures = [row.figures() for row in rows]
    assert all(len(row["own"]) == len(row["yardstick"]) == 1 and row["ratio"] > 0 for row in figures)
    assert "| tiny, S3, install | 0.0 |" in report.transfer(figures)


class _Forgetful(MemoryFileSystem):
    """Writes other bytes than it was given."""

    cachable = False
    store: dict[str, Any] = {}  # noqa: RUF012 - fsspec's own way

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        super().pipe_file(path, value[:-1] + b"?", **kwargs)


@pytest.mark.parametrize("bulk", [True, False])
def test_the_yardstick_reads_back_what_it_wrote(tmp_path: Path, bulk: bool) -> None:
    (tmp_path / "a").write_bytes(b"content")
    files = transfer.fsspec.filesystem("file")
    names = {str(tmp_path / "a"): str(tmp_path / "copy" / "a")}
    transfer.copy((files, files), names, bulk=(False, False))
    assert (tmp_path / "copy" / "a").read_bytes() == b"content"
    with pytest.raises(AssertionError):
        transfer.copy((files, _Forgetful()), {str(tmp_path / "a"): "/copy/a"}, bulk=(False, bulk))


# Scale


def test_a_small_scale() -> None:
    rows = list(scale.measured({scale.Shape(2, 5, 2): scale.Shape(1, 1, 2)}, 3))
    assert [(table, row["store"]) for table, row in rows] == [
        (table, store) for store in ("folder", "HTTP") for table in ("resolving", "resolving", "searching")
    ]
    assert {row["hits"] for table, row in rows if table == "searching"} == {1}
    drawn = report.scale({table: [row for of, row in rows if of == table] for table in ("resolving", "searching")})
    assert drawn.count("| 2 x 5 x 2 | HTTP |") == 3


def test_the_registries_to_measure_are_registries(tmp_path: Path) -> None:
    scale.build(tmp_path, scale.Shape(2, 6, 3))
    found = fsck(Registry(open_store(str(tmp_path))))
    assert (found.releases, found.findings) == (36, ())


def test_what_answers_wrongly_is_not_timed(tmp_path: Path) -> None:
    scale.build(tmp_path, scale.Shape(1, 1, 3))
    urls = (str(tmp_path), str(tmp_path))
    with pytest.raises(AssertionError):
        scale.searching(scale.Shape(1, 11, 3), urls, 1)
    with pytest.raises(AssertionError):
        scale.resolving(urls, ("short:a1@1.0.0", "short:a1"), 1)
