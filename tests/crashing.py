"""Real processes that race, die or are interrupted at a chosen write. POSIX only, like SIGKILL itself."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

# Children are forked from a small clean process that has these imported, so that one costs milliseconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "pytest",
        "synthetic",
        "modhub.installation.install",
        "modhub.cache.cache",
        "modhub.registry.writer",
        "modhub.settings.parse",
        "modhub.project.project",
        "modhub.project.session",
        "tomlkit",
        "s3fs",
        "admin_folders",
        "dying_projects",
        "warmed",
    ]
)

INTERRUPTED = 42
_CHANGES = {"os.link", "os.rename", "os.remove", "os.mkdir"}


def race(work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], timeout: float = 60) -> list[Any]:
    """What ``work`` returned in one process for each of ``arguments``, all released at the same moment.

    None of them may take longer than ``timeout`` seconds after another.
    """
    barrier, answers = PROCESSES.Barrier(len(arguments)), PROCESSES.Queue()
    processes = [
        PROCESSES.Process(target=_racer, args=(barrier, answers, number, work, given))
        for number, given in enumerate(arguments)
    ]
    for process in processes:
        process.start()
    collected = dict(answers.get(timeout=timeout) for _ in processes)
    for process in processes:
        process.join()
    return [collected[number] for number in range(len(processes))]


def _racer(barrier: Any, answers: Any, number: int, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    barrier.wait()
    answers.put((number, work(*given)))


def crashes(
    how: str, root: os.PathLike[str], work: Callable[..., Any], *arguments: Any, every: int = 1
) -> Iterator[int]:
    """Run ``work`` in a process that dies just before its first change below ``root``; then its second; and so on.

    With ``every=3`` only before every third, the first among them, unless ``MODHUB_TESTS=all``. A process imports the
    module in which ``work`` is; where that imports much, ``work`` belongs into one of its own.

    Yields the number of the change after each death, and returns when the work outlived all its changes. ``how`` is
    ``kill`` (SIGKILL) or ``interrupt`` (what Ctrl-C raises).
    """
    for step in range(1, 10_000, 1 if os.environ.get("MODHUB_TESTS") == "all" else every):
        process = PROCESSES.Process(target=_dies, args=(how, str(root), step, work, arguments))
        process.start()
        process.join()
        if process.exitcode == 0:
            return
        assert process.exitcode == (-signal.SIGKILL if how == "kill" else INTERRUPTED), process.exitcode
        yield step


def at_every_change(root: os.PathLike[str], look: Callable[[], None], work: Callable[[], Any]) -> int:
    """Call ``look`` before each change below ``root`` that ``work`` makes in this process; gives their number.

    What is to be seen then is what a process killed at that moment leaves. For work whose processes take long to start.
    """
    count, over = 0, False

    def watch(event: str, details: tuple[Any, ...]) -> None:
        nonlocal count
        if not over and _is_change(event, details, str(root)):
            count += 1
            look()

    # A hook stays as long as its process.
    sys.addaudithook(watch)
    try:
        work()
    finally:
        over = True
    return count


def _is_change(event: str, details: tuple[Any, ...], root: str) -> bool:
    writes = event in _CHANGES or (event == "open" and details[2] & (os.O_WRONLY | os.O_CREAT))
    return bool(writes) and str(details[0]).startswith(root)


def _dies(how: str, root: str, step: int, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    count = 0

    def watch(event: str, details: tuple[Any, ...]) -> None:
        nonlocal count
        if not _is_change(event, details, root):
            return
        count += 1
        if count == step:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt

    sys.addaudithook(watch)
    try:
        work(*arguments)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    os._exit(0)


def in_process(work: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """The exit status of a process of its own, and ``work``'s answer or (name, kind, text) of its error.

    The answer is None when the process died before giving one.
    """
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_answers, args=(sender, work, arguments))
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        answer = None
    process.join()
    assert process.exitcode is not None
    return process.exitcode, answer


def _answers(sender: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        sender.send(work(*arguments))
    except Exception as error:
        sender.send((type(error).__name__, getattr(error, "kind", None), str(error)))


def with_full_disk(limit: int, deadly: bool, work: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """``in_process`` where no file can grow beyond ``limit`` bytes: an unprivileged stand-in for a full disk.

    With ``deadly`` the kernel kills the process in the middle of the write, and half a file stays behind.
    """
    return in_process(_limited, limit, deadly, work, arguments)


def _limited(limit: int, deadly: bool, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return work(*arguments)


def as_nobody(work: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """``in_process`` as a user without any rights; only root can."""
    return in_process(_as_nobody, work, arguments)


def _as_nobody(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    return work(*arguments)
