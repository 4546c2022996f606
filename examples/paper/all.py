#!/usr/bin/env python3
"""The whole study: every table in order, then how long its cells took to measure.

    python examples/paper/all.py --data DATA
    python examples/paper/all.py --data DATA --only table-2 table-4
    python examples/paper/all.py --quick

One process, so the tables share the modules and margins of a network. Trained networks are not among it: they have a
budget of their own (``baselines.py``), and the tables show those that are there.
"""

from __future__ import annotations

import figure_6
import reuse
import table_1
import table_2
import table_3
import table_4
import table_5
import table_6
from study import Study, run

TABLES = {
    "table-1": table_1.command,
    "table-2": table_2.command,
    "table-3": table_3.command,
    "table-4": table_4.command,
    "table-5": table_5.command,
    "table-6": table_6.command,
    "figure-6": figure_6.command,
}


def main() -> None:
    arguments = reuse.parser(__doc__ or "")
    arguments.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="TABLE")
    run(arguments, command)


def command(study: Study) -> str:
    chosen = study.options.only
    parts = [f"# {name}\n\n{TABLES[name](study)}" for name in chosen]
    spent = {name: study.cells.spent(name) for name in chosen}
    shown = ", ".join(f"{name} {seconds / 60:.1f}" for name, (seconds, _) in spent.items())
    every, busy = (sum(one[place] for one in spent.values()) / 60 for place in (0, 1))
    return "\n\n".join([*parts, f"minutes: {shown}; {every:.1f} in all, {busy:.1f} of processor time"])


if __name__ == "__main__":
    main()
