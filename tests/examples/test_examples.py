"""Every example runs as a person runs it, and prints what its docstring promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

#: What each example has to print, as regular expressions, in this order.
EXPECTED = {
    "01_decompose.py": [
        r"demo/digits: 10 modules, mean JI 0\.\d+",
        r"conv_1\S* +\d+ of +4096 nodes",
        r"on 27 held-out threes: recall (8|9|10)\d?%",
        r"saved as digits\.modules/ and read back: demo/digits:3",
    ],
    "02_publish.py": [
        r"published demo/letters@1\.0\.0: 10 modules, [\d,]+ bytes, sha256:",
        r"published again: created=False",
        r"refused: demo/letters@1\.0\.0 is already published .* with other content",
        r"published demo/letters@1\.1\.0",
        r"published demo/letters@1\.2\.0 with a card: MIT, Tells ten letters apart\.",
        r"releases/demo/letters/1\.1\.0\.json",
    ],
    "03_install.py": [
        r"search apple:\n  cifar100/r20:apple  apple",
        r"installed cifar10/r56:cat@1\.1\.0: [\d,]{6,} bytes fetched",
        r"installed cifar100/r20:apple@1\.1\.0: [\d,]{6,} bytes fetched",
        r"cifar10/r56@1\.1\.0 takes 32x32x3 rgb images",
        r"keras was imported: False",
    ],
    "04_compose.py": [
        r"3 classes on 2 trunk",
        r"9\d\.\d% of 135 held-out images are right",
        r"best two \['\w', '\w'\]",
        r"to ([5-9]\d|100)% of the sevens",
    ],
    "05_swap_and_remove.py": [
        r"cifar10/r20:cat@1\.1\.0",
        r"better network's cat[^\n]*\n[^\n]*2 trunk[^\n]*\n  cat   cifar10/r56:cat@1\.1\.0\n  dog   cifar10/r20:dog",
        r"no frogs[^\n]*\n[^\n]*\n  cat [^\n]*\n  dog [^\n]*\n  apple  cifar100/r20:apple",
        r"cifar10/r20:cat +cifar10/r20:cat@1\.1\.0\n(.*\n)*  cifar10/vgg:cat +cifar10/vgg:cat@1\.1\.0",
        r"has no class 'kat'; it has cat, dog, frog\. Hint: did you mean cat\?",
        r"unchanged: \['cat', 'dog', 'frog'\]; keras was imported: False",
    ],
    "06_to_keras.py": [
        r"saved [\d,]+ bytes for \['cat', 'apple'\]",
        r"modhub was imported: False",
        r"largest difference of a margin: (0\.0e\+00|\d\.\de-0[5-9]|\d\.\de-1\d)",
    ],
    "07_faulty_class.py": [
        r"faulty: 3; \d+ training images of 3 and \d were taken for the other",
        r"two classes: a small network trained on \d+ images",
        r"the network's modules +[89]\d\.\d / .* [2-7]\d\.\d +\d+\.\d +26\.0 / 50\.4\n",
        r"\(1\) replace by a better network's +9\d\.\d / .* (8\d|9\d|100)\.\d +\d+\.\d +27\.2 / 54\.6\n",
        r"\(2\) replace by a two-class network's +\d+\.\d / .*25\.0 / 50\.4\n",
        r"\(3\) remove +8\d\.\d / \d+\.\d +9\d\.\d / \d+\.\d +0\.0 +\d+\.\d +24\.0 / 48\.2\n",
        r"\(4\) verify with the two-class network's +9\d\.\d / .* ([6-9]\d|100)\.\d +\d+\.\d +25\.3 / 50\.8\n",
    ],
    "08_advisories.py": [
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
def test_an_example_prints_what_it_shows(name: str, tmp_path: Path) -> None:
    """In an empty home, so that nothing depends on the machine, and nothing is left behind in it."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MODHUB", "XDG"))}
    caches = {"HOME": str(home), "KERAS_HOME": str(tmp_path / "keras"), "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], env=kept | caches, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    found = 0
    for pattern in EXPECTED[name]:
        match = re.compile(pattern).search(ran.stdout, found)
        assert match, f"{pattern!r} is not in\n{ran.stdout}"
        found = match.start()
    assert not [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_example_is_short_and_says_what_it_shows(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert text.startswith('"""')
    assert len(text.splitlines()) < 60
