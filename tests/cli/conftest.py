"""One small release for all tests of the command line, and two ways to run a command: as a process, and in this one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.cli import main
from tests.cli import origin
from tests.cli.running import Result, Workshop, plain_environment


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    model = origin.network()
    model.save(folder / "net.keras")
    origin.save_data(folder)
    x, y = origin.images(150, 1)
    held_out = origin.images(60, 2)
    decomposition = modhub.decompose(
        model, x, y, classes=origin.CLASSES, name="me/net", rescale=1 / 255, validation=held_out, dataset="shapes"
    )
    decomposition.save(folder / "net.modules")
    modhub.publish(decomposition, version="1.0.0", registry=str(folder / "registry"))
    return Workshop(folder)


@pytest.fixture(scope="session")
def other_modules(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that is called me/net too, but has other content."""
    x, y = origin.images(60, 4)
    decomposition = modhub.decompose(origin.network(5), x, y, classes=origin.CLASSES, name="me/net", rescale=1 / 255)
    return decomposition.save(tmp_path_factory.mktemp("other") / "net.modules")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Result]:
    """Run a command as a process of its own, in an empty folder, as a person's shell does."""

    def process(*arguments: object, **environment: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "modhub", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=plain_environment() | environment,
            timeout=120,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return process


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.fromarray(np.asarray(origin.images(1, 9)[0][0, ..., 0])).save(path)
    return path
