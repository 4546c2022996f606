"""Loading a model that a person's file holds: by Keras, or for Keras 2 from its configuration. Nothing in it is run."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import h5py

from modhub.engine.library import keras
from modhub.engine.read import keras2
from modhub.engine.read.file_kinds import HOW_TO_SAVE, ModelFile, foreign_layers, member, without_training
from modhub.engine.read.given_functions import is_harmless
from modhub.errors import UnsupportedModel, plain
from modhub.spec.keras_model import KerasModel


def loaded_model(file: ModelFile) -> KerasModel:
    """The model in a file that was checked, uncompiled. Raises UnsupportedModel."""
    model = _of_keras_2(file) if file.is_of_keras_2 else _loaded(file)
    if not isinstance(model, keras.Model):
        raise UnsupportedModel(
            f"{file.path} holds a {type(model).__name__}, not a model.",
            kind="not-a-model",
            hint=HOW_TO_SAVE,
            path=str(file.path),
        )
    # Reading calls layers that are no plain ones of Keras', and what a file names is never to be called.
    if named := [layer.name for layer in model._flatten_layers() if not _is_plain(layer)]:
        raise foreign_layers(file.path, named)
    return cast(KerasModel, model)


def _loaded(file: ModelFile) -> Any:
    try:
        with warnings.catch_warnings(), _without_training(file) as place:
            # Keras remarks on optimizers and old files, none of which matters to a network that is only read.
            warnings.simplefilter("ignore")
            return keras.models.load_model(place, compile=False, safe_mode=True)
    # Keras raises whatever its layers, h5py or zipfile raise.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModel(
            f"keras cannot load {file.path}: {plain(reason)}",
            kind="unreadable-model",
            hint=HOW_TO_SAVE,
            path=str(file.path),
        ) from error


@contextmanager
def _without_training(file: ModelFile) -> Iterator[Path]:
    """Where the model lies without what models inside it were compiled with; Keras leaves out the outermost's."""
    config = member(file.path, "config.json") if file.is_archive else None
    inner = config.get("config") if isinstance(config, dict) else None
    if without_training(inner) == inner:
        yield file.path
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "model.keras"
        with zipfile.ZipFile(file.path) as archive, zipfile.ZipFile(copy, "w") as written:
            for info in archive.infolist():
                if info.filename == "config.json":
                    written.writestr("config.json", json.dumps(without_training(config)))
                    continue
                with archive.open(info) as source, written.open(info.filename, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        yield copy


def _of_keras_2(file: ModelFile) -> Any:
    """The model in a file that Keras 2 wrote. Raises UnsupportedModel, whose hint names the step that helps."""
    try:
        if file.is_archive:
            part = keras2.built(member(file.path, "config.json"))
            with zipfile.ZipFile(file.path) as archive:
                weights = io.BytesIO(archive.read("model.weights.h5"))
            with h5py.File(weights, "r") as stored:
                keras2.set_weights(part, stored)
        else:
            with h5py.File(file.path, "r") as stored:
                part = keras2.built(json.loads(stored.attrs["model_config"]))
            part.layer.load_weights(file.path)
    except UnsupportedModel as error:
        raise UnsupportedModel(
            f"{file.path} was written by Keras {plain(file.version)}: {error.message}",
            kind=error.kind,
            hint=error.hint,
            **error.data | {"path": str(file.path)},
        ) from error
    # zipfile, json, h5py and Keras raise whatever they raise for a damaged file.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModel(
            f"{file.path} was written by Keras {plain(file.version)}, and cannot be read: {plain(reason)}.",
            kind="unreadable-model",
            hint="open it with the Keras that wrote it, and save it again there.",
            path=str(file.path),
        ) from error
    return part.layer


def _is_plain(layer: Any) -> bool:
    """Whether a layer is one of Keras' that holds no function: no Lambda, no wrapper of another library's module.

    An activation is one of Keras' own.
    """
    module, name = type(layer).__module__, type(layer).__name__
    own = module.startswith(("keras.src.layers.", "keras.src.models.", "keras.src.applications."))
    return own and name != "Lambda" and is_harmless(getattr(layer, "activation", None))
