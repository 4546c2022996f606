"""A classifier is kept in one file, and every command takes the file where it takes a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import modhub
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]


@pytest.fixture
def kept(run: Run, workshop: Workshop) -> str:
    """``pets.modhub`` in the current folder, with a bundle."""
    done = run(
        "compose",
        "me/net",
        "--rename",
        "cat=kitty",
        "--registry",
        workshop.registry,
        "--save",
        "pets.modhub",
        "--bundle",
    )
    assert done.code == 0, done.err
    assert "saved pets.modhub (" in done.out
    return "pets.modhub"


def test_every_command_takes_the_file(run: Run, kept: str, workshop: Workshop, picture: Path) -> None:
    images = ("--images", workshop["test.npz"], "--json")
    named = run("predict", "me/net", "--rename", "cat=kitty", "--registry", workshop.registry, *images)
    assert run("predict", kept, *images).document == named.document
    some = run("predict", "pets.modhub:kitty", "./pets.modhub:dog", *images).document
    assert some["classes"] == ["kitty", "dog"]
    test = ("--data", workshop["test.npz"], "--json")
    assert run("evaluate", kept, *test).document["top_1"]["value"] > 0.9
    assert run("explain", picture, kept, "--json").code == 0
    assert run("export", kept, "--out", "pets.keras").code == 0
    swapped = run("compose", "pets.modhub:dog", "--swap", "dog=pets.modhub:kitty", "--json").document
    assert [(each["label"], each["module"]) for each in swapped["members"]] == [("dog", "me/net:cat@1.0.0")]
    assert modhub.load(kept).classes == ["kitty", "dog", "potter's wheel"]


def test_info_shows_what_is_in_it(run: Run, kept: str, workshop: Workshop) -> None:
    shown = run("info", kept)
    assert shown.out.startswith("pets.modhub (a classifier)\n")
    assert "all bytes are in the file" in shown.out
    document = run("info", "pets.modhub:kitty", "--json").document
    assert (document["bundle"], [each["label"] for each in document["classes"]]) == (True, ["kitty"])
    assert document["classes"][0]["module"] == "me/net:cat@1.0.0"
    assert document["classes"][0]["registry"] == workshop.registry


def test_without_a_bundle_it_says_what_is_missing(run: Run, workshop: Workshop) -> None:
    saved = run(
        "compose", "me/net", "--registry", workshop.registry, "--save", "pets.modhub", "--mode", "fused", "--json"
    )
    assert saved.document["save"] == "pets.modhub"
    assert run("compose", "pets.modhub", "--check", workshop["images"]).code == 0, "the file says how it runs"
    failed = run("compose", "pets.modhub", "--cache", "empty")
    assert failed.code == 3
    assert f"me/net@1.0.0 (it was in {workshop.registry})" in failed.err
    assert run("compose", "pets.modhub", "--cache", "empty", "--registry", workshop.registry).code == 0


def test_what_cannot_be_is_refused_before_any_work(run: Run, kept: str, workshop: Workshop) -> None:
    before = Path(kept).read_bytes()
    for arguments, code, said in (
        (("compose", "nothing/there", "--save", kept), 4, "pets.modhub exists"),
        (("compose", "nothing/there", "--save", "pets.txt"), 2, "ends in .modhub"),
        (("compose", "nothing/there", "--bundle"), 2, "--bundle was given without --save"),
        (("compose", workshop["net.modules"], "--save", "own.modhub"), 2, "only a bundle can hold"),
        (("install", kept), 2, "is the file of a classifier on this machine"),
        (("lock", kept, "--out", "some.lock"), 2, "is the file of a classifier on this machine"),
        (("new", "project", kept), 2, "is the file of a classifier on this machine"),
        (("diff", kept, "me/net"), 2, "is the file of a classifier"),
        (("compose", "gone.modhub"), 3, "there is no file 'gone.modhub'"),
    ):
        refused = run(*arguments)
        assert (refused.code, said in refused.err) == (code, True), (arguments, refused.err)
    assert Path(kept).read_bytes() == before
    assert not Path("own.modhub").exists()
    assert run("compose", workshop["net.modules"], "--save", kept, "--bundle", "--force").code == 0
    assert Path(kept).read_bytes() != before
