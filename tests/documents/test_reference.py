"""The reference names everything that is public, once."""

from __future__ import annotations

import re
from pathlib import Path

import modhub
from modhub.cli.root import COMMANDS

PAGES = sorted((Path(__file__).parents[2] / "docs" / "reference").glob("*.md"))


def directives(kind: str) -> list[str]:
    return [found for page in PAGES for found in re.findall(rf"(?m)^::: {kind}(.+)$", page.read_text())]


def test_every_public_name_is_in_the_reference() -> None:
    names = [name for name in directives(r"modhub\.") if name != "errors"]
    assert sorted(names) == sorted(set(modhub.__all__) - {"__version__"})


def test_every_section_of_commands_is_in_the_reference() -> None:
    assert sorted(directives("modhub-commands ")) == sorted(COMMANDS)
