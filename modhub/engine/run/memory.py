"""What memory is free for this process: of the machine, of its control groups, of its own limit.

Only files of Linux are read; where they are missing nothing is known and little is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modhub.limits import MIB

_PROC: Final = Path("/proc")
_CGROUP: Final = Path("/sys/fs/cgroup")


def free(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int:
    """Bytes that this process may still take, as ``free_bytes`` computes."""
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


#: Free bytes to assume where a machine does not report them.
UNKNOWN_FREE: Final = 1024 * MIB
#: Bytes that the intermediate results of one chunk take at most, however much is free: more is no faster.
MOST_CHUNK: Final = 128 * MIB
#: Shares of what is free for the results kept of a chunk, and for one batch inside the network.
_CHUNK_SHARE: Final = 8
_BATCH_SHARE: Final = 2


def free_bytes(
    available: int | None,
    address_space: tuple[int, int] | None,
    groups: tuple[tuple[int, int], ...] = (),
) -> int:
    """The least that the machine and every limit leave, in bytes, never below 0.

    ``available`` is what the machine could give; ``address_space`` this process's limit and what it has mapped;
    ``groups`` the limit and the use of each control group around it. What is None, or no limit, is left out.
    """
    left = [] if available is None else [available]
    left += [limit - used for limit, used in (*groups, *([address_space] if address_space else []))]
    return max(0, min(left)) if left else UNKNOWN_FREE


def images_in_chunk(free: int, bytes_an_image: int, batch_size: int) -> int:
    """How many images' intermediate results are held at once: whole batches, one at least."""
    budget = min(free // _CHUNK_SHARE, MOST_CHUNK) // max(1, bytes_an_image)
    return max(1, budget // batch_size) * batch_size


def images_in_batch(free: int, bytes_an_image: int, batch_size: int) -> int:
    """``batch_size``, or the fewer images, one at least, that fit through the network at once."""
    return max(1, min(batch_size, free // _BATCH_SHARE // max(1, bytes_an_image)))
