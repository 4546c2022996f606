"""The page of compact modules is what the measured rows say, and nothing is quoted as run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

import compact_modules


def row(network: str, flops: float, cost: float, *, seed: int = 0, **others: Any) -> dict[str, Any]:
    """As ``benchmarks/compact.py`` keeps them: differences are compact less whole, as shares."""
    found = {"value": -cost / 100, "low": -(cost + 0.5) / 100, "high": -(cost - 0.5) / 100}
    return {
        "network": network, "flops": flops, "parameters": flops + 0.1, "nodes": flops - 0.03, "explained": 0.95,
        "polish_steps": 0, "classes": [], "mixture": None, "seed": seed, "difference": found,
        "balanced_difference": found, "time_ratio": 0.5, "bytes": [80, 100], "passes": 9.0, "images": 5000,
    } | others  # fmt: skip


ROWS = [
    row("cifar10-r20", 0.5, 1.7),
    row("cifar10-r20", 0.5, 1.9, seed=1),
    row("cifar10-r20", 0.75, 1.1),
    row("cifar10-r20", 0.5, 0.8, polish_steps=700),
    row("cifar10-vgg", 0.5, 2.2),
    row("cifar10-r20", 0.5, 0.3, classes=["airplane", "cat", "dog"]),
    row("cifar10-r20 and cifar100-r20", 0.5, 2.5, mixture=[5, 5], bytes=[1, 2]),
]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    compact_modules.write(ROWS, tmp_path)
    return tmp_path


def test_a_loss_has_the_sign_of_the_paper_s_cost(pages: Path) -> None:
    text = (pages / "compact.md").read_text()
    assert (
        "| cifar10-r20 | closed form | 0 | 50.0% | 60.0% | 0.470 | 0.950 | +1.70 (+1.20 to +2.20) | +0.1 at 0.75 |"
        in text
    )
    assert (pages / "table-1.md").read_text().count("cifar10-r20 |") == 4


def test_the_rows_of_whole_networks_alone_stand_beside_the_paper_s(pages: Path) -> None:
    assert [len(rows) for rows in compact_modules.whole_networks(ROWS).values()] == [4, 1]
    assert "3 classes" in (pages / "compact.md").read_text()
    assert "5 + 5 classes" in (pages / "compact.md").read_text()


def test_only_ours_are_said_to_have_been_run(pages: Path) -> None:
    table = compact_modules.peers(compact_modules.whole_networks(ROWS)).splitlines()
    run = [line for line in table if "run here" in line]
    assert len(run) == 4
    assert all(line.startswith("| modhub") for line in run)
    assert len([line for line in table if "quoted: " in line]) == len(compact_modules.PEERS) + 1


def test_the_plot_is_a_picture(pages: Path) -> None:
    assert (pages / "compact.png").read_bytes().startswith(b"\x89PNG")
