"""The commands of modhub as mkdocs-click takes them, and the directives that write a section of the command line.

mkdocs-click knows nothing of the examples at the end of a command's help, nor of blocks that are to stay as they are
(``\\b``): both become fenced blocks of its description here. ``::: modhub-commands SECTION`` on a page stands for one
directive of mkdocs-click for every command of that section of ``modhub --help``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

from modhub.cli.root import COMMANDS, root

_DIRECTIVE = re.compile(r"::: modhub-commands (.+)")
#: Before mkdocs-click's own, which has 141.
_PRIORITY = 150


def __getattr__(name: str) -> click.Command:
    """The command ``name`` with a description for the documentation; that is how mkdocs-click asks for it."""
    found = root.get_command(click.Context(root, info_name="modhub"), name)
    if found is None:
        raise AttributeError(f"modhub has no command {name!r}.")
    return described(found)


def described(command: click.Command) -> click.Command:
    """``command``, and what is below it, with examples and fixed blocks in its description."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            described(below)
    text = inspect.cleandoc(command.help or "")
    if "```" not in text:
        examples = getattr(command, "_examples", ())
        command.help = "\n".join([*fixed_blocks(text), *([fenced(examples)] if examples else [])])
    return command


def fixed_blocks(text: str) -> Iterator[str]:
    """The paragraphs of a help text, those after ``\\b`` fenced."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.split("\n")
        yield fenced(lines[1:]) if lines[0].strip() == "\b" else paragraph.replace("*", r"\*")
        yield ""


def fenced(lines: list[str] | tuple[str, ...]) -> str:
    return "\n".join(["```bash", *lines, "```", ""])


class Sections(Preprocessor):
    """Writes the directives of a section."""

    def run(self, lines: list[str]) -> list[str]:
        written: list[str] = []
        for line in lines:
            match = _DIRECTIVE.fullmatch(line)
            written += [line] if match is None else directives(match[1])
        return written


def directives(section: str) -> list[str]:
    return [
        line
        for name in COMMANDS[section]
        for line in (
            "::: mkdocs-click",
            f"    :module: {__name__}",
            f"    :command: {name}",
            f"    :prog_name: modhub {name}",
            "    :depth: 1",
            "",
        )
    ]


class Commands(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.register(Sections(md), "modhub-commands", _PRIORITY)


def makeExtension(**options: object) -> Commands:
    return Commands(**options)
