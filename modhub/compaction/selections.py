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
from modhub.errors import UsageError, did_you_mean, plain, shown

SELECTIONS_GROUP: Final = "modhub.selections"
#: What a package may call one; modhub's own have no slash.
_PACKAGED = re.compile(r"[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_+.-]*")
_MOST_SHOWN: Final = 20


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
    try:
        found = entry.load()
    # It is anybody's code.
    except Exception as error:
        raise _bad(entry, f"cannot be imported: {plain(str(error)) or type(error).__name__}") from error
    if not callable(found) or isinstance(found, type):
        raise _bad(entry, "is no function of statistics and a goal")
    selection: Selection = found
    return selection


@lru_cache(maxsize=2)
def _packaged(path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=SELECTIONS_GROUP), key=lambda entry: (entry.name, entry.value)):
        if not _PACKAGED.fullmatch(entry.name):
            raise _bad(entry, "is not called package/name, in small letters")
        if entry.name in found and found[entry.name].value != entry.value:
            raise UsageError(
                f"two packages provide the selection {shown(entry.name)}: {found[entry.name].value}, {entry.value}.",
                kind="bad-selection-package",
                hint="uninstall one of them.",
            )
        found[entry.name] = entry
    return found


def _bad(entry: EntryPoint, reason: str) -> UsageError:
    package = entry.dist.name if entry.dist is not None else entry.module
    return UsageError(
        f"the selection {shown(entry.name)} of the package {shown(str(package))}, {entry.value}, {reason}.",
        kind="bad-selection-package",
        hint="upgrade or uninstall that package.",
        package=str(package),
    )
