"""What the study has measured, one small JSON file a cell, so that a stopped run goes on where it stopped.

A cell's file is named by the digest of all that its figures depend on; it is written whole or not at all. Nothing is
ever deleted: figures of other settings lie beside those that are asked for now.
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modhub.errors import InvalidData
from modhub.spec.digests import canonical_json, sha256

Figures = dict[str, Any]


class NotMeasured(LookupError):
    """A cell is wanted from earlier runs only, and is not there."""


@dataclass(frozen=True)
class Cells:
    """The cells of one ``folder``; with ``draw_only`` nothing is measured and a missing cell raises NotMeasured."""

    folder: Path
    draw_only: bool = False

    def figures(self, table: str, key: Mapping[str, Any], measure: Callable[[], Figures]) -> Figures:
        """What ``measure`` gave for ``key``, in this run or before; ``key`` holds all that the figures depend on."""
        file = self.file(table, key)
        if file.exists():
            return read(file)["figures"]  # type: ignore[no-any-return]
        if self.draw_only:
            raise NotMeasured(f"{table}: {said(key)}")
        started, busy = time.perf_counter(), processor_seconds()
        figures = measure()
        seconds, busy = time.perf_counter() - started, processor_seconds() - busy
        machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        spent = {"seconds": seconds, "processor_seconds": busy, "machine": machine}
        write(file, {"table": table, "key": dict(key), "figures": figures, **spent})
        print(f"{table}: {said(key)}: {seconds:.0f} s", file=sys.stderr, flush=True)
        return read(file)["figures"]  # type: ignore[no-any-return]

    def file(self, table: str, key: Mapping[str, Any]) -> Path:
        digest = sha256(canonical_json(dict(key)))
        name = re.sub(r"[^a-z0-9]+", "-", said(key).lower()).strip("-")[:60]
        return self.folder / table / f"{name}-{digest.removeprefix('sha256:')[:12]}.json"

    def spent(self, table: str) -> tuple[float, float]:
        """What measuring all cells of ``table`` took: seconds, and seconds of processor time."""
        cells = [read(file) for file in sorted((self.folder / table).glob("*.json"))]
        return sum(cell["seconds"] for cell in cells), sum(cell["processor_seconds"] for cell in cells)


def processor_seconds() -> float:
    """Processor time of this process and of its children that have ended, of all threads."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def said(key: Mapping[str, Any]) -> str:
    """The key without digests and nested settings, for people."""
    return " ".join(str(value) for name, value in key.items() if name != "made_of" and isinstance(value, str | int))


def read(file: Path) -> dict[str, Any]:
    """A cell as it was written. Raises InvalidData, kind ``bad-cell``, naming the file."""
    try:
        found = json.loads(file.read_text())
        found["figures"], found["seconds"] + found["processor_seconds"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidData(
            f"{file} is no cell of the study: {error}.", kind="bad-cell", hint="delete it to measure it again."
        ) from error
    return dict(found)


def write(file: Path, cell: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(cell, indent=1, sort_keys=True) + "\n"
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".part", delete=False) as part:
        part.write(text)
    Path(part.name).replace(file)
