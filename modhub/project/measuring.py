"""What a project's classifier answers on labelled images: the accuracy that its lockfile names."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modhub.data import DATASETS, ImageData, load_data
from modhub.digests import canonical_json
from modhub.errors import InvalidData
from modhub.evaluation.metrics import among_best
from modhub.resolve import MeasuredAccuracy

if TYPE_CHECKING:
    from modhub.composition.composite import Composite

#: By how much a share may differ on another machine: rounding turns over a few answers that were as good as ties.
TOLERANCE = 0.001
_BATCH = 256


def load_measured(folder: Path, spec: str) -> ImageData:
    """The data that a project in ``folder`` names: a data set's test split, an .npz file or a folder of images.

    Raises NotFound, InvalidData.
    """
    from modhub.engine.datasets import load_dataset

    where = spec if spec in DATASETS else folder / Path(spec).expanduser()
    return load_data(where, split="test", datasets=load_dataset)


def fingerprint_of(data: ImageData) -> str:
    """The digest of all images, labels and class names, as registry_schema/FORMAT.md describes it."""
    header = {"classes": list(data.classes), "dtype": str(data.x.dtype), "shape": list(data.x.shape)}
    hashed = hashlib.sha256(canonical_json(header))
    for start in range(0, len(data), _BATCH):
        images = np.ascontiguousarray(data.x[start : start + _BATCH])
        hashed.update((images if sys.byteorder == "little" else images.byteswap()).tobytes())
    hashed.update(data.y.astype("<i8").tobytes())
    return "sha256:" + hashed.hexdigest()


def measured(
    composite: Composite, data: ImageData, *, spec: str, progress: Callable[[int, int], None] | None = None
) -> MeasuredAccuracy:
    """The accuracy on those images of ``data`` whose class the composite has: by its label, else by its module's class.

    ``top_5`` counts the five best, or all where there are fewer. ``progress`` is told images done and in all. Raises
    InvalidData when the data has no image of any class.
    """
    columns = _columns(composite, data)
    known = np.array([columns.get(name, -1) for name in data.classes])[data.y]
    chosen = np.flatnonzero(known >= 0)
    if not len(chosen):
        raise InvalidData(
            f"the data {spec} has no image of any class of the project.",
            kind="no-such-class",
            hint=f"its classes are {', '.join(data.classes[:10])}; the project's {', '.join(composite.classes[:10])}.",
            data=spec,
        )
    truth = known[chosen]
    parts = []
    for start in range(0, len(chosen), _BATCH):
        parts.append(composite.predict(data.x[chosen[start : start + _BATCH]]).margins)
        if progress is not None:
            progress(min(start + _BATCH, len(chosen)), len(chosen))
    margins = np.concatenate(parts)
    right = among_best(margins, truth, 1)
    return MeasuredAccuracy(
        data=spec,
        fingerprint=fingerprint_of(data),
        examples=len(chosen),
        top_1=float(right.mean()),
        top_5=float(among_best(margins, truth, 5).mean()),
        balanced=float(np.mean([right[truth == column].mean() for column in np.unique(truth)])),
    )


def differences(locked: MeasuredAccuracy, now: MeasuredAccuracy) -> dict[str, tuple[float, float]]:
    """Shares that differ by more than rounding explains: name to what is locked and what was measured."""
    found = {}
    for name in ("examples", "top_1", "top_5", "balanced"):
        before, after = getattr(locked, name), getattr(now, name)
        if abs(before - after) > (0 if name == "examples" else TOLERANCE):
            found[name] = (before, after)
    return found


def _columns(composite: Composite, data: ImageData) -> Mapping[str, int]:
    """For the data's classes the composite's columns. A class that two modules recognise counts by its label alone."""
    found = {label: column for column, label in enumerate(composite.classes) if label in data.classes}
    names = [module.name for module in composite.modules]
    for column, name in enumerate(names):
        if names.count(name) == 1 and column not in found.values() and name in data.classes:
            found.setdefault(name, column)
    return found
