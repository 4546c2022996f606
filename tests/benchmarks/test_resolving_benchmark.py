"""The resolving benchmark works, and every case comes to what it is named after."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import resolving


def test_the_cases_are_what_their_names_say() -> None:
    rows = resolving.choosing_together(rounds=1)
    every = "200 modules of 20 releases"
    assert {row["case"]: (row["outcome"], row["contracts"]) for row in rows} == {
        "the newest fit": (every, 20),
        "the oldest are locked": (every, 20),
        "the newest fit; 200 ranges": (every, 20),
        "one origin has to give way": (every, 20 + 19),
        "only the oldest fit": (every, 20 * 20),
        "only the oldest fit; 20 sizes an origin": (every, 20 * 20),
        "nothing fits": ("input-mismatch", 58),
    }
    table = resolving.tables({"together": rows, "withdrawn": resolving.withdrawn((3,), 1)})
    assert "| nothing fits | input-mismatch | 58 | " in table
    assert "| 3 | " in table
