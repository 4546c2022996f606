"""The examples in docstrings as code: griffe takes ``>>>`` for Markdown's quotes where no section says "Examples"."""

from __future__ import annotations

import re
from typing import Any

import griffe

#: Lines from a prompt to the end of its output, which is the next blank line.
_EXAMPLE = re.compile(r"(?m)^>>> (?:.+\n?)+")


class Examples(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **rest: Any) -> None:
        if obj.docstring is not None and "```" not in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """``text`` with every run of examples in a fence."""
    return _EXAMPLE.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text)
