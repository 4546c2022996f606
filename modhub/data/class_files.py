"""Folders of class folders: which pictures are there, each with its class. None is read here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modhub.data.classes import class_names
from modhub.data.given import SPLITS, Split
from modhub.data.pictures import IMAGE_SUFFIXES, folders_in, pictures_below, warn_of_left_out
from modhub.errors import InvalidData


@dataclass(frozen=True)
class ClassFiles:
    """Picture files below ``root``, or anywhere, and the class of each as an index into ``classes``.

    ``others`` are the files in the class folders that are no pictures.
    """

    root: Path
    name: str
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    others: tuple[Path, ...]

    @property
    def what(self) -> str:
        """What messages call them all."""
        return self.name if self.root == Path() else str(self.root)

    def name_of(self, file: Path) -> str:
        """A file as messages and answers call it."""
        return str(file.relative_to(self.root) if file.is_relative_to(self.root) else file)


def find_class_files(folder: Path, split: Split) -> ClassFiles:
    """The files of a folder of class folders, see ``load_data``; none is read. Raises InvalidData."""
    root, name = _split_of(folder, split)
    folders = folders_in(root)
    classes = class_names([entry.name for entry in folders], f"the class folders in {root}") if folders else ()
    if not classes:
        raise InvalidData(
            f"{root} holds no class folders.",
            kind="no-classes",
            hint="put the images of each class into one folder named after the class.",
        )
    files: list[Path] = []
    labels: list[int] = []
    others: list[Path] = []
    for label, each in enumerate(folders):
        images, rest = pictures_below(each)
        if not images:
            raise InvalidData(
                f"the class folder {each} holds no images.",
                kind="no-images",
                hint=f"images end in {', '.join(sorted(IMAGE_SUFFIXES))}; remove the folder if it is no class.",
            )
        files += images
        others += rest
        labels += [label] * len(images)
    warn_of_left_out(root)
    return ClassFiles(root, name, classes, tuple(files), tuple(labels), tuple(others))


def _split_of(folder: Path, split: Split) -> tuple[Path, str]:
    """The folder with the class folders, and the data's name. A class may be called ``train``: it holds images."""
    name = folder.resolve().name
    if folders_in(folder / split):
        return folder / split, f"{name}_{split}"
    for other in SPLITS:
        if folders_in(folder / other):
            raise InvalidData(
                f"{folder} has {other}/ but no {split}/ with class folders.",
                kind="no-split",
                hint=f"add {folder / split}, or give {folder / other} itself.",
            )
    return folder, name
