"""One browser, and one server of a registry with models of two sizes, for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modhub.installation.registries import STARTER_FOLDER
from modhub.ops.publish import publish
from tests.browser.chromium import FLAGS, chromium_path, watched
from tests.small_origins import bar_modules, quadrant_modules, quadrants

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("starlette", reason="modhub[ui] is not installed")

from modhub.ops.site_live import open_live_site  # noqa: E402 - what is missing is said above
from modhub.serving.hosting import hosted  # noqa: E402
from modhub.serving.ui.app import BrowserApp  # noqa: E402
from modhub.serving.ui.classifiers import ComposedClassifiers  # noqa: E402

expect = sync_api.expect
#: Milliseconds until what a test waits for has failed to come; machines are shared.
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class Shown:
    """A server of pages at ``url``, of the registries ``registry``, and the ``cache`` that it installs into."""

    url: str
    registry: tuple[str, ...]
    cache: Path

    def page(self, path: str) -> str:
        return f"{self.url}/{path}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser; skips where it is not installed. Not for the session: its event loop is this thread's meanwhile."""
    place = chromium_path()
    if place is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """``modhub ui`` on a small registry of 8x8 grey images, and on the starter, whose images are 32x32x3."""
    folder = tmp_path_factory.mktemp("shown")
    own = str(folder / "registry")
    publish(quadrant_modules(), version="1.0.0", registry=own)
    publish(quadrant_modules(), version="1.1.0", registry=own)
    publish(bar_modules(), version="1.0.0", registry=own)
    yield from served((own, str(STARTER_FOLDER)), folder / "cache")


def served(registry: tuple[str, ...], cache: Path) -> Iterator[Shown]:
    app = BrowserApp(open_live_site(registry), ComposedClassifiers(registry, cache)).app
    with hosted(app) as server:
        yield Shown(server.url, registry, cache)


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A colour photo larger than either network's images, with a bright top left quarter."""
    data = quadrants()
    grey = Image.fromarray(data.x[data.y == 0][0, :, :, 0]).resize((96, 64), Image.Resampling.BICUBIC)
    file = tmp_path_factory.mktemp("photos") / "photo.png"
    Image.merge("RGB", [grey, grey.point(lambda value: value // 2), grey]).save(file)
    return file


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """An empty page that remembers nothing of those before."""
    context = chromium.new_context(
        viewport={"width": 1200, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture
def sound_page(page: Any, live: Shown) -> Iterator[Any]:
    """A page of ``live``, on which nothing happens that our pages never do."""
    with watched(page, live.url) as seen:
        yield page
    assert seen.everything() == []
