"""Completion, in the functions that compute it and in the shells that people use."""

from __future__ import annotations

import json
import os
import pty
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.cli.completing import FILES, completions
from modhub.cli.shells import SCRIPTS
from tests.cli.running import Result, Workshop, plain_environment

Run = Callable[..., Result]


def values(*words: str) -> list[str]:
    return [value for value, _ in completions(words)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("inst", ["install"]),
        ("registry in", ["init"]),
        ("help regi", ["registry"]),
        ("help registry f", ["fsck"]),
        ("predict c10 --fi", ["--fit"]),
        ("predict c10 --fit ", ["resize", "crop", "letterbox", "none"]),
        ("predict c10 --fit=l", ["--fit=letterbox"]),
        ("install c", ["c10", "c100", "cifar10/r20", "cifar10/r20-half", "cifar10/r56", "cifar10/vgg", "cifar100/r20"]),
        ("install c100:ap", ["c100:apple"]),
        ("install cifar10/r56:d", ["cifar10/r56:deer", "cifar10/r56:dog"]),
        ("install --json c10:f", ["c10:frog"]),
        ("install c10:cat c10:s", ["c10:ship"]),
        ("compose c10:cat c10:dog --remove ", ["cat", "dog"]),
        ("compose c10:cat c10:dog --restrict cat,d", ["cat,dog"]),
        ("compose c10 --swap c", ["cat="]),
        ("compose c10 --swap cat=cifar10/r20:c", ["cat=cifar10/r20:cat"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("config get energy.p", ["energy.pue"]),
        ("decompose ne", [FILES]),
        ("info nothing-has-this-name", [FILES]),
        ("install -- --js", [FILES]),
        ("list something", []),
    ],
)
def test_what_a_line_may_become(
    line: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = values(*line.split(" "))
    assert found == expected or (expected == [FILES] and FILES in found)


def test_names_of_one_s_own(run: Run, workshop: Workshop, tmp_path: Path) -> None:
    run("registry", "add", "team", workshop.registry)
    assert values("install", "me") == ["me/net"]
    assert values("install", "me:p") == ["me:potters-wheel"]
    assert values("install", "x", "--registry", "te") == ["team"]
    run("new", "--here", "me/net")
    assert values("remove", "") == ["cat", "dog", "potter's wheel"]
    assert values("rename", "c") == ["cat"]
    run("key", "new", "mine")
    assert values("publish", "x", "--sign", "") == ["mine"]
    run("alias", "set", "short", "me/net")
    assert values("install", "short:do") == ["short:dog"]
    assert values("alias", "remove", "sh") == ["short"]
    assert values("config", "get", "aliases.") == ["aliases.short"]
    # What was installed is known without its registry.
    run("registry", "remove", "team")
    assert values("install", "me/net:ca") == ["me/net:cat"]


def test_names_of_other_machines_are_those_last_seen(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workshop: Workshop
) -> None:
    monkeypatch.setenv("MODHUB_REGISTRY", "memory://somewhere")
    run("registry", "init")
    assert run("publish", workshop["net.modules"], "--version", "1.0.0").code == 0
    assert values("install", "me") == [FILES]
    assert run("search", "me").code == 0
    assert values("install", "me") == ["me/net"]
    assert values("install", "me/net:d") == ["me/net:dog"]
    run("cache", "clean", "--yes")
    assert values("install", "me") == [FILES]


def test_what_is_damaged_or_hostile_proposes_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    config.write_text("registries = [5, {}]\naliases = 3\ncache = [1]")
    monkeypatch.setenv("MODHUB_CONFIG", str(config))
    assert "cifar10/r56" in values("install", "")
    config.write_text("\x00 = [")
    shard = tmp_path / "r" / "index" / "me" / "net.json"
    shard.parent.mkdir(parents=True)
    (tmp_path / "r" / "releases" / "me" / "net").mkdir(parents=True)
    for data in (b"[", b"[" * 100_000, b"7", json.dumps({"releases": [{"slugs": ["\x1b[2J", "a\nb"]}]}).encode()):
        shard.write_bytes(data)
        monkeypatch.setenv("MODHUB_REGISTRY", str(tmp_path / "r"))
        assert "me/net" in values("install", "")
        done = ask_in_shell("zsh", "install", "me/net:")
        assert "\x1b" not in done
        assert len(done.splitlines()) <= 2


def ask_in_shell(shell: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "modhub", *words],
        env=plain_environment() | {"_MODHUB_COMPLETE": shell},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_it_takes_less_than_a_third_of_a_second_and_loads_nothing_large(run: Run, workshop: Workshop) -> None:
    run("registry", "add", "team", workshop.registry)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [["install", "c10:"], ["predict", "c10", "--"], ["compose", "c10", "--swap", "cat=me/net:"]]
    for line in lines:
        assert len(ask_in_shell("fish", *line).splitlines()) >= 3
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent / len(lines) < 0.3
    code = (
        "import sys; from modhub.cli.completing import answer; answer('zsh', ['modhub', 'install', 'c10:']); "
        "print(sorted({'click', 'pydantic', 'numpy', 'keras', 'fsspec', 'requests', 'ssl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# Real shells


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder with a program ``modhub``, as pip makes one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "modhub"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m modhub "$@"\n')
    program.chmod(0o755)
    return folder


def shell_environment(bin_folder: Path) -> dict[str, str]:
    return plain_environment() | {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TERM": "dumb",
    }


BASH = """
source <(modhub completion bash)
complete -p modhub > /dev/null
ask() {
    COMP_LINE=$1 COMP_POINT=${#1}
    # As readline splits it: colons and equals signs are words of their own.
    read -ra COMP_WORDS <<< "${1//:/ : }"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _modhub_completion
    printf '%s ' "${COMPREPLY[@]}"
    echo
}
ask 'modhub inst'
ask 'modhub install c10:ca'
ask 'modhub install cifar10/r5'
ask 'modhub compose c10 --swap cat=cifar10/r20:do'
ask 'modhub predict c10 --fit '
ask 'modhub decompose ne'
"""


def test_bash(bin_folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH], env=shell_environment(bin_folder), capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stderr == ""
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["install"], ["cat"], ["cifar10/r56"], ["dog"], ["resize", "crop", "letterbox", "none"], [],
    ]  # fmt: skip


def typed_into(shell: list[str], setup: str, typed: str, environment: dict[str, str], folder: Path) -> str:
    """What a shell in a terminal runs when ``typed``, with its tabs, is sent to it: each command prints its words."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        shell, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder, start_new_session=True
    )
    os.close(theirs)
    seen = b""

    def until(marker: bytes) -> None:
        nonlocal seen
        while marker not in seen:
            seen += os.read(ours, 65536)

    try:
        os.write(ours, f"{setup}; echo REA''DY\n".encode())
        until(b"READY\r\n")
        os.write(ours, typed.encode())
        until(b"DONE\r\n")
    finally:
        running.kill()
        running.wait(timeout=30)
        os.close(ours)
    return seen.decode()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_tab_in_a_terminal(shell: str, bin_folder: Path, tmp_path: Path) -> None:
    """The tab is pressed as a person does; what the shell then runs shows what it completed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    line = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    setup = {
        "bash": "bind 'set enable-bracketed-paste off'; source <(modhub completion bash)",
        "zsh": "autoload -Uz compinit; compinit -u -D; source <(modhub completion zsh)",
    }[shell]
    typed = "modhub help inst\t\necho DO''NE\n"
    seen = typed_into(line, setup, typed, shell_environment(bin_folder), tmp_path)
    assert "Usage: modhub install" in seen.replace("\r", "")


def test_zsh_completes_classes_behind_a_colon(bin_folder: Path, tmp_path: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    setup = "autoload -Uz compinit; compinit -u -D; source <(modhub completion zsh)"
    typed = "modhub info c100:appl\t --json | grep '\"class\"'; echo DO''NE\n"
    seen = typed_into(["zsh", "-f", "-i"], setup, typed, shell_environment(bin_folder), tmp_path)
    assert '"class": "apple"' in seen


def test_fish(bin_folder: Path, tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    (tmp_path / "net.keras").write_text("")
    lines = ["modhub inst", "modhub install c10:ca", "modhub predict c10 --fit ", "modhub decompose ne"]
    script = "modhub completion fish | source\n" + "".join(f"complete -C '{line}'; echo ==\n" for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=shell_environment(bin_folder),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    answers = [part.split("\n") for part in done.stdout.split("==\n")]
    first = [[line.split("\t")[0] for line in part if line] for part in answers]
    assert first[:4] == [["install"], ["c10:cat"], ["crop", "letterbox", "none", "resize"], ["net.keras"]]


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_the_scripts_are_what_the_shells_accept(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(SCRIPTS[shell])
    done = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
