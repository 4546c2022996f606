"""What pages of the site have that stands elsewhere in the repository.

A page that includes a file from the repository's root (CHANGELOG.md) gets that file's links as they have to be inside
``docs``. The line ``<!-- decisions -->`` becomes the list of all decisions.
"""

from __future__ import annotations

import re
from pathlib import Path

from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

DOCS = Path(__file__).parents[2] / "docs"
#: Where the site has what stands outside of ``docs``.
PAGES = {"registry_schema/FORMAT.md": "format.md", "CHANGELOG.md": "changelog.md", "README.md": "index.md"}
DECISIONS = "<!-- decisions -->"
_LINK = re.compile(r"\]\((docs/[^)\s]+|" + "|".join(map(re.escape, PAGES)) + r")(#[^)\s]*)?\)")
#: After snippets, which have 32, and before everything that reads Markdown.
_PRIORITY = 31


class FromTheRoot(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        written: list[str] = []
        for line in lines:
            written += decisions() if line == DECISIONS else [_LINK.sub(moved, line)]
        return written


def moved(link: re.Match[str]) -> str:
    """A link from the repository's root as one from the top of ``docs``."""
    return f"]({PAGES.get(link[1]) or link[1].removeprefix('docs/')}{link[2] or ''})"


def decisions() -> list[str]:
    found = sorted(path for path in (DOCS / "adr").glob("*.md") if path.name != "README.md")
    return [f"- [{path.read_text().partition(chr(10))[0].removeprefix('# ')}]({path.name})" for path in found]


class Pages(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.register(FromTheRoot(md), "modhub-pages", _PRIORITY)


def makeExtension(**options: object) -> Pages:
    return Pages(**options)
