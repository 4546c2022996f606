"""One .npz file of labelled images at any URL that fsspec reads, without ever holding its images in memory.

A file on this machine whose images are uncompressed is read in place. Others are unpacked into a temporary
file first, as they pass. Nothing is ever unpickled.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from struct import unpack
from typing import IO, Any, Final
from urllib.request import url2pathname

import numpy as np
from numpy.typing import NDArray

from modhub.data.arrays import as_images
from modhub.data.batches import append_rows, temporary_file
from modhub.data.raw import RawRows
from modhub.data.rows import CHUNK_BYTES
from modhub.errors import InvalidData, ModhubError, NotFound, UsageError, plain
from modhub.limits import MAX_CLASSES, MAX_DISPLAY_NAME_CHARS, MIB

#: What installs the library of a protocol.
_EXTRAS: Final = {"s3": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "sftp": "sftp", "ssh": "sftp"}
_LOCAL_HEADER: Final = 30
#: Bytes of one label: numpy takes four for a character, and a name four times too long is still told to be that.
_LABEL_BYTES: Final = 4 * 4 * MAX_DISPLAY_NAME_CHARS
_HINT: Final = "write it with np.savez(path, x=..., y=..., classes=...); Python objects are never loaded."


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of ``url``, and the path in it. Raises UsageError, kind ``missing-extra``.

    What has no protocol is a path on this machine, in which no character means anything but itself.
    """
    from fsspec.core import url_to_fs  # a file here needs no fsspec
    from fsspec.implementations.local import LocalFileSystem

    if "://" not in url:
        return LocalFileSystem(), os.path.abspath(os.path.expanduser(url))  # noqa: PTH100, PTH111 - pathlib makes ~x of ./~x
    if url.startswith("file:///"):
        return LocalFileSystem(), url2pathname(url.removeprefix("file://"))
    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        raise UsageError(
            f"{url} needs a library that is not installed: {plain(str(error))}.",
            kind="missing-extra",
            hint=f"pip install 'modhub[{extra}]'" if (extra := _EXTRAS.get(url.partition("://")[0])) else str(error),
            url=url,
        ) from error
    except ValueError as error:
        raise UsageError(f"{url} is no URL that can be read: {plain(str(error))}.", kind="bad-data") from error
    return files, str(path)


@contextmanager
def _opened(url: str) -> Iterator[tuple[IO[bytes], zipfile.ZipFile]]:
    """The file and the archive in it. Whatever readers raise for damaged files leaves as InvalidData."""
    files, path = file_system(url)
    try:
        with files.open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            yield file, archive
    except ModhubError:
        raise
    except FileNotFoundError as error:
        raise NotFound(f"no data at {url}.", kind="data-not-found", url=url) from error
    # The readers of zips, of arrays and of each kind of storage raise a dozen unrelated types.
    except Exception as error:
        raise InvalidData(
            f"{url} cannot be read: {plain(str(error) or type(error).__name__)}.", kind="bad-file", hint=_HINT, url=url
        ) from error


def check_sizes(archive: zipfile.ZipFile, what: str) -> None:
    """Raise InvalidData, kind ``too-large``, for labels or classes of an .npz that no images need, before any is read.

    A few kilobytes unpack to gigabytes of zeros; memory is taken for what a header claims, there or not.
    """
    held = {info.filename: info for info in archive.infolist()}
    rows = 0
    for name in ("x", "y", "classes"):
        info = held.get(f"{name}.npy")
        if info is None:
            continue
        with archive.open(info) as member:
            shape, _, dtype = _array_header(member)
        size = prod(shape) * dtype.itemsize
        if name == "x":
            rows = shape[0] if shape else 0
        most = max(MIB, rows * _LABEL_BYTES) if name == "y" else MAX_CLASSES * _LABEL_BYTES // 4
        if size > info.file_size and not dtype.hasobject:
            raise InvalidData(
                f"{name} in {what} claims {size} bytes, and {info.file_size} are there.", kind="bad-file", hint=_HINT
            )
        if name != "x" and size > most:
            raise InvalidData(
                f"{name} in {what} has {size} bytes; at most {most} can be needed.",
                kind="too-large",
                hint="y has one label an image, classes one name a class." if name == "y" else _HINT,
            )


def read_arrays(path: Path, *, required: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    """The arrays ``x``, ``y`` and ``classes`` of a file on this machine, as far as it has them. Raises InvalidData."""
    if not zipfile.is_zipfile(path):
        raise InvalidData(f"{path} is no .npz file, or incomplete.", kind="bad-file", hint="write it with np.savez.")
    arrays: dict[str, NDArray[np.generic]] = {}
    key = "the list of arrays"
    try:
        with zipfile.ZipFile(path) as members:
            check_sizes(members, str(path))
        with np.load(path, allow_pickle=False) as archive:
            held = archive.files
            for key in (*required, "classes"):
                if key in held:
                    arrays[key] = archive[key]
    except InvalidData:
        raise
    # The zip and array readers raise a dozen unrelated types for damaged files.
    except Exception as error:
        raise InvalidData(
            f"{key} in {path} cannot be read: {plain(str(error) or type(error).__name__)}.",
            kind="bad-file",
            hint="save plain arrays, names as np.array(classes, dtype=str); Python objects are never loaded.",
        ) from error
    if missing := [name for name in required if name not in arrays]:
        raise InvalidData(
            f"{path} has no {missing[0]!r}; it has {', '.join(held) or 'nothing'}.",
            kind="missing-key",
            hint=f"save it with np.savez(path, {', '.join(f'{name}=...' for name in required)}).",
            missing=missing,
        )
    return arrays


def read_small(url: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Whole arrays of an .npz, those that it has of ``names``. Raises NotFound, InvalidData, UsageError."""
    with _opened(url) as (_, archive):
        check_sizes(archive, url)
        held = set(archive.namelist())
        arrays = {}
        for name in names:
            if f"{name}.npy" in held:
                with archive.open(f"{name}.npy") as member:
                    arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
        return arrays


def read_rows(url: str) -> RawRows:
    """The images ``x`` of an .npz, (N, H, W, C), (N, H, W), or rows (N, values). Raises as ``read_small`` does."""
    with _opened(url) as (file, archive):
        if "x.npy" not in archive.namelist():
            raise InvalidData(f"{url} has no 'x'.", kind="missing-key", hint=_HINT, url=url)
        info = archive.getinfo("x.npy")
        with archive.open(info) as member:
            shape, dtype = _header(member, url)
            if info.compress_type == zipfile.ZIP_STORED and (path := _local(url)):
                offset = _data_offset(file, info) + member.tell()
                return RawRows(path.open("rb"), offset, shape, dtype)
            unpacked = temporary_file()
            while chunk := member.read(CHUNK_BYTES):
                append_rows(unpacked, chunk)
    return RawRows(unpacked, 0, shape, dtype)


def _array_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(member)


def _header(member: IO[bytes], url: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    shape, fortran, dtype = _array_header(member)
    # One image of that shape and dtype is refused for the same reasons as all would be.
    sample = as_images(np.zeros((min(1, shape[0]) if shape else 1, *shape[1:]), dtype), what=f"x in {url}")
    if fortran:
        raise InvalidData(
            f"x in {url} is stored in Fortran order.",
            kind="bad-file",
            hint="save np.ascontiguousarray(x).",
            url=url,
        )
    return (shape[0], *sample.shape[1:]), dtype


def is_local(files: Any) -> bool:
    """Whether an fsspec file system is this machine's own."""
    protocol = files.protocol if isinstance(files.protocol, str) else files.protocol[0]
    return protocol in ("file", "local")


def _local(url: str) -> Path | None:
    files, path = file_system(url)
    return Path(path) if is_local(files) else None


def _data_offset(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where a stored member's bytes begin: behind its own header, whose extra field need not be the directory's."""
    file.seek(info.header_offset + _LOCAL_HEADER - 4)
    name, extra = unpack("<HH", file.read(4))
    return info.header_offset + _LOCAL_HEADER + int(name) + int(extra)
