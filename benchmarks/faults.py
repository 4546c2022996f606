#!/usr/bin/env python3
"""Every kind of network fault at every request that publishing and reading a release make on S3.

    python benchmarks/faults.py [--short]

Between the client and the server (moto) a proxy breaks the n-th request, or it and the next, or all from it on, for
every n. A run that accepts wrong bytes, reports a publication that is not whole, reports a conflict where nobody
competes, or cannot be repeated ends the program; what the others came to is the table. ``--short`` breaks single
requests only.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import common
import registries
from fault_matrix import EXTENTS, KINDS, Run, laboratory


def main() -> None:
    arguments = registries.parser(__doc__ or "").parse_args()
    extents = ["once"] if arguments.short else list(EXTENTS)
    runs: list[Run] = []
    with registries.own_home(), laboratory() as lab:
        for fault in KINDS:
            for extent in extents:
                for operation in ("publish", "read"):
                    runs += lab.runs(operation, fault, extent)
            print(f"{len(runs):5} runs, {fault} done", file=sys.stderr)
    print(table(runs))
    print(f"\n{len(runs)} runs: no wrong bytes, no false success, no false conflict, all repeatable")
    counts = Counter((run.operation, run.fault, run.extent, run.outcome) for run in runs)
    keys = ("operation", "fault", "extent", "outcome")
    figures = [dict(zip(keys, key, strict=True), runs=count) for key, count in sorted(counts.items())]
    common.keep(arguments.out, "faults", {"runs": len(runs), "outcomes": figures})


def table(runs: list[Run]) -> str:
    rows = []
    for operation, fault, extent in dict.fromkeys((run.operation, run.fault, run.extent) for run in runs):
        outcomes = Counter(
            run.outcome for run in runs if (run.operation, run.fault, run.extent) == (operation, fault, extent)
        )
        succeeded = outcomes.pop("succeeded", 0)
        failures = ", ".join(f"{count} {kind}" for kind, count in sorted(outcomes.items()))
        rows.append((operation, fault, extent, succeeded + outcomes.total(), succeeded, failures or "-"))
    return common.markdown(
        ("operation", "fault", "broken", "requests", "succeeded", "failed with an error"), sorted(rows)
    )


if __name__ == "__main__":
    main()
