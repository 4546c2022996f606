"""The data sets that are known by name, through ``keras.datasets``.

keras downloads them once into its own cache. Importing this module does not import keras; loading does. The class names
are here because keras gives only indices: in its order, spelled as the data sets' own meta files spell them.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Final

from modhub.data.arrays import as_images
from modhub.data.classes import as_labels
from modhub.data.given import Split
from modhub.data.images import ImageData
from modhub.errors import NotFound, plain

CIFAR10: Final = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())  # noqa: SIM905 - a list of words

CIFAR100: Final = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle
    bowl boy bridge bus butterfly camel can castle caterpillar cattle
    chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
    lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
    mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket
    rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()  # noqa: SIM905 - a list of words
)

_CLASSES: Final = {"cifar10": CIFAR10, "cifar100": CIFAR100}
# Where keras looks for the archive before it downloads, below its home.
_ARCHIVES: Final = {
    "cifar10": ("cifar-10-python.tar.gz", "datasets/cifar-10-batches-py-target_archive"),
    "cifar100": ("cifar-100-python.tar.gz", "datasets/cifar-100-python-target_archive"),
}


def load_dataset(name: str, split: Split) -> ImageData:
    """The data set ``cifar10`` or ``cifar100``: x uint8 (N, 32, 32, 3) RGB, labels in the standard order.

    Raises NotFound, saying how to use a local copy, when keras has none and cannot fetch one.
    """
    from modhub.engine.library import keras  # seconds, which an .npz or a folder need not pay

    loader = getattr(keras.datasets, name)
    try:
        # keras reports a download on stdout, where the caller may be printing JSON.
        with contextlib.redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()):
            train, test = loader.load_data()
    except Exception as error:  # keras raises bare Exception when it cannot download
        archive, place = _ARCHIVES[name]
        home = Path(os.environ.get("KERAS_HOME", "~/.keras"))
        raise NotFound(
            f"keras has no usable copy of the data set {name} and could not fetch one: {plain(str(error))}.",
            kind="dataset-unavailable",
            hint=f"copy {archive} to {home / place}, or give your own copy as an .npz file with x, y and classes "
            "or as a folder of class folders.",
            data=name,
        ) from error
    x, y = train if split == "train" else test
    images, classes = as_images(x, what=name), _CLASSES[name]
    return ImageData(images, as_labels(y, classes, count=len(images), what=name), classes, f"{name}_{split}")
