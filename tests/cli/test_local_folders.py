"""A folder of modules is tried out before it is published: every command takes it where it takes a name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.errors import Conflict, NotFound, UsageError
from tests.cli import origin
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]


@pytest.fixture
def folder(run: Run, workshop: Workshop) -> Path:
    """``digits.modules`` in the current folder, where no registry has these modules."""
    shutil.copytree(workshop["net.modules"], "digits.modules")
    return Path("digits.modules")


def test_a_folder_answers_as_its_release(run: Run, folder: Path, workshop: Workshop) -> None:
    images = ("--images", workshop["test.npz"], "--json")
    published = run("predict", "me/net", "--registry", workshop.registry, *images)
    for spelled in ("digits.modules", "./digits.modules", folder.resolve(), "digits.modules/"):
        assert run("predict", spelled, *images).document == published.document
    one = run("predict", "digits.modules:cat", "digits.modules:potter's wheel", *images).document
    assert one["classes"] == ["cat", "potter's wheel"]
    mixed = run("compose", "digits.modules:cat", "cifar10/r20:dog", "--adapt", "resize", "--json").document
    assert [member["module"] for member in mixed["members"]] == ["me/net:cat", "cifar10/r20:dog@1.1.0"]
    swapped = run("compose", "cifar10/r20", "--swap", "cat=digits.modules:dog", "--adapt", "resize", "--json").document
    assert "me/net:dog" in [member["module"] for member in swapped["members"]]


def test_every_command_takes_a_folder(run: Run, folder: Path, workshop: Workshop, picture: Path) -> None:
    info = run("info", "digits.modules:cat", "--json").document
    assert (info["ref"], info["registry"], info["folder"]) == ("me/net", None, "digits.modules")
    assert [module["ref"] for module in info["modules"]] == ["me/net:cat"]
    assert run("info", "digits.modules").out.startswith("me/net (not published)\n")
    same = run("diff", "digits.modules", "me/net", "--registry", workshop.registry, "--json")
    assert (same.code, same.document["classes"], same.document["same_weights"]) == (0, [], True)
    other = run("diff", "digits.modules:cat", "digits.modules:dog", "--json").document
    assert other["classes"][0]["class"] == "cat / dog"
    assert run("diff", "digits.modules:cat", "digits.modules").code == 2
    test = ("--data", workshop["test.npz"])
    assert run("evaluate", "digits.modules", *test, "--json").document["top_1"]["value"] > 0.9
    some = run("evaluate", "digits.modules:cat", "digits.modules:dog", *test, "--drop-unknown", "--json").document
    assert [each["class"] for each in some["classes"]] == ["cat", "dog"]
    explained = run("explain", picture, "digits.modules", "--json").document
    slugs = ("cat", "dog", "potters-wheel")
    assert {each["ref"] for each in explained["modules"]} == {f"me/net:{slug}" for slug in slugs}
    exported = run("export", "digits.modules", "--out", "digits.keras")
    assert exported.code == 0
    assert Path("digits.keras").is_file()


def test_what_is_locked_or_installed_has_to_be_published(run: Run, folder: Path, workshop: Workshop) -> None:
    run("new", "pets", "cifar10/r20:cat")
    for command in (
        ("install", "digits.modules:cat"),
        ("lock", "./digits.modules", "--out", "some.lock"),
        ("new", "other", "digits.modules"),
    ):
        refused = run(*command)
        assert refused.code == 2
        assert (
            "is a folder of modules on this machine, and only published modules can be installed or locked"
            in refused.err
        )
        assert "hint: publish it, then use its name: modhub publish" in refused.err
    project = modhub.Project.open("pets")
    path = folder.resolve()
    before = Path("pets/modhub.toml").read_text()
    for edit in (
        lambda: project.add("digits.modules:dog"),
        lambda: project.add(f"{path}:dog"),
        lambda: project.swap({"cat": f"{path}:cat"}),
        lambda: project.verify_with({("cat", "cat"): ["digits.modules:cat", "digits.modules:dog"]}),
    ):
        with pytest.raises(UsageError) as caught:
            edit()
        assert caught.value.kind == "local-folder"
    assert Path("pets/modhub.toml").read_text() == before
    Path("pets/modhub.toml").write_text(before + 'dog = "../digits.modules:dog"\n')
    assert run("lock").code != 0
    shutil.copytree(folder, "pets/digits.modules")
    Path("pets/modhub.toml").write_text(before.replace("[classes]", '[classes]\ndog = "digits.modules:dog"'))
    with pytest.raises(UsageError, match="only published modules"):
        project.lock()
    Path("pets/modhub.toml").write_text(before)
    assert project.compose().swap("cat", "cifar10/r20:dog").classes == ["cat"], "nothing was lost"


def test_two_meanings_are_explained(run: Run, folder: Path, workshop: Workshop) -> None:
    shutil.copytree(folder, Path("me") / "net")
    shutil.copytree(folder, "c10")
    for name in ("me/net", "me/net:cat", "c10", "c10:dog"):
        with pytest.raises(UsageError) as caught:
            modhub.compose(name)
        assert caught.value.kind == "ambiguous-name"
        assert f"write ./{name} for the folder; for the registry's add a version" in str(caught.value)
        assert modhub.compose(f"./{name}").modules[0].version is None
    assert modhub.compose("me/net:cat@1.0.0", registry=workshop.registry).modules[0].version == "1.0.0"
    assert modhub.compose(Path("c10")).classes == list(origin.CLASSES)
    installed = run("install", "me/net:cat", "--registry", workshop.registry)
    assert installed.code == 0, "nothing but a release can be meant"


def test_what_is_missing_says_what(folder: Path) -> None:
    for name in ("./nothing.modules", "./nothing.modules:cat", "/nowhere", "~nobody"):
        with pytest.raises(NotFound, match=r"is not a folder of modules: it has no manifest\.json"):
            modhub.compose(name)
    with pytest.raises(NotFound, match=r"digits\.modules has no class 'cast'\. Hint: did you mean cat"):
        modhub.compose("digits.modules:cast")
    with pytest.raises(NotFound, match="a folder has no versions: leave out what follows @"):
        modhub.compose("digits.modules:cat@1.0.0")
    with pytest.raises(NotFound):
        modhub.compose("gone.modules")
    with pytest.raises(Conflict, match="named twice"):
        modhub.compose(["digits.modules:cat", "./digits.modules:cat"])


def test_python_tries_out_a_decomposition_and_its_folder(folder: Path, workshop: Workshop) -> None:
    x, _ = origin.images(12, 7)
    decomposition = modhub.load(folder)
    expected = modhub.compose("me/net", registry=workshop.registry).predict(x).margins
    for what in (decomposition, "digits.modules", folder, [folder], decomposition.modules):
        assert np.array_equal(modhub.compose(what).predict(x).margins, expected)
    assert modhub.info("digits.modules:cat").slugs == ("cat",)
    assert modhub.evaluate(folder, (x, np.array(origin.CLASSES)[np.arange(12) % 3])).what == "digits.modules"
    composite = modhub.compose("digits.modules:cat").add("digits.modules:dog").swap("cat", "digits.modules:cat")
    assert composite.classes == ["cat", "dog"]
