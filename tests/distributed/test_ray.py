"""A Ray cluster of real processes gives the bits of one process, also when one of its workers is killed at work."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.cli import main
from modhub.engine.decompose import ray_cluster
from modhub.errors import InvalidData, ModhubError, UsageError
from tests.small_origins import quadrants, quadrants_model

BOUNDS = (0, 7, 50, 90, 120)
#: Backtracking takes nodes away, so that modules are run again under their masks. 48 rows are whole blocks of every
#: kernel of matrix products; in what is left of blocks of 6, some processors add up in another order.
OPTIONS = {"name": "shapes/quadrants", "rescale": 1 / 255, "batch_size": 48, "delta": "q30", "backtrack": "input"}


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture
def shards(tmp_path):
    data = quadrants()
    for number, (start, stop) in enumerate(pairwise(BOUNDS)):
        np.savez(tmp_path / f"{number}.npz", x=data.x[start:stop], y=data.y[start:stop], classes=data.classes)
    return tmp_path


def decomposed(x, y=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return modhub.decompose(quadrants_model(), x, y, **(OPTIONS | options))


def digest(decomposition):
    return decomposition.package.manifest.digest


def test_a_cluster_gives_the_bits_of_one_process(cluster, shards):
    here, there = decomposed(shards), decomposed(shards, engine="ray", workers=2)
    assert any(any(module.stages.last_conv) for module in here.modules)
    assert digest(there) == digest(here)
    assert there.package.manifest.blobs == here.package.manifest.blobs
    data = quadrants()
    whole = decomposed(data.x, data.y, classes=data.classes)
    assert [module.digest for module in whole.modules] == [module.digest for module in there.modules]
    assert [module.threshold for module in whole.modules] == [module.threshold for module in there.modules]


def test_arrays_and_one_file_go_to_the_workers_in_parts(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "CHUNK_BYTES", 30 * 64)
    data = quadrants()
    np.savez(tmp_path / "all.npz", x=data.x, y=data.y, classes=data.classes)
    whole = digest(decomposed(data.x, data.y, classes=data.classes))
    reported = []
    assert (
        digest(decomposed(data.x, data.y, classes=data.classes, engine="ray", progress=lambda *n: reported.append(n)))
        == whole
    )
    assert reported == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert digest(decomposed(tmp_path / "all.npz", engine="ray")) == whole


def killer(shards: Path) -> list[int]:
    """Put a pipe in the place of the second shard, kill the worker that waits for it to be written, put it back.

    Gives the workers killed. The pipe makes sure that a worker is in the middle of its task and stays there.
    """
    killed: list[int] = []
    kept = shards / "1.kept"
    (shards / "1.npz").rename(kept)
    os.mkfifo(shards / "1.npz")

    def kill() -> None:
        for _ in range(3000):
            if waiting := [pid for pid in workers_in("_observe") if waits_for_a_pipe(pid)]:
                kept.replace(shards / "1.npz")
                os.kill(waiting[0], signal.SIGKILL)
                killed.append(waiting[0])
                return
            threading.Event().wait(0.02)

    threading.Thread(target=kill, daemon=True).start()
    return killed


def workers_in(task: str) -> list[int]:
    """The processes that Ray says are at this task."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and task.encode() in title:
            found.append(int(process.name))
    return found


def waits_for_a_pipe(pid: int) -> bool:
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            if (thread / "wchan").read_text() in ("wait_for_partner", "fifo_open"):
                return True
        except OSError:
            continue
    return False


def is_dead(pid: int) -> bool:
    """Whether it is gone, or waits only for its parent to ask how it ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.skipif(not Path("/proc/self/wchan").exists(), reason="who waits for a pipe is read from Linux's /proc")
@pytest.mark.parametrize("retries", [ray_cluster._RETRIES, 0])
def test_a_killed_worker(cluster, shards, monkeypatch, retries):
    """Its task runs again, and nothing is different; only where no task may run again the work fails."""
    monkeypatch.setattr(ray_cluster, "_RETRIES", retries)
    whole = digest(decomposed(shards))
    killed: list[list[int]] = []

    def progress(done: int, total: int) -> None:
        if done == 1:
            killed.append(killer(shards))

    if retries:
        assert digest(decomposed(shards, engine="ray", workers=1, progress=progress)) == whole
    else:
        with pytest.raises(ModhubError) as caught:
            decomposed(shards, engine="ray", workers=1, progress=progress)
        assert caught.value.kind == "workers-lost"
        assert str(caught.value).startswith("piece 1 of the data was lost with its workers, 1 times: ")
        assert "do workers run out of memory?" in str(caught.value)
    assert len(killed[0]) == 1
    # The cluster hears of a death before the kernel has cleared away all of it.
    assert any(is_dead(killed[0][0]) or threading.Event().wait(0.02) for _ in range(1500))


def test_an_error_of_a_worker_is_the_persons_own(cluster, shards):
    data = quadrants()
    np.savez(shards / "2.npz", x=data.x, y=data.y, classes=np.array([*data.classes[:-1], "else"]))
    with pytest.raises(InvalidData, match=r"the classes in .*2\.npz are not those of the data: "):
        decomposed(shards, engine="ray", workers=2)
    (shards / "2.npz").write_bytes(b"no zip")
    with pytest.raises(InvalidData, match=r"2\.npz cannot be read: File is not a zip file"):
        decomposed(shards, engine="ray", workers=2)


def test_the_command(cluster, shards, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quadrants_model().save(tmp_path / "net.keras")
    line = ["decompose", "net.keras", "--data", str(shards), "--as", "shapes/quadrants", "--rescale", "1/255"]
    for out, extra in (("here", []), ("there", ["--engine", "ray", "--workers", "2"])):
        assert main([*line, "--out", out, *extra]) == 0, capsys.readouterr().err
    assert digest(modhub.load("here")) == digest(modhub.load("there"))
    (shards / "3.npz").write_bytes(b"no zip")
    assert main([*line, "--out", "nowhere", "--engine", "ray"]) == 1
    assert "3.npz cannot be read" in capsys.readouterr().err


# Without a cluster


def test_batches_stay_on_this_machine(cluster):
    data = quadrants()
    with pytest.raises(UsageError, match=r"workers of a cluster cannot read them\. Hint: save them as \.npz shards"):
        decomposed([(data.x, data.y)], classes=data.classes, engine="ray")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "rai"}, "'rai' is no engine. Hint: did you mean ray?"),
        ({"engine": "dask"}, "'dask' is no engine. Hint: use local or ray."),
        ({"engine": "ray", "workers": 0}, "workers is 0; wanted 1 or more. Hint: leave it out for all."),
        ({"workers": 2}, "workers is 2, but the local engine has none."),
    ],
)
def test_bad_options(options, message):
    data = quadrants()
    with pytest.raises(UsageError) as caught:
        decomposed(data.x, data.y, classes=data.classes, **options)
    assert message in str(caught.value)


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    data = quadrants()
    with pytest.raises(UsageError) as caught:
        decomposed(data.x, data.y, classes=data.classes, engine="ray")
    assert caught.value.kind == "missing-extra"
    assert str(caught.value).endswith("which is not installed. Hint: pip install 'modhub[ray]'")
