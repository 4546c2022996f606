"""Arrays of numbers in files, without labels: ``.npy`` as numpy writes it, ``.csv`` with or without a header."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.data.arrays import Images, as_images
from modhub.errors import InvalidData, plain, shown

#: How the names of such files end.
TABLE_SUFFIXES: Final = (".csv", ".npy")
_DELIMITERS: Final = ",;\t"


def is_table(file: Path) -> bool:
    """Whether the file's name says that it holds numbers."""
    return file.suffix.lower() in TABLE_SUFFIXES


def read_table(file: Path) -> Images:
    """The arrays of one file, the first axis counting them: of a table rows (N, columns), float32.

    In a ``.csv`` all cells are numbers, with commas, semicolons or tabs between; a first line without any number
    is its header. Nothing is ever unpickled. Raises InvalidData, kind ``bad-file`` for what cannot be read.
    """
    return as_images(_array(file) if file.suffix.lower() == ".npy" else _rows(file), what=str(file))


def _array(file: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(file, allow_pickle=False))
    # numpy raises OSError, ValueError, EOFError and more for damaged files.
    except Exception as error:
        raise _bad(file, str(error) or type(error).__name__, "write it with np.save(path, x).") from error


def read_columns(file: Path, label: int) -> tuple[Images, list[str]]:
    """A table with a header and a column of labels: the others as rows (N, columns - 1) float32, and the N labels.

    Raises InvalidData.
    """
    rows = as_images(_rows(file, label), what=str(file))
    with file.open(encoding="utf-8-sig", newline="") as lines:
        delimiter = delimiter_of(lines.readline())
        return rows, [row[label].strip() for row in csv.reader(lines, delimiter=delimiter) if row]


def _rows(file: Path, label: int | None = None) -> NDArray[np.float32]:
    """The numbers of a table, without the column ``label``."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines, warnings.catch_warnings():
            first = lines.readline()
            delimiter = delimiter_of(first)
            cells = next(csv.reader([first], delimiter=delimiter), [])
            if label is None and any(map(is_number, cells)):
                lines.seek(0)
            chosen = None if label is None else [number for number in range(len(cells)) if number != label]
            warnings.simplefilter("ignore")  # of a table without rows, which is refused behind this
            return np.loadtxt(
                lines, np.float32, comments=None, delimiter=delimiter, quotechar='"', ndmin=2, usecols=chosen
            )
    except UnicodeDecodeError as error:
        raise _bad(file, "it is no UTF-8 text", "write it as CSV, one row of numbers for each.") from error
    except (OSError, ValueError) as error:
        reason = _place(file, delimiter, label) or str(error)
        raise _bad(file, reason, "give rows of numbers, all of one length.") from error


def delimiter_of(line: str) -> str:
    """What stands between the cells of a line."""
    return max(_DELIMITERS, key=line.count)


def is_number(cell: str) -> bool:
    """Whether a cell holds a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _place(file: Path, delimiter: str, label: int | None) -> str:
    """Where a table first is none, as people count lines and columns."""
    width = None
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        for row in reader:
            numbers = [place == label or is_number(cell) for place, cell in enumerate(row)]
            if reader.line_num > 1 or (label is None and any(numbers)):
                if not all(numbers):
                    column = numbers.index(False)
                    return f"line {reader.line_num}, column {column + 1} holds {shown(row[column])}"
                width = width or len(row)
                if row and len(row) != width:
                    return f"line {reader.line_num} has {len(row)} columns, those before it {width}"
    return ""


def _bad(file: Path, reason: str, hint: str) -> InvalidData:
    return InvalidData(f"{file} cannot be read: {plain(reason).rstrip('.')}.", kind="bad-file", hint=hint)
