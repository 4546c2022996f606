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
    {"errors", "limits", "deferred"},
    {"digests"},
    {"refs"},
    {"stored"},
    {"architecture"},
    {"manifest"},
    {"documents"},
    {"signing"},
    {"module", "compat", "inputs"},
    {"adapters"},
    {"data"},
    {"sources"},
    {"registry"},
    {"resolve", "config", "settings"},
    {"keyring", "energy"},
    {"cache", "installation"},
    {"decomposition", "composition", "package", "evaluation", "updating"},
    {"engine"},
    {"places"},
    {"searching"},
    {"updates"},
    {"api", "plots"},
    {"project"},
    {"evaluating", "exporting", "explaining"},
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
    "modhub.cache.checking",
    "modhub.cache.pruning",
    "modhub.cache.usage",
    "modhub.compat",
    "modhub.composition",
    "modhub.data",
    "modhub.energy",
    "modhub.keyring",
    "modhub.module",
    "modhub.package",
    "modhub.project",
    "modhub.registry.care",
    "modhub.registry.filesystem",
    "modhub.registry.http",
    "modhub.registry.memory",
    "modhub.registry.publication",
    "modhub.registry.recording",
    "modhub.registry.registry",
    "modhub.registry.troubles",
    "modhub.resolve.groups",
    "modhub.resolve.lockfile",
    "modhub.resolve.settling",
    "modhub.settings",
    "modhub.signing.keys",
    "modhub.signing.trusted",
}
#: What searching and listing do not need besides.
NO_RELEASE = {"modhub.api", "modhub.architecture", "modhub.manifest", "modhub.places", "modhub.resolve"}

#: Command -> what else it must not load; at most how many modules, pydantic models and dataclasses of modhub it makes.
#: A class takes a third of a millisecond. Raise a bound only for what the command really uses.
LEAN = {
    "list": (NO_RELEASE, 40, 20, 22),
    "list --available": (NO_RELEASE | {"modhub.cache"}, 36, 18, 18),
    "search cat": (NO_RELEASE | {"modhub.cache"}, 36, 18, 18),
    "info cifar10/r56": ({"modhub.api"}, 50, 54, 32),
    "install cifar10/r56:cat": ({"modhub.searching"}, 50, 54, 32),
}

#: Runs a command and tells what it brought in, beside what click and pydantic are made of.
LOADING = """
import dataclasses, json, runpy, sys
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
loaded = sorted(set(sys.modules) - before)
own = [name for name in loaded if name.split(".")[0] == "modhub"]
made = {{each for name in own for each in vars(sys.modules[name]).values() if isinstance(each, type)}}
made = {{each for each in made if each.__module__ in own}}
models = sorted(each.__name__ for each in made if issubclass(each, pydantic.BaseModel))
values = sorted(each.__name__ for each in made if "__dataclass_fields__" in vars(each))
print("LOADED", json.dumps([loaded, own, models, values]))
"""


@pytest.mark.parametrize("command", LEAN)
def test_light_commands_load_little(command: str) -> None:
    """What a start costs, in what it loads, because seconds depend on the machine."""
    more, most_modules, most_models, most_values = LEAN[command]
    # What is installed is to be found as it is: an installation that fetches has reasons to load more.
    install = [sys.executable, "-m", "modhub", "install", "cifar10/r56:cat"]
    subprocess.run(install, capture_output=True, check=True)
    code = LOADING.format(arguments=command.split())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded, own, models, values = json.loads(done.stdout.rpartition("LOADED")[2])
    refused = UNNEEDED | more
    assert not [name for name in loaded if any(f"{name}.".startswith(f"{each}.") for each in refused)]
    assert len(own) <= most_modules, own
    assert len(models) <= most_models, models
    assert len(values) <= most_values, values


def test_importing_modhub_is_nearly_free() -> None:
    code = "import sys; before = set(sys.modules); import modhub; print(sorted(m for m in set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pydantic", "click", "keras"} & set(ast.literal_eval(done.stdout))
