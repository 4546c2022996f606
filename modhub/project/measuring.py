"""What a project's classifier answers on labelled images: the accuracy that its lockfile names, and how exact it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modhub.composition.agreement import Agreement, agreement_of
from modhub.data.images import DATASETS, ImageData, load_data
from modhub.engine.datasets import load_dataset
from modhub.errors import InvalidData, ModhubError
from modhub.evaluation.labels import truth_of
from modhub.evaluation.metrics import among_best
from modhub.installation.lockfile import LockedProject, MeasuredAccuracy
from modhub.storage.progress import heard_by, progress_shown, told_of

if TYPE_CHECKING:
    from modhub.composition.composite import Composite

#: By how much a share may differ on another machine: rounding turns over a few answers that were almost ties.
TOLERANCE = 0.001
#: The same in bfloat16, which moves shares by up to a quarter of a point against float32 (docs/results.md).
REDUCED_TOLERANCE = 0.005
_BATCH = 256


@dataclass(frozen=True)
class Measurement:
    """``agreement``, of the images that ``accuracy`` counts, is None where none was to be measured.

    ``recalls``: of each class with images its label and the share of these that it answers, in column order.
    """

    accuracy: MeasuredAccuracy
    agreement: Agreement | None
    recalls: tuple[tuple[str, float], ...] = ()


def load_measured(folder: Path, spec: str) -> ImageData:
    """The data that a project in ``folder`` names: a data set's test split, an .npz file or a folder of images.

    Raises NotFound, InvalidData.
    """
    where = spec if spec in DATASETS else folder / Path(spec).expanduser()
    return load_data(where, split="test", datasets=load_dataset)


def tolerance_of(locked: LockedProject) -> float:
    """By how much shares of this project may differ on another machine."""
    return TOLERANCE if locked.settings.dtype == "float32" else REDUCED_TOLERANCE


@progress_shown()
def measured_accuracy(
    composite: Composite,
    data: ImageData,
    *,
    spec: str,
    compare: bool = False,
    recognised: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Measurement:
    """The accuracy on those images of ``data`` whose class the composite has, as ``columns_of`` matches them;
    ``recognised`` are the classes that its modules were made for, where these have other names.

    ``top_5`` counts the five best, or all where there are fewer. With ``compare`` a composite that does not run exactly
    is run as it would be exact as well. ``progress`` is called with images done and in all. Raises InvalidData when the
    data has no image of any class.
    """
    if recognised is None:
        recognised = [module.name for module in composite.modules]
    known = truth_of(data.y, data.classes, composite.classes, recognised)
    chosen = np.flatnonzero(known >= 0)
    if not len(chosen):
        raise InvalidData(
            f"the data {spec} has no image of any class of the project.",
            kind="no-such-class",
            hint=f"its classes are {', '.join(data.classes[:10])}; the project's {', '.join(composite.classes[:10])}.",
            data=spec,
        )
    truth = known[chosen]
    say = progress or told_of("measuring", "images") or (lambda done, total: None)
    exact = composite.in_mode() if compare and not composite.plan.is_exact else None
    parts, agreements = [], list[Agreement]()
    for start in range(0, len(chosen), _BATCH):
        images = data.x[chosen[start : start + _BATCH]]
        with heard_by(None):
            found = composite.predict(images)
            parts.append(found.margins)
            if exact is not None:
                agreements.append(agreement_of(found, exact.predict(images)))
        say(min(start + _BATCH, len(chosen)), len(chosen))
    margins = np.concatenate(parts)
    right = among_best(margins, truth, 1)
    accuracy = MeasuredAccuracy(
        data=spec,
        fingerprint=data.fingerprint,
        examples=len(chosen),
        top_1=float(right.mean()),
        top_5=float(among_best(margins, truth, 5).mean()),
        balanced=float(np.mean([right[truth == column].mean() for column in np.unique(truth)])),
    )
    recalls = tuple((composite.classes[column], float(right[truth == column].mean())) for column in np.unique(truth))
    return Measurement(accuracy, None if exact is None else _together(agreements), recalls)


def accuracy_differences(
    locked: MeasuredAccuracy, now: MeasuredAccuracy, tolerance: float = TOLERANCE
) -> dict[str, tuple[float, float]]:
    """Shares that differ by more than ``tolerance``: name to what is locked and what was measured."""
    found = {}
    for name in ("examples", "top_1", "top_5", "balanced"):
        before, after = getattr(locked, name), getattr(now, name)
        if abs(before - after) > (0 if name == "examples" else tolerance):
            found[name] = (before, after)
    return found


def other_accuracy(what: str, differing: Mapping[str, tuple[float, float]]) -> ModhubError:
    """Why what was locked is not right any more, though its modules are."""
    shares = "; ".join(f"{name} was {before:.4g} and is {after:.4g}" for name, (before, after) in differing.items())
    return ModhubError(
        f"{what} answers otherwise than when it was locked: {shares}.",
        kind="accuracy-changed",
        hint="modules and data are the same, so look at the versions of keras and its backend.",
        differing={name: list(values) for name, values in differing.items()},
    )


def _together(agreements: Sequence[Agreement]) -> Agreement:
    """Of several batches what all their images say."""
    return Agreement(
        sum(each.images for each in agreements),
        sum(each.equal for each in agreements),
        max(each.margin for each in agreements),
    )
