"""Keras files of the user's own: read to be decomposed, and written for others to load.

What can be seen in a file without keras is looked at first, so that a wrong path or a custom layer is reported at once
and not after seconds of import. A file with code of its own in it is never run.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from modhub.engine.export.formats import keras_bytes
from modhub.errors import NotFound, StorageError, UnsupportedModel, UsageError, nearest, plain
from modhub.limits import MAX_MANIFEST_BYTES
from modhub.spec.keras_model import KerasModel
from modhub.storage import files

_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_SUFFIXES: Final = (".keras", ".h5", ".hdf5")
_HOW_TO_SAVE: Final = "save the whole model with model.save('net.keras')."


def check_model_file(path: str | Path) -> None:
    """Raise NotFound, or UnsupportedModel, for what can be seen of a model's file without keras."""
    path = Path(path)
    if path.is_dir():
        raise UnsupportedModel(
            f"{path} is a folder; a model is one .keras file.",
            kind="not-a-model-file",
            hint=_HOW_TO_SAVE,
            path=str(path),
        )
    if not path.exists():
        siblings = path.parent.iterdir() if path.parent.is_dir() else ()
        close = nearest(path.name, [file.name for file in siblings if file.suffix in _SUFFIXES])
        raise NotFound(
            f"there is no model at {str(path)!r}.",
            kind="model-not-found",
            hint=f"did you mean {path.parent / close[0]}?" if close else "give the path of a .keras file.",
            path=str(path),
        )
    is_archive, is_hdf5 = zipfile.is_zipfile(path), _starts_with(path, _HDF5)
    # Keras chooses its reader by the name alone.
    if not (is_archive and path.suffix == ".keras") and not (is_hdf5 and path.suffix in (".h5", ".hdf5")):
        found = (
            "an HDF5 file that does not end in .h5"
            if is_hdf5
            else "a zip file that does not end in .keras"
            if is_archive
            else "no Keras model, or cut short"
        )
        raise UnsupportedModel(
            f"{path} is {found}.",
            kind="not-a-model-file",
            hint="rename it to end in .h5." if is_hdf5 else _HOW_TO_SAVE,
            path=str(path),
        )
    if is_archive and (version := _older_keras(path)):
        raise UnsupportedModel(
            f"{path} was written by Keras 2 ({plain(version)}), whose .keras files Keras 3 does not read.",
            kind="keras-2-file",
            hint="load it there and save it as HDF5, model.save('net.h5'), which is read here.",
            path=str(path),
        )
    if is_archive and (foreign := _foreign_classes(path)):
        raise UnsupportedModel(
            f"{path} has layers of its own code: {plain(', '.join(foreign))}.",
            kind="unsupported-layer",
            hint="files of Keras's standard layers are read; decompose others in Python, where they are loaded.",
            layers=foreign,
        )


def load_model(path: str | Path) -> KerasModel:
    """The model in a ``.keras`` or HDF5 file, uncompiled. Raises NotFound and UnsupportedModel."""
    check_model_file(path)
    from modhub.engine.library import keras  # seconds, which a wrong path need not cost

    try:
        with warnings.catch_warnings():
            # Keras remarks on optimizers and old files, none of which matters to a network that is only read.
            warnings.simplefilter("ignore")
            model = keras.models.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever its layers, h5py or zipfile raise.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModel(
            f"keras cannot load {path}: {plain(reason)}", kind="unreadable-model", hint=_HOW_TO_SAVE, path=str(path)
        ) from error
    if not isinstance(model, keras.Model):
        raise UnsupportedModel(
            f"{path} holds a {type(model).__name__}, not a model.",
            kind="not-a-model",
            hint=_HOW_TO_SAVE,
            path=str(path),
        )
    # Reading calls layers that are no plain ones of Keras', and what a file names is never to be called.
    if named := [layer.name for layer in model._flatten_layers() if not _is_plain(layer)]:
        raise UnsupportedModel(
            f"{path} has layers of its own code: {plain(', '.join(named))}.",
            kind="unsupported-layer",
            hint="files of Keras's standard layers are read; decompose others in Python, where they are loaded.",
            layers=named,
        )
    return cast(KerasModel, model)


def _is_plain(layer: Any) -> bool:
    """Whether a layer is one of Keras' that holds no function: no Lambda, no wrapper of another library's module."""
    module, name = type(layer).__module__, type(layer).__name__
    own = module.startswith(("keras.src.layers.", "keras.src.models.", "keras.src.applications."))
    return own and name != "Lambda"


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


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError as error:
        raise UnsupportedModel(
            f"{path} cannot be read: {error.strerror or error}.", kind="unreadable-model", path=str(path)
        ) from error


def _older_keras(path: Path) -> str | None:
    """What tells that Keras 2 wrote a ``.keras`` file: its version, or the module of its model's class; else None."""
    metadata, config = (_member(path, name) for name in ("metadata.json", "config.json"))
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    if isinstance(version, str) and re.match(r"[0-2]\.", version):
        return f"version {version}"
    module = config.get("module") if isinstance(config, dict) else None
    # tf_keras is Keras 2 under its own name; Keras 3 has no engine and keeps its classes in keras.src.models.
    return module if isinstance(module, str) and re.match(r"tf_keras(\.|$)|keras(\.src)?\.engine\.", module) else None


def _member(path: Path, name: str) -> Any:
    """The JSON in a ``.keras`` file under this name; None where there is none. Keras says better what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            return json.loads(file.read(MAX_MANIFEST_BYTES))
    except (KeyError, ValueError, OSError, RecursionError, zipfile.BadZipFile):
        return None


def _foreign_classes(path: Path) -> list[str]:
    """Classes in a ``.keras`` file's configuration that are not Keras's own, and Lambda, which holds code."""
    try:
        found = dict.fromkeys(_classes_in(_member(path, "config.json")))
    except RecursionError:
        return []
    return [name for name, module in found if name == "Lambda" or (module or "keras").split(".")[0] != "keras"]


def _classes_in(value: Any) -> Iterator[tuple[str, str | None]]:
    """Class and module names of all serialised objects, outermost first; ``module`` None means Keras's registry."""
    if isinstance(value, dict):
        name, module = value.get("class_name"), value.get("module")
        if isinstance(name, str) and (module is None or isinstance(module, str)):
            registered = value.get("registered_name")
            custom = isinstance(registered, str) and module is None and registered != name
            yield name, registered if custom else module
        for each in value.values():
            yield from _classes_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _classes_in(each)
