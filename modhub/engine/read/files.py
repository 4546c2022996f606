"""Keras files of the user's own: read to be decomposed, and written for others to load.

A file with code of its own in it is never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modhub.engine.export.formats import keras_bytes
from modhub.engine.read.file_kinds import check_model_file
from modhub.errors import StorageError, UsageError
from modhub.spec.keras_model import KerasModel
from modhub.storage import files


def load_model(path: str | Path) -> KerasModel:
    """The model in a ``.keras`` or HDF5 file of Keras 3 or 2, uncompiled. Raises NotFound and UnsupportedModel."""
    file = check_model_file(path)
    from modhub.engine.read.loading import loaded_model  # imports keras: seconds, which a wrong path need not cost

    return loaded_model(file)


def check_place(path: str | Path) -> None:
    """Raise UsageError, before any work, when ``save_model`` cannot write there."""
    path = Path(path)
    if path.suffix != ".keras":
        raise UsageError(
            f"{str(path)!r} is not the name of a Keras model, which ends in .keras.", hint=f"use {path.stem}.keras."
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(
            f"{path} is a folder." if path.is_dir() else f"there is no folder {path.parent}.",
            hint="name a file in a folder that exists.",
        )


def save_model(model: KerasModel, path: str | Path, description: Mapping[str, Any] | None = None) -> None:
    """Write ``model`` to a ``.keras`` file, over one that stands there; all of it or nothing. Raises StorageError.

    Equal models give equal bytes. With ``description`` the file says what it is, as an exported one does.
    """
    path = Path(path).absolute()
    try:
        files.overwrite(path, keras_bytes(model, description), durable=True)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}.",
            kind="not-writable",
            hint="free some space, or choose another place.",
            path=str(path),
        ) from error
