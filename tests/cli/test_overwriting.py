"""What is there stays unless --force says otherwise, for every command that writes a file or a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from modhub.cli.root import root
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]

#: Options that name what is written.
WRITTEN = {"--out", "--save", "--plots"}


def writing() -> Iterator[tuple[str, set[str]]]:
    context = click.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        if options & WRITTEN:
            yield name, options


def test_every_command_that_writes_takes_force() -> None:
    found = dict(writing())
    assert {"compose", "build", "decompose", "update", "explain", "evaluate", "export", "lock"} <= found.keys()
    assert [name for name, options in found.items() if "--force" not in options] == []


@pytest.mark.parametrize(
    "line",
    [
        ["compose", "MODULES", "--out", "there.keras"],
        ["compose", "MODULES", "--save", "there.modhub", "--bundle"],
        ["export", "MODULES", "--out", "there.keras"],
        ["explain", "IMAGES", "MODULES", "--index", "0", "--out", "there.png"],
        ["lock", "me/net:cat", "--registry", "REGISTRY", "--out", "there.lock"],
        ["registry", "export", "me/net", "there.modhub", "--registry", "REGISTRY"],
        ["evaluate", "MODULES", "--data", "DATA", "--plots", "there"],
        ["decompose", "MODEL", "--data", "DATA", "--rescale", "1/255", "--as", "me/net", "--out", "there.modules"],
        ["build", "--out", "there.keras"],
        ["sbom", "me/net", "--registry", "REGISTRY", "--out", "there.json"],
    ],
    ids=lambda line: " ".join(line[:2]),
)
def test_nothing_is_overwritten_without_force(run: Run, workshop: Workshop, line: list[str]) -> None:
    places = {
        "MODULES": workshop["net.modules"],
        "IMAGES": workshop["test.npz"],
        "DATA": workshop["test.npz"],
        "MODEL": workshop["net.keras"],
        "REGISTRY": workshop.registry,
    }
    target = Path(next(word for word in line if word.startswith("there")))
    if target.suffix in ("", ".modules"):
        target.mkdir()
        # A folder of modules is replaced whole, so a file of anything else in it is refused in any case.
        (target / ("manifest.json" if target.suffix else "mine.txt")).write_text("{}")
    else:
        target.write_text("mine")
    before = {path: path.read_bytes() for path in [target, *target.rglob("*")] if path.is_file()}
    refused = run(*(places.get(word, word) for word in line))
    assert refused.code == 4, refused.err
    assert "--force" in refused.err
    assert {path: path.read_bytes() for path in [target, *target.rglob("*")] if path.is_file()} == before


def test_force_does_not_delete_what_is_of_no_package(run: Run, workshop: Workshop) -> None:
    target = Path("there.modules")
    target.mkdir()
    for name in ("manifest.json", "mine.txt"):
        (target / name).write_text("{}")
    line = ("decompose", workshop["net.keras"], "--data", workshop["test.npz"], "--rescale", "1/255", "--as", "me/net")
    refused = run(*line, "--out", str(target), "--force")
    assert refused.code == 4, refused.err
    assert "has mine.txt, which is of no package" in refused.err
    assert sorted(path.name for path in target.iterdir()) == ["manifest.json", "mine.txt"]


def test_force_replaces(run: Run, workshop: Workshop) -> None:
    Path("there.lock").write_text("mine")
    line = ("lock", "me/net:cat", "--registry", workshop.registry, "--out", "there.lock")
    assert run(*line, "--force").code == 0
    assert "me/net" in Path("there.lock").read_text()
