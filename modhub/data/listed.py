"""Pictures that a list names: a CSV file of paths and labels, or paths and labels in memory."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from modhub.data.class_files import ClassFiles
from modhub.data.classes import as_labels, class_name, classes_of_labels
from modhub.data.tables import delimiter_of, is_number
from modhub.errors import InvalidData, NotFound, UsageError, plain, shown
from modhub.spec.places import is_file

#: How such files end.
LIST_SUFFIXES: Final = (".csv", ".tsv")
#: What the columns are called, in lower case.
_PATHS: Final = ("path", "file", "filename", "file_name", "filepath", "image", "image_path")
_LABELS: Final = ("label", "class", "class_name", "target", "category", "y")
_HINT: Final = "write the columns path and label, one picture a line; paths are relative to the file."


def is_list_of_files(path: Path) -> bool:
    """Whether the file's name says that it lists pictures, and it is no table of numbers with labels."""
    return path.suffix.lower() in LIST_SUFFIXES and not is_labelled_table(path)


def is_labelled_table(path: Path) -> bool:
    """Whether a file has a column of labels, as its header says, and numbers in all others."""
    return path.suffix.lower() in LIST_SUFFIXES and is_file(path) and label_column(path) is not None


def label_column(path: Path) -> int | None:
    """Where a table of numbers has its labels; None where it is none, or has none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            delimiter = delimiter_of(first)
            head = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=delimiter), [])]
            cells = next(csv.reader(lines, delimiter=delimiter), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    place = next((head.index(name) for name in _LABELS if name in head), None)
    if place is None or len(cells) != len(head) or len(head) < 2:
        return None
    return place if all(is_number(cell) for number, cell in enumerate(cells) if number != place) else None


def find_listed_files(file: Path, classes: Sequence[str] | None = None) -> ClassFiles:
    """The pictures of a CSV file with the columns ``path`` and ``label``, in any order and among others; none is read.

    Without a header the first column holds paths and the second labels. Labels are names, or where ``classes`` are
    given their indices. Paths are relative to the file's folder. Raises InvalidData, NotFound, UsageError.
    """
    rows = _rows(file)
    head = [cell.strip().lower() for cell in rows[0][1]]
    path, label = (next((head.index(name) for name in names if name in head), None) for names in (_PATHS, _LABELS))
    if path is None or label is None:
        path, label = 0, 1
    else:
        rows = rows[1:]
    paths: list[Path] = []
    labels: list[str] = []
    for line, cells in rows:
        if len(cells) <= max(path, label):
            raise _bad(file, f"line {line} has {len(cells)} columns")
        paths.append(file.parent / cells[path].strip())
        labels.append(cells[label].strip())
    lines = [line for line, _ in rows]
    for line, each in zip(lines, paths, strict=True):
        if not is_file(each):
            raise NotFound(
                f"line {line} of {file} names {shown(str(each))}, which is not there.",
                kind="data-not-found",
                hint=_HINT,
                path=str(each),
            )
    return listed_files(paths, labels, classes, root=file.parent, name=file.stem)


def listed_files(
    paths: Sequence[str | Path],
    labels: Sequence[Any],
    classes: Sequence[str] | None,
    *,
    root: Path | None = None,
    name: str = "data",
) -> ClassFiles:
    """Picture files with a label each: names, or indices into ``classes``. Raises InvalidData, UsageError."""
    if not len(paths):
        raise InvalidData(f"{name} names no pictures.", kind="no-images", hint=_HINT)
    names, indices = labels_in(labels, classes, name)
    files = tuple(map(Path, paths))
    return ClassFiles(root or Path(), name, names, files, tuple(indices), ())


def labels_in(labels: Sequence[Any], classes: Sequence[str] | None, name: str) -> tuple[tuple[str, ...], list[int]]:
    """The classes and each label's index in them: labels are names, or of ``classes`` that were given indices.

    ``name`` is the data's, for messages. Raises InvalidData, UsageError.
    """
    digits = all(isinstance(label, str) and label.isascii() and label.isdigit() for label in labels)
    if classes is not None and digits and not {class_name(label, "y") for label in labels} <= set(classes):
        labels = [int(label) for label in labels]
    elif classes is None and digits:
        raise UsageError(
            f"the labels of {name} are numbers, and nothing says what they stand for.",
            kind="no-classes",
            hint="give the class names in the order of the numbers, or names in place of numbers.",
        )
    names = tuple(classes) if classes is not None else classes_of_labels(labels)
    indices: list[int] = as_labels(list(labels), names, count=len(labels), what=f"the labels of {name}").tolist()
    return names, indices


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    """The lines that hold something, with their numbers."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(file, "it is no UTF-8 text") from error
    except OSError as error:
        raise _bad(file, error.strerror or str(error)) from error
    first = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(), delimiter=delimiter_of(first))
    try:
        rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise _bad(file, str(error)) from error
    if not rows:
        raise InvalidData(f"{file} names no pictures.", kind="no-images", hint=_HINT)
    return rows


def _bad(file: Path, reason: str) -> InvalidData:
    return InvalidData(f"{file} cannot be read as a list of pictures: {plain(reason)}.", kind="bad-file", hint=_HINT)
