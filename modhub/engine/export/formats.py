"""A composite as one artifact that needs no modhub: a Keras file, a SavedModel folder, or an ONNX file.

Whatever the format, it takes raw images float32 (N, H, W, C), or arrays, gives margins float32 (N, k), and has inside
what it is: a JSON object with the classes in column order (``classes``), each module's threshold, scale and name, and
the input.
Equal models give equal bytes as ``keras`` and ``onnx``; TensorFlow puts random names into every SavedModel.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from modhub.spec.input_contract import ImageContract, InputContract

if TYPE_CHECKING:
    import keras  # seconds, which checking and naming a format need not cost

    from modhub.composition.plan import Plan

Format = Literal["keras", "saved-model", "onnx"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

#: Where a Keras file keeps what it is: a key of its metadata, which Keras writes and never reads back. A member of its
#: own would make Keras unpack the whole archive to disk, and refuse it where masks compress too well.
KERAS_MEMBER: Final = "metadata.json"
KERAS_KEY: Final = "modhub"
#: Where a SavedModel does: TensorFlow's folder for files that it carries along.
SAVED_MODEL_FILE: Final = "assets.extra/modhub.json"
#: Where an ONNX file does: entries of its metadata, ``classes`` for itself as a JSON list.
ONNX_KEY: Final = "modhub"
ONNX_CLASSES: Final = "classes"

_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


def input_name(contract: InputContract) -> str:
    """What artifacts call their input."""
    return "images" if isinstance(contract, ImageContract) else "arrays"


def plan_description(plan: Plan) -> dict[str, Any]:
    """What every artifact of ``plan`` says of itself, as plain values; ``classes`` first, in column order.

    ``thresholds`` and ``scales`` are in units of the margins that it gives: those of the vote.
    """
    counted = list(zip(plan.modules, plan.divisors, strict=False))
    return {
        "classes": list(plan.labels),
        "thresholds": [module.threshold / divisor for module, divisor in counted],
        "scales": [module.scale * divisor for module, divisor in counted],
        "temperature": plan.counting.temperature,
        **plan.to_dict(),
    }


def write_format(model: keras.Model, description: Mapping[str, Any], kind: Format, path: Path) -> None:
    """Write ``model`` (raw images to margins) to ``path``, which does not exist yet.

    ``description`` is what ``plan_description`` gives. Raises UnsupportedModel, kind ``unsupported-operator``, for an
    operator that the format lacks, and UsageError, kind ``missing-extra``; OSError when the disk refuses.
    """
    _WRITERS[kind](model, description, path)


def keras_bytes(model: keras.Model, description: Mapping[str, Any] | None = None) -> bytes:
    """``model`` as a ``.keras`` file: deflated, and the same for equal models whenever it is written."""
    _name_operations(model)
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "model.keras"
        model.save(written)
        with zipfile.ZipFile(written) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members[KERAS_MEMBER])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    if description is not None:
        metadata[KERAS_KEY] = dict(description)
    members[KERAS_MEMBER] = json.dumps(metadata).encode()
    # Keras names objects that layers share by their addresses in memory.
    shared = dict.fromkeys(re.findall(rb'"shared_object_id": (\d+)', members["config.json"]))
    number = {address: str(i).encode() for i, address in enumerate(shared)}
    members["config.json"] = re.sub(
        rb'(?<="shared_object_id": )\d+', lambda found: number[found[0]], members["config.json"]
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(info, members[name])
    return packed.getvalue()


def _name_operations(model: keras.Model) -> None:
    """Number what Keras named by counting all that this process ever built."""
    from modhub.engine.library import keras

    # A Sequential has layers only.
    for number, operation in enumerate(getattr(model, "operations", model.layers)):
        if not isinstance(operation, keras.Layer) or type(operation) is keras.layers.Concatenate:
            operation.name = f"step_{number}"


def _write_keras(model: keras.Model, description: Mapping[str, Any], path: Path) -> None:
    path.write_bytes(keras_bytes(model, description))


def _write_saved_model(model: keras.Model, description: Mapping[str, Any], path: Path) -> None:
    from modhub.engine.export.tensorflow import write_saved_model

    write_saved_model(model, description["classes"], path)
    file = path / SAVED_MODEL_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _write_onnx(model: keras.Model, description: Mapping[str, Any], path: Path) -> None:
    from modhub.engine.export.onnx import onnx_bytes

    metadata = {ONNX_CLASSES: json.dumps(description["classes"]), ONNX_KEY: json.dumps(dict(description))}
    path.write_bytes(onnx_bytes(model, metadata))


_WRITERS: Final[Mapping[Format, Callable[[keras.Model, Mapping[str, Any], Path], None]]] = {
    "keras": _write_keras,
    "saved-model": _write_saved_model,
    "onnx": _write_onnx,
}
