"""How the command ``demo`` draws a step; the story itself is tested in ``tests/demo``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.cli.commands.demo import header, row
from modhub.demo.story import Step
from tests.cli.running import Result

STEP = Step(
    name="compose",
    what="demo/digits-b:0..4 + demo/letters:a..e",
    classes=("0", "a"),
    accuracy=0.9381,
    balanced=0.94,
    baseline=None,
    note="10 classes of 2 networks; finds 54% of the 3s",
    seconds=0.72,
)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_step_fits_the_terminal_and_is_aligned_with_the_titles(width: int) -> None:
    lines = re.sub(r"\x1b\[\d+m", "", f"{header(width)}\n{row(STEP, width)}").splitlines()
    assert max(map(len, lines)) <= max(width, 71)
    for title, figure in {"accuracy": "93.8%", "balanced": "94.0%", "time": "0.7 s"}.items():
        assert lines[0].index(title) + len(title) == lines[1].index(figure) + len(figure)
    text = " ".join(" ".join(lines[1:]).split())
    assert all(word in text for word in [*STEP.what.split(), *STEP.note.split()])


def test_without_a_terminal_a_step_is_one_line() -> None:
    assert row(STEP, None).split() == [
        "compose", *STEP.what.split(), "93.8%", "94.0%", "0.7", "s", *STEP.note.split(),
    ]  # fmt: skip
    assert "\x1b" not in row(STEP, None)
    assert len(row(STEP, None).splitlines()) == 1


def test_keep_takes_no_folder_that_is_in_use(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine").write_text("")
    result = run("demo", "--keep", "kept")
    assert (result.code, result.out) == (4, "")
    assert "kept exists and is not empty" in result.err
