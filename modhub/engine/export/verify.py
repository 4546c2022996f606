"""Does an artifact answer like the composite it was made of? Read back by those who will read it, without modhub.

Keras files and SavedModels are loaded in a new interpreter that has numpy and their own library alone; ONNX files run
in onnxruntime.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.export.formats import KERAS_KEY, KERAS_MEMBER, ONNX_CLASSES, Format
from modhub.errors import UnsupportedModel, plain

_BATCH: Final = 64

#: What a user's own program would do; it is run exactly as it is written here.
_PROGRAM: Final = f"""
import json, sys, zipfile
import numpy as np

kind, artifact, given, answers = sys.argv[1:]
images = np.load(given)
if kind == "keras":
    import keras

    with zipfile.ZipFile(artifact) as archive:
        classes = json.loads(archive.read({KERAS_MEMBER!r}))[{KERAS_KEY!r}]["classes"]
    model = keras.models.load_model(artifact, compile=False, safe_mode=True)
    # Called and not predicted, since predict brings images to floatx first, whatever this machine has set that to.
    parts = [model(images[start : start + {_BATCH}], training=False) for start in range(0, len(images), {_BATCH})]
    dtype = keras.backend.standardize_dtype(parts[0].dtype)
    margins = np.concatenate([keras.ops.convert_to_numpy(keras.ops.cast(part, "float32")) for part in parts])
    labels = [classes[column] for column in margins.argmax(axis=1)]
else:
    import tensorflow as tf

    signatures = tf.saved_model.load(artifact).signatures
    batches = [images[start : start + {_BATCH}] for start in range(0, len(images), {_BATCH})]
    serve = signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    parts = [serve(**{{name: tf.constant(batch)}}) for batch in batches]
    dtype = parts[0]["margins"].dtype.name
    margins = np.concatenate([part["margins"].numpy().astype(np.float32) for part in parts])
    labels = [label.decode() for part in parts for label in part["labels"].numpy()]
    classes = [name.decode() for name in signatures["classes"]()["classes"].numpy()]
if "modhub" in sys.modules:
    sys.exit("modhub was loaded")
np.savez(answers, margins=margins, labels=labels, classes=classes, dtype=dtype)
"""


@dataclass(frozen=True, eq=False)
class Reloaded:
    """What an artifact answers by itself: margins (N, k), a label an image, and the classes it names.

    ``dtype`` is what the margins were, which are float32 here.
    """

    margins: NDArray[np.float32]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    dtype: str


def reloaded(kind: Format, artifact: Path, images: NDArray[Any]) -> Reloaded:
    """Answers of the artifact to raw ``images`` (N, H, W, C). Raises UnsupportedModel when it cannot be read back."""
    given = images.astype(np.float32)
    return _in_onnxruntime(artifact, given) if kind == "onnx" else _in_new_interpreter(kind, artifact, given)


def _in_new_interpreter(kind: Format, artifact: Path, images: NDArray[np.float32]) -> Reloaded:
    with tempfile.TemporaryDirectory() as scratch:
        given, answers = Path(scratch) / "images.npy", Path(scratch) / "answers.npz"
        np.save(given, images)
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, kind, str(artifact.absolute()), str(given), str(answers)],
            capture_output=True,
            text=True,
            cwd=scratch,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            check=False,
        )
        if done.returncode:
            raise _unreadable(kind, (done.stderr.strip().splitlines() or ["no reason was given"])[-1])
        with np.load(answers) as found:
            labels, classes = found["labels"], found["classes"]
            return Reloaded(found["margins"], tuple(map(str, labels)), tuple(map(str, classes)), str(found["dtype"]))


def _in_onnxruntime(artifact: Path, images: NDArray[np.float32]) -> Reloaded:
    import onnxruntime  # in the extra ``onnx``

    try:
        session = onnxruntime.InferenceSession(str(artifact), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        parts = [
            session.run(["margins"], {name: images[start : start + _BATCH]})[0]
            for start in range(0, len(images), _BATCH)
        ]
    # onnxruntime has a type of error for each of its states, below no common one.
    except Exception as error:
        raise _unreadable("onnx", str(error)) from error
    classes = json.loads(session.get_modelmeta().custom_metadata_map[ONNX_CLASSES])
    margins = np.concatenate(parts)
    labels = tuple(classes[column] for column in margins.argmax(axis=1))
    return Reloaded(margins.astype(np.float32), labels, tuple(classes), str(margins.dtype))


def _unreadable(kind: Format, reason: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"what was written as {kind} cannot be read back: {plain(reason.strip())}",
        kind="export-unreadable",
        hint="choose another format, and report this as a defect of modhub.",
        format=kind,
    )
