"""One .npz file of labelled images at any URL that fsspec reads, without ever holding its images in memory.

A file on this machine whose images are uncompressed is read in place. Others are unpacked into a temporary
file first, as they pass. Nothing is ever unpickled.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from modhub.errors import InvalidData, ModhubError, NotFound, UsageError

_LOCAL_HEADER: Final = 30
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
            f"{url} needs a library that is not installed: {error}.",
            kind="missing-extra",
            hint="pip install 'modhub[s3]', [gs] or [az].",
            url=url,
        ) from error
    except ValueError as error:
        raise UsageError(f"{url} is no URL that can be read: {error}.", kind="bad-data") from error
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
            f"{url} cannot be read: {error or type(error).__name__}.", kind="bad-file", hint=_HINT, url=url
        ) from error


def read_small(url: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Whole arrays of an .npz, those that it has of ``names``. Raises NotFound, InvalidData, UsageError."""
    with _opened(url) as (_, archive):
        held = set(archive.namelist())
        arrays = {}
        for name in names:
            if f"{name}.npy" in held:
                with archive.open(f"{name}.npy") as member:
                    arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
        return arrays


def read_rows(url: str) -> RawRows:
    """The images ``x`` of an .npz, (N, H, W, C) or (N, H, W), uint8 or floats. Raises as ``read_small`` does."""
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


def _header(member: IO[bytes], url: str) -> tuple[tuple[int, int, int, int], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    # One image of that shape and dtype is refused for the same reasons as all would be.
    sample = as_images(np.zeros((min(1, shape[0]) if shape else 1, *shape[1:]), dtype), what=f"x in {url}")
    if fortran:
        raise InvalidData(
            f"x in {url} is stored in Fortran order.",
            kind="bad-file",
            hint="save np.ascontiguousarray(x).",
            url=url,
        )
    height, width, channels = sample.shape[1:]
    return (shape[0], height, width, channels), dtype


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
