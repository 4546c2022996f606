"""The examples in the docstrings of the public names, and of the verbs in ``ops``, do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import modhub
from modhub import ops

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
#: Where the network of the examples about releases comes from.
TRAINED = "decompose"


def examples() -> dict[str, doctest.DocTest]:
    """By name all docstrings with examples: of the public names and their methods, and of what is in ``ops``."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    homes = [importlib.import_module(f"modhub.ops.{each.name}") for each in pkgutil.iter_modules(ops.__path__)]
    own = [
        value for home in homes for value in vars(home).values() if getattr(value, "__module__", "") == home.__name__
    ]
    found = {}
    for value in {id(each): each for each in [*(getattr(modhub, name) for name in modhub.__all__), *own]}.values():
        if isinstance(value, Callable):
            found |= {test.name: test for test in finder.find(value, value.__name__, globs={}) if test.examples}
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("name", modhub.__all__)
def test_a_public_name_has_an_example(name: str) -> None:
    assert name in EXAMPLES


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    """``model``, ``x`` and ``y`` of the example of ``decompose``, up to where it decomposes."""
    values: dict[str, Any] = {}
    for example in EXAMPLES[TRAINED].examples:
        if "modhub.decompose(" in example.source:
            break
        exec(example.source, values)
    return {name: values[name] for name in ("model", "x", "y")}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_gives_what_it_says(
    name: str, trained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    test = EXAMPLES[name]
    given = trained if re.search("as in the example of ``modhub.decompose``", test.docstring or "") else {}
    test.globs = dict(given)
    said: list[str] = []
    failed = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False).failed
    assert not failed, textwrap.dedent("".join(said))
