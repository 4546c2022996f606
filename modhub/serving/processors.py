"""How many processors networks compute on: as many as the process may use, which containers bound without saying so.

A backend that counts the machine's processors starts a thread for each, and in a container with two of 64 they mostly
wait for each other.
"""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path
from typing import Final

#: What TensorFlow, and the libraries under torch and jax, read when they are loaded.
_VARIABLES: Final = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
#: Processor time that a container may use, and in which time, in microseconds (Linux' control groups, version 2).
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def use_processors(wanted: int | None = None) -> int:
    """Let backends that are not loaded yet use ``wanted`` processors, by default those that there are for this process.

    What the user has set in the environment stays, unless ``wanted`` says otherwise. Gives how many.
    """
    count = wanted or available_processors()
    for name in _VARIABLES:
        if wanted is not None or name not in os.environ:
            os.environ[name] = str(count)
    return count


def available_processors(quota: Path = _QUOTA) -> int:
    """The processors that this process may run on, no more than its control group has time for."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        time, _, period = quota.read_text().partition(" ")
        return max(1, min(count, ceil(int(time) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        return count
