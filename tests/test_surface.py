"""``import modhub``: the names of the stub file, each found where it is defined, imported on first use only."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import modhub

STUB = Path(modhub.__file__).with_suffix(".pyi")


def listed() -> dict[str, str]:
    """Public name -> the module that the stub imports it from."""
    found = {}
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            # Only ``X as X`` makes a name public for type checkers; the run time would take any.
            assert all(alias.asname == alias.name for alias in node.names)
            found |= {alias.name: f"modhub.{node.module}" for alias in node.names}
    return found


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_python_has_the_names_of_the_stub() -> None:
    assert sorted(listed()) == sorted(modhub.__all__) == sorted(dir(modhub))


@pytest.mark.parametrize("name", listed())
def test_a_name_is_what_its_module_defines(name: str) -> None:
    value = getattr(modhub, name)
    assert value is getattr(importlib.import_module(listed()[name]), name)
    assert value.__module__ == listed()[name], "the stub names the module that defines it"
    assert value.__doc__


def test_importing_loads_nothing_until_a_name_is_used() -> None:
    code = "import sys, modhub; print([m for m in sys.modules if m.startswith('modhub.')]); modhub.ModhubError; " + (
        "print([m for m in sys.modules if m.startswith('modhub.')])"
    )
    assert run(code).splitlines() == ["[]", "['modhub.errors']"]


def test_everything_can_be_imported_at_once() -> None:
    names: dict[str, object] = {}
    exec("from modhub import *", names)
    assert {name: names[name] for name in modhub.__all__} == {name: getattr(modhub, name) for name in modhub.__all__}


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        modhub.nothing_of_ours  # noqa: B018
