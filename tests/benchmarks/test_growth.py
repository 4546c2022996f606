"""The growth benchmark: its slopes are those of power laws, and its points measure real work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import growth


@pytest.mark.parametrize("power", [0.0, 1.0, 1.6])
def test_slopes(power: float) -> None:
    sizes = [10, 30, 100, 1000]
    assert growth.slope(sizes, [0.25 * size**power for size in sizes]) == pytest.approx(power)


def test_the_table_has_both_slopes() -> None:
    points = {str(size): {"work": {"seconds": size * 1e-3, "mib": 1.0}} for size in (10, 20, 80)}
    points["80"]["work"]["seconds"] = 0.32
    (row,) = [line for line in growth.table({"things": points}).splitlines() if line.startswith("| things")]
    assert row.startswith("| things: work | 10 to 80 | 10.0 | 320.0 | ")
    assert "| 2.00 | 1 | 1 |" in row


def test_points_measure_every_work() -> None:
    assert list(growth.point("releases", 4, 1)) == ["publish", "resolve", "install one class", "search"]
    assert list(growth.point("modules", 2, 1)) == ["compose", "predict, isolated", "predict, fused"]
    found = growth.point("classes", 4, 1)
    assert list(found) == ["decompose", "publish", "install", "compose"]
    assert all(work["seconds"] > 0 and work["mib"] >= 0 for work in found.values())
