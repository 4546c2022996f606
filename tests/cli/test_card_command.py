"""Cards on the command line: given to decompose and publish, shown, and harmless whatever they hold."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import modhub
from modhub.cards.read import card_from
from modhub.cli.commands import card as card_command
from modhub.ops.load import load
from modhub.package.folder import Package
from modhub.package.readme import with_card
from modhub.registry.writer import Registry
from modhub.storage.urls import open_store
from tests.cards.carded import README, carded_release
from tests.cli.running import Result, Workshop
from tests.synthetic import release

Run = Callable[..., Result]

#: What would clear a screen, set a title, rewrite a line, reverse text, look like markup, open a link.
STEERING = "\x1b[2J\x1b]0;title\x07\x9b31m\r\u202e\x00"
HOSTILE = STEERING + "[bold]x[/bold] <img src=x onerror=alert(1)> [me](javascript:alert(1))"


@pytest.fixture
def carded(tmp_path: Path) -> Registry:
    registry = Registry(open_store(str(tmp_path / "registry")))
    registry.publish(*carded_release())
    return registry


def test_the_card_says_what_the_publisher_and_the_manifest_say(run: Run, carded: Registry) -> None:
    out = run("card", "me/net", "--registry", carded.url).out
    assert out.startswith("# me/net@1.0.0\n\nTells cats from dogs.\n")
    for line in (
        "| licence | MIT |",
        "| keywords | pets, tiny |",
        "| trained on | tiny |",
        "| input | 4x4x1 grey, uint8 0..255 |",
        "| network | 90.0% right of 30 images of tiny |",
        "| potter's wheel | `potters-wheel` | 125.0% | 0.500 |",
        "modhub install me/net@1.0.0",
    ):
        assert line in out
    assert out.endswith("## From its publisher\n\n# Pets\n\nIt **tells** cats from dogs.\n")


def test_raw_is_the_readme_byte_by_byte_and_json_has_all(run: Run, carded: Registry) -> None:
    assert run("card", "me/net", "--registry", carded.url, "--raw").out == README
    document = run("card", "me/net:cat", "--registry", carded.url, "--json").document
    assert (document["ref"], document["readme"]) == ("me/net@1.0.0", README)
    assert document["card"]["license"] == "MIT"
    assert document["markdown"].startswith("# me/net@1.0.0")
    assert run("card", "me/net", "--raw", "--json").code == 2


def test_a_release_without_a_card_has_one_all_the_same(run: Run) -> None:
    out = run("card", "cifar10/r56").out
    assert "| licence | none stated |" in out
    assert "Recall and precision in the vote of all" in out
    assert "From its publisher" not in out
    raw = run("card", "cifar10/r56", "--raw")
    assert (raw.out, raw.err) == ("", "it was published without a README.\n")


def test_info_shows_licence_and_signatures(run: Run, carded: Registry) -> None:
    out = run("info", "me/net", "--registry", carded.url).out
    assert "licence    MIT\n" in out
    assert "signed     by nobody\n" in out
    document = run("info", "me/net", "--registry", carded.url, "--json").document
    assert document["card"]["license"] == "MIT"
    assert document["signed"] == {"good": False, "complete": True, "signatures": [], "model_signatures": []}
    assert "MIT" in run("search", "pets", "--registry", carded.url).out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("drawn", [False, True])
def test_hostile_texts_are_harmless(run: Run, tmp_path: Path, drawn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, blobs = release(classes=("cat", "| [x](http://e) <b> `~~"))
    records = {record.sha256: record for record in manifest.blobs.values()}
    made = with_card(
        Package(manifest, {digest: modhub_blob(records[digest], data) for digest, data in blobs.items()}),
        card_from(f"---\nlicense: mit\n---\n{HOSTILE}\n```{HOSTILE}\ncode\n```\n".encode()),
    )
    registry = Registry(open_store(str(tmp_path / "registry")))
    registry.publish(made.manifest, dict(made.blobs))
    if not drawn:
        out = run("card", "me/net", "--registry", registry.url).out
        assert r"| \| \[x\](http://e) \<b\> \`\~\~ |" in out
    else:
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        card_command.command.callback("me/net", False, None, (registry.url,), None, False)  # type: ignore[misc]
        card_command.command.callback("me/net", True, None, (registry.url,), None, False)  # type: ignore[misc]
        out = terminal.getvalue()
        assert "\x1b]8;" not in out
        assert "\x1b[2J" not in out
    assert not {"\x07", "\x9b", "\u202e", "\x00", "\r"} & set(out)
    assert "[bold]x[/bold]" in out


@pytest.mark.parametrize("body", [">" * 9000, "[" * 9000, "- " * 3000, "![" * 5000, "|a|b|\n|---|---|\n" + "|" * 9000])
def test_any_markdown_is_drawn_or_printed(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    card_command.show(body)
    assert terminal.getvalue().endswith("\n")


def modhub_blob(record: object, data: bytes) -> object:
    from modhub.storage.verify import VerifiedBlob

    return VerifiedBlob(record, data)  # type: ignore[arg-type]


def test_a_card_goes_with_a_folder_and_its_release(run: Run, workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README)
    done = run("publish", workshop["net.modules"], "--card", "README.md", "--version", "1.0.0", "--registry", "there")
    assert done.code == 0
    assert "| licence | MIT |" in run("card", "me/net", "--registry", "there").out
    assert "| licence | none stated |" in run("card", workshop["net.modules"]).out
    again = run("publish", workshop["net.modules"], "--version", "1.0.0", "--registry", "there")
    assert (again.code, "with other content" in again.err) == (4, True)
    held = load(workshop["net.modules"]).with_card(card_from(README.encode()))
    held.save(tmp_path / "own.modules")
    shown = run("card", "own.modules").out
    assert "| licence | MIT |" in shown
    assert "Not published yet" in shown
    assert load(tmp_path / "own.modules").card == held.card
    (tmp_path / "other.md").write_text("---\nlicense: isc\n---\n")
    assert "| licence | ISC |" in run("card", "own.modules", "--put", "other.md").out
    assert run("card", "own.modules", "--put", "README.md", "--raw").out == README
    assert run("card", "nowhere.modules", "--put", "README.md").code == 3
    assert modhub.publish("own.modules", version="1.0.0", registry="there").created is False
    assert modhub.compose("me/net:cat", registry="there").modules[0].license == "MIT"


@pytest.mark.parametrize(
    ("text", "said"), [("---\nlicense: nonsense\n---\n", "line 2: the licence 'nonsense'"), (None, "there is no file")]
)
def test_a_bad_card_is_said_before_any_work(run: Run, workshop: Workshop, text: str | None, said: str) -> None:
    if text is not None:
        Path("README.md").write_text(text)
    published = run("publish", workshop["net.modules"], "--card", "README.md", "--registry", "there")
    options = ("--data", workshop["train.npz"], "--as", "me/net", "--card", "README.md")
    decomposed = run("decompose", workshop["net.keras"], *options)
    for done in (published, decomposed):
        assert done.code in (2, 3)
        assert said in done.err
    assert not Path("there").exists()


def test_decompose_takes_a_card_along(run: Run, workshop: Workshop) -> None:
    Path("README.md").write_text(README)
    options = ("--data", workshop["train.npz"], "--rescale", "1/255", "--as", "me/net", "--card", "README.md")
    assert run("decompose", workshop["net.keras"], *options, "--out", "out.modules").code == 0
    assert run("card", "out.modules", "--raw").out == README
