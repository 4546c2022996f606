"""Without any extra every command still says what it does; only running one says which extra it lacks."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

from tests.cli.running import Result, plain_environment

ROOT = Path(__file__).parents[2]
#: What is imported of each extra, but for what it takes from others.
IMPORTED = {
    "keras": ["keras"],
    "tensorflow": ["tensorflow"],
    "jax": ["jax"],
    "torch": ["torch"],
    "demo": ["sklearn"],
    "plot": ["matplotlib"],
    "onnx": ["onnx", "onnxruntime", "tf2onnx"],
    "s3": ["s3fs"],
    "gs": ["gcsfs"],
    "az": ["adlfs"],
    "sftp": ["paramiko"],
    "sign": ["cryptography"],
    "energy": ["pynvml"],
    "model-signing": ["model_signing", "OpenSSL"],
    "sbom": ["cyclonedx"],
    "heic": ["pillow_heif"],
    "ray": ["ray"],
    "pandas": ["pandas"],
    "serve": ["starlette", "uvicorn", "httptools", "multipart", "python_multipart", "prometheus_client"],
    "ui": ["jinja2", "markupsafe", "markdown_it"],
}

#: What is run without any extra -> the extra that it asks for.
RUN = {
    "serve cifar10/r20:cat": "serve",
    "ui --no-browser": "ui",
    "site build --out site": "ui",
    "sbom cifar10/r20:cat": "sbom",
    "key new alice": "sign",
    "search cat --registry s3://bucket/modules": "s3",
    "search cat --registry gs://bucket/modules": "gs",
    "search cat --registry az://box/modules": "az",
    "search cat --registry sftp://host/modules": "sftp",
    "predict cifar10/r20:cat --images cifar10": "tensorflow",
}

#: A process in which no extra is installed: help of every command and group, then what standard input says to run.
#: Prints the exit code, both streams, and what of the extras was looked for, a line of JSON each.
SCRIPT = """
import contextlib, importlib.machinery, io, json, sys
import click

extras, sought = set({extras!r}), []

class Installed(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in extras:
            return super().find_spec(name, path, target)
        sought.append(name)

sys.meta_path = [Installed if each is importlib.machinery.PathFinder else each for each in sys.meta_path]
from modhub.cli import main
from modhub.cli.root import root

def say(line):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(line)
    print(json.dumps([line, [code, out.getvalue(), err.getvalue()], sought]), flush=True)
    sought.clear()
    return code

def help_of(command, path):
    for name in command.list_commands(click.Context(command)):
        line = [*path, name]
        if say([*line, "--help"]) == 0:
            found = command.get_command(click.Context(command), name)
            if isinstance(found, click.Group):
                help_of(found, line)

say(["--help"])
help_of(root, [])
print(json.dumps(sorted(sys.modules)))
for line in sys.stdin:
    say(line.split())
"""


@dataclass(frozen=True)
class Bare:
    """What came of each line in that process, what of the extras it looked for, and what all help had loaded."""

    results: dict[str, Result]
    sought: dict[str, list[str]]
    loaded: set[str]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    home = tmp_path_factory.mktemp("home")
    places = {name: str(home) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(extras=[*chain(*IMPORTED.values())])],
        input="\n".join(RUN),
        capture_output=True,
        text=True,
        cwd=home,
        env=plain_environment() | places | {"PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    results = [each for each in printed if len(each) == 3 and isinstance(each[1], list)]
    (loaded,) = [each for each in printed if each not in results]
    return Bare(
        {" ".join(line): Result(*result) for line, result, _ in results},
        {" ".join(line): sought for line, _, sought in results},
        set(loaded),
    )


def test_every_extra_is_known_here() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras.keys() - {"test"} == IMPORTED.keys()


def test_help_of_every_command_needs_no_extra(bare: Bare) -> None:
    helped = {line: result for line, result in bare.results.items() if line.endswith("--help")}
    assert {"serve --help", "site build --help", "registry init --help"} <= helped.keys()
    assert {line: result.err for line, result in helped.items() if result.code or result.err} == {}
    assert [line for line, result in helped.items() if not result.out.startswith("Usage: ")] == []


def test_help_loads_nothing_that_takes_long(bare: Bare) -> None:
    """Nor does it look for it: what is not there is quickly found missing."""
    assert {line: sought for line, sought in bare.sought.items() if line.endswith("--help") and sought} == {}
    assert bare.loaded & {"rich", "fsspec", "requests"} == set()


@pytest.mark.parametrize(("line", "extra"), RUN.items(), ids=RUN)
def test_what_lacks_an_extra_says_which(bare: Bare, line: str, extra: str) -> None:
    result = bare.results[line]
    assert result.code in (2, 6)
    assert result.out == ""
    assert f"pip install 'modhub[{extra}]'" in result.err
    assert "Traceback" not in result.err
