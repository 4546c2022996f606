"""Without any backend of Keras' everything works that runs no network, and all else says what to install."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.running import Workshop
from tests.engine.backends_hidden import Environment, environment_without_backends


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return environment_without_backends(tmp_path_factory.mktemp("packages"))


def here(workshop: Workshop, folder: Path) -> Path:
    shutil.copytree(workshop.folder, folder, dirs_exist_ok=True)
    return folder


def test_a_registry_is_kept_and_used_without_a_backend(bare: Environment, workshop: Workshop, tmp_path: Path) -> None:
    at = ["--registry", "registry"]
    commands = [
        ["registry", "init", "other"],
        ["publish", "net.modules", "--version", "1.0.0", "--registry", "other"],
        ["publish", "net.modules", "--version", "1.0.1", "--registry", "other"],
        ["registry", "fsck", "other"],
        ["search", "cat", *at],
        ["info", "me/net", *at],
        ["info", "net.modules:cat"],
        ["alias", "set", "mine", "me/net", *at],
        ["install", "me/net:cat", *at],
        ["list"],
        ["lock", "me/net:cat", "me/net:dog", *at],
        ["install", "--locked", "modhub.lock", *at],
        ["compose", "me/net:cat", "me/net:dog", *at],
        ["cache", "verify"],
        ["new", "pets", "me/net:cat", "me/net:dog", *at],
        ["diff", "net.modules", "me/net", *at],
    ]
    found = bare.commands(commands, here(workshop, tmp_path))
    assert [(command, error) for command, (code, error) in zip(commands, found, strict=True) if code] == []


def test_what_runs_a_network_says_what_to_install(bare: Environment, workshop: Workshop, tmp_path: Path) -> None:
    names, data = ["me/net:cat", "me/net:dog", "--registry", "registry"], ["--data", "test.npz"]
    commands = [
        ["predict", *names, "--images", "test.npz"],
        ["decompose", "net.keras", "--data", "train.npz", "--as", "me/net"],
        ["decompose", "net.keras", "--dry-run"],
        ["evaluate", *names, *data],
        ["evaluate", "net.keras", *data],
        ["explain", "images/0.png", *names],
        ["export", *names, "--out", "two.keras"],
        ["export", *names, "--out", "two.onnx"],
        ["compose", *names, "--out", "two.keras"],
        ["update", "me/net:cat", "--against", "cifar10/r20:dog", *data, "--out", "new", "--registry", "registry"],
        ["publish", "net.modules", "--check", "--data", "test.npz", "--registry", "registry"],
        ["publish", "net.modules", "--check", "--data", "cifar10", "--registry", "registry"],
        ["demo"],
    ]
    for command, (code, error) in zip(commands, bare.commands(commands, here(workshop, tmp_path)), strict=True):
        assert (code, error.get("error")) == (2, "missing-backend"), (command, error)
        assert "pip install 'modhub[tensorflow]'" in str(error["hint"]), command


IN_PYTHON = """
import modhub
composite = modhub.compose(["cifar10/r20:cat", "cifar10/r20:dog"])
print(composite.classes)
for call in (lambda: composite.predict([[[[0.0] * 3] * 32] * 32]), composite.to_keras, lambda: modhub.update):
    try:
        call()
    except modhub.ModhubError as error:
        print(error.kind, error.hint)
"""


def test_python_says_it_too(bare: Environment, tmp_path: Path) -> None:
    classes, *rest = bare.python(IN_PYTHON, folder=tmp_path).splitlines()
    assert classes == "['cat', 'dog']"
    assert rest == ["missing-backend " + rest[0].partition(" ")[2]] * 3
    assert "pip install 'modhub[tensorflow]'" in rest[0]


CHOOSING = """
from modhub.engine.keras_backend import require_keras_backend
from modhub.errors import UsageError
import os
try:
    require_keras_backend()
    print(os.environ.get("KERAS_BACKEND"))
except UsageError as error:
    print(error)
"""


def test_an_installed_backend_is_taken_where_nobody_chose_another(tmp_path: Path) -> None:
    bare = environment_without_backends(tmp_path)
    (tmp_path / "jax.py").write_text("")
    home = tmp_path / "home"
    home.mkdir()
    # What Keras writes by itself on its first import is nobody's choice.
    (home / "keras.json").write_text('{"backend": "tensorflow"}')
    assert bare.python(CHOOSING, folder=tmp_path, KERAS_HOME=str(home)) == "jax\n"
    printed = bare.python(CHOOSING, folder=tmp_path, KERAS_BACKEND="tensorflow")
    assert "pip install 'modhub[tensorflow]', or set KERAS_BACKEND=jax." in printed
    (home / "keras.json").write_text('{"backend": "torch"}')
    printed = bare.python(CHOOSING, folder=tmp_path, KERAS_HOME=str(home))
    assert f"\"backend\" in {home / 'keras.json'} is 'torch', but torch is not installed." in printed
