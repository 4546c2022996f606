"""Long work says how far it is, with a total and a rate, to whoever watches, and to nobody else."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.storage.progress import heard_by, is_heard, progress_shown, tell, told, told_of
from modhub.storage.progress_bar import LATE, Rate, amount_text
from tests.small_origins import bar_modules, bars, bars_model, quadrant_modules, quadrants


class Listener:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, int, str]] = []

    def at(self, what: str, done: int, total: int, unit: str = "") -> None:
        self.heard.append((what, done, total, unit))

    def of(self, what: str) -> list[tuple[int, int, str]]:
        return [(done, total, unit) for said, done, total, unit in self.heard if said.startswith(what)]


@pytest.fixture
def heard() -> Listener:
    return Listener()


@pytest.mark.parametrize("mode", ["isolated", "fused"])
def test_predicting_counts_images(heard: Listener, mode: str) -> None:
    composite = modhub.compose([quadrant_modules(), bar_modules()], mode=mode)
    x = np.concatenate([quadrants(each=30).x, bars(each=30).x])
    expected = composite.predict(x).margins
    with heard_by(heard):
        found = composite.predict(x, batch_size=16).margins
    np.testing.assert_allclose(found, expected, atol=1e-4)
    said = heard.of("classifying")
    assert said == sorted(said)
    assert len({done for done, _, _ in said}) > 5
    assert said[-1] == (210, 210, "images")
    assert {(total, unit) for _, total, unit in said} == {(210, "images")}


def test_evaluating_a_keras_model_counts_images(heard: Listener) -> None:
    data = (bars().x, bars().y, bars().classes)
    with heard_by(heard):
        modhub.evaluate(bars_model(), data, rescale=1 / 255, batch_size=32)
    assert heard.of("classifying")[-1] == (90, 90, "images")


def test_publishing_and_installing_count_bytes(heard: Listener, tmp_path: Path) -> None:
    registry = str(tmp_path / "registry")
    with heard_by(heard):
        release = modhub.publish(bar_modules(), version="1.0.0", registry=registry)
        modhub.install("lines/bars", registry=registry, cache=tmp_path / "cache")
    for what in ("publishing", "installing"):
        done, total, unit = heard.of(what)[-1]
        assert (done, unit) == (total, "bytes")
    assert heard.of("installing")[-1][1] == release.size


def test_a_check_before_publishing_and_a_decomposition_count(heard: Listener, tmp_path: Path) -> None:
    data = (bars(each=12).x, bars(each=12).y, bars().classes)
    registry = str(tmp_path / "registry")
    modhub.publish(bar_modules(), version="1.0.0", registry=registry)
    how = {"classes": data[2], "name": "lines/bars", "rescale": 1 / 255, "batch_size": 8}
    with heard_by(heard):
        made = modhub.decompose(bars_model(), *data[:2], **how)
        modhub.publish(made, version="1.1.0", registry=registry, check=modhub.Check(data, margin=0.9))
    done, total, unit = heard.of("decomposing")[-1]
    assert done == total > 1
    assert unit == "batches"
    assert heard.of("classifying")[-1] == (36, 36, "images")


def test_what_works_in_threads_is_heard(heard: Listener) -> None:
    with heard_by(heard):
        progress, steps = told("bytes"), told_of("hashing", "bytes")
        assert progress is not None
        assert steps is not None
        for work in (lambda: progress("fetching", 1, 2), lambda: steps(2, 2)):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        with heard_by(None):
            tell("nothing", 1, 1, "steps")
            assert told("bytes") is None
    assert heard.heard == [("fetching", 1, 2, "bytes"), ("hashing", 2, 2, "bytes")]


# What people see


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Stderr as a terminal; gives what is to be read of it until now."""
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    said = bytearray()

    def read() -> str:
        with suppress(BlockingIOError):
            said.extend(os.read(ours, 100_000))
        return said.decode(errors="replace")

    with os.fdopen(theirs, "w") as stderr, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "120")
        yield read
    os.close(ours)


def work_until(seen: Callable[[], bool]) -> None:
    """Tell until something is seen, or for three seconds after the bar is due."""
    start = time.monotonic()
    number = 0
    while time.monotonic() - start < LATE + 3 and not seen():
        number += 1
        tell("classifying", number, 10_000_000, "images")


def test_a_terminal_shows_total_and_rate_of_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as read:
        with progress_shown():
            for number in range(1000):
                tell("soon done", number, 1000, "images")
        assert read() == ""
        with progress_shown():
            work_until(lambda: " images/s" in read())
        assert "classifying" in read()
        assert "/10,000,000 images" in read()
        assert " images/s" in read()


def test_nothing_is_shown_in_pipes_and_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_shown():
        assert not is_heard()
    with terminal(monkeypatch):
        for name, value in (("TERM", "dumb"), ("MODHUB_PROGRESS", "0")):
            with monkeypatch.context() as patch:
                patch.setenv(name, value)
                with progress_shown():
                    assert not is_heard()
        with progress_shown():
            assert is_heard()


def test_a_notebook_shows_one_piece_of_html() -> None:
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    try:
        # Kernels of notebooks are known by this.
        shell.kernel = shell
        start = time.monotonic()
        with capture_output() as captured, progress_shown():
            work_until(lambda: time.monotonic() - start > LATE + 0.6)
        html = [output.data["text/html"] for output in captured.outputs]
        assert 1 < len(html) < 10
        assert any("classifying" in text and "/10,000,000 images" in text and " images/s" in text for text in html)
        assert "<script" not in "".join(html)
        assert html[-1] == ""
    finally:
        InteractiveShell.clear_instance()


def test_amounts_and_rates_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    assert amount_text(1024, 50_000, "images") == "1,024/50,000 images"
    assert amount_text(3, 5, "") == "3/5"
    assert amount_text(999, 5_300_000_000, "bytes") == "999 B/5.3 GB"
    rate, now = Rate(), [1.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert rate.text("a", 0, "images") == ""
    now[0] = 3.0
    assert rate.text("a", 1000, "images") == "500 images/s"
    assert rate.text("b", 7, "images") == "", "it is something else"
    now[0] = 5.0
    assert rate.text("b", 10, "") == "1.5/s"
    assert rate.text("c", 10, "bytes") == ""
    now[0] = 6.0
    assert rate.text("c", 2_000_010, "bytes") == "2.0 MB/s"
