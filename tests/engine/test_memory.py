"""What is free is read from files as Linux writes them; and memory stays bounded, as a process of its own shows."""

from __future__ import annotations

import json
import subprocess
import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest

from modhub.engine.run import memory
from modhub.engine.run.batches import batch_that_fits, live_bytes
from modhub.engine.run.fused import FusedRunner
from modhub.engine.run.isolated import OriginRunner
from modhub.engine.run.memory import UNKNOWN_FREE
from modhub.spec.architecture import shapes_of
from tests.engine.test_running import IMAGES, masked_modules
from tests.engine.test_watched import seldom_removed

MIB = 2**20


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


MEMINFO = "MemTotal:       24000000 kB\nMemFree:         9000000 kB\nMemAvailable:   20000000 kB\n"
LIMITS = "Limit                     Soft Limit           Hard Limit           Units\n"
UNLIMITED = f"{LIMITS}Max address space         unlimited            unlimited            bytes\n"
LIMITED = f"{LIMITS}Max address space         5000000000           unlimited            bytes\n"


def test_the_machine_and_the_process(tmp_path):
    proc = written(tmp_path, {"meminfo": MEMINFO, "self/limits": UNLIMITED, "self/status": "VmSize:\t 1000000 kB\n"})
    assert memory.free(proc, tmp_path / "none") == 20_000_000 * 1024
    written(proc, {"self/limits": LIMITED})
    assert memory.free(proc, tmp_path / "none") == 5_000_000_000 - 1_000_000 * 1024


def test_a_control_group_and_those_above_it_without_pages_that_can_go(tmp_path):
    proc = written(tmp_path / "proc", {"meminfo": MEMINFO, "self/cgroup": "0::/jobs/one\n"})
    group = written(
        tmp_path / "cgroup",
        {
            "jobs/one/memory.max": "max\n",
            "jobs/one/memory.current": "300\n",
            "jobs/memory.max": f"{800 * MIB}\n",
            "jobs/memory.current": f"{500 * MIB}\n",
            "jobs/memory.stat": f"anon 5\nfile 7\ninactive_file {100 * MIB}\nslab 3\n",
        },
    )
    assert list(memory.groups(proc, group)) == [(800 * MIB, 400 * MIB)]
    assert memory.free(proc, group) == 400 * MIB


def test_version_1_of_control_groups_and_a_container_that_shows_its_own_as_the_root(tmp_path):
    proc = written(tmp_path / "proc", {"self/cgroup": "9:name=systemd:/x\n4:cpu,memory:/host/path\n0::/\n"})
    group = written(
        tmp_path / "cgroup",
        {
            "memory/memory.limit_in_bytes": f"{600 * MIB}\n",
            "memory/memory.usage_in_bytes": f"{500 * MIB}\n",
            "memory/memory.stat": f"total_inactive_file {50 * MIB}\n",
        },
    )
    assert memory.free(proc, group) == 150 * MIB


def test_a_machine_that_reports_nothing(tmp_path):
    assert memory.free(tmp_path, tmp_path) == UNKNOWN_FREE


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="only Linux says it in files")
def test_this_machine_reports_its_memory():
    assert 0 < memory.free() < 2**50


# Live tensors


def test_live_bytes_by_hand():
    """Everything that a call still reads, and its output, at the call where that is most."""
    architecture = masked_modules()[0].origin.architecture
    shapes = shapes_of(architecture)
    calls = architecture.calls
    most = 0
    for position, call in enumerate(calls):
        earlier = {"input"} | {before.id for before in calls[:position]}
        read_later = {source for later in calls[position:] for source in later.inputs}
        most = max(most, sum(prod(shapes[each]) for each in (earlier & read_later) | {call.id}))
    assert live_bytes(architecture) == 4 * most


# Chunks and batches do not change answers


def small_memory(monkeypatch, bytes_free):
    monkeypatch.setattr(memory, "free", lambda: bytes_free)


def test_chunks_change_nothing(monkeypatch):
    modules = seldom_removed()
    whole = OriginRunner(modules[0].origin, modules).margins(IMAGES, 256)
    runner = OriginRunner(modules[0].origin, modules)
    sizes = []
    fill = runner._fill_spared
    monkeypatch.setattr(runner, "_fill_spared", lambda images, *rest: sizes.append(len(images)) or fill(images, *rest))
    monkeypatch.setattr(memory, "MOST_CHUNK", 2 * 5 * runner._bytes_an_image(IMAGES))
    np.testing.assert_allclose(runner.margins(IMAGES, 5), whole, atol=1e-5, rtol=1e-5)
    assert sizes == [5, 10, 10, 7]


def test_images_that_nothing_spares_are_watched_once_only(monkeypatch):
    """Where every image hits every mask, the shared pass is given up behind the first batch."""
    modules = masked_modules()
    runner = OriginRunner(modules[0].origin, modules)
    watched = []
    watch = runner._watched.watch
    monkeypatch.setattr(
        runner._watched, "watch", lambda images, size: watched.append(len(images)) or watch(images, size)
    )
    runner.margins(IMAGES, 8)
    assert watched == [8]


def test_little_memory_makes_batches_smaller_in_both_ways(monkeypatch):
    modules = masked_modules()
    origin = modules[0].origin
    roomy = [runner(origin, modules).margins(IMAGES, 32) for runner in (OriginRunner, FusedRunner)]
    small_memory(monkeypatch, 2 * 3 * live_bytes(origin.architecture) * 4)
    assert batch_that_fits(live_bytes(origin.architecture), 32) == 4
    for runner, wanted in zip((OriginRunner, FusedRunner), roomy, strict=True):
        np.testing.assert_allclose(runner(origin, modules).margins(IMAGES, 32), wanted, atol=1e-5, rtol=1e-5)
    small_memory(monkeypatch, 0)
    assert batch_that_fits(live_bytes(origin.architecture), 32) == 1


# A process of its own

CHILD = """
import json, resource, sys
from pathlib import Path
import keras, numpy as np
from dataclasses import replace
from modhub.engine.run.isolated import OriginRunner
from tests.engine.test_watched import seldom_removed
from tests.small_origins import bars, decomposed, fitted_model, with_random_masks

def features(image):
    layers = keras.layers
    x = layers.Conv2D(2, 3, strides=4, activation="relu")(image)
    return layers.Dense(8192, activation="relu")(layers.Flatten()(x))

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024

decomposition = decomposed(fitted_model(bars(), features), bars(), "lines/wide", backtrack="none")
count, spare = int(sys.argv[1]), int(sys.argv[2])
images = np.resize(bars(each=50, seed=4).x, (count, 8, 8, 1))
# Masks of which every image misses nodes, which share a beginning, and masks that spare most images a run.
random = [with_random_masks(module, seed) for seed, module in enumerate(decomposition.modules)]
seldom = seldom_removed(decomposition.modules, images[:512])
runners = [OriginRunner(decomposition.origin, modules) for modules in (random, seldom)]
for runner in runners:
    runner.margins(images[:512], 256)
assert seldom and runners[1]._watched.watch(images[:512], 256)[1].mean() < runners[1]._most_hits
before = status("VmRSS")
if spare:
    resource.setrlimit(resource.RLIMIT_AS, (status("VmSize") + spare, resource.RLIM_INFINITY))
margins = [runner.margins(images, 256) for runner in runners]
peak = status("VmHWM") - before
found = {"peak": peak, "shape": np.shape(margins), "finite": bool(np.isfinite(margins).all())}
print(json.dumps(found))
"""


def child(count: int, spare: int) -> dict:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(count), str(spare)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux has a process's peak in a file")
def test_memory_does_not_grow_with_the_images_and_keeps_to_a_real_limit():
    """8,000 images of 8,192 features are 250 MiB of features a module, of three; 250 MiB are all the limit leaves."""
    found = child(8_000, 250 * MIB)
    assert found["shape"] == [2, 8_000, 3]
    assert found["finite"]
    assert found["peak"] < 150 * MIB


def test_processors_get_batches_that_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    from modhub.engine.run import batches

    monkeypatch.setattr(batches.memory, "free", lambda: 1 << 40)
    for accelerated, images in ((False, 64), (True, 4096)):
        monkeypatch.setattr(batches, "has_accelerator", lambda answer=accelerated: answer)
        assert batch_that_fits(196_608, 4096) == images
    monkeypatch.setattr(batches, "has_accelerator", lambda: False)
    assert batch_that_fits(1 << 40, 4096) == 1
