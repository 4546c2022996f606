"""Registries of people who mean ill, or had bad luck: what is damaged is named, what is hostile is text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

import modhub
from modhub.cli.root import root
from modhub.registry.writer import Registry
from modhub.site.card_html import card_html
from modhub.site.text import isolated
from modhub.spec.layout import release_path
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from tests.cards.carded import carded_release
from tests.synthetic import release

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eevil\u2066",
    "javascript:alert(1)",
)
README = """---
license: mit
description: "<script>alert(1)</script> {{ 7 * 7 }}"
---

# <img src=x onerror=alert(1)>

<script>alert(1)</script> and [a link](javascript:alert(1)), [data](data:text/html,x), [other](../../blobs/x.html),
[good](https://example.org/?a=1&b="2"), <https://example.org>, ![a picture](https://tracker.example/pixel.png)

| left | right |
|:-----|------:|
| a    | b     |
"""


class Page(HTMLParser):
    """What a page may do: its elements with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a registry full of payloads, of which one release is damaged and one README too."""
    folder = tmp_path_factory.mktemp("hostile")
    registry = Registry(LocalStore(folder / "registry"))
    registry.publish(*release("evil/net", classes=PAYLOADS))
    registry.publish(*carded_release("evil/card", readme=README))
    registry.yank(ModelRef("evil", "net", "1.0.0"), PAYLOADS[0])
    registry.publish(*release("evil/net", "1.1.0", classes=PAYLOADS, seed=1))
    registry.publish(*release("good/net"))
    registry.publish(*release("bad/net"))
    registry.publish(*release("bad/net", "0.9.0", seed=2))
    registry.publish(*release("bad/net", "0.8.0", seed=3))
    for version in ("1.0.0", "0.8.0"):
        manifest = folder / "registry" / release_path(ModelRef("bad", "net", version))
        manifest.write_bytes(manifest.read_bytes().replace(b'"cat"', b'"dog"'))
    modhub.build_site(folder / "site", registry=str(folder / "registry"), quick=True)
    return folder


def test_nothing_on_any_page_can_run_or_be_loaded_from_elsewhere(hostile: Path) -> None:
    pages = list((hostile / "site").rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        for tag, attributes in Page(page.read_text()).tags:
            assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc", "srcset")]
            assert tag not in ("iframe", "object", "embed", "base", "style", "template")
            if tag in ("script", "img", "link"):
                source = attributes.get("src") or attributes.get("href") or ""
                assert attributes.get("rel") == "canonical" or not source.startswith(("/", "http", "data:", "java"))
                assert "assets/" in source or source.endswith(".png") or attributes.get("as") == "fetch"
            if tag == "a":
                target = attributes["href"] or ""
                assert target.startswith("https://example.org") == ("rel" in attributes)
                assert ":" not in target.partition("#")[0].partition("?")[0] or target.startswith("https://example.org")


def test_what_is_hostile_is_there_to_be_read(hostile: Path) -> None:
    page = (hostile / "site" / "models" / "evil" / "net" / "index.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert "\u202e" not in page
    assert "&lt;U+202E&gt;evil" in page
    card = (hostile / "site" / "models" / "evil" / "card" / "index.html").read_text()
    assert "picture: a picture" in card
    assert "tracker.example" not in card
    assert 'rel="noopener noreferrer nofollow ugc"' in card
    assert "[a link](javascript:alert(1))" in card


def test_names_cannot_turn_what_stands_beside_them() -> None:
    assert isolated("\u202ecat") == "<bdi>&lt;U+202E&gt;cat</bdi>"
    assert "\u2066" not in card_html("a \u2066b")
    assert "script" not in card_html("> " * 3000 + "<script>")


def test_every_link_leads_to_a_file_of_the_site(hostile: Path, starter_site: Path) -> None:
    for site in (hostile / "site", starter_site):
        for page in site.rglob("*.html"):
            for tag, attributes in Page(page.read_text()).tags:
                target = attributes.get("href") or attributes.get("src") or ""
                if tag in ("a", "script", "link", "img") and target and not target.startswith(("http", "#")):
                    assert (page.parent / target.partition("#")[0].partition("?")[0]).is_file(), (page, target)


def test_a_damaged_release_is_named_and_the_rest_is_there(hostile: Path, tmp_path: Path) -> None:
    about = (hostile / "site" / "about.html").read_text()
    assert "bad/net@1.0.0" in about
    front = (hostile / "site" / "models" / "bad" / "net" / "index.html").read_text()
    assert "Cannot be shown" in front
    assert "versions/0.9.0.html" in front
    assert "yanked</span>" not in front
    assert "all are yanked" not in front
    assert about.index("bad/net@0.8.0") < about.index("bad/net@1.0.0")
    assert (hostile / "site" / "models" / "good" / "net" / "index.html").is_file()
    command = ["site", "build", "--registry", str(hostile / "registry"), "--out", str(tmp_path / "out"), "--quick"]
    done = CliRunner().invoke(root, command)
    assert done.exception is not None
    assert (done.exception.kind, done.exception.exit_code) == ("damaged-entries", 5)
    assert (tmp_path / "out" / "index.html").is_file()
