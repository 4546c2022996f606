"""From ``pip install`` to a labelled photo: at most three commands, and a minute of processor time."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
#: Behind ``pip install 'modhub[tensorflow]'``, which is not timed here.
COMMANDS = (
    ["modhub", "search", "apple"],
    ["modhub", "predict", "c10", "c100:apple", "--images", "photo.jpg"],
)
MOST_SECONDS = 60


def test_three_commands_and_a_minute(own_home: Path, tmp_path: Path) -> None:
    """In an empty home: nothing is configured, nothing installed, nothing compiled before."""
    assert list(own_home.iterdir()) == []
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 255, (480, 640, 3), dtype=np.uint8)).save(tmp_path / "photo.jpg")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for command in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"HOME": str(own_home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        )
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    assert re.search(r"^photo\.jpg +\w+ +0\.\d+ ", printed, re.MULTILINE), printed
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert len(COMMANDS) + 1 <= 3
    assert spent < MOST_SECONDS, f"{spent:.0f} s of processor time"
