"""Ctrl-C at any moment: exit code 130, one line, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import Workshop, plain_environment

#: Sends itself Ctrl-C when a module begins to be imported, then runs a command as the script ``modhub`` does.
PROGRAM = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["modhub", *{arguments!r}]
from modhub.cli import main
sys.exit(main())
"""


def interrupted_at(module: str, arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module, arguments=arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        env=plain_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("module", ["click", "modhub.cli.printing", "numpy", "pydantic_core", "modhub.data.pictures"])
def test_while_a_command_is_loaded(module: str, tmp_path: Path) -> None:
    done = interrupted_at(module, ["predict", "c10", "--images", "x.png"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted.\n")


def test_a_program_gets_an_object(tmp_path: Path) -> None:
    done = interrupted_at("click", ["list", "--json"], tmp_path)
    assert (done.returncode, done.stderr) == (
        130,
        '{"error": "interrupted", "message": "interrupted.", "hint": null}\n',
    )


@pytest.mark.parametrize("module", ["tensorflow", "keras", "tensorflow.python.framework.ops"])
def test_while_the_backend_is_loaded(module: str, workshop: Workshop, tmp_path: Path) -> None:
    arguments = ["predict", workshop["net.modules"], "--images", workshop["images"]]
    done = interrupted_at(module, arguments, tmp_path)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "error: interrupted.")


def test_a_library_that_swallows_it_does_not_keep_it() -> None:
    from modhub.cli.interrupts import never_swallowed

    def load() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except BaseException as error:
            raise ImportError("something went wrong") from error

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), never_swallowed():
        load()
    with pytest.raises(ImportError), never_swallowed():
        raise ImportError("really")
    assert signal.getsignal(signal.SIGINT) is before
