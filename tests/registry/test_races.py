"""Many processes at once: exactly one winner, nothing lost, nothing mixed."""

from __future__ import annotations

import os

from crashing import race
from servers import aws_environment
from synthetic import release

from modhub.errors import Conflict
from modhub.registry import index
from modhub.registry.publication import versioned
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store

RACERS = 8


def put(url, path, data):
    return open_store(url).put_if_absent(path, data)


def publish(url, version, seed):
    registry = Registry(open_store(url))
    manifest, blobs = release(version=version, seed=seed)
    try:
        result = registry.publish(manifest, blobs) if version else registry.publish_next(manifest, blobs)
    except Conflict as error:
        return error.kind, manifest.digest, error.data
    return "created" if result.created else "no-op", result.digest, str(result.ref)


def set_alias(url, target):
    try:
        return Registry(open_store(url)).set_alias("it", target).target
    except Conflict as error:
        return error.kind


def test_put_if_absent_has_one_winner_among_processes(tmp_path):
    for number in range(3):
        path = f"race/{number}"
        wins = race(put, [(str(tmp_path), path, b"%d" % racer * 200_000) for racer in range(RACERS)])
        assert sum(wins) == 1
        assert (tmp_path / path).read_bytes() == b"%d" % wins.index(True) * 200_000
    assert sorted(p.name for p in (tmp_path / "race").iterdir()) == [str(number) for number in range(3)]


def test_one_version_has_one_content_whoever_publishes_it(tmp_path):
    for number in range(2):
        version, url = f"1.{number}.0", str(tmp_path)
        answers = race(publish, [(url, version, 10 * number + racer % 4) for racer in range(RACERS)])
        winner = Registry(open_store(url)).manifest(ModelRef("me", "net", version)).digest
        assert [answer[0] for answer in answers].count("created") == 1
        for kind, digest, data in answers:
            if digest == winner:
                assert kind in ("created", "no-op")
            else:
                assert kind == "version-exists"
                assert (data["published"], data["given"]) == (winner, digest)
    registry = Registry(open_store(str(tmp_path)))
    for version in registry.versions("me", "net"):
        manifest = registry.manifest(ModelRef("me", "net", version))
        assert all(registry.blob(record) for record in manifest.blobs.values())


def test_all_racing_releases_are_in_the_index(tmp_path):
    answers = race(publish, [(str(tmp_path), f"1.0.{racer}", racer) for racer in range(RACERS)])
    assert [answer[0] for answer in answers] == ["created"] * RACERS
    stored = (tmp_path / "index" / "me" / "net.json").read_text()
    assert all(f'"1.0.{racer}"' in stored for racer in range(RACERS))


def test_next_versions_are_claimed_one_by_one(tmp_path):
    answers = race(publish, [(str(tmp_path), None, racer) for racer in range(RACERS)])
    assert [answer[0] for answer in answers] == ["created"] * RACERS
    assert sorted(answer[2] for answer in answers) == [f"me/net@1.{minor}.0" for minor in range(RACERS)]
    for _, digest, ref in answers:
        seed = [answer[2] for answer in answers].index(ref)
        assert digest == versioned(release(seed=seed)[0], ref.split("@")[1]).digest


def test_equal_content_without_a_version_becomes_one_release(tmp_path):
    answers = race(publish, [(str(tmp_path), None, 7) for _ in range(RACERS)])
    assert sorted(answer[0] for answer in answers) == ["created"] + ["no-op"] * (RACERS - 1)
    assert {answer[2] for answer in answers} == {"me/net@1.0.0"}


def test_the_loser_of_an_alias_race_is_told(tmp_path):
    url = str(tmp_path)
    registry = Registry(open_store(url))
    registry.initialise()
    acknowledged = 0
    for turn in range(3):
        answers = race(set_alias, [(url, f"me/net-{turn}-{racer}") for racer in range(RACERS)])
        winners = [answer for answer in answers if answer != "record-race"]
        acknowledged += len(winners)
        assert registry.alias("it") in winners
        assert len(registry.store.list("records/alias/it")) == acknowledged


def on_s3(environment, work, *arguments):
    """``work`` in a process that finds the server; the others it was forked from do not."""
    os.environ.update(environment)
    return work(*arguments)


def test_put_if_absent_has_one_winner_on_s3(aws):
    environment, bucket = aws_environment(aws.endpoint), aws.bucket("one-winner")
    for number in range(2):
        data = [b"%d" % racer * 200_000 for racer in range(4)]
        wins = race(on_s3, [(environment, put, f"s3://{bucket}", f"race/{number}", mine) for mine in data])
        assert sum(wins) == 1
        stored = aws.client.get_object(Bucket=bucket, Key=f"race/{number}")["Body"].read()
        assert stored == data[wins.index(True)]


def test_racing_publishers_on_s3(aws):
    """All publish one version with different content, then one of their own; the blobs of those are the same."""
    environment, url = aws_environment(aws.endpoint), f"s3://{aws.bucket('publishers')}/registry"
    registry = Registry(open_store(url))
    registry.initialise()
    contested = race(on_s3, [(environment, publish, url, "1.0.0", racer) for racer in range(4)])
    winner = registry.manifest(ModelRef("me", "net", "1.0.0")).digest
    assert sorted(answer[0] for answer in contested) == ["created"] + ["version-exists"] * 3
    assert [digest for kind, digest, _ in contested if kind == "created"] == [winner]
    assert {data["published"] for kind, _, data in contested if kind == "version-exists"} == {winner}
    own = race(on_s3, [(environment, publish, url, f"2.{racer}.0", 9) for racer in range(4)])
    assert [answer[0] for answer in own] == ["created"] * 4
    versions = registry.versions("me", "net")
    assert versions == ["1.0.0", "2.0.0", "2.1.0", "2.2.0", "2.3.0"]
    for version in versions:
        manifest = registry.manifest(ModelRef("me", "net", version))
        assert all(map(registry.holds, manifest.blobs.values()))
    assert [entry.version for entry in index.read_shard(registry.store, "me", "net").releases] == versions
    (newest,) = index.read_namespace(registry.store, "me").models
    assert newest.release.version == "2.3.0"
    assert index.read_catalog(registry.store).namespaces == ("me",)


def test_next_versions_are_claimed_one_by_one_on_s3(aws):
    environment, url = aws_environment(aws.endpoint), f"s3://{aws.bucket('next-versions')}/registry"
    Registry(open_store(url)).initialise()
    answers = race(on_s3, [(environment, publish, url, None, racer) for racer in range(4)])
    assert [answer[0] for answer in answers] == ["created"] * 4
    assert sorted(answer[2] for answer in answers) == [f"me/net@1.{minor}.0" for minor in range(4)]
