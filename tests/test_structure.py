"""The code is built as docs/architecture.md says: layers, imports, sizes, names; and light commands stay light."""

from __future__ import annotations

import ast
import html
import json
import os
import re
import resource
import subprocess
import sys
from collections import defaultdict
from functools import cache, partial
from pathlib import Path

import pytest

from scripts import build_completions
from scripts.draw_architecture import (
    CODE,
    PAGE,
    PICTURE,
    code_files,
    cycles,
    drawn_arrows,
    file_arrows,
    imported_names,
    listed_packages,
    module_of,
    package_arrows,
    package_of,
    shown_arrows,
)

PACKAGES = listed_packages(PAGE.read_text())
IMPORTS = (ast.Import, ast.ImportFrom)
HEAVY = {"keras", "tensorflow", "jax", "torch"}
#: Names that several files define, and why.
ALLOWED_TWICE = {"command": "each command of the command line is a file with a function of this name"}


def test_the_page_lists_every_package() -> None:
    assert {package_of(path) for path in code_files()} - {"__init__"} == PACKAGES.keys()


def test_the_structure_stays_small() -> None:
    assert len(PACKAGES) <= 30
    assert len({package.layer for package in PACKAGES.values()}) <= 13
    assert sum(map(len, package_arrows().values())) <= 180


def test_imports_run_downwards() -> None:
    upwards = [
        f"{source} -> {target}"
        for source, targets in package_arrows().items()
        for target in targets
        if PACKAGES[target].layer > PACKAGES[source].layer
    ]
    assert not upwards


def test_no_package_and_no_file_imports_itself_through_others() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert not cycles(package_arrows())
    assert not cycles(file_arrows())


def test_only_the_command_line_uses_the_public_surface() -> None:
    others = [path for path in code_files() if package_of(path) not in ("cli", "demo", "__main__", "__init__")]
    through = {"modhub", *(f"modhub.{name}" for name in public_names())}
    assert not [module_of(path) for path in others if imported_names(path) & through]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def public_names() -> set[str]:
    surface = ast.parse((CODE / "__init__.pyi").read_text())
    names = {alias.name for node in ast.walk(surface) if isinstance(node, ast.ImportFrom) for alias in node.names}
    return names - {path.stem for path in CODE.iterdir()}


def test_only_the_engine_imports_keras() -> None:
    others = [path for path in code_files() if package_of(path) != "engine"]
    assert not [module_of(path) for path in others if {n.split(".")[0] for n in imported_names(path)} & HEAVY]


def test_the_picture_shows_packages_and_imports() -> None:
    picture = PICTURE.read_text()
    redraw = "run: python scripts/draw_architecture.py (it needs Graphviz)"
    assert drawn_arrows(picture) == shown_arrows(package_arrows()), redraw
    words = html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", picture)))
    missing = [each for each in PACKAGES.values() if each.holds.replace("`", "") not in words]
    assert not missing, redraw


def test_files_stay_readable() -> None:
    long = {module_of(path): len(path.read_text().splitlines()) for path in code_files()}
    assert not {module: lines for module, lines in long.items() if lines > 400}
    assert not [module_of(path) for path in code_files() if path.stem == "utils"]
    assert not [module_of(path) for path in code_files() if not ast.get_docstring(tree_of(path))]


def test_completion_knows_every_command_and_option() -> None:
    """As the commands are now; by themselves they take too long to load for a completion."""
    assert build_completions.TABLE.read_text() == build_completions.text(), "run: python scripts/build_completions.py"


def test_imports_inside_functions_stay_few() -> None:
    """They keep keras, an extra or a large library away from what does without; all others stand at the top."""
    inside = {module_of(path): imports_inside_functions(path) for path in code_files()}
    assert sum(inside.values()) <= 110, {module: count for module, count in inside.items() if count}


def imports_inside_functions(path: Path) -> int:
    functions = [each for each in ast.walk(tree_of(path)) if isinstance(each, ast.FunctionDef)]
    return len({node.lineno for each in functions for node in ast.walk(each) if isinstance(node, IMPORTS)})


def test_a_public_name_has_one_definition() -> None:
    """Classes, functions and aliases of types, by the top level of every file."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in code_files():
        for name in top_level(path):
            found[name].append(module_of(path))
    twice = {name: modules for name, modules in found.items() if len(modules) > 1}
    assert twice.keys() == ALLOWED_TWICE.keys(), twice


def top_level(path: Path) -> set[str]:
    names: set[str] = set()
    for node in tree_of(path).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            # Constants are upper case and may be called alike; an alias of a type may not.
            names |= {each.id for each in targets if isinstance(each, ast.Name) and re.match("[A-Z].*[a-z]", each.id)}
    return {name for name in names if not name.startswith("_")}


def test_what_the_walks_name_exists() -> None:
    walks = PAGE.read_text().partition("## Walks")[2].partition("## Glossary")[0]
    named = set(re.findall(r"`([a-z_]+(?:\.\w+)+)`", walks))
    assert len(named) > 30
    assert not sorted(name for name in named if not is_defined(name))


def is_defined(dotted: str) -> bool:
    """Whether ``package.module.Class.method`` or ``package.module.function`` is there; inherited methods count."""
    parts = dotted.split(".")
    for count in range(len(parts) - 1, 0, -1):
        file = CODE.joinpath(*parts[:count]).with_suffix(".py")
        if file.is_file():
            return _has(file, parts[count:])
    return False


def _has(file: Path, names: list[str]) -> bool:
    tree = tree_of(file)
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == names[0]:
            if len(names) == 1:
                return True
            assert isinstance(node, ast.ClassDef)
            own = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            return names[1] in own or any(_has(*base) for base in _bases(tree, node, names[1]))
    return False


def _bases(tree: ast.Module, cls: ast.ClassDef, method: str) -> list[tuple[Path, list[str]]]:
    bases = {base.id for base in cls.bases if isinstance(base, ast.Name)}
    return [
        (CODE.joinpath(*node.module.split(".")[1:]).with_suffix(".py"), [alias.name, method])
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("modhub.")
        for alias in node.names
        if alias.name in bases
    ]


#: What no light command needs, as modules or as the packages that they lie in.
UNNEEDED = HEAVY | {
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
    "modhub.installation.lockfile",
    "modhub.resolve.together",
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
    "--help": {"modhub.ops", "modhub.registry", "modhub.settings", "modhub.spec.schema", "modhub.storage"},
    "alias list": NO_RELEASE | {"modhub.cache", "modhub.ops"},
    "list": NO_RELEASE,
    "list --available": NO_RELEASE | {"modhub.cache"},
    "search cat": NO_RELEASE | {"modhub.cache"},
    "info cifar10/r56": {"modhub.ops.install"},
    "install cifar10/r56:cat": {"modhub.ops.search"},
}

#: Runs a command and prints what it loaded, beside what click and pydantic are made of.
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


@pytest.fixture
def one_installed(own_home: Path) -> None:
    """What is installed is found as it is: an installation that fetches has reasons to load more."""
    subprocess.run([sys.executable, "-m", "modhub", "install", "cifar10/r56:cat"], capture_output=True, check=True)


@pytest.mark.parametrize("command", LEAN)
@pytest.mark.usefixtures("one_installed")
def test_light_commands_load_little(command: str) -> None:
    """In a fresh interpreter, by what is in sys.modules when the command ends."""
    code = LOADING.format(arguments=command.split())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.rpartition("LOADED")[2])
    refused = UNNEEDED | LEAN[command]
    assert not [name for name in loaded if any(f"{name}.".startswith(f"{each}.") for each in refused)]


#: A light command takes at most 1.5 times as long as this, see benchmarks/startup.py on a quiet machine.
YARDSTICK = "import click, pydantic, fsspec"
#: Beside other work even the least of several times was 2.1 times as long, since caches are shared; this finds what
#: costs a library more.
BOUND = 2.5
#: What other work on the machine adds is never taken away again: the least of several times is nearest to the truth.
MOST_ROUNDS = 10


def processor_seconds(bytecode: Path, *arguments: str) -> float:
    """User's and system's time of one Python process, which keeps its compiled files in ``bytecode``."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.usefixtures("one_installed")
def test_light_commands_start_nearly_as_fast_as_their_libraries(tmp_path: Path) -> None:
    """Processor time, as a ratio to a process that runs in turn with them: the machine's speed does not count."""
    yardstick = partial(processor_seconds, tmp_path, "-c", YARDSTICK)
    commands = {name: partial(processor_seconds, tmp_path, "-m", "modhub", *name.split()) for name in LEAN}
    for compiling in (yardstick, *commands.values()):
        compiling()
    least = {name: float("inf") for name in commands}
    least_yardstick, ratios = float("inf"), least
    for _ in range(MOST_ROUNDS):
        least_yardstick = min(least_yardstick, yardstick())
        least = {name: min(least[name], seconds()) for name, seconds in commands.items()}
        ratios = {name: seconds / least_yardstick for name, seconds in least.items()}
        if max(ratios.values()) < BOUND:
            break
    assert max(ratios.values()) < BOUND, ratios


def test_importing_modhub_is_nearly_free() -> None:
    code = "import sys; before = set(sys.modules); import modhub; print(sorted(m for m in set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pydantic", "click", "keras"} & set(ast.literal_eval(done.stdout))
