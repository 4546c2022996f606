#!/usr/bin/env python3
"""One classifier of CIFAR-10 (32 x 32) and ImageNet-200 (64 x 64) classes, each module behind its own adapter.

    python benchmarks/mixed.py --data DATA

For both sizes of the composite's input: the accuracy of the joint vote, balanced over the classes, and of each origin
alone on its own images, which go through the same adapter. Images of the other size are brought to the composite's as a
user would do it, with Pillow. The ten classes of ImageNet-200 are none of CIFAR-10's. As all images are square, crop
and letterbox would do the same as resize.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import report
from PIL import Image

import modhub
from modhub import compose

#: Classes of ImageNet-200 that are none of CIFAR-10's.
CLASSES = (
    "goldfish",
    "tarantula",
    "jellyfish",
    "snail",
    "monarch",
    "teapot",
    "umbrella",
    "pizza",
    "banana",
    "lakeside",
)


def main() -> None:
    options = common.parser(__doc__ or "").parse_args()
    tens, many = (common.images(options.data, name, "test") for name in ("cifar10", "imagenet200"))
    modules = {
        "cifar10": _modules(options, "cifar10-r20", "cifar10", tens.classes),
        "imagenet200": _modules(options, "imagenet200-r20", "imagenet200", CLASSES),
    }
    own = {"cifar10": tens, "imagenet200": _restricted(many, CLASSES)}
    rows = []
    for size in (64, 32):
        rows.append({"size": size, **_figures(modules, own, size)})
    alone = {
        name: _balanced(compose(modules[name]).predict(data.x).margins, data.y, len(data.classes))
        for name, data in own.items()
    }
    found = {"classes": CLASSES, "alone": alone, "rows": rows}
    common.keep(options.out, "mixed", found)
    print(report.mixed(found))


def _modules(options, model: str, dataset: str, classes) -> list[modhub.Module]:
    train = common.images(options.data, dataset, "train")
    decomposition = modhub.decompose(
        common.model(options.models, model), train.x, train.y, classes=train.classes, name=f"{dataset}/r20",
        rescale=1 / 255, samples_per_class=200,
    )  # fmt: skip
    return [next(module for module in decomposition.modules if module.name == name) for name in classes]


def _restricted(data: common.Images, classes) -> common.Images:
    place = {data.classes.index(name): number for number, name in enumerate(classes)}
    kept = np.isin(data.y, list(place))
    return common.Images(data.x[kept], np.array([place[int(label)] for label in data.y[kept]]), tuple(classes))


def _resized(images, size: int):
    if images.shape[1] == size:
        return images
    made = [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in images]
    return np.stack(made)


def _figures(modules, own, size: int) -> dict[str, float]:
    both = compose([*modules["cifar10"], *modules["imagenet200"]], adapt="resize", size=(size, size))
    margins = {name: both.predict(_resized(data.x, size)).margins for name, data in own.items()}
    first = len(modules["cifar10"])
    joint = np.concatenate([margins["cifar10"], margins["imagenet200"]])
    labels = np.concatenate([own["cifar10"].y, own["imagenet200"].y + first])
    return {
        "joint": _balanced(joint, labels, first + len(modules["imagenet200"])),
        "cifar10": _balanced(margins["cifar10"][:, :first], own["cifar10"].y, first),
        "imagenet200": _balanced(margins["imagenet200"][:, first:], own["imagenet200"].y, len(modules["imagenet200"])),
    }


def _balanced(margins, labels, classes: int) -> float:
    found = margins.argmax(axis=1)
    return float(np.mean([np.mean(found[labels == label] == label) for label in range(classes)]))


if __name__ == "__main__":
    main()
