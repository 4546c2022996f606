"""What people type who know other tools: hints follow the meaning; -v, -q, help, and colours where they are wanted."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import modhub
from modhub.cli.meanings import MEANINGS, meant_command
from modhub.cli.root import COMMANDS, root
from tests.cli.running import Result, Workshop, plain_environment

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("show c10", "did you mean modhub info?"),
        ("init pets", "did you mean modhub new?"),
        ("login", "registries need no account"),
        ("ls", "did you mean modhub list?"),
        ("rm cat", "modhub remove takes a class out of the project, uninstall out of the cache"),
        ("run c10", "did you mean modhub predict?"),
        ("push net.modules", "did you mean modhub publish?"),
        ("pull c10", "did you mean modhub install?"),
        ("clean", "did you mean modhub cache clean?"),
        ("version", "did you mean modhub --version?"),
        ("instal c10", "did you mean install"),
        ("registry create", "did you mean modhub registry init?"),
        ("cache clear", "did you mean modhub cache clean?"),
        ("compose c10 --output x.keras", "did you mean --out?"),
        ("compose c10 --overwrite", "did you mean --force?"),
        ("predict c10 --image x.png", "did you mean --images?"),
        ("install c10:cat,dog", "give each class a name of its own: cifar10/r56:cat cifar10/r56:dog"),
        ("install c10:cat,c10:dog", "give each class a name of its own: cifar10/r56:cat cifar10/r56:dog"),
    ],
)
def test_hints_follow_the_meaning(run: Run, line: str, hint: str) -> None:
    result = run(*line.split())
    assert result.code in (2, 3)
    assert hint in result.err


def test_every_hint_leads_to_a_command_that_exists() -> None:
    """``meant_command`` names a command of the group, or a sentence whose commands exist."""
    known = {name for section in COMMANDS.values() for name in section}
    for group, words in MEANINGS.items():
        for typed in words:
            hint = str(meant_command(group, typed))
            for named in re.findall(r"modhub ([a-z-]+)", hint):
                assert named in known or named == "--version", (group, typed, hint)


def test_help_is_a_command(run: Run) -> None:
    for line in (["info"], ["registry", "init"], []):
        assert run("help", *line).out == run(*line, "--help").out != ""
    assert "did you mean modhub info?" in run("help", "show").err


def test_verbose_says_what_happens_and_quiet_says_less(run: Run, workshop: Workshop) -> None:
    at = ("--registry", workshop.registry)
    loud = run("install", "me:cat", *at, "-v")
    assert f"resolve: me:cat is me/net:cat@1.0.0, in {workshop.registry}\n" in loud.err
    assert "install: 0 of 1 modules were in the cache; fetched " in loud.err
    assert re.search(r"^cli: done in \d+\.\d\d s, of which \d+\.\d\d s of processor time$", loud.err, re.MULTILINE)
    assert (
        "install: 1 of 1 modules were in the cache; fetched 0 bytes" in run("install", "me:cat", *at, "--verbose").err
    )
    assert run("install", "me:cat", *at).err == ""
    assert logging.getLogger("modhub").handlers == []
    assert (run("search", "zebra", *at).err != "", run("search", "zebra", *at, "-q").err) == (True, "")
    nowhere = ("search", "wheel", *at, "--registry", "nowhere")
    assert "there is no registry at" in run(*nowhere, "-q").err
    assert run(*nowhere, "-qq").err == ""


def test_python_programs_hear_the_same(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="modhub"):
        modhub.install("me:cat", registry=workshop.registry)
    assert {record.name for record in caplog.records} == {"modhub.resolve", "modhub.install"}


def seen_in_a_terminal(*arguments: str, **environment: str) -> str:
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "modhub", *arguments],
        stdout=theirs,
        stderr=theirs,
        env=plain_environment()
        | {"TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[2])}
        | environment,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # Linux says that the other side has closed
        pass
    running.wait(timeout=60)
    os.close(ours)
    return seen.decode()


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "TERM"])
def test_nobody_gets_colours_that_are_not_wanted(variable: dict[str, str]) -> None:
    assert "\x1b[31m" in seen_in_a_terminal("info", "no/net")
    assert "\x1b[3" not in seen_in_a_terminal("info", "no/net", **variable)
    listed = seen_in_a_terminal("list", "--available", **variable)
    assert "cifar10/r56" in listed
    assert not re.search(r"\x1b\[\d", listed)


@pytest.mark.parametrize("line", ["--help", "predict --help", "info c10:cat"])
def test_narrow_terminals_are_not_overflowed_by_tables(line: str) -> None:
    seen = seen_in_a_terminal(*line.split(), COLUMNS="60", NO_COLOR="1").splitlines()
    tables = [text for text in seen if not re.match(r"\s+(made|digest|from|\"|modhub)", text)]
    assert max(map(len, tables)) <= 100


def test_every_command_takes_the_common_options() -> None:
    context = click.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"-v", "-q", "--debug"} <= options, name
