"""What memory is free for this process: of the machine, of its control groups, of its own limit.

Only files of Linux are read; where they are missing nothing is known and ``chunks`` assumes little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modhub.composition.chunks import free_bytes

_PROC: Final = Path("/proc")
_CGROUP: Final = Path("/sys/fs/cgroup")


def free(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int:
    """Bytes that this process may still take, as ``chunks.free_bytes`` reckons."""
    return free_bytes(available(proc), address_space(proc), tuple(groups(proc, cgroup)))


def available(proc: Path) -> int | None:
    """Bytes that the machine could give without swapping."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _read(proc / "meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def address_space(proc: Path) -> tuple[int, int] | None:
    """The limit on this process's address space and what it has mapped, in bytes; None without a limit."""
    limit = re.search(r"^Max address space\s+(\d+)\s", _read(proc / "self" / "limits"), re.MULTILINE)
    mapped = re.search(r"^VmSize:\s+(\d+) kB$", _read(proc / "self" / "status"), re.MULTILINE)
    return (int(limit[1]), int(mapped[1]) * 1024) if limit and mapped else None


def groups(proc: Path, cgroup: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group around this process, of either version.

    Pages of files that the kernel drops when memory is short do not count as used.
    """
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _chain(cgroup, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _chain(cgroup / "memory", path, *names)


def _chain(root: Path, path: str, limit: str, used: str, dropped: str) -> Iterator[tuple[int, int]]:
    """The group at ``path`` and all above it; in a container its own may be shown as the root."""
    place = root / path.strip("/")
    for folder in (place, *place.parents):
        most, now = _read(folder / limit).strip(), _read(folder / used).strip()
        if most.isdigit() and now.isdigit():
            spare = re.search(rf"^{dropped} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
            yield int(most), max(0, int(now) - (int(spare[1]) if spare else 0))
        if folder == root:
            return


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
