"""Making the cache smaller without taking anything from a module that is installed, or just being installed.

There are no locks. An installer touches every file that it relies on, writes its marker after all of them, and then
looks whether all are still there. This side deletes only what nothing needs and no process touched for a while, and in
three steps: it takes the files' names away, reads the markers again, and then deletes them, or puts back what is needed
by now. So whatever the order, the marker is seen here or the missing file is seen there. A process that dies in between
leaves files that are set aside, and the next pruning finishes the work.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modhub.cache.files import Folder, Found
from modhub.cache.markers import ALIASES, INSTALLED, Marked, manifests_folder, marks_among
from modhub.cache.usage import all_files, by_release, is_ours, needs
from modhub.errors import Incompatible, IntegrityError, NotFound
from modhub.spec.layout import NOTICES
from modhub.spec.refs import ModuleRef

#: Seconds during which a file or a module that was used is left alone, needed or not.
GRACE: Final = 60 * 60
#: Seconds after which an unfinished file that no process writes to counts as left behind.
LEFT_BEHIND: Final = 24 * 60 * 60


@dataclass(frozen=True)
class Pruned:
    """What was deleted, or would be. ``modules`` are those that had to go for the size, least recently used first.

    ``files`` are the paths of all files, ``freed`` their bytes, ``left`` the bytes that stay, ``waiting`` those among
    them that nothing needs but that are too young to be deleted.
    """

    modules: tuple[ModuleRef, ...] = ()
    files: tuple[str, ...] = ()
    freed: int = 0
    left: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class _Plan:
    """What to delete. ``recent``: nothing that was touched since then (seconds since 1970).

    ``modules`` go for the size, ``files`` because nothing needs them without those modules, ``left_behind`` and
    ``aside`` because the process that wrote them, or set them aside, has died. ``total`` is the bytes of everything
    there.
    """

    recent: float
    modules: list[Marked]
    files: list[Found]
    left_behind: list[Found]
    aside: list[Found]
    total: int
    waiting: int


def prune(folder: Folder, *, max_bytes: int | None, dry_run: bool) -> Pruned:
    """See ``Cache.prune``."""
    if not os.path.lexists(folder.root):
        return Pruned()
    plan = _planned(folder, max_bytes)
    if dry_run:
        gone = [Found(mark.path, mark.size, mark.used) for mark in plan.modules]
        gone += [*plan.files, *plan.left_behind, *plan.aside]
    else:
        gone = _carried_out(folder, plan)
    paths = {found.set_aside_from or found.path for found in gone}
    freed = sum(found.size for found in gone)
    return Pruned(
        modules=tuple(mark.ref for mark in plan.modules if mark.path in paths),
        files=tuple(sorted(paths)),
        freed=freed,
        left=plan.total - freed,
        waiting=plan.waiting,
    )


@dataclass(frozen=True)
class Uninstalled:
    """What was taken out, or would be. ``freed`` and ``left`` are bytes.

    ``shared`` are the bytes that the modules needed and that stay, because ``needed_by`` need them too.
    """

    modules: tuple[ModuleRef, ...] = ()
    freed: int = 0
    left: int = 0
    shared: int = 0
    needed_by: tuple[ModuleRef, ...] = ()


def take_out(root: Path, chosen: Collection[tuple[ModuleRef, str]] | None, *, dry_run: bool = False) -> Uninstalled:
    """Take modules out of the cache in ``root``, as ``Cache.marked`` names them, and what no other needs.

    Without ``chosen`` everything goes. However young it is: installers that run notice what is gone, and fetch it
    again. Raises IntegrityError, and deletes nothing, when a damaged manifest hides what another module needs.
    """
    folder = Folder(root)
    if not os.path.lexists(folder.root):
        return Uninstalled()
    # One step more, so that what was touched at this very moment counts as touched before.
    now = math.nextafter(folder.now(), math.inf)
    found = all_files(folder)
    marks = marks_among(found.values())
    gone = [mark for mark in marks if chosen is None or (mark.ref, mark.digest) in chosen]
    staying = [mark for mark in marks if mark not in gone]
    if chosen is None:
        others: dict[Marked, frozenset[str]] = {}
        wanted = {path for path in found if is_ours(path) or path.startswith((f"{ALIASES}/", f"{NOTICES}/"))}
    else:
        others = _needs(folder, staying)
        wanted = set().union(*(_known_needs(folder, digest, own) for digest, own in by_release(gone).items()))
    needed = set().union(*others.values())
    plan = _Plan(
        recent=now,
        modules=gone,
        files=[found[path] for path in wanted - needed if path in found],
        left_behind=[],
        aside=[file for file in found.values() if file.set_aside_from is not None],
        total=sum(file.size for file in found.values()),
        waiting=0,
    )
    markers = [Found(mark.path, mark.size, mark.used) for mark in gone]
    deleted = [*markers, *plan.files, *plan.aside] if dry_run else _carried_out(folder, plan)
    freed = sum(file.size for file in deleted)
    shared = {path for path in wanted & needed if path in found}
    users = [mark.ref for mark, paths in others.items() if paths & shared]
    return Uninstalled(
        modules=tuple(mark.ref for mark in gone),
        freed=freed,
        left=plan.total - freed,
        shared=sum(found[path].size for path in shared),
        needed_by=tuple(sorted(users)),
    )


def _known_needs(folder: Folder, digest: str, marks: Iterable[Marked]) -> set[str]:
    """What modules need besides their markers; of a release that is damaged, what bears its digest."""
    try:
        return set().union(*needs(folder, digest, marks).values())
    except (NotFound, IntegrityError, Incompatible):
        return {file.path for file in folder.find(manifests_folder(digest))}


def _planned(folder: Folder, max_bytes: int | None) -> _Plan:
    now = folder.now()
    found = all_files(folder)
    marks = marks_among(found.values())
    needed_by = _needs(folder, marks)
    modules = [] if max_bytes is None else _too_many(found, needed_by, max_bytes, recent=now - GRACE)
    needed = set().union(*(needed_by[mark] for mark in needed_by.keys() - modules))
    unneeded = [file for file in found.values() if is_ours(file.path) and file.path not in needed]
    return _Plan(
        recent=now - GRACE,
        modules=modules,
        files=[file for file in unneeded if file.touched < now - GRACE],
        left_behind=[file for file in found.values() if file.is_temporary and file.touched < now - LEFT_BEHIND],
        aside=[file for file in found.values() if file.set_aside_from is not None],
        total=sum(file.size for file in found.values()),
        waiting=sum(file.size for file in unneeded if file.touched >= now - GRACE),
    )


def _too_many(
    found: Mapping[str, Found], needed_by: Mapping[Marked, frozenset[str]], max_bytes: int, *, recent: float
) -> list[Marked]:
    """The least recently used modules without which all that the others need has at most ``max_bytes``."""
    users = Counter(path for paths in needed_by.values() for path in paths)
    kept = {*users, *(mark.path for mark in needed_by), *(path for path in found if path.startswith(f"{ALIASES}/"))}
    size = sum(found[path].size for path in kept if path in found)
    modules: list[Marked] = []
    for mark in sorted(needed_by, key=lambda mark: (mark.used, mark.ref, mark.digest)):
        if size <= max_bytes or mark.used >= recent:
            break
        modules.append(mark)
        users.subtract(needed_by[mark])
        last = {path for path in needed_by[mark] if not users[path]}
        size -= sum(found[path].size for path in {mark.path, *last} if path in found)
    return modules


def _carried_out(folder: Folder, plan: _Plan) -> list[Found]:
    """Delete what the plan says, unless something needs it by now. Gives what was deleted."""
    aside = {file.path: file for file in plan.aside}
    try:
        for path in (*(mark.path for mark in plan.modules), *(file.path for file in plan.files)):
            file = folder.set_aside(path, before=plan.recent)
            if file is not None:
                aside[file.path] = file
        needed = _needed_now(folder, aside, plan.recent)
    except BaseException:
        for file in aside.values():
            folder.put_back(file)
        raise
    deleted = []
    for file in aside.values():
        if file.touched >= plan.recent or file.set_aside_from in needed:
            folder.put_back(file)
        else:
            folder.remove(file.path)
            deleted.append(file)
    for file in plan.left_behind:
        folder.remove(file.path)
    return deleted + plan.left_behind


def _needed_now(folder: Folder, aside: Mapping[str, Found], recent: float) -> set[str]:
    """The files that installed modules need at this moment; what that is read from is put back first."""
    markers = f"{INSTALLED}/"
    for file in aside.values():
        if str(file.set_aside_from).startswith(markers) and file.touched >= recent:
            folder.put_back(file)
    marks = marks_among(folder.find(INSTALLED))
    manifests = {f"{manifests_folder(mark.digest)}/" for mark in marks}
    for file in aside.values():
        path = str(file.set_aside_from)
        if path[: path.rfind("/") + 1] in manifests:
            folder.put_back(file)
    return set().union(*_needs(folder, marks).values())


def _needs(folder: Folder, marks: Iterable[Marked]) -> dict[Marked, frozenset[str]]:
    result: dict[Marked, frozenset[str]] = {}
    for digest, own in by_release(marks).items():
        try:
            result |= needs(folder, digest, own)
        except (NotFound, IntegrityError) as error:
            names = " ".join(str(mark.ref) for mark in own)
            raise IntegrityError(
                f"nothing was deleted, because it is unknown what {own[0].ref.release} needs: {error.message}",
                kind="unknown-needs",
                hint=f"install it again: modhub install {names}",
                release=str(own[0].ref.release),
            ) from error
    return result
