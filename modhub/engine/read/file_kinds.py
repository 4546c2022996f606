"""What a model's file is, as far as that is seen without keras: which Keras wrote it, or what else it is.

A wrong path or a layer of somebody's own is reported at once and not after seconds of import. Nothing in a file is run.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modhub.errors import NotFound, UnsupportedModel, nearest, plain
from modhub.limits import MAX_MANIFEST_BYTES

_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_SUFFIXES: Final = (".keras", ".h5", ".hdf5")
#: What to do about files that are no models.
HOW_TO_SAVE: Final = "save the whole model with model.save('net.keras')."
_WEIGHTS: Final = (
    "build the model in Python, model.load_weights(path), and save it whole with model.save('net.keras'), or hand it "
    "to modhub.decompose."
)
_TORCH: Final = (
    "build the network with keras.layers (KERAS_BACKEND=torch runs it on PyTorch), copy the weights, and save it with "
    "model.save('net.keras')."
)
_CONVERTED: Final = "give the Keras model that it was made from, saved with model.save('net.keras')."
#: By the end of the name: what a file is, and the way out.
_OTHERS: Final = {
    ".weights.h5": ("holds weights alone, without the network", _WEIGHTS),
    ".weights.json": ("holds the list of weight files, without the network", _WEIGHTS),
    ".pt": ("is a file of PyTorch; modhub reads networks of Keras", _TORCH),
    ".pth": ("is a file of PyTorch; modhub reads networks of Keras", _TORCH),
    ".safetensors": ("holds weights alone, without the network", _TORCH),
    ".onnx": ("is an ONNX graph; modhub reads networks of Keras", _CONVERTED),
    ".tflite": ("is a TensorFlow Lite graph; modhub reads networks of Keras", _CONVERTED),
    ".pb": ("is a graph of TensorFlow, without Keras' layers", _CONVERTED),
}
_SAVED_MODEL: Final = (
    "open it with the Keras that wrote it, for Keras 2 tf_keras.models.load_model(path), and save it with "
    "model.save('net.h5')."
)


@dataclass(frozen=True)
class ModelFile:
    """A file that holds a model of Keras. ``version`` is the Keras that wrote it, empty where it does not say."""

    path: Path
    is_archive: bool
    version: str

    @property
    def is_of_keras_2(self) -> bool:
        return re.match(r"[0-2](\.|$)", self.version) is not None


def check_model_file(path: str | Path) -> ModelFile:
    """What is at ``path``. Raises NotFound, or UnsupportedModel for what is no model or holds code of its own."""
    path = Path(path)
    if path.is_dir():
        is_saved_model = (path / "saved_model.pb").exists()
        raise UnsupportedModel(
            f"{path} is a SavedModel, which holds a graph of TensorFlow without Keras' layers."
            if is_saved_model
            else f"{path} is a folder; a model is one .keras file.",
            kind="not-a-model-file",
            hint=_SAVED_MODEL if is_saved_model else HOW_TO_SAVE,
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
    for suffix, (what, way_out) in _OTHERS.items():
        if path.name.lower().endswith(suffix):
            raise UnsupportedModel(f"{path} {what}.", kind="not-a-model-file", hint=way_out, path=str(path))
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
            hint="rename it to end in .h5." if is_hdf5 else HOW_TO_SAVE,
            path=str(path),
        )
    if not is_archive:
        return ModelFile(path, False, _of_hdf5(path))
    config = without_training(member(path, "config.json"))
    if foreign := _foreign_classes(config):
        raise foreign_layers(path, foreign)
    return ModelFile(path, True, _of_archive(path, config))


def foreign_layers(path: Path, layers: list[str]) -> UnsupportedModel:
    """The error for a file with layers that are none of Keras'."""
    return UnsupportedModel(
        f"{path} has layers of its own code: {plain(', '.join(layers))}.",
        kind="unsupported-layer",
        hint="files of Keras's standard layers are read; decompose others in Python, where they are loaded.",
        layers=layers,
    )


def without_training(config: Any) -> Any:
    """A configuration without what ``compile()`` was given, at any depth: losses, metrics, optimizers."""
    if isinstance(config, dict):
        return {key: without_training(value) for key, value in config.items() if key != "compile_config"}
    return [without_training(each) for each in config] if isinstance(config, list) else config


def member(path: Path, name: str) -> Any:
    """The JSON in a ``.keras`` file under this name; None where there is none. Keras says better what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            return json.loads(file.read(MAX_MANIFEST_BYTES))
    except (KeyError, ValueError, OSError, RecursionError, zipfile.BadZipFile):
        return None


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError as error:
        raise UnsupportedModel(
            f"{path} cannot be read: {error.strerror or error}.", kind="unreadable-model", path=str(path)
        ) from error


def _of_hdf5(path: Path) -> str:
    """The version of Keras that wrote an HDF5 file. Raises UnsupportedModel where it holds no network."""
    try:
        import h5py  # comes with Keras, and reading an .npz should not wait for it

        with h5py.File(path, "r") as file:
            has_network, version = "model_config" in file.attrs, file.attrs.get("keras_version", "")
    # h5py raises whatever the library below it says of a damaged file.
    except Exception as error:
        raise UnsupportedModel(
            f"{path} cannot be read as HDF5: {plain(str(error))}.", kind="unreadable-model", hint=HOW_TO_SAVE
        ) from error
    if not has_network:
        raise UnsupportedModel(
            f"{path} holds weights alone, without the network.",
            kind="not-a-model-file",
            hint=_WEIGHTS,
            path=str(path),
        )
    return version.decode(errors="replace") if isinstance(version, bytes) else str(version)


def _of_archive(path: Path, config: Any) -> str:
    metadata = member(path, "metadata.json")
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    module = config.get("module") if isinstance(config, dict) else None
    # tf_keras is Keras 2 under its own name; Keras 3 has no engine and keeps its classes in keras.src.models.
    if isinstance(module, str) and re.match(r"tf_keras(\.|$)|keras(\.src)?\.engine\.", module):
        return version if isinstance(version, str) and version.startswith(("0", "1", "2")) else "2"
    return version if isinstance(version, str) else ""


def _foreign_classes(config: Any) -> list[str]:
    """Classes in a configuration that are not Keras's own, and Lambda, which holds code."""
    try:
        found = dict.fromkeys(_classes_in(config))
    except RecursionError:
        return []
    own = ("keras", "tf_keras", "builtins")
    return [name for name, module in found if name == "Lambda" or (module or "keras").split(".")[0] not in own]


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
