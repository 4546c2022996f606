"""The two origins: what their images are, that splits are clean, and what decides training."""

from __future__ import annotations

import random
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modhub.data.images import ImageData
from modhub.demo.digits import load_digits
from modhub.demo.letters import load_letters
from modhub.demo.raster import Splits, count_blocks, enlarge
from modhub.engine.training import train_small_cnn


@pytest.fixture(params=["digits", "letters"])
def origin(request: pytest.FixtureRequest) -> Splits:
    splits: Splits = request.getfixturevalue(request.param)
    return splits


def test_every_split_holds_raw_grey_images_of_every_class(origin: Splits) -> None:
    for part in ("train", "validation", "test"):
        data: ImageData = getattr(origin, part)
        assert data.name.endswith(f"_{part}")
        assert data.x.shape == (len(data), 16, 16, 1)
        assert (data.x.dtype, data.y.dtype) == (np.uint8, np.int64)
        assert (data.x.min(), data.x.max()) == (0, 255)
        counts = np.bincount(data.y, minlength=len(data.classes))
        assert len(counts) == 10
        assert counts.min() >= 25


def test_no_image_is_in_two_splits(origin: Splits) -> None:
    seen = [{image.tobytes() for image in data.x} for data in (origin.train, origin.validation, origin.test)]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_the_digits_are_all_of_scikit_learns(digits: Splits) -> None:
    assert [len(digits.train), len(digits.validation), len(digits.test)] == [1078, 269, 450]
    assert digits.train.classes == tuple("0123456789")


@pytest.mark.parametrize("load", [load_digits, partial(load_letters, per_class=(9, 4, 4))], ids=["digits", "letters"])
def test_a_seed_decides_the_images_and_their_order(load: Any) -> None:
    first, again, other = load(seed=0), load(seed=0), load(seed=1)
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(first, part).x, getattr(again, part).x)
        assert np.array_equal(getattr(first, part).y, getattr(again, part).y)
    assert not np.array_equal(first.train.x, other.train.x)


def test_letters_come_in_the_numbers_asked_for() -> None:
    few = load_letters(per_class=(3, 2, 1))
    assert [len(few.train), len(few.validation), len(few.test)] == [30, 20, 10]


def test_counting_and_enlarging_keep_the_place_and_the_ink() -> None:
    bitmap = np.zeros((32, 32), bool)
    bitmap[4:8, 8:12] = True
    bitmap[28, 31] = True
    cells = count_blocks(bitmap)
    assert cells[1, 2] == 16
    assert cells[7, 7] == 1
    assert cells.sum() == 17
    image = enlarge(cells)[..., 0]
    assert np.unravel_index(image.argmax(), image.shape) in [(2, 4), (2, 5), (3, 4), (3, 5)]
    assert enlarge(np.full((8, 8), 16, np.uint8)).min() == 255


def test_neither_brightness_nor_background_distinguishes_the_origins(digits: Splits, letters: Splits) -> None:
    """The best threshold on one figure of an image stays far from separating digits from letters."""
    figures = {
        "brightness": lambda x: x.mean(axis=(1, 2, 3)),
        "black pixels": lambda x: (x == 0).mean(axis=(1, 2, 3)),
        "faintest trace": lambda x: ((x > 0) & (x < 20)).mean(axis=(1, 2, 3)),
        "corners": lambda x: x[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(axis=(1, 2)),
        "columns at the border": lambda x: x[:, :, [0, -1]].mean(axis=(1, 2, 3)),
        "brightest pixel": lambda x: x.max(axis=(1, 2, 3)),
    }
    for name, figure in figures.items():
        best = best_threshold_accuracy(figure(digits.train.x), figure(letters.train.x))
        assert best < 0.7, f"{name} alone separates {best:.0%}"


def best_threshold_accuracy(a: NDArray[Any], b: NDArray[Any]) -> float:
    balanced = [
        (np.mean(a <= bound) + np.mean(b > bound)) / 2 for bound in np.unique(np.concatenate([a, b]).astype(np.float64))
    ]
    return float(max(max(balanced), 1 - min(balanced)))


def test_training_depends_on_its_seed_alone(digits: Splits) -> None:
    few = digits.train.take(np.arange(64))
    reported: list[tuple[int, int]] = []

    def weights(seed: int, *, disturb: int) -> NDArray[np.float32]:
        random.seed(disturb)
        np.random.seed(disturb)
        network = train_small_cnn(few, seed=seed, epochs=2, progress=lambda *at: reported.append(at))
        assert np.random.randint(10**9) == np.random.RandomState(disturb).randint(10**9)
        return np.concatenate([array.ravel() for array in network.get_weights()])

    first = weights(5, disturb=1)
    assert np.allclose(first, weights(5, disturb=2), atol=1e-4)
    assert not np.allclose(first, weights(6, disturb=1), atol=1e-2)
    assert reported == [(1, 2), (2, 2)] * 3


@pytest.mark.parametrize(
    ("package", "module", "call"),
    [("sklearn", "digits", "load_digits()"), ("matplotlib", "letters", "load_letters()")],
)
def test_a_missing_extra_is_named(package: str, module: str, call: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from modhub.demo.{module} import *; from modhub.errors import ModhubError\n"
        f"try: {call}\n"
        "except ModhubError as error: print(error.kind, error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name = {"sklearn": "scikit-learn"}.get(package, package)
    assert ran.stdout == (
        f"missing-extra the demonstration needs {name}, which is not installed. Hint: pip install 'modhub[demo]'.\n"
    )
