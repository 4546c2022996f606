"""Folders of any depth, walked and removed without recursion: nesting them by the thousand stops nobody."""

# Thousands of small files pass through here, and pathlib costs more than the system calls.
# ruff: noqa: PTH106, PTH108

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from modhub.storage.store import MAX_PATH_SEGMENTS


def files_below(folder: str, prefix: str, *, hidden: bool = False) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All files below ``folder`` and their paths, which begin with ``prefix``; nothing deeper than any path of ours.

    Links to folders are not followed. ``hidden`` includes what begins with a dot.
    """
    waiting = [(folder, prefix)]
    while waiting:
        inside, before = waiting.pop()
        for entry in _entries_of(inside):
            if entry.name.startswith(".") and not hidden:
                continue
            if entry.is_dir(follow_symlinks=False):
                if (below := f"{before}{entry.name}/").count("/") < MAX_PATH_SEGMENTS:
                    waiting.append((entry.path, below))
            elif not _leads_to_folder(entry):
                yield f"{before}{entry.name}", entry


def _entries_of(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing where there is none, or one that has just been deleted, or a file."""
    try:
        return list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link in a circle leads nowhere.
        return False


def stranger_in(folder: str | Path, is_own: Callable[[str], bool]) -> str | None:
    """A file, or a link, below ``folder`` whose path ``is_own`` does not own; None without one.

    Asked before a folder is replaced as a whole. Hidden ones count, but for what macOS leaves in any folder.
    """
    waiting = [(str(folder), "")]
    while waiting:
        inside, before = waiting.pop()
        for entry in sorted(os.scandir(inside), key=lambda entry: entry.name):
            path = before + entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{path}/"))
            elif not (entry.name == ".DS_Store" or entry.name.startswith("._") or is_own(path)):
                return path
    return None


def remove_tree(folder: str | Path) -> None:
    """Remove a folder and all below it, as far as that can be; links go, and never what they lead to."""
    # shutil.rmtree calls itself for every level.
    found = [str(folder)]
    for inside in found:
        try:
            entries = list(os.scandir(inside))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found.append(entry.path)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)
    for inside in reversed(found):
        with suppress(OSError):
            os.rmdir(inside)
