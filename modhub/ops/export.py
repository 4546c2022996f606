"""Export: a composite as one artifact, checked against the composite before anybody sees it.

The artifact is written beside its place under a temporary name, read back without modhub, and compared on images. Only
what answers alike gets its name; else nothing is left.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.composition.composite import Composite
from modhub.data.arrays import as_images
from modhub.data.fitting import Fitting
from modhub.data.given import Fit
from modhub.data.unlabelled import load_images
from modhub.engine.export.formats import FORMATS, Format, input_name, plan_description, write_format
from modhub.engine.export.onnx import check_onnx_installed
from modhub.engine.export.verify import reloaded
from modhub.errors import Conflict, Incompatible, StorageError, UsageError, plain
from modhub.installation.context import RegistryUrls
from modhub.ops.compose import Composable, compose
from modhub.spec.contract import check_images
from modhub.spec.input_contract import ArrayContract, InputContract
from modhub.spec.places import is_file, is_folder, is_there
from modhub.spec.text import in_short
from modhub.storage import files
from modhub.storage.progress import progress_shown, tell
from modhub.storage.trees import stranger_in

#: By how much a margin may differ between the composite and its artifact.
TOLERANCE: Final = 1e-4
#: Images that are compared at most; of more, so many are taken evenly.
MOST_IMAGES: Final = 512

_SYNTHETIC: Final = 64
#: Building, writing, checking.
_STEPS: Final = 3
_COARSE: Final = 5
_SUFFIXES: Final[dict[str, Format]] = {".keras": "keras", ".onnx": "onnx", "": "saved-model"}
_FOLDER_MARK: Final = "saved_model.pb"
_OF_SAVED_MODEL: Final = re.compile(r"[a-z_]+\.(pb|pbtxt)|(variables|assets|assets\.extra)/[^/]+").fullmatch


@dataclass(frozen=True)
class Exported:
    """What was written: ``size`` in bytes, ``difference`` the largest of any margin on ``images`` images.

    ``checked_on`` says in words which images these were.
    """

    path: Path
    format: Format
    size: int
    classes: tuple[str, ...]
    images: int
    checked_on: str
    difference: float
    #: What the artifact calls its input: ``images``, or ``arrays``.
    input: str = "images"

    def __repr__(self) -> str:
        what = f"{in_short([str(self.path)])} as {self.format}, {self.size:,} bytes"
        return (
            f"<Exported {what}: {in_short(self.classes)}; differs by {self.difference:.2g} on {self.images:,} images>"
        )

    @property
    def snippet(self) -> str:
        """Python that reads the class names from the artifact, and needs nothing of modhub."""
        return _SNIPPETS[self.format].format(path=str(self.path), input=self.input)


def export(
    what: Composable | Iterable[Composable],
    path: str | Path,
    *,
    format: Format | None = None,
    check: str | Path | ArrayLike | None = None,
    force: bool = False,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    doing: Callable[[str], None] | None = None,
) -> Exported:
    """Write a composite, or one of the names or modules in ``what``, as one artifact that needs no modhub.

    ``format``: ``keras`` (a .keras file), ``saved-model`` (a folder) or ``onnx`` (a file, for onnxruntime); without it
    the name's suffix says it. The artifact takes raw images float32 (N, H, W, C), gives margins float32 (N, k), and has
    the class names inside. It is read back without modhub and compared with the composite on ``check``: raw images
    (N, H, W, C), or the path of an image, a folder of images or an .npz with x, resized; else synthetic ones. ``force``
    replaces an artifact that is there. ``doing`` is called with what happens, in words.

    Raises Incompatible, kind ``export-differs``, when a margin differs by more than 1e-4; UnsupportedModel, kind
    ``unsupported-operator``, for an operator that the format lacks; Conflict, UsageError, InvalidData, StorageError.

    >>> import modhub
    >>> written = modhub.export(["cifar10/r20:cat", "cifar10/r20:ship"], "both.keras")
    >>> written.format, written.classes, written.difference <= 1e-4
    ('keras', ('cat', 'ship'), True)
    """
    doing = doing or (lambda text: None)
    out = Path(path)
    kind = check_export(out, format, force=force)
    composite = what if isinstance(what, Composite) else compose(what, registry=registry, cache=cache)
    if composite.reject:
        warnings.warn(
            'an artifact gives margins and never says "none of these"; to reject, compare them with its thresholds.',
            stacklevel=2,
        )
    images, checked_on = _images(check, composite.plan.contract)
    doing("building the model")
    with progress_shown(), _scratch(out) as scratch:
        model, description = composite.to_keras(), plan_description(composite.plan)
        tell("exporting", 1, _STEPS, "steps")
        doing(f"writing {kind}")
        write_format(model, description, kind, scratch)
        tell("exporting", 2, _STEPS, "steps")
        doing(f"checking on {len(images):,} images")
        difference = _compared(composite, kind, scratch, images)
        _check_place(out, kind, force)
        files.put_in_place(scratch, out)
    given = input_name(composite.plan.contract)
    return Exported(out, kind, _size(out), composite.plan.labels, len(images), checked_on, difference, given)


def check_export(out: Path, format: Format | None, *, force: bool = False) -> Format:
    """The format that would be written to ``out``. Raises what would keep it from that, before any work."""
    kind = _format_of(out, format)
    _check_place(out, kind, force)
    return kind


def _format_of(out: Path, format: Format | None) -> Format:
    """The format that was named or that the suffix means. Raises UsageError where they contradict each other."""
    if format is not None and format not in FORMATS:
        raise UsageError(
            f"{plain(repr(format))} is no format.",
            kind="bad-format",
            hint=f"use {', '.join(FORMATS)}.",
            format=str(format),
        )
    suffix = out.suffix.lower()
    by_suffix = _SUFFIXES.get(suffix)
    if format is None:
        if by_suffix is None:
            raise UsageError(
                f"{str(out)!r} has no suffix that names a format.",
                kind="bad-format",
                hint=f"end it in .keras or .onnx, or name one of {', '.join(FORMATS)}.",
                path=str(out),
            )
        return by_suffix
    wanted = next(end for end, kind in _SUFFIXES.items() if kind == format)
    if suffix != wanted if wanted else by_suffix not in (None, "saved-model"):
        how = f"ends in {wanted}" if wanted else "is a folder"
        raise UsageError(
            f"{str(out)!r} is no name for {format}, which {how}.",
            kind="bad-format",
            hint=f"use {out.with_suffix(wanted)}, or leave the format out.",
            path=str(out),
            format=format,
        )
    return next(kind for kind in FORMATS if kind == format)


def _check_place(out: Path, kind: Format, force: bool) -> None:
    """Before any work, and once more before the end: may it go there?"""
    if kind == "onnx":
        check_onnx_installed()
    if not is_folder(out.absolute().parent):
        raise UsageError(
            f"there is no folder {out.parent}.",
            kind="no-folder",
            hint="make it first, or choose another place.",
            path=str(out),
        )
    if not is_there(out):
        return
    ours = _is_saved_model(out) if kind == "saved-model" else is_file(out)
    if force and ours:
        return
    raise Conflict(
        f"{out} exists" + (" and is no SavedModel." if force and is_folder(out) and kind == "saved-model" else "."),
        kind="output-exists",
        hint="replace it with --force (force=True), or choose another name." if ours else "choose another name.",
        path=str(out),
    )


def _is_saved_model(folder: Path) -> bool:
    """Whether that is what the folder has, and nothing else: it is replaced whole."""
    return is_file(folder / _FOLDER_MARK) and stranger_in(folder, lambda path: bool(_OF_SAVED_MODEL(path))) is None


def _images(check: str | Path | ArrayLike | None, contract: InputContract) -> tuple[NDArray[Any], str]:
    """The images to compare on, and which they are."""
    if check is None:
        return synthetic_images(contract), f"{_SYNTHETIC} synthetic images"
    if isinstance(check, (str, Path)):
        fit: Fit = "none" if isinstance(contract, ArrayContract) else "resize"
        images = load_images(check, fit=fit, contract=contract)[0]
    else:
        images = Fitting(contract=contract).array(as_images(check))[0]
    check_images(images, contract, what="the images to check on")
    count, what = len(images), f"images of {check}" if isinstance(check, (str, Path)) else "images"
    if count <= MOST_IMAGES:
        return images, f"{count:,} {what}"
    return images[np.linspace(0, count - 1, MOST_IMAGES).astype(int)], f"{MOST_IMAGES} of {count:,} {what}"


def synthetic_images(contract: InputContract, count: int = _SYNTHETIC, seed: int = 0) -> NDArray[Any]:
    """Smooth seeded images (N, H, W, C) that fill a contract's value range; the last two all low and all high.

    Arrays (N, ...) are smooth along their axes but the last, on which every place stands for itself.
    """
    low, high = contract.value_range
    height, width, channels = (1, 1, *contract.shape)[-3:]
    random = np.random.default_rng(seed)
    coarse = random.random((count - 2, _COARSE, _COARSE, channels))
    rows, columns = _interpolation(height), _interpolation(width)
    smooth = np.einsum("nijc,hi,wj->nhwc", coarse, rows, columns)
    span = smooth.max(axis=(1, 2, 3), keepdims=True) - smooth.min(axis=(1, 2, 3), keepdims=True)
    smooth = (smooth - smooth.min(axis=(1, 2, 3), keepdims=True)) / np.maximum(span, 1e-9)
    flat = np.broadcast_to(np.array([0.0, 1.0])[:, None, None, None], (2, height, width, channels))
    images = (low + (high - low) * np.concatenate([smooth, flat])).reshape(count, *contract.shape)
    return np.round(images).astype(np.uint8) if contract.dtype == "uint8" else images.astype(np.float32)


def _interpolation(extent: int) -> NDArray[np.float64]:
    """What makes ``extent`` values of ``_COARSE`` ones, linearly between them: a matrix (extent, _COARSE)."""
    at = np.linspace(0, _COARSE - 1, extent)
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(_COARSE)))


def _compared(composite: Composite, kind: Format, artifact: Path, images: NDArray[Any]) -> float:
    """The largest difference of a margin. Raises Incompatible, kind ``export-differs``, when it is too large."""
    expected = composite.predict(images).margins
    found = reloaded(kind, artifact, images)
    if found.classes != composite.plan.labels:
        raise _differs(kind, f"it names the classes {list(found.classes)}, not {composite.classes}")
    if found.margins.shape != expected.shape:
        raise _differs(kind, f"its margins have the shape {found.margins.shape}, not {expected.shape}")
    if found.dtype != "float32":
        raise _differs(kind, f"its margins are {found.dtype}, not float32")
    # A NaN is no difference in size, but one all the same.
    gaps = np.nan_to_num(np.abs(found.margins - expected), nan=np.inf)
    image, column = np.unravel_index(int(gaps.argmax()), gaps.shape)
    if gaps[image, column] > TOLERANCE:
        ours, theirs = float(expected[image, column]), float(found.margins[image, column])
        raise _differs(
            kind,
            f"the margin of {composite.classes[column]!r} for image {image} is {theirs:.6g} in the artifact "
            f"and {ours:.6g} in the composite",
            composite=ours,
            artifact=theirs,
        )
    best = found.margins.argmax(axis=1)
    for row, label in enumerate(found.labels):
        if label != found.classes[best[row]]:
            raise _differs(kind, f"it calls image {row} {label!r}, but its margins {found.classes[best[row]]!r}")
    return float(gaps[image, column])


def _differs(kind: Format, reason: str, **values: float) -> Incompatible:
    return Incompatible(
        f"what was written as {kind} does not answer like the composite: {reason}.",
        kind="export-differs",
        hint="nothing was kept; choose another format, and report this as a defect of modhub.",
        format=kind,
        **values,
    )


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A path of the same name on the same disk; gone at the end unless it was moved away."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as folder:
            yield Path(folder) / out.name
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written: {error.strerror or error}.",
            kind="not-writable",
            hint="free some space, or choose another place.",
            path=str(out),
        ) from error


def _size(path: Path) -> int:
    parts = path.rglob("*") if is_folder(path) else [path]
    return sum(file.stat().st_size for file in parts if is_file(file))


_SNIPPETS: Final[dict[Format, str]] = {
    "keras": (
        "import json, zipfile\n"
        'classes = json.loads(zipfile.ZipFile({path!r}).read("metadata.json"))["modhub"]["classes"]'
    ),
    "saved-model": (
        "import tensorflow as tf\n"
        'labels = tf.saved_model.load({path!r}).signatures["serving_default"]({input}={input})["labels"]'
    ),
    "onnx": (
        "import json, onnxruntime\n"
        "classes = json.loads(onnxruntime.InferenceSession({path!r}).get_modelmeta().custom_metadata_map"
        '["classes"])'
    ),
}
