"""Decomposing, evaluating, checking and updating take the same forms of data, and do the same with each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import modhub
from tests.small_origins import bar_modules, bars, decomposed, quadrant_modules, quadrants, quadrants_model

DATA = quadrants()


def in_folder(folder: Path, data: Any = DATA, *, larger: int = 1) -> Path:
    """Class folders; names so that the files of all classes together are in the order of the data."""
    for number, (image, label) in enumerate(zip(data.x[..., 0], data.y, strict=True)):
        (folder / data.classes[label]).mkdir(parents=True, exist_ok=True)
        pixels = np.kron(image, np.ones((larger, larger), np.uint8))
        Image.fromarray(pixels).save(folder / data.classes[label] / f"{number:03}.png")
    return folder


def in_csv(folder: Path, data: Any = DATA, **options: Any) -> Path:
    files = sorted(in_folder(folder, data, **options).rglob("*.png"), key=lambda file: file.name)
    lines = [f"{file.relative_to(folder)},{data.classes[label]}" for file, label in zip(files, data.y, strict=True)]
    (folder / "list.csv").write_text("\n".join(["path,label", *lines]))
    return folder / "list.csv"


def examples(data: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((data.x, np.eye(len(data.classes))[data.y]))


def batches(data: Any) -> Any:
    """Of unequal length."""
    cuts = np.split(np.arange(len(data.y)), [3, 50, 51])
    return [(data.x[rows], data.y[rows]) for rows in cuts]


FORMS: dict[str, Callable[[Path, Any], Any]] = {
    "a tuple": lambda folder, data: (data.x, data.y, data.classes),
    "a csv": in_csv,
    "tf.data, one-hot, one by one": lambda folder, data: examples(data),
    "batches": lambda folder, data: batches(data),
}


def with_names(made: Any, data: Any) -> Any:
    return made if isinstance(made, tuple | Path) else (made, data.classes)


@pytest.mark.parametrize("name", FORMS)
def test_all_give_the_same_modules_figures_and_updates(name: str, tmp_path: Path) -> None:
    make, reference = FORMS[name], quadrant_modules()
    options = {"classes": DATA.classes, "name": "shapes/quadrants", "rescale": 1 / 255, "batch_size": 32}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = modhub.decompose(
            quadrants_model(), make(tmp_path / "train", DATA), **options, delta="q30", backtrack="input"
        )
    assert [module.digest for module in made.modules] == [module.digest for module in reference.modules]
    assert made.dataset == reference.dataset
    other = quadrants(seed=9)
    given = with_names(make(tmp_path / "test", other), other)
    expected = modhub.evaluate(made, (other.x, other.y, other.classes), resamples=1000)
    found = modhub.evaluate(made, given, resamples=1000)
    # A list of names has its classes in alphabetical order, which makes it other data with the same answers.
    assert (found.fingerprint == expected.fingerprint) == (name != "a csv")
    assert (found.images, found.top_1) == (expected.images, expected.top_1)
    registry = str(tmp_path / "registry")
    modhub.publish(made, version="1.0.0", registry=registry)
    given = with_names(make(tmp_path / "check", other), other)
    assert modhub.publish(made, version="1.0.1", registry=registry, check=modhub.Check(given)).checked is not None


def test_updating_takes_them_too(tmp_path: Path) -> None:
    left, right = quadrant_modules().modules[1], bar_modules().modules[0]
    data = (quadrants(), bars())
    x = np.concatenate([data[0].x[data[0].y == 1], data[1].x[data[1].y == 0]])
    y = np.repeat([0, 1], 30)
    classes = ("top right", "horizontal")
    first = modhub.update(left, against=right, data=(x, y, classes), strategy="calibrate")
    second = modhub.update(left, against=right, data=([(x[:7], y[:7]), (x[7:], y[7:])], classes), strategy="calibrate")
    assert [module.digest for module in first.modules] == [module.digest for module in second.modules]


def test_pictures_are_fitted_to_the_model_where_that_was_asked_for(tmp_path: Path) -> None:
    folder = in_folder(tmp_path / "large", larger=3)
    with pytest.raises(modhub.ModhubError, match="24x24x1"):
        modhub.decompose(quadrants_model(), folder, classes=DATA.classes, name="a/b", rescale=1 / 255)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = modhub.decompose(
            quadrants_model(),
            folder,
            classes=DATA.classes,
            name="a/b",
            rescale=1 / 255,
            fit="resize",
            validation=folder,
        )
    assert made.origin.accuracy[1].examples == len(DATA.y)
    assert modhub.evaluate(made, folder, fit="resize", resamples=1000).top_1.value > 0.9


def test_a_keras_model_is_evaluated_with_numbers_and_the_classes_of_its_outputs() -> None:
    figures = modhub.evaluate(quadrants_model(), batches(DATA), classes=DATA.classes, rescale=1 / 255, resamples=1000)
    assert figures.top_1.value == decomposed(quadrants_model(), DATA, "a/b").origin.accuracy[0].top_1
    assert [row.name for row in figures.classes] == list(DATA.classes)
