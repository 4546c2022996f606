"""The study's commands as processes: a killed run goes on where it was, and bad input is a line and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAPER = Path(__file__).parents[2] / "examples" / "paper"


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(PAPER / name), *map(str, arguments)]


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.rglob("*.json")}


def test_a_killed_run_repeats_no_finished_cell(tmp_path: Path) -> None:
    call = command("table_5.py", "--quick", "--out", tmp_path)
    running = subprocess.Popen(call, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("table-5:"):
            os.kill(running.pid, signal.SIGKILL)
            break
    assert running.wait(30) == -signal.SIGKILL
    running.stderr.close()
    before = contents(tmp_path)
    assert 1 <= len(before) < 3, "killed on its way"
    again = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    after = contents(tmp_path)
    assert {file: after[file] for file in before} == before
    assert len(after) == 3
    assert again.stderr.count("table-5:") == 3 - len(before)
    assert "| digits-good <- letters-good | distinct modules |" in again.stdout
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
    from study import Data, Trained

    from modhub.data.images import ImageData
    from tests import small_origins

    data = small_origins.quadrants()
    images = ImageData(data.x, data.y, data.classes, "digits")
    data_set = Data("digits", images, images)
    made = (Trained(name, data_set, small_origins.quadrants_model, "none") for name in names or ("digits-good",))
    return {network.name: network for network in made}


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
