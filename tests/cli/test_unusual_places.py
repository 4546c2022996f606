"""Names that no file system takes, and numbers of thousands of digits: an error of ours by every command, never more.

None of them may say "unexpected", which is what a mistake of modhub's own would say.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modhub.data.images import load_data
from modhub.errors import ModhubError
from modhub.ops.compose import compose
from modhub.ops.load import load
from modhub.project.project import Project
from tests.cli.running import Result

LONG = "x" * 300
DIGITS = "9" * 5_000

COMMANDS = [
    ["new", LONG],
    ["add", "me/net:cat", "--project", LONG],
    ["sync", "--project", LONG],
    ["merge", LONG],
    ["tree", "--project", LONG],
    ["search", "--registry", LONG],
    ["info", "me/net", "--registry", LONG],
    ["install", "cifar10/r20:cat", "--cache", LONG],
    ["install", "--locked", LONG],
    ["install", f"me/net@{DIGITS}"],
    ["lock", "cifar10/r20:cat", "--out", LONG],
    ["list", "--cache", LONG],
    ["cache", "verify", "--cache", LONG],
    ["diff", LONG, LONG],
    ["publish", LONG],
    ["yank", "me/net@1.0.0", "--reason", "x", "--registry", LONG],
    ["key", "new", LONG],
    ["key", "trust", LONG, "--namespace", "me"],
    ["alias", "set", LONG, "me/net"],
    ["registry", "init", LONG],
    ["registry", "fsck", LONG],
    ["registry", "gc", LONG],
    ["registry", "reindex", LONG],
    ["registry", "import", LONG],
    ["demo", "--keep", LONG],
    ["decompose", f"{LONG}.keras", "--data", "x.npz", "--as", "me/net"],
    ["compose", "cifar10/r20:cat", "cifar10/r20:dog", "--out", f"{LONG}.keras"],
    ["export", "cifar10/r20:cat", "--out", f"{LONG}.keras"],
    ["evaluate", "cifar10/r20:cat", "cifar10/r20:dog", "--data", LONG],
    ["predict", "cifar10/r20:cat", "--images", LONG],
    ["search", "--limit", DIGITS],
    ["predict", "cifar10/r20:cat", "--images", "x.npz", "--batch-size", DIGITS],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(part[:12] for part in command))
def test_what_no_file_system_takes(run: Callable[..., Result], command: list[str], tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*command, "--json")
    if done.code == 0:
        # There is nothing in a cache of that name.
        assert command[0] in ("list", "cache")
        return
    error = json.loads(done.err.splitlines()[-1])
    assert error["error"] not in ("unexpected", "error")
    assert "unexpected" not in error["message"]
    assert len(error["message"]) < 1_000
    assert error["hint"]


@pytest.mark.parametrize("name", [LONG, "x/" * 2_500])
def test_the_same_from_python(name: str) -> None:
    for work in (
        lambda: load(name),
        lambda: load_data(name),
        lambda: load_data(f"{name}.npz"),
        lambda: Project.new(name),
        lambda: Project.open(name),
        lambda: compose(["cifar10/r20:cat"], registry=name),
        lambda: compose(["cifar10/r20:cat"], cache=Path(name)),
        lambda: compose(["cifar10/r20:cat"]).predict(np.zeros((1, 32, 32, 3), np.uint8), batch_size=0),
    ):
        with pytest.raises(ModhubError):
            work()
