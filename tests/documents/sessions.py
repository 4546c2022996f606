"""Running the snippets of one page as a reader would: top to bottom, in one folder and one Python session.

``python`` blocks are executed; in ``bash`` blocks every line is a command, in ``console`` blocks those behind ``$``.
The commands of modhub run in this process, others in a shell. Two comments, which no reader sees, may stand above a
block: ``<!-- not run: REASON -->``, and ``<!-- before: COMMAND -->`` for what the text takes as done.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from modhub.cli import main

RUN = ("python", "bash", "console")
#: Languages of blocks that nobody could run: files' contents, formulas, messages.
SHOWN = ("toml", "text", "json", "yaml")
_REMARK = re.compile(r"<!-- (not run|before): (.+?) -->")


@dataclass(frozen=True)
class Snippet:
    """A block of code. An indented one has no ``language``; with an ``excuse`` it is not run."""

    language: str | None
    text: str
    line: int
    before: tuple[str, ...]
    excuse: str | None


def snippets(page: Path) -> list[Snippet]:
    text = page.read_text()
    lines = text.split("\n")
    found = []
    for token in MarkdownIt("commonmark").parse(text):
        if token.type in ("fence", "code_block") and token.map is not None:
            said: dict[str, list[str]] = {"before": [], "not run": []}
            above = token.map[0] - 1
            while above >= 0 and (remark := _REMARK.fullmatch(lines[above].strip())):
                said[remark[1]].insert(0, remark[2])
                above -= 1
            language = token.info.strip() if token.type == "fence" else None
            excuse = next(iter(said["not run"]), None)
            found.append(Snippet(language, token.content, token.map[0] + 1, tuple(said["before"]), excuse))
    return found


class Session:
    """The state between the blocks of a page: folder, names of Python, and how the last command ended."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = {"__name__": "__main__"} | names

    def run(self, snippet: Snippet) -> None:
        for command in snippet.before:
            code, said = self.command(command)
            assert code == 0, f"{command}\n{said}"
        if snippet.language == "python":
            exec(compile(snippet.text, f"line {snippet.line}", "exec"), self.names)
            return
        for command, printed in commands(snippet):
            code, said = self.command(command)
            # What the page shows as an error has to be one, and nothing else may be.
            wanted = "error: " in printed
            assert (code != 0) == wanted, f"{command}\nended with {code}:\n{said}"

    def command(self, line: str) -> tuple[int, str]:
        """Run one line of a shell, to its exit code and everything that it printed."""
        left, pipe, right = line.partition(" | modhub ")
        words = shlex.split(f"modhub {right}" if pipe else line, comments=True)
        if "&&" in words and words[:1] == ["modhub"]:
            first, second = line.split(" && ", 1)
            code, said = self.command(first)
            return (code, said) if code else self.command(second)
        if words[:1] == ["cd"]:
            os.chdir(words[1])
            return 0, ""
        if words[:1] != ["modhub"] or {"|", "<", "&&"} & set(words):
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr
        given = subprocess.run(["bash", "-c", left], capture_output=True).stdout if pipe else b""
        target = None
        if ">" in words:
            words, target = words[: words.index(">")], words[words.index(">") + 1]
        code, out, err = in_process(words[1:], given)
        if target is not None:
            Path(target).expanduser().write_text(out)
        return code, out + err


def commands(snippet: Snippet) -> Iterator[tuple[str, str]]:
    """Each command with what the page prints below it."""
    # A line that ends in a backslash goes on.
    text = snippet.text.replace("\\\n", " ")
    if snippet.language == "bash":
        yield from ((line, "") for line in text.splitlines() if line.strip() and not line.startswith("#"))
        return
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        yield line, printed


def in_process(arguments: list[str], given: bytes) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(given))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return main(arguments), out.getvalue(), err.getvalue()
    finally:
        sys.stdin = stdin
