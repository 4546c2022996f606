#!/usr/bin/env python3
"""How long an audit of 200 modules takes in a registry with 10,000 advisories, in a folder and behind a web server.

    python benchmarks/audit.py [--short]

100 releases of 20 namespaces, of which two modules each are locked; the advisories are spread over these namespaces,
and one in a hundred is about a release that is locked. ``one namespace`` has all 10,000 of them in the namespace of a
single locked release. Warm: modules are installed, and files have been read before. Seconds are of the processor, of
this process alone and of those that it starts; ends with an error when an audit takes a second or more.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import registries
from synthetic import release

from modhub import audit, install, lock
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.spec.advisories import (
    Advisory,
    AdvisoryRecord,
    Affected,
    advisory_id,
    affected_ranges,
)
from modhub.spec.layout import record_path
from modhub.spec.registry_files import write_document
from modhub.storage.urls import open_store

RELEASES, NAMESPACES, ADVISORIES = 100, 20, 10_000
LIMIT_SECONDS = 1.0
ROUNDS = 5


def build(root: Path, advisories: int, *, alone: bool) -> list[str]:
    """A registry with so many advisories; gives the names of the modules to lock. ``alone``: all in one namespace."""
    registry = Registry(open_store(str(root)))
    namespaces = [f"team-{number:02d}" for number in range(NAMESPACES)]
    refs = []
    for number in range(RELEASES):
        name = f"{namespaces[number % NAMESPACES]}/net-{number:03d}"
        registry.publish(*release(name, seed=number))
        refs += [f"{name}:cat", f"{name}:dog"]
    for number in range(advisories):
        namespace = namespaces[0] if alone else namespaces[number % NAMESPACES]
        # Models that were published once: an advisory is about what people have, so few are about what is locked.
        model = f"net-{number % RELEASES:03d}" if number % 100 == 0 else f"old-{number:05d}"
        write(root, namespace, model, number)
    reindex(registry)
    return refs


def write(root: Path, namespace: str, model: str, number: int) -> None:
    """An advisory's record, as ``modhub advise`` writes it."""
    affected = (Affected(model=model, classes=("cat",), ranges=affected_ranges("^1", "1.9.0")),)
    summary = f"answers wolf where there is a cat in the dark, as report {number} shows"
    name = advisory_id(namespace, summary, affected)
    said = "2026-01-02T03:04:05Z"
    advisory = Advisory(id=name, published=said, modified=said, summary=summary, severity="medium", affected=affected)
    record = AdvisoryRecord(
        format=1, number=1, name=f"{namespace}/{name}", previous=None, created=said, advisory=advisory
    )
    path = root / record_path("advisory", f"{namespace}/{name}", 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(write_document(record))


def measured(lockfile: Path, registry: str) -> dict[str, Any]:
    """Medians of an audit of a lockfile, and what it found."""
    report = audit(lockfile, registry=registry)
    processor, wall = [], []
    for _ in range(ROUNDS):
        before, started = time.process_time(), time.perf_counter()
        audit(lockfile, registry=registry)
        processor.append(time.process_time() - before)
        wall.append(time.perf_counter() - started)
    return {
        "processor seconds": round(statistics.median(processor), 3),
        "wall seconds": round(statistics.median(wall), 3),
        "modules": report.modules,
        "findings": len(report.findings),
    }


def main() -> None:
    parser = registries.parser(__doc__ or "")
    options = parser.parse_args()
    advisories = 500 if options.short else ADVISORIES
    rows = []
    for spread in ("20 namespaces", "one namespace"):
        with registries.folder() as folder, registries.own_home():
            refs = build(folder / "registry", advisories, alone=spread == "one namespace")
            url = str(folder / "registry")
            install(refs, registry=url)
            lock(refs, folder / "team.lock", registry=url)
            with registries.http_server(folder / "registry") as web:
                for place, at in (("folder", url), ("http", web)):
                    rows.append({"place": place, "advisories": spread, **measured(folder / "team.lock", at)})
    names = list(rows[0])
    print(common.markdown(names, [[str(row[name]) for name in names] for row in rows]))
    if not options.short:
        common.keep(options.out, "audit", {"advisories": advisories, "rows": rows})
    slow = [row for row in rows if row["processor seconds"] >= LIMIT_SECONDS]
    if slow:
        sys.exit(f"{len(slow)} of {len(rows)} audits took {LIMIT_SECONDS:.0f} s or more")


if __name__ == "__main__":
    main()
