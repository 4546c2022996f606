"""Errors name what was given and never repeat all of it: every public verb, every argument, with huge values."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modhub
from modhub.errors import MAX_MESSAGE_CHARS, ModhubError
from tests.small_origins import quadrant_modules, quadrants

LONG = "a/b" * 10_000
#: Values of every kind that people hand over by mistake, each of which fills screens when it is printed.
HUGE: dict[str, Callable[[], Any]] = {
    "text": lambda: LONG,
    "bytes": lambda: LONG.encode(),
    "a path": lambda: Path("x" * 5_000),
    "an array": lambda: np.arange(20_000).reshape(-1, 2),
    "an array of text": lambda: np.array([LONG, "x"]),
    "a list of texts": lambda: ["name" * 100] * 1_000,
    "a list of numbers": lambda: list(range(5_000)),
    "a nested list": lambda: [[["deep" * 1_000] * 100] * 10],
    "a mapping": lambda: {f"key {number}": LONG[:500] for number in range(1_000)},
    "a tuple of arrays": lambda: (np.zeros((5_000, 3)), np.zeros(7), [LONG]),
    "a number": lambda: 10**4_000,
    "an object": lambda: type("Long" * 20_000, (), {"__repr__": lambda self: LONG})(),
}

ONE_WORD = {"text", "a path", "a number", "an object"}


@cache
def composite() -> modhub.Composite:
    return modhub.compose(quadrant_modules())


def arguments() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """By name each verb with arguments that are right, of which one at a time is replaced."""
    x, y, classes = quadrants(each=2).x, quadrants(each=2).y, quadrants().classes
    network: Any = object()
    return {
        "compose": (
            modhub.compose,
            {"refs": ["cifar10/r20:cat"], "adapt": None, "size": None, "mode": None, "dtype": None},
        ),
        "load": (modhub.load, {"path": "pets.modhub"}),
        "install": (modhub.install, {"refs": "cifar10/r20:unicorn", "locked": None, "registry": None, "cache": None}),
        "lock": (modhub.lock, {"refs": "cifar10/r20:unicorn", "file": "some.lock", "registry": None}),
        "info": (modhub.info, {"ref": "cifar10/r20:unicorn", "registry": None}),
        "search": (modhub.search, {"query": "x", "registry": None, "limit": 1}),
        "publish": (
            modhub.publish,
            {"decomposition_or_folder": "nothing.modules", "version": None, "registry": None, "sign": None},
        ),
        "yank": (modhub.yank, {"ref": "me/net@1.0.0", "reason": "x", "registry": "registry"}),
        "export": (modhub.export, {"what": composite(), "path": "x.keras", "format": "nothing", "check": None}),
        "evaluate": (
            modhub.evaluate,
            {
                "what": composite(),
                "data": (x, y, ["?"]),
                "split": "test",
                "mean": None,
                "std": None,
                "fit": "none",
                "batch_size": 0,
            },
        ),
        "explain": (modhub.explain, {"what": composite(), "image": np.zeros((3, 3)), "index": None, "fit": "none"}),
        "decompose": (
            modhub.decompose,
            {"model": network, "x": x, "y": y, "classes": classes, "name": "me/net", "delta": 0.5, "mean": None},
        ),
        "predict": (
            composite().predict,
            {"x": np.zeros((1, 2)), "batch_size": 0, "fit": "none", "background": "white"},
        ),
        "score": (composite().score, {"x": x, "y": y, "sample_weight": None}),
        "add": (lambda part: composite().add(part), {"part": "x"}),
        "remove": (composite().remove, {"label": "x"}),
        "rename": (composite().rename, {"label": "top left", "name": ""}),
        "restrict": (composite().restrict, {"labels": ["x"]}),
        "swap": (composite().swap, {"label": "top left", "part": "x"}),
        "verify_with": (composite().verify_with, {"stages": {("x", "y"): ["a", "b"]}}),
        "set_params": (composite().set_params, {"mode": "x", "adapt": None, "size": None, "dtype": "float32"}),
        "save": (composite().save, {"path": "x"}),
        "Project.open": (modhub.Project.open, {"folder": "nothing", "registry": None}),
        "Project.new": (modhub.Project.new, {"folder": "new", "refs": ["cifar10/r20:unicorn"], "name": None}),
        "Check": (modhub.Check, {"data": None, "margin": 2}),
        "meter": (modhub.meter, {}),
    }


CASES = [(verb, name) for verb, (_, given) in arguments().items() for name in given]


@pytest.mark.parametrize(("verb", "name"), CASES, ids=[f"{verb}-{name}" for verb, name in CASES])
def test_no_argument_is_dumped(verb: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    function, given = arguments()[verb]
    assert name in inspect.signature(function).parameters or verb == "set_params"
    for kind, make in HUGE.items():
        value = make()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            said = said_by(lambda value=value: function(**given | {name: value}))
        said += [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
        for text in said:
            assert len(text) <= MAX_MESSAGE_CHARS, (kind, text[:300])
            # One endless word is cut; of values with many parts nothing is repeated that would have to be.
            assert kind in ONE_WORD or "characters left out" not in text, (kind, text)


def said_by(call: Callable[[], object]) -> list[str]:
    """What the error of a call says; Python's own for values that no type checker would pass are short too."""
    try:
        call()
    except ModhubError as error:
        return [error.message, error.hint or ""]
    except Exception as error:
        return [str(error)]
    return []
