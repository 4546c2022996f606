"""What commands read from disk: labelled images, and names of classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from modhub.data.images import DATASETS, ImageData, find_data
from modhub.data.listed import is_list_of_files
from modhub.data.picture_reader import PictureReader
from modhub.engine.datasets import load_dataset
from modhub.errors import NotFound, UsageError, plain
from modhub.spec.places import is_file, is_folder
from modhub.spec.quoting import RULE, labels_of
from modhub.spec.text import text_of


def class_names_option(text: str | None) -> list[str] | None:
    """The value of ``--classes``: a file with a name a line, or the names themselves with commas between."""
    if text is None:
        return None
    if is_file(text):
        try:
            lines = text_of(Path(text).read_bytes()).split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"--classes {text} cannot be read: {plain(str(error))}.", hint="give a text file, a name a line."
            ) from error
        return [line.strip() for line in lines if line.strip()]
    names = labels_of(text)
    if len(names) < 2:
        raise NotFound(
            f"--classes {text!r} is neither a file nor several names.",
            kind="no-classes",
            hint="give a text file with a name a line, or the names with commas between, cat,dog,fox; " + RULE,
        )
    return names


def find_labelled(spec: str, split: Any, classes: Any = None) -> Callable[[PictureReader], ImageData]:
    """Labelled images by ``spec``, named data sets among them, in two steps. Raises as ``find_data`` does."""
    return find_data(spec, split=split, classes=classes, datasets=load_dataset)


def holds_pictures(spec: str | None) -> bool:
    """Whether ``spec`` is a folder or a list of picture files, which a classifier's size has to be known for."""
    return spec is not None and spec not in DATASETS and (is_folder(spec) or is_list_of_files(Path(spec)))
