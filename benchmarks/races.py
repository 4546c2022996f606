#!/usr/bin/env python3
"""Sixteen processes publish at once, some of them the same versions: is everything acknowledged there, and whole?

    python benchmarks/races.py [--runs 20] [--stores folder S3] [--administered] [--short]

Each process waits at a barrier, then publishes 25 releases. Nine are contested: all processes give that name and
version with different content. Eight go to the same model under versions of their own, with blobs that all others
write at the same moment. Eight go to a model of their own in a namespace that four share.

Afterwards the store is read without what the publishers knew. Lost are releases that were acknowledged and are not
there with all their bytes; mixed are those that have another content than was acknowledged, or that no reply
names, and contested versions without exactly one winner; the index must have them all in its files as stored. S3 is
moto, a process of its own.

With ``--administered`` half of the processes do not publish: without a pause they rebuild the index, collect orphans
without any grace, take down releases of their own and set aliases. Publishers then try again when their blobs were
collected before their manifest. A reader that shares no code with modhub must agree with the index afterwards.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import common
import registries
import report
from crashing import PROCESSES, race
from plain_index import index_errors
from synthetic import release

from modhub.errors import Conflict, IntegrityError, ModhubError, RegistryUnreachable
from modhub.limits import GIB
from modhub.registry import index
from modhub.registry.admin.gc import collect
from modhub.registry.admin.takedown import take_down
from modhub.registry.index import Listing
from modhub.registry.publication import Published
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.spec.manifest import Manifest
from modhub.spec.refs import ModelRef, parse_model_name
from modhub.storage.store import Store
from modhub.storage.urls import open_store

# Each racer is forked from one process that has these imported.
PROCESSES.set_forkserver_preload(["synthetic", "s3fs", "modhub.storage.remote", "modhub.registry"])

RACERS = 16
RELEASES = 25
CLASSES = ("cat", "dog")
SHARED = "team/shared"
#: Models whose releases administrators publish and take down.
TAKEN_DOWN = "gone"
#: Attempts of a publication beside a collection that waits for nothing.
ATTEMPTS = 1000
#: How long a run may take, in seconds.
PATIENCE = 1200


@dataclass(frozen=True)
class Reply:
    """The reply to one publication. ``outcome``: created, no-op, conflict, or what failed."""

    ref: ModelRef
    digest: str
    outcome: str
    published: str = ""

    @property
    def is_acknowledged(self) -> bool:
        return self.outcome in ("created", "no-op")

    @property
    def is_failure(self) -> bool:
        return not self.is_acknowledged and self.outcome != "conflict"


@dataclass
class Verdict:
    """What one run came to; everything from ``failed`` on must be zero."""

    acknowledged: int = 0
    conflicts: int = 0
    seconds: float = 0.0
    failed: int = 0
    lost: int = 0
    mixed: int = 0
    not_in_index: int = 0

    @property
    def is_good(self) -> bool:
        return not (self.failed or self.lost or self.mixed or self.not_in_index)


def given(racer: int, number: int) -> tuple[Manifest, dict[str, bytes]]:
    """The release that a racer publishes as its ``number``-th."""
    if number % 3 == 0:
        return release(SHARED, f"1.{number}.0", classes=CLASSES, seed=1000 + racer)
    if number % 3 == 1:
        return release(SHARED, f"2.{number}.{racer}", classes=CLASSES, seed=number)
    return release(f"lab-{racer % 4}/net-{racer}", f"1.{number}.0", classes=CLASSES, seed=number)


def publish_all(url: str, racer: int, releases: int) -> list[Reply]:
    registry = Registry(open_store(url))
    return [_publish(registry, *given(racer, number)) for number in range(releases)]


def administer(url: str, racer: int, rounds: int) -> list[Reply]:
    """What one administrator does beside publishers; by its number it does one of four things."""
    registry = Registry(open_store(url))
    for number in range(rounds):
        what = racer % 4
        if what == 0:
            reindex(registry)
        elif what == 1:
            collect(registry, older_than=timedelta(0))
        elif what == 2:
            manifest, blobs = release(f"{TAKEN_DOWN}/net-{racer}", f"1.{number}.0", classes=CLASSES, seed=number)
            answer = _publish(registry, manifest, blobs)
            if answer.is_failure:
                return [answer]
            take_down(registry, answer.ref, "published by mistake")
        else:
            registry.set_alias(f"alias-{racer}-{number % 5}", f"{SHARED}-{number}")
    return []


def act(url: str, racer: int, releases: int, administered: bool) -> list[Reply]:
    """What one of the racing processes does."""
    return administer(url, racer // 2, releases) if administered and racer % 2 else publish_all(url, racer, releases)


def _publish(registry: Registry, manifest: Manifest, blobs: dict[str, bytes]) -> Reply:
    ref = ModelRef(*parse_model_name(manifest.content.name), str(manifest.content.version))
    try:
        published = _published(registry, manifest, blobs)
    except Conflict as error:
        outcome = "conflict" if error.kind == "version-exists" else error.kind
        return Reply(ref, manifest.digest, outcome, error.data.get("published", ""))
    except Exception as error:
        return Reply(ref, manifest.digest, f"{type(error).__name__}: {error}")
    if published.warnings:
        return Reply(ref, manifest.digest, f"warned: {published.warnings[0]}")
    return Reply(ref, manifest.digest, "created" if published.created else "no-op")


def _published(registry: Registry, manifest: Manifest, blobs: dict[str, bytes]) -> Published:
    for attempt in range(ATTEMPTS):
        try:
            return registry.publish(manifest, blobs)
        except (IntegrityError, RegistryUnreachable) as error:
            if error.kind != "missing-blob" or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt raises")


def run(url: str, *, racers: int = RACERS, releases: int = RELEASES, administered: bool = False) -> Verdict:
    """One race in an empty store."""
    Registry(open_store(url)).initialise()
    started = time.perf_counter()
    work = [(url, racer, releases, administered) for racer in range(racers)]
    replies = [one for answers in race(act, work, timeout=PATIENCE) for one in answers]
    seconds = time.perf_counter() - started
    for one in replies:
        if one.is_failure:
            print(f"{url}: {one}", file=sys.stderr)
    verdict = judged(open_store(url), replies)
    verdict.seconds = seconds
    store = open_store(url)
    for error in index_errors({path: store.get(path, max_bytes=GIB) for path in store.list("")}):
        print(f"{url}: {error}", file=sys.stderr)
        verdict.not_in_index += 1
    return verdict


def judged(store: Store, replies: Sequence[Reply]) -> Verdict:
    """Compare the store with the replies to the publishers."""
    verdict = Verdict(
        acknowledged=sum(one.is_acknowledged for one in replies),
        conflicts=sum(one.outcome == "conflict" for one in replies),
        failed=sum(one.is_failure for one in replies),
    )
    answers: defaultdict[ModelRef, list[Reply]] = defaultdict(list)
    for one in replies:
        answers[one.ref].append(one)
    registry = Registry(store)
    digests: dict[ModelRef, str] = {}
    for ref, about in answers.items():
        try:
            manifest = registry.manifest(ref)
        except ModhubError:
            verdict.lost += any(one.is_acknowledged for one in about)
            continue
        digests[ref] = manifest.digest
        verdict.lost += not all(map(registry.holds, manifest.blobs.values()))
        verdict.mixed += not _is_consistent(about, manifest.digest)
    everything = Listing.of(store).versions
    listed = {name: versions for name, versions in everything.items() if not name.startswith(f"{TAKEN_DOWN}/")}
    there = {ModelRef(*name.split("/"), version) for name, versions in listed.items() for version in versions}
    verdict.mixed += len(there - set(digests))
    verdict.not_in_index = _missing_in_index(store, listed, digests)
    return verdict


def _is_consistent(about: Sequence[Reply], digest: str) -> bool:
    """Whether one publisher created it, and all replies name that content and no other."""
    return (
        [one.outcome for one in about].count("created") == 1
        and all(one.digest == digest for one in about if one.is_acknowledged)
        and all(one.published == digest != one.digest for one in about if one.outcome == "conflict")
    )


def _missing_in_index(store: Store, listed: dict[str, list[str]], digests: dict[ModelRef, str]) -> int:
    """Releases, models and namespaces that the index lacks, by its files as they are stored."""
    missing = 0
    found: dict[str, str] = {}
    for name, versions in listed.items():
        shard = {entry.version: entry.digest for entry in index.read_shard(store, *name.split("/")).releases}
        missing += sum(shard.get(version) != digests.get(ModelRef(*name.split("/"), version)) for version in versions)
    namespaces = {name.partition("/")[0] for name in listed}
    for namespace in namespaces:
        for entry in index.read_namespace(store, namespace).models:
            found[f"{namespace}/{entry.model}"] = entry.release.version
    missing += sum(found.get(name) != versions[-1] for name, versions in listed.items())
    return missing + len(namespaces - set(index.read_catalog(store).namespaces))


def main() -> None:
    arguments = registries.parser(__doc__ or "")
    arguments.add_argument("--runs", type=int, default=20)
    arguments.add_argument("--stores", nargs="+", choices=("folder", "S3"), default=("folder", "S3"))
    arguments.add_argument("--administered", action="store_true", help="half of the processes administer instead")
    options = arguments.parse_args()
    runs, racers, releases = (1, 8, 6) if options.short else (options.runs, RACERS, RELEASES)
    verdicts: dict[str, list[Verdict]] = {store: [] for store in options.stores}
    with registries.own_home(), registries.s3() as s3:
        for number in range(runs):
            for store in options.stores:
                with registries.folder() as root:
                    url = str(root) if store == "folder" else f"s3://{s3.bucket(f'race-{number}')}/registry"
                    found = run(url, racers=racers, releases=releases, administered=options.administered)
                    verdicts[store].append(found)
                print(f"run {number + 1}, {store}: {verdicts[store][-1]}", file=sys.stderr)
    figures = {
        "racers": racers,
        "releases": releases,
        "runs": {store: [asdict(one) for one in found] for store, found in verdicts.items()},
    }
    if not options.short:
        common.keep(options.out, "administered-races" if options.administered else "races", figures)
    print(report.races(figures))
    sys.exit(not all(one.is_good for found in verdicts.values() for one in found))


if __name__ == "__main__":
    main()
