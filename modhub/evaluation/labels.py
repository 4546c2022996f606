"""Whose class is which? The classes of a data set as columns of a classifier: the one place that says so.

By label, then by the class that a module recognises; each by name, then by slug.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
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


def columns_of(
    classes: Sequence[str], labels: Sequence[str], recognised: Sequence[str] | None = None
) -> list[int | None]:
    """For each class of the data the classifier's column, None where it knows no such class; no column comes twice.

    ``labels`` are the classifier's answers. An equal label wins, however its accents are written; else a slug that only
    one class on either side still has. ``recognised`` are, column by column, the classes that its modules were made
    for, where there are modules: a class that is left and that only one module recognises is that module's column,
    whatever its label says, by name and then by slug.

    >>> columns_of(["cat", "Potter's Wheel", "horse"], ["pony", "potter's wheel", "cat"], ["horse", "wheel", "cat"])
    [2, 1, 0]
    """
    found: list[int | None] = [None] * len(classes)
    for form in (composed, slug_of):
        _match(found, classes, labels, form, among=_free(found, len(labels)))
    if recognised is not None:
        for form in (composed, slug_of):
            _match(found, classes, recognised, form, among=range(len(recognised)))
    return found


def truth_of(
    y: Labels, classes: Sequence[str], labels: Sequence[str], recognised: Sequence[str] | None = None
) -> Labels:
    """Labels ``y`` (N,) of the data's ``classes`` as columns of the classifier, int64 (N,); -1 where it has none."""
    columns = [-1 if found is None else found for found in columns_of(classes, labels, recognised)]
    return np.array(columns, np.int64)[y]


def _match(
    found: list[int | None],
    classes: Sequence[str],
    names: Sequence[str],
    form: Callable[[str], str],
    among: Sequence[int],
) -> None:
    """Fill in ``found`` where a class and a name ``among`` the columns are alike in ``form``, and no others are."""
    columns, places = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for column in among:
        columns[form(names[column])].append(column)
    for place, name in enumerate(classes):
        if found[place] is None:
            places[form(name)].append(place)
    free = set(_free(found, len(names)))
    for name, wanting in places.items():
        # A name without a letter or digit of ASCII has an empty slug, which says nothing.
        if name and len(wanting) == 1 and len(having := columns[name]) == 1 and having[0] in free:
            found[wanting[0]] = having[0]


def _free(found: Sequence[int | None], columns: int) -> list[int]:
    return [column for column in range(columns) if column not in found]


def match_labels(
    y: Labels,
    classes: Sequence[str],
    labels: Sequence[str],
    recognised: Sequence[str] | None = None,
    *,
    data: str,
    what: str,
    drop_unknown: bool,
) -> Matched:
    """Labels ``y`` (N,) of ``classes`` as columns of the classifier ``what`` with these ``labels``, as ``columns_of``.

    Classes without an image do not matter. Raises InvalidData, kind ``labels-do-not-match``, for images of a class that
    the classifier does not know, unless ``drop_unknown`` leaves them out and some remain, and kinds ``no-images`` and
    ``one-class`` for data that cannot measure anything.
    """
    if not len(y):
        raise InvalidData(f"{data} has no images.", kind="no-images", hint="give at least one of every class.")
    truth = truth_of(y, classes, labels, recognised)
    counts = np.bincount(y[truth < 0], minlength=len(classes)).tolist()
    unknown = {name: count for name, count in zip(classes, counts, strict=True) if count}
    if (unknown and not drop_unknown) or (truth < 0).all():
        known = columns_of(classes, labels, recognised)
        others = [label for column, label in enumerate(labels) if column not in known]
        raise _unknown(unknown, labels, others, data=data, what=what, some=bool((truth >= 0).any()))
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
    unknown: dict[str, int], labels: Sequence[str], others: Sequence[str], *, data: str, what: str, some: bool
) -> InvalidData:
    """``others`` are those of the ``labels`` that no class of the data matches."""
    first = next(iter(unknown))
    meant = did_you_mean(first, others)
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
