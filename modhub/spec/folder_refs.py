"""Names that mean something on this machine: ``digits.modules:cat`` or ``pets.modhub:cat``. All commands decide here.

``modhub decompose`` writes a folder of modules, which can be tried out before anything is published; a classifier can
be kept in a file. What starts with ``.``, ``/`` or ``~`` is always a path, and so is a folder whose name ends in
``.modules`` and a file whose name ends in ``.modhub``. Any other text that is a folder here and could be the name of a
model is refused, because it means two things.
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
#: How the name of a classifier's file ends.
CLASSIFIER_SUFFIX: Final = ".modhub"


@dataclass(frozen=True)
class FolderRef:
    """A folder of modules on this machine, or one class of it, by slug or display name."""

    folder: Path
    cls: str | None = None


@dataclass(frozen=True)
class ClassifierRef:
    """The file of a kept classifier, or one class of it, by label."""

    file: Path
    label: str | None = None


def classifier_ref(text: str) -> ClassifierRef | None:
    """The classifier's file that ``text`` means; None for what is none.

    Raises NotFound, kind ``no-classifier``, for one that is not there where nothing else can be meant.
    """
    missing = None
    for path, label in _readings(text):
        if is_classifier_name(path):
            if _is_file(path):
                return ClassifierRef(Path(path), label)
            missing = missing or path
    if missing is None or not (is_only_a_path(missing) or "/" not in missing):
        return None
    raise NotFound(
        f"there is no file {shown(missing)}.",
        kind="no-classifier",
        hint=f"write one: modhub compose REF... --save pets{CLASSIFIER_SUFFIX}",
        path=missing,
    )


def is_classifier_name(path: str | Path) -> bool:
    """Whether a path ends as the file of a classifier does."""
    return Path(path).suffix.lower() == CLASSIFIER_SUFFIX


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
    """Raise UsageError for a ref that is a folder of modules, or a classifier's file, where neither can be named.

    Kinds ``local-folder`` and ``local-file``. ``within`` is a further folder in which relative paths may start.
    """
    for text in refs:
        if (kept := classifier_ref(text)) is not None:
            raise UsageError(
                f"{shown(text)} is the file of a classifier on this machine, and only published modules can be "
                "installed or locked.",
                kind="local-file",
                hint=f"see which modules are in it: modhub info {kept.file}",
                path=str(kept.file),
            )
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
    return _is_file(folder / MANIFEST_FILE)


def _is_file(path: str | Path) -> bool:
    try:
        return is_file(path)
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
