"""The benchmark of a hundred modules: a table that says what a process of its own took."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import hundred
from peers import MIB


def test_the_table_has_seconds_gibibytes_and_intervals() -> None:
    share = {"value": 0.5, "low": 0.25, "high": 0.75}
    found = {
        "release": "a/b", "modules": 100, "images": 40, "seconds": 20.0, "images_per_second": 2.0,
        "peak_bytes": 1536 * MIB, "top_1": share, "top_5": {**share, "value": 0.625},
    }  # fmt: skip
    row = "| a/b | 100 | 40 | 20 | 2.0 | 1.50 | 50.0% (25.0% to 75.0%) | 62.5% (25.0% to 75.0%) |"
    assert hundred.table(found).splitlines()[2] == row
