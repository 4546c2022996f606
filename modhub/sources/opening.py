"""From whatever a person hands over as data to a source: arrays, batches, or where shards lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modhub.inputs import check_labelled
from modhub.sources.batches import set_down
from modhub.sources.rows import Source, in_memory
from modhub.sources.shards import find_shards, shard_classes


def source_of(x: Any, y: Any, classes: Sequence[str], *, what: str = "") -> Source:
    """Images ``x`` with labels ``y``, or without ``y`` an iterable of batches. Raises InvalidData, UsageError."""
    if y is None and not hasattr(x, "ndim"):
        return set_down(x, classes, what=what)
    data = check_labelled(x, y, classes, what=what)
    return in_memory(data.images, data.labels)


def labelled_shards(x: Any, y: Any, classes: Any) -> tuple[list[str], Any]:
    """The URLs of the shards that ``x`` names, none where it holds images itself, and the classes as far as known."""
    if y is None and (isinstance(x, str) or hasattr(x, "__fspath__")):
        urls = find_shards(x)
        return urls, shard_classes(urls, classes)
    return [], classes
