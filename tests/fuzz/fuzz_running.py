"""Runs cases of one kind and judges them: in this process for the tests, or in one of its own for the long program.

A case fails when anything but a value or a ModhubError comes of it, when it takes more than a second of the
processor's time (what else a machine does meanwhile does not count), or when its process dies, hangs, or needs more
memory than it may have; that process is held to the limit by the system itself.
"""

from __future__ import annotations

import base64
import importlib
import json
import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Literal

from fuzz_kinds import Case, Kind

from modhub.limits import MIB

MOST_SECONDS = 1.0
MOST_MEMORY = 512 * MIB
#: Failing cases of one kind that are kept; all are counted.
_KEPT = 3


@dataclass(frozen=True)
class Failure:
    """Why a case failed, with the trace of whatever came out of the reader."""

    kind: str
    why: str
    trace: str
    case: Case

    def save(self, path: Path) -> None:
        files = {name: base64.b64encode(data).decode() for name, data in self.case.items()}
        value = {"kind": self.kind, "why": self.why, "trace": self.trace, "files": files}
        path.write_text(json.dumps(value, indent=1) + "\n")


def load_case(path: Path) -> tuple[str, Case]:
    """The kind and the files of a failing case that was saved."""
    value = json.loads(path.read_text())
    return value["kind"], {name: base64.b64decode(data) for name, data in value["files"].items()}


@dataclass
class Tally:
    """What came of the cases of one kind. ``slowest`` in seconds, ``memory`` in bytes, at its most."""

    kind: str
    cases: int = 0
    accepted: int = 0
    failed: int = 0
    slowest: float = 0.0
    memory: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def refused(self) -> int:
        return self.cases - self.accepted - self.failed

    def add(self, other: Tally) -> None:
        """Count the cases of another process in."""
        self.cases += other.cases
        self.accepted += other.accepted
        self.failed += other.failed
        self.slowest = max(self.slowest, other.slowest)
        self.memory = max(self.memory, other.memory)
        self.failures = (self.failures + other.failures)[:_KEPT]

    def fail(self, why: str, case: Case, trace: str = "") -> None:
        self.failed += 1
        if len(self.failures) < _KEPT:
            self.failures.append(Failure(self.kind, why, trace, case))


def read_once(kind: Kind, case: Case, tally: Tally, *, most_seconds: float = MOST_SECONDS) -> None:
    """Let the kind's readers read one case, and write down what came of it."""
    tally.cases += 1
    try:
        accepted, seconds = _timed(kind, case)
        if seconds > most_seconds:
            # A collection of garbage, or the first import of a library, does not come three times.
            seconds = min(seconds, *(_timed(kind, case)[1] for _ in range(2)))
    except Exception as error:
        tally.fail(f"{type(error).__name__}: {str(error)[:300]}", case, traceback.format_exc())
        return
    tally.slowest = max(tally.slowest, seconds)
    if seconds > most_seconds:
        tally.fail(f"it takes {seconds:.1f} s of processor time", case)
    else:
        tally.accepted += accepted


def _timed(kind: Kind, case: Case) -> tuple[bool, float]:
    started = time.process_time()
    accepted = kind.read(case)
    return accepted, time.process_time() - started


def cases(kind: Kind, count: int, seed: int) -> Iterator[Case]:
    """The first cases of a kind; each depends on the seed and its number alone."""
    for number in range(count):
        yield kind.make(Random(f"{seed} {kind.name} {number}"))


# In a process of its own


@dataclass(frozen=True)
class Task:
    """``count`` cases of the kind ``name`` of the module ``module``, made by its own mutators or by hypothesis."""

    module: str
    name: str
    way: Literal["mutated", "hypothesis"]
    count: int
    seed: int
    memory: int = MOST_MEMORY


def run_task(task: Task, *, patience: float = 60.0) -> Tally:
    """What came of a task. A process that dies, or spends ``patience`` seconds on a case, fails with that case."""
    with TemporaryDirectory(prefix="modhub-fuzz-") as folder:
        at_hand = Path(folder) / "case.json"
        receiver, sender = _PROCESSES.Pipe(duplex=False)
        process = _PROCESSES.Process(target=_work, args=(task, sender, at_hand), daemon=True)
        process.start()
        sender.close()
        tally, why = _awaited(process, receiver, at_hand, patience)
        if why:
            case = load_case(at_hand)[1] if at_hand.exists() else {}
            tally.cases += 1
            tally.fail(why, case)
        return tally


_PROCESSES = multiprocessing.get_context("spawn")


def _awaited(process: Any, receiver: Connection, at_hand: Path, patience: float) -> tuple[Tally, str]:
    """The last tally that the process sent, and why there is no whole one."""
    tally, beat = Tally(process.name), time.monotonic()
    while True:
        if receiver.poll(min(1.0, patience / 4)):
            try:
                tally, done = receiver.recv()
            except EOFError:
                process.join()
                return tally, f"its process died: exit status {process.exitcode}"
            beat = time.monotonic()
            if done:
                process.join()
                return tally, ""
        elif time.monotonic() - beat > patience:
            process.kill()
            process.join()
            return tally, f"it hangs: nothing came of it in {patience:.0f} s"


def _work(task: Task, sender: Connection, at_hand: Path) -> None:
    module = importlib.import_module(task.module)
    kind = next(kind for kind in module.KINDS if kind.name == task.name)
    tally, reported = Tally(task.name), time.monotonic()
    _hold_to(task.memory)

    def read(case: Case) -> None:
        nonlocal reported
        Failure(task.name, "", "", case).save(at_hand)
        read_once(kind, case, tally)
        if time.monotonic() - reported > 0.1:
            reported = time.monotonic()
            sender.send((tally, False))

    if task.way == "mutated":
        for case in cases(kind, task.count, task.seed):
            read(case)
    else:
        import fuzz_strategies

        fuzz_strategies.run(task.name, task.count, task.seed, read)
    tally.memory = memory_at_most()
    if tally.memory > task.memory:
        tally.fail(f"its process had {tally.memory // MIB} MiB", {})
    sender.send((tally, True))


def memory_at_most() -> int:
    """The most memory that this process had at any time, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _hold_to(limit: int) -> None:
    """Let the system refuse whatever would bring this process beyond ``limit`` bytes of memory."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    total, resident = (int(pages) * os.sysconf("SC_PAGE_SIZE") for pages in statm.read_text().split()[:2])
    # Much of the total is set aside and never used, for example stacks of threads: what counts is what is added.
    most = total + limit - resident
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
