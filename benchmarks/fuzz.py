#!/usr/bin/env python3
"""Spoilt input of every kind that is read: only ModhubError comes out, in time and within bounded memory.

    python benchmarks/fuzz.py [--cases 200000] [--seed 0] [--jobs 2] [--only KIND]
    python benchmarks/fuzz.py --replay FILE

Each kind of input (manifests, blobs, records, indexes, names, locks, whole registries; tests/fuzz says how they are
spoilt) is read in processes of its own, which the system holds to 512 MiB. A case fails when anything but a value or a
ModhubError with a message fit for a person comes out, or when it takes more than a second of processor time. Failing
cases are kept as files, to be read again with ``--replay``; then the exit status is 1. One in eight cases is
hypothesis's. 200,000 cases take about 10 minutes on two cores.
"""

from __future__ import annotations

import importlib
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Threads of numerical libraries reserve memory that is not used here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuzz"))

import common
from fuzz_kinds import Kind
from fuzz_running import Tally, Task, load_case, read_once, run_task

MODULES = ("fuzz_kinds", "fuzz_cards", "fuzz_releases", "fuzz_registries")
#: Of the cases of kinds that hypothesis can make, the part that it makes.
HYPOTHESIS_SHARE = 0.2
#: Cases of one process. Hypothesis keeps much of what it tried.
MOST_AT_ONCE = {"mutated": 10_000, "hypothesis": 1_500}


def parser() -> ArgumentParser:
    result = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    result.add_argument("--cases", type=int, default=200_000)
    result.add_argument("--seed", type=int, default=0)
    result.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    result.add_argument("--only", action="append", metavar="KIND", help="this kind; may be given again")
    result.add_argument("--module", action="append", help="take the kinds of this module instead of all")
    result.add_argument("--replay", type=Path, metavar="FILE", help="read one failing case again")
    result.add_argument("--out", type=Path, default=common.ROOT / "benchmarks" / "results", help="folder for figures")
    return result


def kinds_of(options: Namespace) -> dict[str, tuple[str, Kind]]:
    """Kinds by name, with the modules that have them."""
    found = {
        kind.name: (module, kind)
        for module in options.module or MODULES
        for kind in importlib.import_module(module).KINDS
    }
    if unknown := set(options.only or ()) - found.keys():
        sys.exit(f"there is no kind {sorted(unknown)[0]!r}; there are {', '.join(found)}")
    return {name: pair for name, pair in found.items() if not options.only or name in options.only}


def tasks_of(options: Namespace, kinds: dict[str, tuple[str, Kind]]) -> list[Task]:
    """At least as many cases as were asked for, shared out among the kinds."""
    from fuzz_strategies import strategies

    total = sum(kind.share for _, kind in kinds.values())
    tasks = []
    for name, (module, kind) in kinds.items():
        count = -int(-options.cases * kind.share // total)
        generated = round(count * HYPOTHESIS_SHARE) if name in strategies() and module in MODULES else 0
        for way, number in (("mutated", count - generated), ("hypothesis", generated)):
            for part, start in enumerate(range(0, number, MOST_AT_ONCE[way])):
                size = min(MOST_AT_ONCE[way], number - start)
                # Another seed for each part, or all would be the same cases.
                tasks.append(Task(module, name, way, size, options.seed + 1_000_003 * part))
    return tasks


def replay(file: Path, kinds: dict[str, tuple[str, Kind]]) -> int:
    name, case = load_case(file)
    tally = Tally(name)
    read_once(kinds[name][1], case, tally)
    for failure in tally.failures:
        print(f"{failure.trace}{name}: {failure.why}")
    if not tally.failed:
        print(f"{name}: {'accepted' if tally.accepted else 'refused'} in {1000 * tally.slowest:.0f} ms")
    return min(tally.failed, 1)


def run(options: Namespace, kinds: dict[str, tuple[str, Kind]]) -> dict[str, Tally]:
    tallies = {name: Tally(name) for name in kinds}
    tasks = tasks_of(options, kinds)
    with ThreadPoolExecutor(options.jobs) as pool:
        for task, tally in zip(tasks, pool.map(run_task, tasks), strict=True):
            tallies[task.name].add(tally)
            print(f"{task.name}: {tally.cases} {task.way}, {tally.failed} failed", file=sys.stderr, flush=True)
    return tallies


def table(kinds: Sequence[dict[str, Any]]) -> str:
    """One row a kind, and all of them together."""
    headers = ("kind", "cases", "accepted", "refused", "failed", "slowest ms", "memory MiB")
    counts = [[row[field] for field in ("cases", "accepted", "refused", "failed")] for row in kinds]
    peaks = [[row[field] for field in ("slowest_ms", "memory_mib")] for row in kinds]
    names = [row["kind"] for row in kinds]
    rows = [*zip(names, counts, peaks, strict=True), ("all", map(sum, zip(*counts)), map(max, zip(*peaks)))]  # noqa: B905
    return common.markdown(headers, [(name, *(count), *(f"{peak:.0f}" for peak in top)) for name, count, top in rows])


def main() -> int:
    options = parser().parse_args()
    kinds = kinds_of(options)
    if options.replay:
        return replay(options.replay, kinds)
    tallies = run(options, kinds)
    for name, tally in tallies.items():
        for number, failure in enumerate(tally.failures):
            options.out.mkdir(parents=True, exist_ok=True)
            path = options.out / f"fuzz-failure-{name.replace(' ', '-')}-{number}.json"
            failure.save(path)
            print(f"{name}: {failure.why}\n  kept as {path}")
    figures = {
        "seed": options.seed,
        "kinds": [
            {
                "kind": tally.kind,
                "cases": tally.cases,
                "accepted": tally.accepted,
                "refused": tally.refused,
                "failed": tally.failed,
                "slowest_ms": 1000 * tally.slowest,
                "memory_mib": tally.memory / 2**20,
            }
            for tally in tallies.values()
        ],
    }
    common.keep(options.out, "fuzz", figures)
    print(table(figures["kinds"]))
    return int(any(tally.failed for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
