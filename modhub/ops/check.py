"""May this release replace that one? Not when it recognises some class clearly worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modhub.composition.composite import Composite
from modhub.data.forms import LabelledData
from modhub.data.images import ImageData
from modhub.errors import Conflict, UsageError
from modhub.evaluation.labels import match_labels, truth_of
from modhub.package.decomposition import Decomposition, modules_from
from modhub.package.module import Module
from modhub.registry.index import newest
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.spec.text import in_short


@dataclass(frozen=True)
class Check:
    """What ``publish`` checks first: on ``data``, no class's recall may fall by more than ``margin``.

    ``data`` and ``steps`` as ``evaluate`` takes them. Raises UsageError unless 0 <= margin < 1.

    With ``model``, ``x`` and ``y`` as in the example of ``modhub.decompose``:

    >>> import modhub
    >>> classes = ["left", "middle", "right"]
    >>> stripes = modhub.decompose(model, x, y, classes=classes, name="me/stripes", rescale=1 / 255)
    >>> first = modhub.publish(stripes, version="1.0.0", registry="team")
    >>> second = modhub.publish(stripes, version="1.1.0", registry="team", check=modhub.Check((x, y, classes)))
    >>> second.checked.against
    'me/stripes@1.0.0'
    """

    data: LabelledData
    margin: float = 0.02
    batch_size: int = 256
    steps: int | None = None

    def __repr__(self) -> str:
        data = str(self.data) if isinstance(self.data, (str, Path)) else f"a {type(self.data).__name__}"
        return f"<Check that no recall falls by more than {self.margin:.1%}, on {in_short([data])}>"

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1:
            raise UsageError(
                f"the margin is {self.margin}.", kind="bad-option", hint="0.02 lets a recall fall by two points."
            )


@dataclass(frozen=True)
class Recall:
    """How many ``images`` of a class were answered rightly ``before`` and ``after``."""

    cls: str
    images: int
    before: int
    after: int

    @property
    def fall(self) -> float:
        return (self.before - self.after) / self.images


@dataclass(frozen=True)
class CheckResult:
    """What a check found: the version compared with (None when there was none to replace) and every class's recall."""

    data: str
    margin: float
    against: str | None
    recalls: tuple[Recall, ...] = ()

    def __repr__(self) -> str:
        return f"<CheckResult of {len(self.recalls):,} classes: {in_short([str(self)], longest=300)}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; recalls as shares."""
        return {
            "data": self.data,
            "margin": self.margin,
            "against": self.against,
            "classes": [
                {
                    "class": row.cls,
                    "images": row.images,
                    "before": row.before / row.images,
                    "after": row.after / row.images,
                }
                for row in self.recalls
            ],
        }

    def __str__(self) -> str:
        if self.against is None:
            return f"checked: there is no version to replace, so no recall can have fallen ({self.data})"
        worst = max(self.recalls, key=lambda row: row.fall)
        if worst.fall <= 0:
            return f"checked against {self.against} on {self.data}: no recall fell"
        return (
            f"checked against {self.against} on {self.data}: no recall fell by more than {self.margin:.1%}; "
            f"worst is {worst.cls}, {worst.before / worst.images:.1%} -> {worst.after / worst.images:.1%}"
        )


def right_answers(composite: Composite, data: ImageData, batch_size: int) -> dict[str, int]:
    """For each class of the data that the composite knows and that has images: how many of them it answers rightly.

    Raises as ``Composite.predict`` does.
    """
    truth = truth_of(data.y, data.classes, composite.classes)
    rows = np.flatnonzero(truth >= 0)
    if not len(rows):
        return {}
    labels = data.y[rows]
    right = composite.predict(data.x[rows], batch_size).indices == truth[rows]
    counts = np.bincount(labels[right], minlength=len(data.classes))
    return {data.classes[label]: int(counts[label]) for label in np.unique(labels)}


def check_replacement(
    decomposition: Decomposition,
    version: str | None,
    registry: Registry,
    check: Check,
    data: ImageData,
    compose: Callable[[Sequence[Module]], Composite],
) -> CheckResult:
    """Whether ``decomposition`` may replace, as ``version``, the newest release of its model in ``registry``.

    Releases that were withdrawn do not count. ``data`` are those of ``check``. Raises as ``checked`` does.
    """
    namespace, model = decomposition.origin.namespace, decomposition.origin.model
    refs = [ModelRef(namespace, model, found) for found in registry.versions(namespace, model)]
    available = [ref.version for ref in refs if registry.withdrawal(ref) is None]
    if not available:
        return CheckResult(data.name, check.margin, None)
    against = ModelRef(namespace, model, newest(available))
    old = modules_from(registry.manifest(against), lambda _, record: registry.blob(record))
    name = f"{decomposition.name}@{version}" if version else decomposition.name
    return checked(name, compose(decomposition.modules), str(against), compose(old), check, data)


def checked(name: str, new: Composite, against: str, old: Composite, check: Check, data: ImageData) -> CheckResult:
    """Measure both on the ``data`` of ``check`` and compare every class's recall, in the vote of all modules.

    Raises Conflict, kind ``recall-fell``, and InvalidData for data that do not fit.
    """
    known = tuple(dict.fromkeys([*new.classes, *old.classes]))
    match_labels(data.y, data.classes, known, data=data.name, what=name, drop_unknown=False)
    images = dict(zip(data.classes, np.bincount(data.y, minlength=len(data.classes)).tolist(), strict=True))
    before, after = (right_answers(composite, data, check.batch_size) for composite in (old, new))
    return passed(name, against, before, after, images, check, data.name)


def passed(
    name: str,
    against: str,
    before: Mapping[str, int],
    after: Mapping[str, int],
    images: Mapping[str, int],
    check: Check,
    data: str,
) -> CheckResult:
    """The check's findings. ``before`` and ``after`` count right answers by class, of so many ``images``.

    Only classes that the version ``against`` knows are in ``before``; one that is not in ``after`` is answered no more.
    Raises Conflict, kind ``recall-fell``, naming the class whose recall fell most.
    """
    rows = tuple(Recall(cls, images[cls], right, after.get(cls, 0)) for cls, right in before.items() if images[cls])
    # In whole images, because 0.90 - 0.88 is more than 0.02 in floating point.
    fallen = [row for row in rows if row.before - row.after > check.margin * row.images + 1e-9]
    if fallen:
        raise _fell(name, against, max(fallen, key=lambda row: row.fall), fallen, after, check, data)
    return CheckResult(data, check.margin, against, rows)


def _fell(
    name: str, against: str, worst: Recall, fallen: list[Recall], after: Mapping[str, int], check: Check, data: str
) -> Conflict:
    now = f"{worst.after / worst.images:.1%}" if worst.cls in after else "nothing, for it has no such class"
    others = f" So did {len(fallen) - 1} other class(es)." if len(fallen) > 1 else ""
    return Conflict(
        f"{name} is not published: its recall of {worst.cls!r} on {data} is {now}, that of {against} "
        f"{worst.before / worst.images:.1%} ({worst.images:,} images), a fall of more than {check.margin:.1%}.{others}",
        kind="recall-fell",
        hint="fix it, or accept the fall with a larger --margin, or publish it as another model.",
        cls=worst.cls,
        before=worst.before / worst.images,
        after=worst.after / worst.images,
        against=against,
        margin=check.margin,
        classes=[row.cls for row in fallen],
    )
