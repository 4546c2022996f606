"""``modhub evaluate`` and ``modhub publish --check`` on the command line: documents, tables, plots, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.errors import Conflict, InvalidData, UsageError
from modhub.ops.check import Check, passed
from tests.cli import origin
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]


@pytest.fixture
def registry(workshop: Workshop) -> tuple[str, ...]:
    return ("--registry", workshop.registry)


def test_names_models_and_decompositions(run: Run, workshop: Workshop, registry) -> None:
    data = ("--data", workshop["test.npz"])
    by_name = run("evaluate", "me/net", *data, *registry, "--json").document
    by_folder = run("evaluate", workshop["net.modules"], *data, "--json").document
    model = run("evaluate", workshop["net.keras"], *data, "--rescale", "1/255", "--json").document
    assert by_name["confusion"] == by_folder["confusion"]
    assert by_name["images"] == model["images"] == 60
    for document in (by_name, model):
        assert document["top_1"]["low"] <= document["top_1"]["value"] <= document["top_1"]["high"]
        assert set(document["top_5"]) == {"value", "low", "high"}
    assert by_name["classes"][2]["class"] == "potter's wheel"
    assert by_name["comparison"] is None
    assert model["positives"] is None
    expected = modhub.compose("me/net", registry=workshop.registry).predict(origin.images(60, 2)[0]).indices
    assert by_name["top_1"]["value"] == (expected == origin.images(60, 2)[1]).mean()


def test_the_table(run: Run, workshop: Workshop, registry) -> None:
    shown = run("evaluate", "me/net", "--data", workshop["test.npz"], "--layers", *registry)
    assert shown.code == 0
    assert "me/net on test: 60 images, 3 classes" in shown.out
    for title in ("top-1", "balanced", "ECE", "positive", "JI", "own recall", "potter's wheel", "layer", "images/s"):
        assert title in shown.out
    assert "top-5" not in shown.out, "of three classes the five best are all"


def test_comparing(run: Run, workshop: Workshop, registry) -> None:
    data = ("--data", workshop["test.npz"], *registry)
    same = run("evaluate", "me/net", "--compare", workshop["net.modules"], *data)
    assert "no difference beyond noise (p = 1.000)" in same.out
    # A cat's module that answers dogs is worse than the cat's own, beyond any noise.
    document = run(
        "evaluate", "me/net", "--rename", "cat=x", "--rename", "dog=cat", "--rename", "x=dog", "--compare", "me/net",
        *data, "--json",
    ).document  # fmt: skip
    assert document["what"] == "me/net (changed)"
    assert document["comparison"]["significant"] is True
    assert document["comparison"]["verdict"].startswith("me/net is better than me/net (changed), by more than noise")
    assert document["other"]["what"] == "me/net"
    swapped = run("evaluate", "--compare", "me/net:cat,me/net:dog", "me/net", "--drop-unknown", *data)
    assert "me/net against me/net:cat me/net:dog: 40 images" in swapped.out


def test_plots_are_drawn_and_folders_respected(run: Run, workshop: Workshop, registry, tmp_path: Path) -> None:
    data = ("--data", workshop["test.npz"], *registry)
    first = run("evaluate", "me/net", *data, "--plots", "out/deep", "--json").document
    assert [Path(path).name for path in first["plots"]] == [
        "confusion.png", "reliability.png", "recall.png", "layers.png", "overlap.png",
    ]  # fmt: skip
    before = {path.name: path.read_bytes() for path in (tmp_path / "out/deep").iterdir()}
    refused = run("evaluate", "me/net", *data, "--plots", "out/deep")
    assert refused.code == 4
    assert "error: the folder out/deep exists and is not empty." in refused.err
    assert "--force" in refused.err
    assert run("evaluate", "me/net", *data, "--plots", "out/deep", "--force").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/deep").iterdir()} == before
    (tmp_path / "file").write_text("")
    assert "file is a file." in run("evaluate", "me/net", *data, "--plots", "file", "--force").err


def test_wrong_ways(run: Run, workshop: Workshop, registry, tmp_path: Path) -> None:
    x, y = origin.images(30, 2)
    np.savez(tmp_path / "empty.npz", x=x[:0], y=y[:0], classes=np.array(origin.CLASSES))
    np.savez(tmp_path / "one.npz", x=x[y == 1], y=y[y == 1], classes=np.array(origin.CLASSES))
    np.savez(tmp_path / "others.npz", x=x, y=y, classes=np.array(["catt", "dog", "wheel"]))
    test = workshop["test.npz"]
    cases = [
        (("me/net", "--data", "empty.npz"), 1, "at least one;"),
        (("me/net", "--data", "one.npz"), 1, "one has images of one class only: 'dog'."),
        (("me/net", "--data", "others.npz"), 1, "'catt': did you mean cat?"),
        (("me/net", "--data", test, "--force"), 2, "--force was given without --plots."),
        (("me/net", "--data", test, "--rescale", "1/255"), 2, "modules know their own."),
        (("me/net", workshop["net.keras"], "--data", test), 2, "but 2 things were named."),
        ((workshop["net.keras"], "--data", test, "--remove", "cat"), 2, "is a model, which no option changes."),
        (("./nothing", "--data", test), 3, "'./nothing' is neither a model's file, nor a project, nor a folder"),
        (("me/net", "--data", test, "--confidence", "95"), 2, "confidence is 95.0."),
    ]
    for arguments, code, message in cases:
        result = run("evaluate", *arguments, *registry)
        assert (result.code, message in result.err) == (code, True), (arguments, result.err)
        assert "hint:" in result.err
        assert "Traceback" not in result.err


# A gate before publishing


@pytest.fixture
def two_releases(tmp_path: Path, workshop: Workshop) -> tuple[Path, Path, str]:
    """A good package, one whose module for cats misses half of them, and a registry of their own."""
    good = modhub.load(workshop["net.modules"])
    x, y = origin.images(60, 2)
    margins = modhub.compose(good.modules).predict(x[y == 0]).margins
    half = np.median(margins[:, 0] - margins[:, 1:].max(axis=1))
    blind = replace(good.modules[0].head, bias=good.modules[0].head.bias - np.array([half, 0], np.float32))
    from modhub.package.decomposition import with_digests

    worse = replace(good, modules=with_digests([replace(good.modules[0], head=blind), *good.modules[1:]]))
    return good.save(tmp_path / "good"), worse.save(tmp_path / "worse"), str(tmp_path / "registry")


def test_a_release_that_forgets_a_class_is_refused(run: Run, workshop: Workshop, two_releases) -> None:
    good, worse, registry = two_releases
    check = ("--check", "--data", workshop["test.npz"], "--registry", registry)
    first = run("publish", good, *check)
    assert first.code == 0
    assert "checked: there is no version to replace, so no recall can have fallen (test)" in first.out
    refused = run("publish", worse, *check, "--json")
    assert refused.code == 4
    # TensorFlow may have remarked on something before; the error is the last line.
    error = json.loads(refused.err.splitlines()[-1])
    assert error["error"] == "recall-fell"
    assert error["cls"] == "cat"
    assert error["against"] == "me/net@1.0.0"
    assert error["before"] > error["after"] + 0.02
    assert (
        f"its recall of 'cat' on test is {error['after']:.1%}, that of me/net@1.0.0 {error['before']:.1%}"
        in (error["message"])
    )
    assert [path.name for path in Path(registry, "releases", "me", "net").iterdir()] == ["1.0.0.json"]
    allowed = run("publish", worse, *check, "--margin", "0.99", "--json").document
    assert allowed["ref"] == "me/net@1.1.0"
    assert allowed["checked"]["against"] == "me/net@1.0.0"
    assert allowed["checked"]["classes"][0] == {
        "class": "cat", "images": 20, "before": error["before"], "after": error["after"],
    }  # fmt: skip
    # The newest is the worse one now, so the good one is welcome again.
    again = run("publish", good, *check, "--version", "2.0.0")
    assert "checked against me/net@1.1.0 on test: no recall fell\n" in again.out


def test_a_yanked_version_is_not_what_is_replaced(run: Run, workshop: Workshop, two_releases) -> None:
    good, worse, registry = two_releases
    modhub.publish(good, version="1.0.0", registry=registry)
    modhub.yank("me/net@1.0.0", "too good", registry=registry)
    release = modhub.publish(worse, version="1.1.0", registry=registry, check=Check(workshop["test.npz"]))
    assert release.checked is not None
    assert release.checked.against is None
    modhub.publish(good, version="1.2.0", registry=registry)
    with pytest.raises(Conflict, match=r"me/net@1\.3\.0 is not published: its recall of 'cat' on test is"):
        modhub.publish(worse, version="1.3.0", registry=registry, check=Check(workshop["test.npz"]))


def test_the_data_of_a_check_must_fit(two_releases) -> None:
    good, _, registry = two_releases
    modhub.publish(good, version="1.0.0", registry=registry)
    x, y = origin.images(30, 2)
    with pytest.raises(InvalidData, match="'zebra'"):
        modhub.publish(good, version="1.1.0", registry=registry, check=Check((x, y, ["cat", "dog", "zebra"])))


def test_half_a_check(run: Run, workshop: Workshop) -> None:
    folder = workshop["net.modules"]
    assert "--check needs images." in run("publish", folder, "--check").err
    assert "--data and --margin go with --check." in run("publish", folder, "--margin", "0.1").err
    assert "the margin is 2.0." in run("publish", folder, "--check", "--data", "x.npz", "--margin", "2").err
    with pytest.raises(UsageError):
        Check("x.npz", margin=-0.1)


def test_a_fall_of_exactly_the_margin_passes() -> None:
    images = {"cat": 50, "dog": 50}
    check = Check("x", 0.02)
    found = passed("me/net", "me/net@1.0.0", {"cat": 45, "dog": 40}, {"cat": 44, "dog": 50}, images, check, "x")
    assert "worst is cat, 90.0% -> 88.0%" in str(found)
    with pytest.raises(Conflict) as raised:
        passed("me/net", "me/net@1.0.0", {"cat": 45, "dog": 40}, {"cat": 43, "dog": 10}, images, check, "x")
    assert raised.value.data["cls"] == "dog"
    assert raised.value.data["classes"] == ["cat", "dog"]
    assert "So did 1 other class(es)." in str(raised.value)


def test_a_class_that_is_gone_has_fallen() -> None:
    with pytest.raises(
        Conflict, match=r"'cat' on x is nothing, for it has no such class, that of me/net@1\.0\.0 90\.0%"
    ):
        passed("me/net", "me/net@1.0.0", {"cat": 45}, {}, {"cat": 50}, Check("x"), "x")
