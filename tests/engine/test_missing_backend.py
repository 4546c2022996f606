"""A library that is not installed is named, with the line that installs it, by every command that needs it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modhub.data.npz import read_small
from modhub.errors import UsageError
from tests.cli.running import plain_environment

ROOT = Path(__file__).resolve().parents[2]


def ran(arguments: list[str], **environment: str) -> dict[str, object]:
    """The error of a command in a process of its own, as JSON."""
    process = subprocess.run(
        [sys.executable, "-m", "modhub", *arguments, "--json"],
        env=plain_environment() | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stderr
    return json.loads(process.stderr.splitlines()[-1])


COMMANDS = [
    ["predict", "cifar10/r20:cat", "--images", "x.npz"],
    ["decompose", "x.keras", "--data", "x.npz", "--as", "me/net"],
]


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_backend_that_is_not_installed(backend: str, command: list[str]) -> None:
    if importlib.util.find_spec(backend) is not None:
        pytest.skip(f"{backend} is installed")
    error = ran(command, KERAS_BACKEND=backend)
    assert error["error"] == "missing-backend"
    assert error["message"] == f"KERAS_BACKEND is '{backend}', but {backend} is not installed."
    assert str(error["hint"]).startswith(f"pip install 'modhub[{backend}]'")


def test_a_backend_that_there_is_not_and_one_that_keras_is_configured_with(tmp_path: Path) -> None:
    assert ran(COMMANDS[0], KERAS_BACKEND="cntk")["error"] == "missing-backend"
    if importlib.util.find_spec("jax") is None:
        (tmp_path / "keras.json").write_text('{"backend": "jax"}')
        error = ran(COMMANDS[0], KERAS_HOME=str(tmp_path))
        assert error["error"] == "missing-backend"
        assert os.fspath(tmp_path / "keras.json") in str(error["message"])


@pytest.mark.parametrize(
    ("url", "package", "extra"), [("gs://b/d.npz", "gcsfs", "gs"), ("az://b/d.npz", "adlfs", "az")]
)
def test_data_in_a_store_whose_library_is_not_installed(url: str, package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(UsageError) as caught:
        read_small(url, ["y"])
    assert (caught.value.kind, caught.value.hint) == ("missing-extra", f"pip install 'modhub[{extra}]'")
