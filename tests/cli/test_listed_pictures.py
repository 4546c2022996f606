"""A CSV file of paths and labels, wherever the command line takes labelled images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli import origin
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """``list.csv`` of 60 pictures twice as large as the network takes, in one folder."""
    x, y = origin.images(60, 1)
    lines = ["label,path"]
    (tmp_path / "pictures").mkdir()
    for number, (image, label) in enumerate(zip(x[..., 0], y, strict=True)):
        Image.fromarray(np.kron(image, np.ones((2, 2), np.uint8))).save(tmp_path / "pictures" / f"{number}.png")
        lines.append(f'"{origin.CLASSES[label]}",pictures/{number}.png')
    (tmp_path / "list.csv").write_text("\n".join(lines))
    return tmp_path / "list.csv"


def test_decomposing_evaluating_and_updating(run: Run, workshop: Workshop, listed: Path) -> None:
    made = run(
        "decompose", workshop["net.keras"], "--data", listed, "--validation", listed, "--as", "me/net",
        "--rescale", "1/255", "--out", "net.modules", "--json",
    )  # fmt: skip
    assert made.code == 0, made.err
    assert made.document["pictures"]["done"] == {"resized to 12x12": 120}
    found = run("evaluate", "net.modules", "--data", listed, "--json")
    assert found.code == 0, found.err
    assert (found.document["images"], found.document["data"]) == (60, "list")
    numbers = listed.with_name("numbers.csv")
    text = listed.read_text()
    for number, name in enumerate(origin.CLASSES):
        text = text.replace(f'"{name}"', str(number))
    numbers.write_text(text)
    again = run(
        "decompose", workshop["net.keras"], "--data", numbers, "--classes", ",".join(origin.CLASSES),
        "--as", "me/net", "--rescale", "1/255", "--out", "again.modules", "--json",
    )  # fmt: skip
    assert again.code == 0, again.err
    unnamed = run("decompose", workshop["net.keras"], "--data", numbers, "--as", "me/other", "--json")
    assert (unnamed.code, "no-classes" in unnamed.err) == (2, True), unnamed.err
