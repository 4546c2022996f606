"""What ``modhub ui`` does until a signal ends it. Importing this module needs the extra ``ui``."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from threading import Thread
from typing import Final

from modhub.cli import printing
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.engine.keras_backend import require_keras_backend
from modhub.ops.site_live import open_live_site
from modhub.serving.hosting import LOOPBACK, HostTiming, check_listens, run_server
from modhub.serving.ui.app import BrowserApp
from modhub.serving.ui.classifiers import ComposedClassifiers

#: How long what was asked for is waited for when it ends.
_SECONDS_TO_STOP: Final = 3


def show_until_told(
    registry: tuple[str, ...] | None, cache: Path | None, *, port: int, opens_browser: bool, as_json: bool
) -> None:
    """Read the registry and show it; may end the process."""
    check_listens(LOOPBACK, port)
    with ProgressLine("reading the registry") as progress:
        pages = open_live_site(registry, progress=progress.steps("reading models"))
    browser = BrowserApp(pages, ComposedClassifiers(registry, cache), load_engine=_load_engine)

    def announce(url: str) -> None:
        if as_json:
            printing.document({"url": url})
        else:
            printing.line(f"{url}/")
            printing.note("Ctrl-C ends it.")
        sys.stdout.flush()
        if opens_browser and _has_display():
            # A browser may be slow to start, and some wait until it is closed.
            Thread(target=webbrowser.open, args=(f"{url}/",), daemon=True).start()

    run_server(browser.app, host=LOOPBACK, port=port, announce=announce, timing=HostTiming(stop=_SECONDS_TO_STOP))
    if browser.is_busy:
        # A network that is being built would keep Python from ending for as long as that takes.
        os._exit(0)


def _load_engine() -> None:
    require_keras_backend()
    load_engine()


def _has_display() -> bool:
    """Whether a window can be opened; a browser of the terminal would take it over."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
