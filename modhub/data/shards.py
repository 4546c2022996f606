"""Labelled images in shards: one .npz, or a folder of them, at any URL that fsspec reads.

The shards, by name, are the data in order. Each is looked through once, by the worker that ``run`` chooses: its labels
are kept, its images only counted, checked and fingerprinted. Later its images are read by the worker that has that
piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.data.classes import as_labels, class_names
from modhub.data.npz import file_system, is_local, read_rows, read_small
from modhub.data.raw import RawRows
from modhub.data.rows import Piece, Pieced, Source, data_fingerprint, shards_fingerprint
from modhub.errors import InvalidData, NotFound, UsageError, plain
from modhub.spec.places import is_file, is_folder

#: Runs a function with each of several lists of arguments, here or elsewhere; results in order.
RunTasks = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterable[Any]]


class NpzShard:
    """The images of one shard. It travels as its URL and shape; who reads it keeps the last one's file open."""

    _open: tuple[str, RawRows] | None = None
    _lock = Lock()

    def __init__(self, url: str, rows: RawRows) -> None:
        self.url = url
        self.shape = rows.shape
        self.dtype = rows.dtype
        self._range = (0.0, 255.0) if rows.dtype == np.uint8 else (rows.min(), rows.max())

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        with NpzShard._lock:
            if NpzShard._open is None or NpzShard._open[0] != self.url:
                NpzShard._open = self.url, read_rows(self.url)
            found = NpzShard._open[1]
        if found.shape != self.shape:
            raise InvalidData(
                f"{self.url} holds images {found.shape} now, but held {self.shape} before.",
                kind="shards-differ",
                hint="leave the shards alone while they are read.",
            )
        return found[rows]

    def min(self) -> float:
        return self._range[0]

    def max(self) -> float:
        return self._range[1]


@dataclass(frozen=True, eq=False)
class Described:
    """A shard, its labels int64 (n,) as indices into the classes asked for, and which images and labels these are."""

    shard: NpzShard
    labels: NDArray[np.int64]
    fingerprint: str


def are_shards(spec: Any) -> bool:
    """Whether ``spec`` names data of this kind: a URL, an .npz file, or a folder with .npz files in it."""
    if not isinstance(spec, (str, Path)):
        return False
    path = Path(spec)
    return (
        "://" in str(spec)
        or (is_file(path) and path.suffix.lower() == ".npz")
        or (is_folder(path) and any(_is_shard(each.name) for each in path.iterdir()))
    )


def find_shards(spec: str | Path) -> list[str]:
    """The URLs of all shards of ``spec``, by name. Raises NotFound, InvalidData, UsageError."""
    url = str(spec).rstrip("/")
    files, path = file_system(url)
    try:
        if not files.exists(path):
            raise NotFound(f"no data at {url}.", kind="data-not-found", url=url)
        found = [path] if files.isfile(path) else sorted(filter(_is_shard, files.ls(path, detail=False)))
    except (OSError, ValueError) as error:
        raise InvalidData(f"{url} cannot be read: {plain(str(error))}.", kind="bad-file", url=url) from error
    if not found:
        raise InvalidData(
            f"{url} holds no .npz files.", kind="no-images", hint="give one .npz file, or a folder of them.", url=url
        )
    # A file on this machine keeps its name: as a URL, what is in it could mean something.
    return [one if is_local(files) else files.unstrip_protocol(one) for one in found]


def _is_shard(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.lower().endswith(".npz") and not name.startswith(".")


def stored_classes(url: str) -> tuple[str, ...] | None:
    """The classes that a shard names, None where it names none. Raises as ``read_small`` does."""
    stored = read_small(url, ["classes"]).get("classes")
    return None if stored is None else class_names(stored, f"classes in {url}")


def open_shards(urls: Sequence[str], classes: Sequence[str], run: RunTasks = starmap) -> Source:
    """All shards as one source, looked through by ``run``. Raises InvalidData, NotFound, UsageError."""
    found: list[Described] = list(run(describe, [(url, tuple(classes)) for url in urls]))
    pieces: list[Piece] = []
    for one in found:
        _check_alike(one.shard, found[0].shard)
        pieces.append(Piece(pieces[-1].stop if pieces else 0, one.shard))
    labels = np.concatenate([one.labels for one in found])
    return Source(Pieced(pieces), labels, tuple(pieces), shards_fingerprint([one.fingerprint for one in found]))


def describe(url: str, classes: tuple[str, ...]) -> Described:
    """One shard, looked through. Its labels may be names, indices into ``classes``, or into classes of its own."""
    rows = read_rows(url)
    shard = NpzShard(url, rows)
    if not (np.isfinite(shard.min()) and np.isfinite(shard.max())):
        raise InvalidData(
            f"x in {url} has NaN or infinite values.",
            kind="not-finite",
            hint="drop those images or repair how they are made.",
            url=url,
        )
    small = read_small(url, ["y", "classes"])
    if "y" not in small:
        raise InvalidData(f"{url} has no 'y'.", kind="missing-key", hint="save it with np.savez(path, x=..., y=...).")
    own = class_names(small["classes"], f"classes in {url}") if "classes" in small else classes
    if set(own) != set(classes):
        other = next(iter(set(own) ^ set(classes)))
        raise InvalidData(
            f"the classes in {url} are not those of the data: {other!r} is only in one of both.",
            kind="shards-differ",
            hint="all shards need the same classes; labels count in them.",
            url=url,
        )
    labels = as_labels(small["y"], own, count=len(rows), what=f"y in {url}")
    position = np.array([classes.index(name) for name in own], np.int64)
    return Described(shard, position[labels], data_fingerprint(rows, position[labels], classes))


def _check_alike(shard: NpzShard, first: NpzShard) -> None:
    if (shard.shape[1:], shard.dtype) != (first.shape[1:], first.dtype):
        shown = [f"{'x'.join(map(str, one.shape[1:]))} {one.dtype}" for one in (first, shard)]
        raise InvalidData(
            f"the shards differ: images in {first.url} are {shown[0]}, in {shard.url} {shown[1]}.",
            kind="shards-differ",
            hint="bring all images to one size and dtype.",
        )


def check_no_steps(steps: int | None, what: str = "") -> None:
    """Raise UsageError where ``steps`` was given for data that is not an iterable of batches."""
    if steps is not None:
        raise UsageError(
            f"{what}steps is {steps}, but the {what}data does not come in batches.",
            kind="bad-option",
            hint="steps counts the batches of an iterable; leave it out for arrays and shards.",
        )
