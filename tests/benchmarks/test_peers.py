"""The harness of peers: three contenders over the same images, and the same answers from files as from modhub."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import common
import keras
import peers

from tests.small_origins import quadrants, quadrants_model

ALONE = "| shapes, 4 modules, 40 images | modhub |"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the real run prepares, of a small network."""
    folder = tmp_path_factory.mktemp("peers")
    train, test = quadrants(), quadrants(10, seed=7)
    peers.prepare(
        folder,
        quadrants_model(),
        common.Images(train.x, train.y, train.classes),
        common.Images(test.x, test.y, test.classes),
        samples=20,
    )
    return folder


def test_a_file_answers_what_its_module_answers(folder: Path) -> None:
    """The composite in a process of its own, as in the real run; the files in this one, which saves a start."""
    found = peers.compared(folder, quadrants(10, seed=7).y, 1, ["modhub"])
    own = found["contenders"]["modhub"]
    assert (found["modules"], found["images"]) == (4, 40)
    assert own["same_answers"] == 1
    assert own["top_1"] > 0.8
    assert own["disk_bytes"] > 1000
    assert own["peak_bytes"] > 50 * peers.MIB
    assert own["seconds"] > 0
    assert ALONE in peers.table({"shapes": found})
    labels = peers.ask_files(folder / "files", quadrants(10, seed=7).x)
    assert (labels == quadrants(10, seed=7).y).mean() == own["top_1"]
    assert (labels == peers.ask_modhub(folder, quadrants(10, seed=7).x)).all()


def test_the_table_compares_with_modhub() -> None:
    cost = {"seconds": 2.0, "peak_bytes": 100 * peers.MIB, "disk_bytes": peers.MIB, "same_answers": 1.0, "top_1": 0.5}
    files = {**cost, "seconds": 9.0, "disk_bytes": 20 * peers.MIB}
    found = {"modules": 3, "images": 7, "contenders": {"modhub": cost, "files": files}}
    assert peers.table({"net": found}).splitlines()[2:] == [
        "| net, 3 modules, 7 images | modhub | 2.0 | 100 | 1.00 | 100.00% | 50.00% |",
        "| net, 3 modules, 7 images | files | 9.0 (4.5x) | 100 (1.0x) | 20.00 (20.0x) | 100.00% | 50.00% |",
    ]


def test_bare_files_are_smaller_and_answer_by_their_heads(folder: Path) -> None:
    x = quadrants(10, seed=7).x
    labels = peers.ask_files(folder / "bare files", x)
    # The origin's own answers: a bare file has its trunk, and margins order classes as its logits do.
    own = keras.models.load_model(folder / "origin.keras").predict(x.astype("float32") / 255, verbose=0)
    assert (labels == own.argmax(axis=1)).all()
    assert peers.bytes_in(folder / "bare files") < peers.bytes_in(folder / "files")
