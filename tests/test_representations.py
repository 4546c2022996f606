"""Values of any size say what they are in less than 500 characters, in a terminal and in a message."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import modhub
from modhub.composition.votes import Prediction
from modhub.data.images import ImageData
from modhub.spec.text import in_short
from tests.small_origins import quadrant_modules

MOST = 500


def test_every_value_is_short() -> None:
    decomposition = quadrant_modules()
    composite = modhub.compose(decomposition)
    classes = tuple(f"class {n}" for n in range(1000))
    margins = np.eye(1000, dtype=np.float32)
    many = Prediction(classes, margins, margins, np.zeros(1000), np.ones(1000), 1.0)
    longest = replace(decomposition.modules[0], name="n" * 500)
    data = ImageData(np.zeros((2000, 4, 4, 3), np.uint8), np.zeros(2000, np.int64), classes, "d", tuple(classes * 2))
    values = [data, decomposition, longest, *composite.modules, composite, composite.plan, many]
    wide = modhub.compose(
        [replace(longest, name=f"{n}" * 400, slug=f"c{n}", index=n, digest=str(n)) for n in range(300)]
    )
    for value in [*values, wide, wide.plan]:
        assert 20 < len(repr(value)) < MOST, value
        assert type(value).__name__ in repr(value)
    assert repr(decomposition) == (
        "<Decomposition shapes/quadrants: 4 modules, of top left, top right, bottom left, bottom right>"
    )
    assert repr(many).startswith("<Prediction of 1,000 images by 1,000 modules: 1 class 0, 1 class 1, ")


def test_what_is_left_out_is_counted() -> None:
    assert in_short(["a", "b"]) == "a, b"
    text = in_short(f"name {n}" for n in range(1000))
    shown = text.count(",")
    assert f" and {1000 - shown - 1:,} more" in text


def test_the_version_is_the_packages() -> None:
    code = "import modhub, sys; assert 'importlib.metadata' not in sys.modules; print(modhub.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{modhub.__version__}\n"
    assert re.match(r"\d+\.\d+\.\d+", modhub.__version__)
    command = subprocess.run([sys.executable, "-m", "modhub", "--version"], capture_output=True, text=True, check=True)
    assert command.stdout == f"modhub {modhub.__version__}\n"
    with pytest.raises(AttributeError):
        modhub.__nothing__  # noqa: B018
