"""From whatever a person hands over as data to a source: arrays, batches, or where shards lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modhub.errors import UsageError
from modhub.inputs import check_labelled
from modhub.sources.batches import set_down
from modhub.sources.rows import Source, in_memory
from modhub.sources.shards import find_shards, shard_classes


def source_of(x: Any, y: Any, classes: Sequence[str], *, what: str = "") -> Source:
    """Images ``x`` with labels ``y``, or without ``y`` an iterable of batches. Raises InvalidData, UsageError."""
    if y is None:
        if hasattr(x, "ndim"):
            raise UsageError(
                f"the {what}images have no labels.",
                kind="bad-data",
                hint="give images and labels, or one iterable of (images, labels) batches.",
            )
        return set_down(x, classes, what=what)
    data = check_labelled(x, y, classes, what=what)
    return in_memory(data.images, data.labels)


def labelled_shards(x: Any, y: Any, classes: Sequence[str] | None) -> tuple[list[str], Sequence[str]]:
    """The URLs of the shards that ``x`` names, none where it holds images itself, and the classes of the data."""
    if y is None and (isinstance(x, str) or hasattr(x, "__fspath__")):
        urls = find_shards(x)
        return urls, shard_classes(urls, classes)
    if classes is None:
        raise UsageError(
            "nothing says which classes there are.",
            kind="no-classes",
            hint="give classes=[...], in the order of the model's outputs.",
        )
    return [], classes
