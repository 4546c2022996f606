"""What the snippets of the documentation find: a network, data, photos, folders of modules, and a registry.

The registry has the names of the starter, which a reader's own hides, with small networks behind them: what a snippet
says is the same, and takes a hundredth of the time. The starter itself is tested elsewhere. The pictures are made up.
The networks know them without training: a picture of class k has one bright tile, the k-th, and the head looks at the
tiles.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

#: What the pages name of CIFAR-100, and eight more.
FRUIT = ("apple", "fox", "rose", "orange", "pear", "tulip", "bear", "wolf", "chair", "table")
WINES = ("barolo", "grignolino", "barbera")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple(map(str, range(10)))
_TILES = 4


def pictures(count: int, seed: int, size: int = 32, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Raw uint8 images (N, size, size, channels) and labels (N,)."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 10
    x = random.integers(0, 60, (count, size, size, channels))
    tile = size // _TILES
    for image, label in zip(x, y, strict=True):
        row, column = divmod(int(label), _TILES)
        image[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile] += 160
    return x.astype(np.uint8), y


def network(size: int = 32, channels: int = 3) -> Any:
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((size, size, channels)),
            layers.Conv2D(2, 1, activation="relu"),
            layers.AveragePooling2D(size // _TILES),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    mean = np.full((1, 1, channels, 2), 1 / channels, "float32")
    model.layers[0].set_weights([mean, np.array([0, -0.25], "float32")])
    head = np.full((_TILES * _TILES, 2, 10), -4, "float32")
    head[range(10), :, range(10)] = 16
    model.layers[-1].set_weights([head.reshape(-1, 10), np.full(10, -2, "float32")])
    return model


def rows(count: int, seed: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers or signals: the y-th of the last axis is large."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = random.uniform(0, 1, (count, *shape)).astype("float32")
    x[np.arange(count), ..., y] += 4
    return x, y


def network_of_rows(*shape: int) -> Any:
    import keras

    layers = keras.layers
    last = shape[-1]
    first = layers.Dense(last, activation="relu") if len(shape) == 1 else layers.Conv1D(last, 1, activation="relu")
    more = [] if len(shape) == 1 else [layers.GlobalAveragePooling1D()]
    model = keras.Sequential([keras.Input(shape), first, *more, layers.Dense(3, activation="softmax")])
    unit = np.eye(last, dtype="float32")
    first.set_weights([unit if len(shape) == 1 else unit[None], np.zeros(last, "float32")])
    model.layers[-1].set_weights([3 * unit[:, :3], np.zeros(3, "float32")])
    return model


def make(folder: Path) -> None:
    """Everything that the snippets name and do not make themselves."""
    from PIL import Image

    import modhub

    model = network()
    model.save(folder / "net.keras")
    worse = network()
    kernel, bias = worse.layers[-1].get_weights()
    kernel[:, 3] = -4
    worse.layers[-1].set_weights([kernel, bias])
    names = np.array(CLASSES)
    for name, count, seed in (("data", 60, 1), ("test", 40, 2), ("train", 300, 9)):
        x, y = pictures(count, seed)
        np.savez(folder / f"{name}.npz", x=x, y=y, classes=names)
    x, y = pictures(120, 3)
    modhub.decompose(model, x, y, classes=CLASSES, name="me/net", rescale=1 / 255).save(folder / "net.modules")
    modhub.decompose(worse, x, y, classes=CLASSES, name="me/net", rescale=1 / 255).save(folder / "worse.modules")
    modhub.decompose(model, x, y, classes=("cat", "dog", *DIGITS[2:]), name="me/two", rescale=1 / 255).save(
        folder / "two.modules"
    )
    small, labels = pictures(120, 4, size=8, channels=1)
    np.savez(folder / "digits.npz", x=small[:40], y=labels[:40], classes=np.array(DIGITS))
    digits = modhub.decompose(network(8, 1), small, labels, classes=DIGITS, name="me/digits", rescale=1 / 255)
    digits.save(folder / "digits.modules")
    # The trip's are large and in a folder of their own.
    for number, image in enumerate(pictures(4, 5, size=64)[0]):
        for place in ("photos", "trip", "scans"):
            (folder / place).mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / place / f"{number}.{'jpg' if place == 'trip' else 'png'}")
    shutil.copy(folder / "photos" / "3.png", folder / "photo.png")
    for name, model_name, shape in (("rows", "table", (13,)), ("signals", "signals", (128, 6))):
        values, kinds = rows(90, 10, *shape)
        np.savez(folder / f"{name}.npz", x=values, y=kinds, classes=np.array(WINES))
        network_of_rows(*shape).save(folder / f"{model_name}.keras")
    values, kinds = rows(60, 12, 13)
    lines = [",".join([*map(str, row), WINES[kind]]) for row, kind in zip(values, kinds, strict=True)]
    header = ",".join([*(f"f{number}" for number in range(13)), "label"])
    (folder / "rows.csv").write_text("\n".join([header, *lines, ""]))
    np.savetxt(folder / "bottles.csv", rows(5, 11, 13)[0], delimiter=",")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Ten things\n")
    for place, classes, count in (("animals", ("cat", "dog"), 4), ("few", ("cat", "fox"), 40)):
        for tile, label in enumerate(classes):
            (folder / place / label).mkdir(parents=True)
            for number, image in enumerate(pictures(10 * count, 8)[0][tile::10]):
                Image.fromarray(image).save(folder / place / label / f"{number}.png")
    # Older than every picture.
    (folder / "last.json").write_text("{}")
    os.utime(folder / "last.json", (0, 0))


def publish(folder: Path, registry: Path) -> None:
    """What the pages take as published already."""
    import modhub
    from modhub.installation.registries import publishing_registry
    from modhub.settings.config import load_config

    modhub.publish(folder / "two.modules", version="1.0.0", registry=str(registry))
    modhub.publish(folder / "digits.modules", version="1.0.0", registry=str(registry))
    x, y = pictures(120, 3)
    # So that an audit finds nothing: accuracies of images that were held out.
    held_out = pictures(20, 9)
    for name, classes in (
        ("cifar10/r56", CLASSES), ("cifar10/r20", CLASSES), ("cifar10/vgg", CLASSES), ("cifar100/r20", FRUIT),
        ("cifar10/r20-half", CLASSES),
    ):  # fmt: skip
        made = modhub.decompose(network(), x, y, classes=classes, name=name, rescale=1 / 255, validation=held_out)
        # Newer than the starter's, and under a version that the starter does not have.
        modhub.publish(made, version="9.0.0", registry=str(registry))
    values, kinds = rows(90, 10, 13)
    wine = modhub.decompose(network_of_rows(13), values, kinds, classes=WINES, name="me/wine")
    modhub.publish(wine, version="1.0.0", registry=str(registry))
    target = publishing_registry(str(registry), load_config())
    target.set_alias("c10", "cifar10/r56")
    target.set_alias("c100", "cifar100/r20")


def names(page: str) -> dict[str, Any]:
    """What Python's snippets take as given, as their comments say: images, a model, classes."""
    import modhub

    x, y = pictures(400 if page == "updating" else 40, 6)
    if page == "composing":
        x, y = x[(y == 3) | (y == 5)], y[(y == 3) | (y == 5)]
    if page == "updating":
        # Of two classes, in many examples.
        x, y = x[y < 2], y[y < 2]
    return {
        "modhub": modhub,
        "np": np,
        "images": x,
        "arrays": pictures(4, 7, size=64)[0],
        "x": x,
        "y": y,
        "names": CLASSES,
        "labels": [CLASSES[index] for index in y],
        "classes": CLASSES,
        "model": network(),
        "batches": lambda: (pictures(40, seed) for seed in range(3)),
    }
