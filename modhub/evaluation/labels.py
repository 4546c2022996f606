"""Whose class is which? The classes of a data set as columns of a classifier, by display name, then by slug."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modhub.errors import InvalidData, did_you_mean
from modhub.evaluation.metrics import Labels
from modhub.spec.refs import slug_of
from modhub.spec.text import composed

_NAMED = 5


@dataclass(frozen=True, eq=False)
class Matched:
    """The images whose class the classifier knows: their ``rows`` int64 (M,) in the data, and ``truth``, its columns.

    ``left_out`` counts the images of each class that it does not know.
    """

    rows: NDArray[np.int64]
    truth: Labels
    left_out: dict[str, int]


def columns_of(classes: Sequence[str], labels: Sequence[str]) -> list[int | None]:
    """For each class of the data the classifier's column, None where it knows no such class.

    An equal name wins, however its accents are written; else a slug that only one class on either side has.
    """
    column = {composed(label): number for number, label in enumerate(labels)}
    names = [composed(name) for name in classes]
    equal = set(names) & set(column)
    rest = [label for label in column if label not in equal]
    slugs = Counter(slug_of(label) for label in rest)
    wanted = Counter(slug_of(name) for name in names if name not in equal)
    # Names without a letter or digit of ASCII have an empty slug, which says nothing.
    by_slug = {slug_of(label): column[label] for label in rest if slug_of(label) and slugs[slug_of(label)] == 1}
    return [
        column[name] if name in equal else by_slug.get(slug_of(name)) if wanted[slug_of(name)] == 1 else None
        for name in names
    ]


def match_labels(
    y: Labels, classes: Sequence[str], labels: Sequence[str], *, data: str, what: str, drop_unknown: bool
) -> Matched:
    """Labels ``y`` (N,) of ``classes`` as columns of the classifier ``what`` with these ``labels``.

    Classes without an image do not matter. Raises InvalidData, kind ``labels-do-not-match``, for images of a class that
    the classifier does not know, unless ``drop_unknown`` leaves them out and some remain, and kinds ``no-images`` and
    ``one-class`` for data that tell nothing.
    """
    if not len(y):
        raise InvalidData(f"{data} has no images.", kind="no-images", hint="give at least one of every class.")
    columns = np.array([-1 if found is None else found for found in columns_of(classes, labels)], np.int64)
    truth = columns[y]
    counts = np.bincount(y[truth < 0], minlength=len(classes)).tolist()
    unknown = {name: count for name, count in zip(classes, counts, strict=True) if count}
    if (unknown and not drop_unknown) or (truth < 0).all():
        raise _unknown(unknown, classes, labels, data=data, what=what, some=bool((truth >= 0).any()))
    rows = np.flatnonzero(truth >= 0)
    if len(present := np.unique(truth[rows])) < 2:
        raise InvalidData(
            f"{data} has images of one class only{f' that {what} knows' if unknown else ''}: {labels[present[0]]!r}.",
            kind="one-class",
            hint="give images of at least two classes: always answering the one class would be right every time.",
            classes=[labels[column] for column in present],
        )
    return Matched(rows, truth[rows], unknown)


def _unknown(
    unknown: dict[str, int], classes: Sequence[str], labels: Sequence[str], *, data: str, what: str, some: bool
) -> InvalidData:
    first = next(iter(unknown))
    taken = {label for label, found in zip(labels, columns_of(labels, classes), strict=True) if found is not None}
    meant = did_you_mean(first, [label for label in labels if label not in taken])
    leave_out = "leave those images out with drop_unknown=True (--drop-unknown)." if some else None
    return InvalidData(
        f"{data} has images of {len(unknown)} class(es) that {what} does not know: "
        f"{_listed([f'{name!r} ({count:,} images)' for name, count in unknown.items()])}; "
        f"it knows {_listed([repr(label) for label in labels])}.",
        kind="labels-do-not-match",
        hint="; or ".join(part.rstrip(".") for part in (f"{first!r}: {meant}" if meant else None, leave_out) if part)
        + "."
        if meant or leave_out
        else "rename the data's classes, or the classifier's labels.",
        unknown=unknown,
        labels=list(labels),
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
