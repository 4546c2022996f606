"""GPU power through NVML, by NVIDIA's own binding ``nvidia-ml-py`` (the extra ``energy``), imported only here."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from modhub.energy.counters import Counter, integrated

#: Where Linux shows that an NVIDIA GPU is there, whether or not the binding is.
_DRIVER: Final = Path("/proc/driver/nvidia/version")
_MILLI: Final = 1e-3


def nvml_counters() -> tuple[list[Counter], str]:
    """The counters of all NVIDIA GPUs, and when there are none, why."""
    try:
        import pynvml  # in the extra ``energy``
    except ImportError:
        if _DRIVER.exists():
            return [], MISSING
        return [], "no NVIDIA GPU was found"
    return counters_of(pynvml)


#: Why GPUs that are there are not counted.
MISSING: Final = "there is an NVIDIA GPU, but nvidia-ml-py, which reads its power, is not installed"


def counters_of(nvml: Any, clock: Callable[[], float] = time.perf_counter) -> tuple[list[Counter], str]:
    """As ``nvml_counters``, through ``nvml``, a module with NVML's functions."""
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        counters = [_counter(nvml, handle, number, clock) for number, handle in enumerate(handles)]
    except nvml.NVMLError as error:
        return [], f"no NVIDIA GPU was found: {error}"
    return counters, "" if counters else "no NVIDIA GPU was found"


def _counter(nvml: Any, handle: Any, number: int, clock: Callable[[], float]) -> Counter:
    name = nvml.nvmlDeviceGetName(handle)
    device = f"{number} {name.decode() if isinstance(name, bytes) else name}"
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        # GPUs older than Volta report their power alone.
        watts = _asked(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
        return Counter("gpu", "NVML power, sampled", device, integrated(watts, clock))
    return Counter("gpu", "NVML", device, _asked(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle))


def _asked(nvml: Any, function: Callable[[Any], float], handle: Any) -> Callable[[], float]:
    """A reading in joules or watts; NVML counts in thousandths. It raises OSError where NVML fails."""

    def read() -> float:
        try:
            return function(handle) * _MILLI
        except nvml.NVMLError as error:
            raise OSError(str(error)) from error

    return read
