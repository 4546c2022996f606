"""The study's commands as processes: a killed run goes on where it was, and bad input is a line and an exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "examples" / "paper"


#: Table 5 of networks that need no training, in a process that dies as soon as it has written the first cell.
DIES = """
import os, signal, sys
sys.path.insert(0, sys.argv.pop(1))
import study, table_5
from tests.paper.test_commands import untrained

class Dying:
    def write(self, text):
        if text.startswith("table-5:"):
            os.kill(os.getpid(), signal.SIGKILL)
        sys.__stderr__.write(text)
    def flush(self):
        pass

sys.stderr = Dying()
study.quick_networks = lambda: untrained("digits-good", "letters-good")
table_5.main()
"""


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.rglob("*.json")}


def test_a_killed_run_repeats_no_finished_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--quick", "--out", str(tmp_path)]
    killed = subprocess.run([sys.executable, "-c", DIES, str(PAPER), *arguments], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = contents(tmp_path)
    assert len(before) == 1
    monkeypatch.syspath_prepend(str(PAPER))
    import study
    import table_5

    monkeypatch.setattr(study, "quick_networks", lambda: untrained("digits-good", "letters-good"))
    monkeypatch.setattr(sys, "argv", ["table_5.py", *arguments])
    table_5.main()
    after = contents(tmp_path)
    assert {file: after[file] for file in before} == before
    assert len(after) == 3
    out, err = capsys.readouterr()
    assert err.count("table-5:") == 2
    assert "| digits-good <- letters-good | distinct modules |" in out
    assert "| digits-good <- letters-good | distinct modules |" in (tmp_path / "table-5.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "{tmp}/none"], "none"),
        ([], "no images: give --data FOLDER"),
        (["--quick", "--images", "0"], "--images 0: give at least 1."),
        (["--quick", "--classes", "1"], "--classes 1: give at least 2."),
        (["--quick", "--out", "{tmp}/file"], "is a file."),
        (["--quick", "--networks", "digits-best"], "there is no network digits-best"),
        (["--quick", "--networks", "digits-good"], "networks of two data sets, and has digits alone"),
    ],
    ids=["no data", "no images", "no image", "one class", "a file", "unknown network", "one data set"],
)
def test_bad_input_is_a_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(PAPER))
    import study
    import table_3

    (tmp_path / "file").touch()
    (tmp_path / "cifar10-r20.keras").touch()
    given = [word.replace("{tmp}", str(tmp_path)) for word in arguments]
    monkeypatch.setattr(sys, "argv", ["table_3.py", "--models", str(tmp_path), *given])
    # What is refused is refused whatever the networks can do.
    monkeypatch.setattr(study, "quick_networks", untrained)
    with pytest.raises(SystemExit) as left:
        table_3.main()
    assert isinstance(left.value.code, str), "a message, which makes the exit code 1"
    assert said in left.value.code
    assert capsys.readouterr().out == ""


def untrained(*names: str) -> dict[str, Any]:
    """Networks of small images by these names: quarters for digits, lines for letters."""
    from study import Data, Trained

    from modhub.data.images import ImageData
    from tests import small_origins

    made = {}
    for name in names or ("digits-good",):
        kind = name.partition("-")[0]
        data = small_origins.quadrants() if kind == "digits" else small_origins.bars()
        model = small_origins.quadrants_model if kind == "digits" else small_origins.bars_model
        images = ImageData(data.x, data.y, data.classes, kind)
        made[name] = Trained(name, Data(kind, images, images), model, "none")
    return made


def test_a_missing_cell_and_a_spoilt_one_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PAPER))
    import study
    import table_4

    monkeypatch.setattr(study, "quick_networks", lambda: untrained("digits-poor", "digits-good"))
    arguments = ["table_4.py", "--quick", "--ways", "default", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--draw"])
    with pytest.raises(SystemExit) as missing:
        table_4.main()
    assert missing.value.code == ("not measured yet: table-4: digits-poor digits-good default 30. Run without --draw.")
    monkeypatch.setattr(sys, "argv", arguments)
    table_4.main()
    cell = next((tmp_path / "cells" / "table-4").glob("*default*.json"))
    cell.write_text("{}")
    with pytest.raises(SystemExit) as left:
        table_4.main()
    assert str(left.value.code).startswith(f"error: {cell} is no cell of the study")
    assert "delete it to measure it again" in str(left.value.code)
