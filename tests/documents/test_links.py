"""Links of the documentation lead somewhere, on the site and where the files are read as they are."""

from __future__ import annotations

import itertools
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from scripts.docs import check

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FILES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "registry_schema/FORMAT.md")] + sorted(
    DOCS.rglob("*.md")
)
_MARKDOWN = MarkdownIt("commonmark").enable("table")


def links(page: Path) -> list[str]:
    """The targets of links and pictures of ``page`` that stay in the repository."""
    found = []
    for block in _MARKDOWN.parse(page.read_text()):
        for token in block.children or ():
            target = token.attrs.get("href") or token.attrs.get("src")
            if target is not None and not re.match(r"\w+:", str(target)):
                found.append(str(target))
    return found


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of the headings of ``page``, as GitHub and the site make them."""
    found: set[str] = set()
    tokens = _MARKDOWN.parse(included(page))
    for token, after in itertools.pairwise(tokens):
        if token.type == "heading_open":
            words = "".join(each.content for each in after.children or () if each.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
            number = 1
            while slug in found:
                slug = f"{slug.removesuffix(f'_{number - 1}')}_{number}"
                number += 1
            found.add(slug)
    return found


def included(page: Path) -> str:
    """The text of ``page`` with that of the files that it includes."""
    return re.sub(r'(?m)^--8<-- "(.+)"$', lambda found: (ROOT / found[1]).read_text(), page.read_text())


@pytest.mark.parametrize("page", FILES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            wrong.append(link)
        elif page.is_relative_to(DOCS) and not target.is_relative_to(DOCS):
            wrong.append(f"{link}: it is not on the site")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            wrong.append(link)
    assert not wrong


def test_a_built_site_is_checked(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text('<a href="sub/page.html#here">x</a><img src="picture.svg"><p id="top">')
    (tmp_path / "sub" / "page.html").write_text(
        '<h1 id="here"></h1><a href="../index.html#top">x</a><a href="https://x.org">'
    )
    (tmp_path / "picture.svg").write_text("<svg/>")
    assert check.faults(tmp_path) == []
    (tmp_path / "picture.svg").unlink()
    (tmp_path / "sub" / "page.html").write_text(
        '<h1 id="there"></h1><a href="no.html">x</a><script src="https://cdn.org/a.js"></script>'
    )
    assert check.faults(tmp_path) == [
        "index.html links to picture.svg, which is not there",
        "index.html links to sub/page.html#here, and there is no such place on that page",
        "sub/page.html loads https://cdn.org/a.js",
        "sub/page.html links to no.html, which is not there",
    ]


def test_pictures_of_concepts_are_as_the_script_draws_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts import draw_concepts

    monkeypatch.setattr(sys, "argv", ["draw_concepts.py", "--check"])
    assert draw_concepts.main() == 0
