"""A registry of somebody who means ill is shown as text: nothing of it runs, loads, leaves or takes a page over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import MARK, watched
from tests.browser.conftest import Shown, expect, served
from tests.browser.hostile import hostile_registry
from tests.browser.payloads import ELSEWHERE, PAYLOADS
from tests.browser.test_pages import loaded

#: What no page of ours has, wherever in it: elements that load or run, handlers, addresses that run, styles.
PLANTED = """() => {
    const wrong = [...document.querySelectorAll(
        "iframe, object, embed, base, style, template, video, math, audio, meta[http-equiv=refresh], " +
        "link[href^='http'], script:not([src]), a[href^='javascript:' i], a[href^='data:' i], img[src^='http'], " +
        "[style*='url']")];
    for (const each of document.querySelectorAll("*")) {
        if ([...each.attributes].some(({ name }) => name.startsWith("on"))) wrong.push(each);
    }
    for (const each of document.querySelectorAll("script[src], img[src], form[action], link[href]")) {
        if (new URL(each.src || each.action || each.href).origin !== location.origin) wrong.push(each);
    }
    return wrong.map(each => each.outerHTML.slice(0, 200));
}"""
POLLUTED = "() => ({}).polluted !== undefined || Object.prototype.hasOwnProperty.call(Object.prototype, 'polluted')"
#: Characters that turn the direction of text, or that nobody sees.
UNSEEN = "() => /[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\ufeff]/.test(document.body.innerText)"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shown, list[str]]]:
    folder = tmp_path_factory.mktemp("hostile")
    refs = hostile_registry(folder / "registry")
    for shown in served((str(folder / "registry"),), folder / "cache"):
        yield shown, refs


@pytest.fixture
def hostile(planted: tuple[Shown, list[str]]) -> Shown:
    return planted[0]


def check(page: Any) -> None:
    assert page.evaluate(PLANTED) == []
    assert not page.evaluate(POLLUTED)
    assert not page.evaluate(UNSEEN)


def test_every_page_is_inert(page: Any, hostile: Shown) -> None:
    with watched(page, hostile.url) as seen:
        loaded(page, hostile.page("models.html"))
        check(page)
        seen_pages = {hostile.page("models.html")}
        waiting = links(page)
        while waiting:
            url = waiting.pop()
            # Of all but one model the page of its only version is as the model's own.
            is_twice = "/versions/" in url and "/net-0/" not in url
            if url in seen_pages or is_twice or "compose.html" in url or "?" in url:
                continue
            seen_pages.add(url)
            loaded(page, url)
            check(page)
            waiting += links(page)
    assert seen.everything() == []
    # Each model with its three modules, and one release.
    assert len(seen_pages) >= 6 * 4 + 1


def links(page: Any) -> list[str]:
    """The addresses of this site that a page leads to, without their fragments."""
    found = page.evaluate("() => [...document.links].filter(a => a.origin === location.origin).map(a => a.href)")
    return sorted({url.partition("#")[0] for url in found})


def test_what_was_planted_is_there_to_be_read(page: Any, hostile: Shown) -> None:
    shown = ""
    loaded(page, hostile.page("models/evil/net-0/index.html"))
    # As text, a heading, a quotation and a table, but for what Markdown itself takes for something else.
    assert page.locator(".readme blockquote").count() >= len(PAYLOADS) // 2
    assert page.locator(".readme table").count() >= len(PAYLOADS) // 2
    for number in range(6):
        loaded(page, hostile.page(f"models/evil/net-{number}/index.html"))
        shown += page.locator("main").inner_text()
    missing = [each for each in PAYLOADS if each.isascii() and "\n" not in each and each not in shown]
    assert missing == []


def test_searching_and_composing_are_inert(page: Any, planted: tuple[Shown, list[str]]) -> None:
    hostile, refs = planted
    with watched(page, hostile.url) as seen:
        page.goto(hostile.page("index.html"))
        for payload in PAYLOADS:
            page.locator("#q").fill(payload)
        for words in ("net", "class", "alert", "script", "__proto__", "constructor"):
            page.locator("#q").fill(words)
            expect(page.locator("#search[aria-busy]")).to_have_count(0)
            check(page)
        for value in (f"?q={PAYLOADS[0]}&sort=__proto__&kind={PAYLOADS[7]}&__proto__=1", f"?input={PAYLOADS[5]}"):
            loaded(page, hostile.page("index.html" + value))
            check(page)
        adding = "&".join(f"add={ref}" for ref in refs)
        loaded(page, hostile.page(f"compose.html#{adding}&add={PAYLOADS[0]}&add=javascript:alert(1)"))
        expect(page.locator("#members li")).to_have_count(12)
        page.locator("#find").fill("class")
        page.wait_for_selector("#candidates button")
        # The modules have no weights that could be decoded: modhub says so.
        page.wait_for_selector("#try-plan .problem")
        for payload in PAYLOADS[::6]:
            page.locator("#members input").first.fill(payload)
            page.locator("#project-name").fill(payload)
        page.locator("details summary").click()
        check(page)
    problems = [text for text in seen.everything() if "api/classifiers" not in text]
    assert [text for text in problems if not text.startswith("console: error Failed to load resource")] == []


def test_what_is_watched_for_is_seen(page: Any, live: Shown) -> None:
    """The payloads do run where a page lets them, and where one has them and does not, the browser complains."""
    body = f"<body>{PAYLOADS[0]}<img src=x onerror=alert(1)><img src={ELSEWHERE}/seen.png></body>"
    with watched(page, live.url) as seen, page.expect_event("dialog"):
        page.route("**/plain.html", lambda route: route.fulfill(body=body, content_type="text/html"))
        page.goto(live.page("plain.html"))
    assert any(MARK in text for text in seen.console)
    assert seen.dialogs == ["1"]
    assert f"{ELSEWHERE}/seen.png" in seen.foreign

    policy = page.request.get(live.page("about.html")).headers["content-security-policy"]
    headers = {"content-security-policy": policy}
    with watched(page, live.url) as seen:
        page.route("**/bound.html", lambda route: route.fulfill(body=body, content_type="text/html", headers=headers))
        page.goto(live.page("bound.html"))
        assert len(page.evaluate(PLANTED)) == 4
    assert any("Content Security Policy" in text for text in seen.console)
    assert seen.dialogs == []
