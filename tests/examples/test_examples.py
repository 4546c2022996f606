"""Every example runs as a person runs it, and prints what its docstring promises."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
#: They say that no network library was loaded, which only a process of their own can show.
LIGHT = ("02_install.py", "03_swap_and_remove.py")

#: What each example has to print, as regular expressions, in this order.
EXPECTED = {
    "01_publish.py": [
        r"published demo/letters@1\.0\.0: 10 modules, [\d,]+ bytes, sha256:",
        r"published again: created=False",
        r"refused: demo/letters@1\.0\.0 is already published .* with other content",
        r"published demo/letters@1\.1\.0",
        r"published demo/letters@1\.2\.0 with a card: MIT, Tells ten letters apart\.",
        r"releases/demo/letters/1\.1\.0\.json",
    ],
    "02_install.py": [
        r"search apple:\n  cifar100/r20:apple  apple",
        r"installed cifar10/r56:cat@1\.1\.0: [\d,]{6,} bytes fetched",
        r"installed cifar100/r20:apple@1\.1\.0: [\d,]{6,} bytes fetched",
        r"cifar10/r56@1\.1\.0 takes 32x32x3 rgb images",
        r"keras was imported: False",
    ],
    "03_swap_and_remove.py": [
        r"cifar10/r20:cat@1\.1\.0",
        r"better network's cat[^\n]*\n[^\n]*2 trunk[^\n]*\n  cat   cifar10/r56:cat@1\.1\.0\n  dog   cifar10/r20:dog",
        r"no frogs[^\n]*\n[^\n]*\n  cat [^\n]*\n  dog [^\n]*\n  apple  cifar100/r20:apple",
        r"cifar10/r20:cat +cifar10/r20:cat@1\.1\.0\n(.*\n)*  cifar10/vgg:cat +cifar10/vgg:cat@1\.1\.0",
        r"has no class 'kat'; it has cat, dog, frog\. Hint: did you mean cat\?",
        r"unchanged: \['cat', 'dog', 'frog'\]; keras was imported: False",
    ],
    "04_to_keras.py": [
        r"saved [\d,]+ bytes for \['cat', 'apple'\]",
        r"modhub was imported: False",
        r"largest difference of a margin: (0\.0e\+00|\d\.\de-0[5-9]|\d\.\de-1\d)",
    ],
    "05_faulty_class.py": [
        r"faulty: 3; \d+ training images of 3 and \d were taken for the other",
        r"two classes: a small network trained on \d+ images",
        r"the network's modules +[89]\d\.\d / .* [2-7]\d\.\d +\d+\.\d +26\.0 / 50\.4\n",
        r"\(1\) replace by a better network's +9\d\.\d / .* (8\d|9\d|100)\.\d +\d+\.\d +27\.2 / 54\.6\n",
        r"\(2\) replace by a two-class network's +\d+\.\d / .*25\.0 / 50\.4\n",
        r"\(3\) remove +8\d\.\d / \d+\.\d +9\d\.\d / \d+\.\d +0\.0 +\d+\.\d +24\.0 / 48\.2\n",
        r"\(4\) verify with the two-class network's +9\d\.\d / .* ([6-9]\d|100)\.\d +\d+\.\d +25\.3 / 50\.8\n",
    ],
    "06_advisories.py": [
        r"locked: the modules answer [1-6]\d% of the blocks",
        r"advised: modhub-[a-z2-7-]{14} high, from 1\.0\.0 before 1\.1\.0",
        r"newer: exit codes \(0, 7\), 0; [1-6]\d% -> (9\d|100)%, others \+\d\.\d%",
        r"instead: exit codes \(0, 7\), 0; [1-6]\d% -> (9\d|100)%, others \+\d\.\d%",
        r"verify: exit codes \(0, 7\), 0; [1-6]\d% -> (9\d|100)%, others \+\d\.\d%",
        r"clean now: newer, instead\n",
    ],
}


def test_every_example_is_tested() -> None:
    assert sorted(EXPECTED) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_example_prints_what_it_shows(
    name: str, own_home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an empty home and folder, so that nothing depends on the machine, and nothing is left behind in them."""
    monkeypatch.chdir(tmp_path)
    printed = as_process(name) if name in LIGHT else here(name, capfd, monkeypatch)
    found = 0
    for pattern in EXPECTED[name]:
        match = re.compile(pattern).search(printed, found)
        assert match, f"{pattern!r} is not in\n{printed}"
        found = match.start()
    assert not list(tmp_path.iterdir())
    left = [path.relative_to(own_home).as_posix() for path in own_home.rglob("*") if path.is_file()]
    assert not [path for path in left if not re.search(r"(^|/)(\.keras|matplotlib)/", path)]


def as_process(name: str) -> str:
    ran = subprocess.run([sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def here(name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Run as the main program of this process, which has loaded TensorFlow once for all."""
    monkeypatch.setattr(sys, "argv", [str(EXAMPLES / name)])
    capfd.readouterr()
    with patch.dict(os.environ):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capfd.readouterr().out


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_example_is_short_and_says_what_it_shows(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert text.startswith('"""')
    assert len(text.splitlines()) < 60
