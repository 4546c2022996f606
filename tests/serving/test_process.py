"""``modhub serve`` as a process of its own: what it prints, and what signals do."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from numpy.typing import NDArray

import modhub
from modhub.cli import main
from modhub.cli.compose_options import ComposeOptions
from modhub.cli.served_source import ServedSource
from modhub.composition.composite import Composite
from modhub.package.decomposition import Decomposition
from tests.serving.conftest import png


class Served:
    """The process; ``said`` is what it has written on stderr so far."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "modhub", "-v", "serve", *arguments, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        self.said: list[str] = []
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.line)
        assert found, self.process.stderr.read() if self.process.stderr else ""
        self.url = found[0]

    def until(self, text: str) -> str:
        """The line on stderr that has ``text``."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was never said:\n{''.join(self.said)}")

    def classes(self, image: bytes) -> list[str]:
        answer = requests.post(f"{self.url}/predict", data=image, timeout=60)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["classes"])

    def about(self) -> dict[str, Any]:
        """What it says of its classifier."""
        answer = requests.get(f"{self.url}/v2/models/pets", timeout=60)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture
def registry(modules: Decomposition, tmp_path: Path) -> str:
    modhub.publish(modules, version="1.0.0", registry=str(tmp_path / "registry"))
    return str(tmp_path / "registry")


@pytest.fixture
def pets(registry: str) -> Composite:
    """The three classes, published, so that a registry can say something against them."""
    return modhub.compose(["me/net"], registry=registry)


@pytest.fixture
def served(pets: Composite, registry: str, tmp_path: Path) -> Iterator[Served]:
    pets.save(tmp_path / "pets.modhub")
    found = Served(tmp_path, "pets.modhub", "--registry", registry)
    # What is never said is waited for until the process ends.
    patience = Timer(300, found.process.kill)
    patience.start()
    yield found
    patience.cancel()
    found.process.kill()
    found.process.communicate()


def test_a_server_reloads_refuses_and_stops(
    served: Served, pets: Composite, registry: str, tmp_path: Path, x: NDArray
) -> None:
    """One process for all of it, because starting one takes longest."""
    image, file = png(x[0]), tmp_path / "pets.modhub"
    assert "pets (version " in served.line
    assert served.classes(image) == pets.classes

    # Another classifier in the file.
    pets.restrict(["dog", "cat"]).save(file, force=True)
    served.process.send_signal(signal.SIGHUP)
    assert "2 classes" in served.until("reloaded: pets")
    assert served.classes(image) == ["dog", "cat"]
    # The same again.
    served.process.send_signal(signal.SIGHUP)
    served.until("nothing changed")
    # The same, against which something was said since: it is the same version, and tells it.
    before = served.about()
    assert before["modhub"]["remarks"] == []
    modhub.advise("me/net:cat", "Answers wolf.", severity="high", registry=registry)
    served.process.send_signal(signal.SIGHUP)
    served.until("Answers wolf")
    modhub.yank("me/net@1.0.0", "all wrong", registry=registry)
    served.process.send_signal(signal.SIGHUP)
    served.until("all wrong")
    after = served.about()
    assert after["versions"] == before["versions"]
    assert [text.rpartition(": ")[2] for text in sorted(after["modhub"]["remarks"])] == ["Answers wolf", "all wrong"]
    # What is none.
    file.write_bytes(file.read_bytes()[:700])
    served.process.send_signal(signal.SIGHUP)
    assert "pets.modhub" in served.until("not reloaded")
    assert served.classes(image) == ["dog", "cat"]
    text = requests.get(f"{served.url}/metrics", timeout=60).text
    assert 'modhub_reloads_total{result="swapped"} 3.0' in text
    assert 'modhub_reloads_total{result="refused"} 1.0' in text
    assert "modhub_model_remarks 2.0" in text

    # Stopped while the half of a request is there.
    place = urlsplit(served.url)
    head = (
        f"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\ncontent-length: {len(image)}\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        connection.sendall(head.encode() + image[:10])
        # On another connection later, so the first was accepted.
        assert requests.get(f"{served.url}/v2/health/live", timeout=60).status_code == 200
        served.process.send_signal(signal.SIGTERM)
        served.until("stopping")
        connection.sendall(image[10:])
        answer = connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer.lower()
    assert served.process.wait(60) == 0


def test_a_file_is_served_where_no_registry_answers(pets: Composite, tmp_path: Path) -> None:
    pets.save(tmp_path / "pets.modhub", bundle=True)
    source = ServedSource.of((str(tmp_path / "pets.modhub"),), ComposeOptions(), (str(tmp_path / "nowhere"),), None)
    with pytest.warns(UserWarning, match="nowhere"):
        assert source.load().classes == pets.classes


def command(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of the command in this process, which leaves the environment as it was."""
    for name in ("MODHUB_REQUIRE_SIGNATURE", "MODHUB_PROGRESS", *THREADS):
        monkeypatch.setenv(name, os.environ.get(name, "0"))
    return main(["serve", *arguments])


THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def test_what_nobody_signed_is_not_served_where_signatures_are_required(
    modules: Decomposition,
    registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    modules.save(tmp_path / "net.modules")
    monkeypatch.chdir(tmp_path)
    assert command("net.modules", "--require-signature", monkeypatch=monkeypatch) == 5
    assert "never published" in capsys.readouterr().err
    monkeypatch.setenv("MODHUB_REQUIRE_SIGNATURE", "1")
    assert main(["serve", "net.modules"]) == 5
    assert "never published" in capsys.readouterr().err
    assert command("me/net:cat", "--registry", registry, "--require-signature", monkeypatch=monkeypatch) == 5
    assert "trust" in capsys.readouterr().err


def test_a_project_is_served_as_it_is_locked_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "modhub.toml").write_text('[project]\nname = "pets"\n\n[classes]\ncat = "cifar10/r20:cat"\n')
    monkeypatch.chdir(tmp_path)
    for named in ((), (".",), ("modhub.toml",)):
        assert command(*named, monkeypatch=monkeypatch) == 3
        assert "modhub lock" in capsys.readouterr().err
    assert not (tmp_path / "modhub.lock").exists()


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("--token-file", "none.txt"), "cannot be read"),
        (("--token-file", "short.txt"), "characters"),
        (("--port", "70000"), "70000"),
        (("--fit", "none", "--max-images", "0"), "max-images"),
        (("--name", "a/b"), "cannot be the name"),
        (("--host", "no such place"), "no address"),
    ],
)
def test_options_that_cannot_be(
    arguments: tuple[str, ...], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "short.txt").write_text("short\n")
    monkeypatch.chdir(tmp_path)
    assert command("cifar10/r20:cat", *arguments, monkeypatch=monkeypatch) == 2
    assert kind in capsys.readouterr().err
