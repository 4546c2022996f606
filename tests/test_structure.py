"""The house stands as it is drawn: imports run one way, only the engine knows keras, light commands stay light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "modhub"

#: From the ground up. A room imports from its own floor and from those below, never from above.
FLOORS: list[set[str]] = [
    {"errors", "limits"},
    {"spec"},
    {"signing", "storage", "resolve", "data", "package"},
    {"settings", "registry", "composition", "decomposition"},
    {"cache", "energy", "evaluation", "updating"},
    {"engine", "plots"},
    {"installation"},
    {"project"},
    {"ops"},
    {"demo"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {"keras", "tensorflow", "jax", "torch"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Full names of everything that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "modhub" and len(parts) > 1 and parts[1] in FLOOR:
            assert FLOOR[parts[1]] <= FLOOR[room], f"{path.relative_to(PACKAGE)} imports {name}, which is above it"
        elif parts[0] == "modhub" and room not in ("cli", "demo", "__main__"):
            pytest.fail(f"{path.relative_to(PACKAGE)} imports {name} through the public surface")


def test_every_room_has_its_floor() -> None:
    assert {room_of(path) for path in modules()} - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_engine_imports_keras(path: Path) -> None:
    if room_of(path) != "engine":
        assert not {name.split(".")[0] for name in imports_of(path)} & HEAVY


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 420
    assert path.stem != "utils"
    assert ast.get_docstring(ast.parse(path.read_text())), "a file opens with why it exists"


LIGHT = [
    ["--help"],
    ["list"],
    ["list", "--available"],
    ["search", "cat"],
    ["info", "cifar10/r56"],
    ["install", "cifar10/r56:cat"],
    ["alias", "list"],
]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_load_no_network_library(arguments: list[str]) -> None:
    """In a fresh interpreter, by what is in sys.modules when the command ends."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['modhub', *{arguments!r}]\n"
        "try:\n    runpy.run_module('modhub', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('LOADED', sorted(set({sorted(HEAVY)!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "LOADED []" in done.stdout


#: What no light command needs, as modules or as the packages that they lie in.
UNNEEDED = {
    "asyncio",
    "concurrent",
    "cryptography",
    "difflib",
    "fsspec",
    "http",
    "logging",
    "numpy",
    "requests",
    "rich",
    "semantic_version",
    "ssl",
    "tomlkit",
    "tomllib",
    "modhub.cache.verify",
    "modhub.cache.prune",
    "modhub.cache.usage",
    "modhub.composition",
    "modhub.data.images",
    "modhub.energy",
    "modhub.settings.private_keys",
    "modhub.settings.trusted_keys",
    "modhub.package.module",
    "modhub.package",
    "modhub.project",
    "modhub.registry.admin",
    "modhub.storage.remote",
    "modhub.storage.http",
    "modhub.storage.memory",
    "modhub.registry.publication",
    "modhub.registry.withdrawals",
    "modhub.registry.writer",
    "modhub.storage.client_errors",
    "modhub.resolve.lockfile",
    "modhub.resolve.settle",
    "modhub.settings.parse",
    "modhub.signing.keys",
    "modhub.signing.trusted_key",
}
#: What searching and listing do not need besides.
NO_RELEASE = {
    "modhub.spec.architecture",
    "modhub.spec.contract",
    "modhub.spec.manifest",
    "modhub.installation.context",
    "modhub.resolve",
}

#: Command -> what else it must not load.
LEAN = {
    "list": NO_RELEASE,
    "list --available": NO_RELEASE | {"modhub.cache"},
    "search cat": NO_RELEASE | {"modhub.cache"},
    "info cifar10/r56": {"modhub.ops.install"},
    "install cifar10/r56:cat": {"modhub.ops.search"},
}

#: Runs a command and tells what it brought in, beside what click and pydantic are made of.
LOADING = """
import json, runpy, sys
import click, pydantic

class Model(pydantic.BaseModel):
    number: int

Model(number=1)
before = set(sys.modules)
sys.argv = ["modhub", *{arguments!r}]
try:
    runpy.run_module("modhub", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.mark.parametrize("command", LEAN)
def test_light_commands_load_little(command: str) -> None:
    """What a start costs, in what it loads, because seconds depend on the machine."""
    # What is installed is to be found as it is: an installation that fetches has reasons to load more.
    install = [sys.executable, "-m", "modhub", "install", "cifar10/r56:cat"]
    subprocess.run(install, capture_output=True, check=True)
    code = LOADING.format(arguments=command.split())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.rpartition("LOADED")[2])
    refused = UNNEEDED | LEAN[command]
    assert not [name for name in loaded if any(f"{name}.".startswith(f"{each}.") for each in refused)]


def test_importing_modhub_is_nearly_free() -> None:
    code = "import sys; before = set(sys.modules); import modhub; print(sorted(m for m in set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pydantic", "click", "keras"} & set(ast.literal_eval(done.stdout))
