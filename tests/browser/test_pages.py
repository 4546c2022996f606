"""What people do with a registry in a browser: search, look, on a phone, in the dark, with the keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from modhub.ops.publish import publish
from tests.browser.chromium import watched
from tests.browser.conftest import Shown, expect
from tests.small_origins import bar_modules

#: One of each kind of page.
KINDS = (
    "index.html?q=top",
    "models.html",
    "namespaces/shapes.html",
    "models/shapes/quadrants/index.html",
    "models/shapes/quadrants/versions/1.0.0.html",
    "models/shapes/quadrants/modules/top-left.html",
    "compose.html",
    "about.html",
    "no-such-page.html",
)


def loaded(page: Any, url: str) -> None:
    """Open a page and wait until its scripts have done what they do by themselves."""
    page.goto(url)
    if "index.html?" in url:
        expect(page.locator("#found")).not_to_have_text("")
        expect(page.locator("#search[aria-busy]")).to_have_count(0)


def refs(page: Any) -> list[str]:
    return page.locator("#results .of").all_inner_texts()


def test_searching_a_class_and_an_input_gives_the_best_recall_first(sound_page: Any, live: Shown) -> None:
    page = sound_page
    page.goto(live.page("index.html"))
    page.locator("#q").press_sequentially("apple 32x32x3")
    page.locator("select[name=sort]").select_option("recall")
    expect(page.locator("#results .of").first).to_contain_text(":apple")
    found = refs(page)
    assert found
    assert all(":apple" in ref for ref in found)
    recalls = [float(text.rstrip("%")) for text in page.locator("#results .figures b").all_inner_texts()[::2]]
    assert recalls == sorted(recalls, reverse=True)
    assert "apple" in page.url
    # Of the 8x8 grey images there are classes of this name in two models, none of which takes 32x32x3.
    page.locator("#q").fill("top left")
    expect(page.locator("#results .of")).to_have_count(2)
    page.locator("#q").fill("top left 32x32x3")
    expect(page.locator("#results .of")).to_have_count(0)


def test_more_of_what_was_found_goes_on_where_the_first_ended(sound_page: Any, live: Shown) -> None:
    page = sound_page
    page.goto(live.page("index.html?q=a&sort=recall&kind=modules"))
    rows = page.locator("#results li")
    expect(page.locator("#more")).to_be_visible()
    first = rows.count()
    page.locator("#more").click()
    expect(rows).not_to_have_count(first)
    # Who pressed it with the keyboard is at the first of the new ones.
    assert rows.nth(first).evaluate("row => row.contains(document.activeElement)")
    while page.locator("#more").is_visible():
        page.locator("#more").click()
    recalls = [float(text.rstrip("%")) for text in page.locator("#results .figures b").all_inner_texts()[::2]]
    assert recalls == sorted(recalls, reverse=True)
    assert len(set(refs(page))) == len(recalls)
    assert page.locator("#found").inner_text() == f"{len(recalls)} modules"


def test_what_was_chosen_is_in_the_address_and_comes_back_from_it(sound_page: Any, live: Shown) -> None:
    page = sound_page
    page.goto(live.page("index.html?q=apple&sort=name&input=32x32x3&signed=0&dataset=no-such&action=x"))
    expect(page.locator("#results .of").first).to_contain_text(":apple")
    fields = page.evaluate("[...new FormData(document.getElementById('search'))]")
    chosen = {name: value for name, value in fields if value}
    assert chosen == {"q": "apple", "sort": "name", "input": "32x32x3"}
    page.locator("#q").fill("top left")
    expect(page.locator("#results .of")).to_have_count(0)
    assert "q=top+left&input=32x32x3&sort=name" in page.url


def test_a_card_is_a_click_away_and_has_what_the_release_says(sound_page: Any, live: Shown) -> None:
    page = sound_page
    page.goto(live.page("index.html?q=quadrants&kind=models"))
    page.locator("#results a").first.click()
    page.wait_for_selector("h1:has-text('shapes/quadrants')")
    text = page.locator("main").inner_text()
    for said in ("8x8", "top left", "Overlap of modules", "Kept nodes a layer", "1.1.0", "modhub install"):
        assert said in text
    page.locator("table a", has_text="top left").first.click()
    page.wait_for_selector("h1:has-text('top left')")
    assert "Lineage" in page.locator("main").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_until_somebody_chooses(sound_page: Any, live: Shown, scheme: str) -> None:
    page = sound_page
    page.emulate_media(color_scheme=scheme)
    page.goto(live.page("models.html"))
    assert is_dark(page) == (scheme == "dark")
    button = page.locator("#theme")
    for _ in range(3):
        button.click()
        if is_dark(page) != (scheme == "dark"):
            break
    assert is_dark(page) != (scheme == "dark")
    # It is remembered, on every page.
    page.goto(live.page("compose.html"))
    assert is_dark(page) != (scheme == "dark")


def is_dark(page: Any) -> bool:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(","))) < 3 * 128


def test_no_page_scrolls_sideways_on_a_phone(sound_page: Any, live: Shown) -> None:
    page = sound_page
    page.set_viewport_size({"width": 360, "height": 740})
    wide = {}
    for path in KINDS[:-1]:
        loaded(page, live.page(path))
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide[path] = width
    assert wide == {}


def test_the_keyboard_reaches_what_was_found(sound_page: Any, live: Shown) -> None:
    page = sound_page
    page.goto(live.page("index.html?q=horizontal"))
    page.wait_for_selector("#results a")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('horizontal')")


def test_loading_again_shows_what_was_published_since(sound_page: Any, live: Shown) -> None:
    page = sound_page
    page.goto(live.page("models/lines/bars/index.html"))
    assert "2.0.0" not in page.locator(".versions").inner_text()
    publish(bar_modules(), version="2.0.0", registry=live.registry[0])
    for _ in range(100):
        page.reload()
        if "2.0.0" in page.locator(".versions").inner_text():
            break
    assert "2.0.0" in page.locator(".versions").inner_text()
    page.goto(live.page("index.html?q=bars&kind=models"))
    page.wait_for_selector("#results .version")
    assert page.locator("#results .version").first.inner_text() == "2.0.0"


def test_what_is_not_there_has_a_page_that_leads_back(page: Any, live: Shown) -> None:
    with watched(page, live.url) as seen:
        loaded(page, live.page("models/no/such/page.html"))
        page.locator("main a").click()
        page.wait_for_selector("#q")
    assert [text for text in seen.everything() if "404" not in text] == []
