"""Selections by name: modhub's own, and those that installed packages bring.

A package names them under the entry point ``modhub.selections``, each as ``package/name``; its code is loaded only when
somebody asks for that name. Nothing that a release says makes any of it be loaded.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from modhub.compaction.selecting import STRATEGIES, Selection
from modhub.errors import UsageError, did_you_mean, shown
from modhub.spec.entry_points import Brought

SELECTIONS_GROUP: Final = "modhub.selections"
#: What a package may call one; modhub's own have no slash.
_PACKAGED = re.compile(r"[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_+.-]*")
_MOST_SHOWN: Final = 20
_SELECTIONS: Final = Brought("selection", "bad-selection-package")


def selection_named(name: str) -> Selection:
    """The selection of this name. Raises UsageError, which lists what there is, or names the package that is broken."""
    if name in STRATEGIES:
        return STRATEGIES[name]
    packaged = _packaged(tuple(sys.path))
    entry = packaged.get(name)
    if entry is None:
        known = [*STRATEGIES, *packaged]
        listed = ", ".join(known[:_MOST_SHOWN]) + (", ..." if len(known) > _MOST_SHOWN else "")
        raise UsageError(
            f"there is no selection {shown(name)}; there are {listed}.",
            kind="unknown-selection",
            hint=did_you_mean(name, known) or "packages bring others (docs/compacting.md, a selection of your own).",
            selection=name,
            known=known,
        )
    found = _SELECTIONS.load(entry)
    if not callable(found) or isinstance(found, type):
        raise _SELECTIONS.bad(entry, "is no function of statistics and a goal")
    selection: Selection = found
    return selection


@lru_cache(maxsize=2)
def _packaged(path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    entries = entry_points(group=SELECTIONS_GROUP)
    for entry in entries:
        if not _PACKAGED.fullmatch(entry.name):
            raise _SELECTIONS.bad(entry, "is not called package/name, in small letters")
    return _SELECTIONS.by_name(entries)
