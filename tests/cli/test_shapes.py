"""Changes to a classifier on the command line: the same as in Python, and every wrong way of writing them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import click
import numpy as np
import pytest

import modhub
from modhub.cli.commands.compose import command
from modhub.composition.recipe import ADAPTS
from tests.cli import origin
from tests.cli.running import Result, Workshop
from tests.small_origins import Data, fitted_model, plain_features

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def registry(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy of the workshop's registry, with ``me/large``, which takes images twice as large."""
    x, y = origin.images(90, 3)
    data = Data(x.repeat(2, axis=1).repeat(2, axis=2), y, origin.CLASSES)
    decomposition = modhub.decompose(
        fitted_model(data, plain_features), data.x, data.y, classes=data.classes, name="me/large", rescale=1 / 255
    )
    copy = shutil.copytree(workshop.registry, tmp_path_factory.mktemp("shapes") / "registry")
    modhub.publish(decomposition, version="1.0.0", registry=str(copy))
    return str(copy)


def test_every_way_to_adapt_can_be_chosen() -> None:
    (option,) = [each for each in command.params if each.name == "adapt"]
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == ADAPTS


def test_changes_happen_in_the_order_of_the_help(run: Run, registry: str) -> None:
    document = run(
        "compose", "me/net", "--swap", "cat=me/net:dog@1", "--remove", "dog", "--rename", "cat=hound",
        "--restrict", "potter's wheel", "--restrict", "hound", "--registry", registry, "--json",
    )  # fmt: skip
    assert document.code == 4, "the dog is there already when it is swapped in"
    document = run(
        "compose", "me/net", "--remove", "dog", "--rename", "cat=hound",
        "--restrict", "potter's wheel", "--restrict", "hound", "--registry", registry, "--json",
    ).document  # fmt: skip
    assert [(member["label"], member["class"]) for member in document["members"]] == [
        ("potter's wheel", "potter's wheel"),
        ("hound", "cat"),
    ]


def test_adapters_are_printed_and_used(run: Run, registry: str, workshop: Workshop) -> None:
    refused = run("compose", "me/net:cat", "me/large:dog", "--registry", registry)
    assert refused.code == 4
    assert "input 12x12x1 vs 24x24x1" in refused.err
    assert "--adapt resize" in refused.err
    shown = run("compose", "me/net:cat", "me/large:dog", "--adapt", "resize", "--registry", registry).out
    assert "adapter of cat: resize 24x24 -> 12x12 (4 pixels become one)" in shown
    small = ("--adapt", "letterbox", "--size", "12x12", "--registry", registry)
    answer = run("predict", "me/net:cat", "me/large:dog", *small, "--images", workshop["images"], "--json").document
    composite = modhub.compose(["me/net:cat", "me/large:dog"], registry=registry, adapt="letterbox", size=(12, 12))
    expected = composite.predict(origin.images(4, 3)[0])
    assert [row["label"] for row in answer["images"]] == expected.labels


def test_stages_are_printed_and_used(run: Run, registry: str) -> None:
    shape = (
        "me/net",
        "--adapt",
        "resize",
        "--verify-with",
        "cat,dog=me/large:cat,me/large:dog",
        "--registry",
        registry,
    )
    assert "between cat | dog decide again: me/large:cat@1.0.0, me/large:dog@1.0.0" in run("compose", *shape).out
    x = origin.images(60, 2)[0].repeat(2, axis=1).repeat(2, axis=2)
    np.savez("twice.npz", x=x)
    answer = json.loads(run("predict", *shape, "--images", "twice.npz", "--json").out)
    checked = modhub.compose("me/net", registry=registry, adapt="resize").verify_with(
        {("cat", "dog"): ["me/large:cat", "me/large:dog"]}
    )
    assert [row["label"] for row in answer["images"]] == checked.predict(x).labels


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--swap", "cat", "--swap is 'cat'."),
        ("--swap", "=me/net:dog", "--swap is '=me/net:dog'."),
        ("--swap", "bat=me/large:cat", "the classifier has no class 'bat'; it has cat, dog, potter's wheel."),
        ("--rename", "cat=", "--rename is 'cat='."),
        ("--rename", "cat=dog", "the classifier has a class 'dog' already: me/net:dog@1.0.0."),
        ("--verify-with", "cat,dog", "--verify-with is 'cat,dog'."),
        (
            "--verify-with",
            "cat=me/net:dog",
            "a stage needs at least two classes, between which modules decide; it has cat.",
        ),
        ("--size", "12", "--size is '12'."),
        ("--size", "12x12", "the size 12x12 was given without adapt."),
        ("--remove", "bat", "the classifier has no class 'bat'"),
        ("--restrict", "bat", "the classifier has no class 'bat'"),
    ],
)
def test_wrong_changes(run: Run, registry: str, option: str, value: str, message: str) -> None:
    result = run("compose", "me/net", option, value, "--registry", registry)
    assert result.code in (2, 3, 4)
    assert message in result.err
    assert "hint:" in result.err
    assert "Traceback" not in result.err
