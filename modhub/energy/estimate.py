"""What stands in where no counter can be read: this process's own use, times watts that are stated in the source.

The estimate says nothing of other processes, so it has no background to subtract; and it rises and falls with processor
time and memory alone, so a ratio of two estimates is a ratio of these.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Final

from modhub.energy.counters import Counter
from modhub.energy.nvml import integrated

#: Watts of one core that is busy: what codecarbon takes for a processor that it does not know.
WATTS_PER_CORE: Final = 4.0
#: Watts of one GiB of memory: 3 W for each module of 8 GiB, the rule of thumb that such tools share.
WATTS_PER_GIB: Final = 3 / 8
_GIB: Final = 2**30
#: Where a platform does not tell a process's memory.
_UNKNOWN_MEMORY_GIB: Final = 4.0


def cpu_estimate(watts_per_core: float = WATTS_PER_CORE) -> Counter:
    """Processor time of this process and of its children that have ended, times the watts of a core."""
    cores = os.cpu_count() or 1
    source = f"estimate: {watts_per_core:g} W for each of {cores} cores while this process keeps it busy"
    return Counter("cpu", source, "", lambda: watts_per_core * _busy_seconds(), estimate=True)


def dram_estimate(clock: Callable[[], float] = time.perf_counter) -> Counter:
    """The peak memory of this process so far, in GiB, times the watts of one."""
    source = f"estimate: {WATTS_PER_GIB:g} W for each GiB of this process's peak memory"
    return Counter("dram", source, "", integrated(lambda: WATTS_PER_GIB * _peak_gib(), clock), estimate=True)


def _busy_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _peak_gib() -> float:
    try:
        import resource
    except ImportError:
        return _UNKNOWN_MEMORY_GIB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _GIB
