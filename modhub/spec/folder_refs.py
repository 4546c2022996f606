"""Names that mean a folder of modules on this machine, ``digits.modules:cat``. All commands decide here.

``modhub decompose`` writes such a folder; it can be tried out before anything is published. What starts with ``.``,
``/`` or ``~`` is always a path, and so is a folder whose name ends in ``.modules``. Any other text that is a folder
here and could be the name of a model is refused, because it means two things.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modhub.errors import InvalidRef, NotFound, UsageError, shown
from modhub.spec.places import is_file
from modhub.spec.refs import parse

#: What every folder of modules holds.
MANIFEST_FILE: Final = "manifest.json"
#: How ``modhub decompose`` ends the name of a folder of modules, if nobody says otherwise.
FOLDER_SUFFIX: Final = ".modules"


@dataclass(frozen=True)
class FolderRef:
    """A folder of modules on this machine, or one class of it, by slug or display name."""

    folder: Path
    cls: str | None = None


def folder_ref(text: str) -> FolderRef | None:
    """The folder of modules that ``text`` means; None for what can only be a name in a registry.

    Raises NotFound, kind ``no-package``, for a path of no such folder, and UsageError, kind ``ambiguous-name``, for a
    folder that could also be the name of a model.
    """
    found = _found(text)
    if found is not None and _could_be_name(text, found):
        if "@" in text:
            # Folders have no versions.
            return None
        raise UsageError(
            f"{shown(text)} is a folder of modules here, and could also be the name of a model in a registry.",
            kind="ambiguous-name",
            hint=f"write ./{text} for the folder; for the registry's add a version, {text}@VERSION.",
            name=text,
        )
    if found is None and is_only_a_path(text):
        raise NotFound(
            f"{shown(text)} is not a folder of modules: it has no {MANIFEST_FILE}.",
            kind="no-package",
            hint="make one with: modhub decompose MODEL.keras --data DATA --as me/net --out net.modules",
            path=text,
        )
    return found


def refuse_folders(refs: Iterable[str], *, within: Path | None = None) -> None:
    """Raise UsageError, kind ``local-folder``, for a ref that is a folder where only published modules can be named.

    ``within`` is a further folder in which relative paths may start.
    """
    for text in refs:
        found = _found(text, within)
        if found is not None and not _could_be_name(text, found):
            raise UsageError(
                f"{shown(text)} is a folder of modules on this machine, and only published modules can be installed or "
                "locked.",
                kind="local-folder",
                hint=f"publish it, then use its name: modhub publish {found.folder}",
                path=str(found.folder),
            )


def path_ref(path: Path) -> str:
    """A path as a text that cannot be taken for a name."""
    return str(path) if is_only_a_path(str(path)) else f"./{path}"


def is_only_a_path(text: str) -> bool:
    """Whether a text can only be a path: no name starts like that."""
    return text.startswith((".", "/", "~")) or Path(text).is_absolute()


def _found(text: str, within: Path | None = None) -> FolderRef | None:
    for path, cls in _readings(text):
        for folder in (Path(path), *([] if within is None else [within / path])):
            if _holds_modules(folder):
                return FolderRef(folder, cls)
    return None


def _readings(text: str) -> Iterator[tuple[str, str | None]]:
    """A path alone, or a path with a class behind one of the colons."""
    if text.strip():
        yield text, None
    for position, letter in enumerate(text):
        if letter == ":" and text[position + 1 :].strip():
            yield text[:position], text[position + 1 :].strip()


def _holds_modules(folder: Path) -> bool:
    try:
        return is_file(folder / MANIFEST_FILE)
    except UsageError:
        # What the file system does not take as a path is none.
        return False


def _could_be_name(text: str, found: FolderRef) -> bool:
    if is_only_a_path(text) or found.folder.name.endswith(FOLDER_SUFFIX):
        return False
    try:
        parse(text)
    except InvalidRef:
        return False
    return True
