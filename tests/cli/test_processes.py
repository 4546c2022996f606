"""What a shell sees: exit codes, both streams, signals, pipes; every command here is a process of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import Result, Workshop, plain_environment

Process = Callable[..., Result]


def assert_explained(result: Result, code: int, *parts: str) -> None:
    """An error as people get it: this exit code, one message, a hint, nothing on stdout, no traceback."""
    assert result.code == code, result.err
    assert result.out == ""
    assert re.fullmatch(r"(warning: .*\n)*error: .+\n(hint: .+\n)?", result.err), result.err
    for part in parts:
        assert part in result.err


def test_the_main_job(process: Process, workshop: Workshop, tmp_path: Path) -> None:
    """A trained model in a file becomes a classifier of two of its classes, and stderr has nothing but what we say."""
    decomposed = process(
        "decompose", workshop["net.keras"], "--data", workshop["train.npz"], "--rescale", "1/255", "--as", "me/net",
        "--out", "net.modules",
    )  # fmt: skip
    assert (decomposed.code, decomposed.err) == (
        0,
        "next: modhub predict net.modules --images PATH tries it out; modhub publish net.modules shares it\n",
    )
    assert re.search(r"^potter's wheel +\d+\.\d% ", decomposed.out, re.MULTILINE)
    assert "saved net.modules" in decomposed.out

    published = process("publish", "net.modules", "--version", "1.0.0")
    assert (published.code, published.err) == (0, "")
    assert published.out.startswith("published me/net@1.0.0: 3 modules")

    installed = process("install", "me/net:cat")
    assert installed.code == 0
    assert re.search(r"^me/net@1\.0\.0 +cat ", installed.out, re.MULTILINE)

    shutil.rmtree(Path(os.environ["XDG_DATA_HOME"]) / "modhub" / "registry")
    again = process("predict", "me/net:cat", "--images", workshop["images"])
    assert_explained(process("predict", "me/net:dog", "--images", workshop["images"]), 3, "dog")
    assert (again.code, again.err) == (0, "")
    assert [line.split()[:2] for line in again.out.splitlines()[1:]] == [[f"{n}.png", "cat"] for n in range(4)]


def test_wrong_use_exits_with_2(process: Process) -> None:
    assert_explained(process("instal", "me/net"), 2, "no command 'instal'", "did you mean install")
    assert_explained(process("list", "--jsn"), 2, "no option --jsn", "did you mean --json?")
    assert_explained(process("install", "Me/Net"), 2, "'Me'")


def test_what_is_not_there_exits_with_3(process: Process, workshop: Workshop) -> None:
    result = process("install", "me/net:catt", "--registry", workshop.registry)
    assert_explained(result, 3, "me/net@1.0.0 has no class 'catt'", "did you mean cat?")


def test_other_content_under_a_version_exits_with_4(process: Process, workshop: Workshop, other_modules: Path) -> None:
    result = process("publish", other_modules, "--version", "1.0.0", "--registry", workshop.registry)
    assert_explained(result, 4, "me/net@1.0.0 is already published", "another version")


def test_damaged_bytes_exit_with_5(process: Process, workshop: Workshop, tmp_path: Path) -> None:
    damaged = tmp_path / "registry"
    shutil.copytree(workshop.registry, damaged)
    for blob in (damaged / "blobs").rglob("*"):
        if blob.is_file():
            blob.chmod(0o644)
            blob.write_bytes(blob.read_bytes()[:-1])
    result = process("install", "me/net", "--registry", damaged)
    assert_explained(result, 5, str(damaged / "blobs"))
    assert process("list").out == ""


def test_a_registry_that_is_not_there_exits_with_6(process: Process, tmp_path: Path) -> None:
    result = process("search", "--registry", tmp_path / "nowhere")
    assert_explained(result, 6, str(tmp_path / "nowhere"), "modhub registry init")


def test_the_rest_exits_with_1(process: Process, workshop: Workshop) -> None:
    result = process("decompose", workshop["test.npz"], "--data", workshop["test.npz"], "--as", "me/net")
    assert_explained(result, 1, "test.npz is a zip file that does not end in .keras", "model.save")


def test_a_surprise_is_no_traceback_without_debug() -> None:
    """Nothing expects a disk that is full where stdout goes."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "modhub", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=plain_environment(),
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: unexpected: [Errno 28] No space left on device",
        "hint: run again with --debug to see where.",
    ]


@pytest.mark.parametrize("arguments", [["--debug", "info", "no/net"], ["info", "no/net", "--debug"]], ids=" ".join)
def test_debug_shows_the_traceback(process: Process, arguments: list[str]) -> None:
    result = process(*arguments)
    assert result.code == 3
    assert "Traceback (most recent call last)" in result.err
    assert "\nerror: 'no/net' is not in any" in result.err


def test_interrupting_says_so_in_one_line(tmp_path: Path) -> None:
    """The command waits for a configuration that nobody writes; the interrupt comes when it surely waits."""
    config = tmp_path / "config.toml"
    os.mkfifo(config)
    running = subprocess.Popen(
        [sys.executable, "-m", "modhub", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=plain_environment() | {"MODHUB_CONFIG": str(config)},
    )
    # Opening the other end returns when the command has opened its own.
    with config.open("w"):
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert out == ""
    assert err.strip() == "error: interrupted."


def test_a_reader_that_leaves_is_no_error(workshop: Workshop) -> None:
    """``modhub list --available | head -0``, with the pipe closed before the first byte."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "modhub", "list", "--available", "--registry", workshop.registry]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, env=plain_environment())
    os.close(write)
    assert done.stderr == ""


def test_the_environment_names_registry_and_cache(process: Process, workshop: Workshop, tmp_path: Path) -> None:
    places = {"MODHUB_REGISTRY": workshop.registry, "MODHUB_CACHE": str(tmp_path / "cache")}
    assert process("install", "me:cat", **places).code == 0
    assert (tmp_path / "cache" / "installed" / "me" / "net").is_dir()
    assert process("list", **places).out.splitlines()[1].startswith("me/net:cat@1.0.0")
    assert process("list").out == ""


def in_a_terminal(*arguments: str, columns: int) -> list[str]:
    """The lines that a terminal of that width gets to see, with all its control sequences."""
    ours, theirs = pty.openpty()
    environment = plain_environment() | {"COLUMNS": str(columns), "TERM": "xterm-256color"}
    running = subprocess.Popen(
        [sys.executable, "-m", "modhub", *arguments], stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # Linux says that the other side has closed
        pass
    assert running.wait(timeout=60) == 0, seen.decode()
    os.close(ours)
    return seen.decode().splitlines()


def longest_word(lines: list[str]) -> int:
    return max(len(word) for line in lines for word in line.split())


@pytest.mark.parametrize(("word", "columns"), [("wheel", 40), ("wheel", 80), ("cat", 80), ("wheel", 120)])
def test_a_table_in_a_terminal_shows_names_whole(workshop: Workshop, word: str, columns: int) -> None:
    """Side by side where the names leave room for the other columns, else below each other."""
    lines = in_a_terminal("search", word, "--namespace", "me", "--registry", workshop.registry, columns=columns)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    name = {"wheel": "me/net:potters-wheel", "cat": "me/net:cat"}[word]
    start = next(number for number, line in enumerate(plain) if line.startswith(name))
    if plain[start] == name:
        assert (word, columns) in {("wheel", 40), ("wheel", 80)}
        indent = plain[start + 1].index("1.0.0")
        assert max(map(len, plain)) <= max(columns, longest_word(plain) + indent)
        assert [line.split() for line in plain[start + 1 : start + 4]] == [
            ["version", "1.0.0"], ["classes", "1"], ["input", "12x12x1"],
        ]  # fmt: skip
    else:
        assert max(map(len, plain)) <= columns
        assert plain[start].split()[1:5] == ["1.0.0", "1", "12x12x1", "100.0%"]


def test_progress_is_for_terminals_only(process: Process, workshop: Workshop) -> None:
    seen = "\n".join(in_a_terminal("install", "me/net", "--registry", workshop.registry, columns=100))
    assert "installing me/net@1.0.0" in seen
    assert process("install", "me/net", "--registry", workshop.registry).err == ""


LOADED = """
import contextlib, io, sys
from modhub.cli import main
for line in sys.stdin.read().splitlines():
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(line.split()) == 0, line
print(*sorted(name for name in {names!r} if name in sys.modules))
"""


def loaded_by(lines: list[str], names: set[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(names=names)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_help_costs_an_interpreter_and_click(tmp_path: Path) -> None:
    assert loaded_by(["--help", "--version"], {"pydantic", "rich", "numpy", "keras", "fsspec"}, tmp_path) == ""


def test_light_commands_load_neither_keras_nor_numpy(workshop: Workshop, tmp_path: Path) -> None:
    shutil.copytree(workshop.registry, tmp_path / "registry")
    lines = [
        "registry init other",
        "list --available --registry registry",
        "search cat --registry registry",
        "info me/net --registry registry",
        "install me/net:cat --registry registry",
        "list",
        "alias set mine me/net --registry registry",
        "alias list --registry registry",
    ]
    assert loaded_by(lines, {"keras", "tensorflow", "numpy", "rich"}, tmp_path) == ""


def test_publishing_and_planning_load_no_keras(workshop: Workshop, tmp_path: Path) -> None:
    lines = [
        f"publish {workshop['net.modules']} --registry registry",
        "compose me/net:cat me/net:dog --registry registry",
    ]
    assert loaded_by(lines, {"keras", "tensorflow"}, tmp_path) == ""


def test_an_error_for_programs(process: Process) -> None:
    result = process("info", "no/net", "--json")
    assert (result.code, result.out) == (3, "")
    error = json.loads(result.err)
    assert error["error"] == "no-model"
    assert error["name"] == "no/net"
    assert {"message", "hint"} <= set(error)
