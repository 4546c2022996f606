"""One rule for everything that a command writes: what is there stays, unless ``--force`` says to replace it."""

from __future__ import annotations

from pathlib import Path

import click

from modhub.errors import Conflict, StorageError
from modhub.package.folder import check_replaceable
from modhub.spec.folder_refs import MANIFEST_FILE
from modhub.spec.places import is_file, is_folder, is_there

force_option = click.option("--force", is_flag=True, help="Replace what is there.")


def check_free(out: Path | None, *, force: bool, option: str = "--out") -> None:
    """Refuse, before any work, to write over something. Raises Conflict, kind ``output-exists``."""
    if out is not None and not force and is_there(out):
        raise Conflict(
            f"{out} exists.",
            kind="output-exists",
            hint=f"replace it with --force, or choose another {option}.",
            path=str(out),
        )


def check_free_for_modules(out: Path, *, force: bool) -> None:
    """As ``check_free``, for a folder of modules: no ``force`` replaces anything else, and an empty folder is free.

    Raises Conflict, kind ``not-a-package`` or ``output-exists``, and StorageError.
    """
    above = out.absolute().parent
    if is_there(above) and not is_folder(above):
        raise StorageError(
            f"{out} cannot be written: {out.parent} is a file.", kind="not-writable", hint="choose another --out."
        )
    check_replaceable(out)
    if is_file(out / MANIFEST_FILE):
        check_free(out, force=force)
