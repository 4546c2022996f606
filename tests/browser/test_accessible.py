"""Every kind of page keeps WCAG 2.2, levels A and AA, as far as axe-core can tell, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Shown
from tests.browser.test_pages import KINDS, loaded

axe_package = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
AXE = (Path(axe_package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
#: In the dark the same elements have other colours, and that is all.
OF_COLOURS = ["color-contrast", "link-in-text-block"]


def violations(page: Any) -> list[str]:
    """What is wrong, in which scheme and with which element, of the page as it is now."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE)
    wrong = []
    for scheme, rules in (("light", LEVELS), ("dark", OF_COLOURS)):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate(
            "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']}).then(each => each.violations)",
            rules,
        )
        wrong += [f"{each['id']}, {scheme}: {node['html'][:200]}" for each in found for node in each["nodes"]]
    return wrong


def test_every_kind_of_page(page: Any, live: Shown) -> None:
    wrong = {}
    for path in KINDS:
        loaded(page, live.page(path))
        if found := violations(page):
            wrong[path] = found
    assert wrong == {}


def test_a_classifier_and_its_answer(page: Any, live: Shown, photo: Path) -> None:
    page.goto(live.page("compose.html#add=shapes/quadrants:top-left&add=shapes/quadrants:top-right"))
    page.wait_for_selector("#try-plan .summary")
    page.locator("#try-file").set_input_files(photo)
    page.wait_for_selector(".maps canvas")
    page.locator("#find").fill("top")
    page.wait_for_selector("#candidates button")
    page.get_by_label("Label of shapes/quadrants:top-left").fill("top right")
    assert violations(page) == []


def test_a_page_that_is_wrong_is_found(page: Any) -> None:
    style = "@media (prefers-color-scheme: dark) { p { background: #111; color: #333 } }"
    page.set_content(f"<html><style>{style}</style><body><img src=x><p>pale</p></body></html>")
    found = {text.partition(":")[0] for text in violations(page)}
    assert found >= {"image-alt, light", "html-has-lang, light", "color-contrast, dark"}
    assert "color-contrast, light" not in found
