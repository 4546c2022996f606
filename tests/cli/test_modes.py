"""How modules run, on the command line: as in Python, measured where that is asked, and said where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest

import modhub
from modhub.cli.commands.compose import command
from modhub.composition.recipe import DTYPES, MODES
from modhub.spec.manifest import FusedAgreement
from tests.cli.running import Result, Workshop
from tests.small_origins import bar_modules, quadrant_modules, quadrants, with_random_masks

Run = Callable[..., Result]
NAME = "shapes/quadrants"


@pytest.fixture(scope="module")
def registry(workshop: Workshop) -> str:
    """The workshop's registry with modules that differ so much that fused answers otherwise, and with recorded ones."""
    quarters, lines = quadrant_modules(), bar_modules()
    sparse = tuple(with_random_masks(module, seed) for seed, module in enumerate(quarters.modules))
    modhub.publish(replace(quarters, modules=sparse), version="1.0.0", registry=workshop.registry)
    found = FusedAgreement(data="held out", examples=4000, classes=3, labels=0.9995, margin=0.1)
    agreed = tuple(replace(with_random_masks(m, 7 + m.index), fused=found) for m in lines.modules)
    modhub.publish(replace(lines, modules=agreed), version="1.0.0", registry=workshop.registry)
    return workshop.registry


@pytest.fixture
def images(tmp_path: Path) -> Path:
    file = tmp_path / "images.npz"
    np.savez(file, x=quadrants(each=10, seed=9).x)
    return file


def test_every_mode_and_dtype_can_be_chosen() -> None:
    options = {option.name: option.type for option in command.params}
    for name, known in (("mode", MODES), ("dtype", DTYPES)):
        choice = options[name]
        assert isinstance(choice, click.Choice)
        assert tuple(choice.choices) == known


def test_compose_prints_the_agreement_that_it_measured(run: Run, registry: str, images: Path) -> None:
    composite = modhub.compose(NAME, registry=registry, mode="fused")
    found = composite.agreement(quadrants(each=10, seed=9).x)
    assert 0 < found.equal < 40
    shown = run("compose", NAME, "--mode", "fused", "--check", images, "--registry", registry)
    assert "shapes/quadrants@1.0.0 runs fused: as asked; no agreement is recorded" in shown.out
    assert f"agreement with isolated in float32: {found}" in shown.out
    document = run("compose", NAME, "--mode", "fused", "--check", images, "--registry", registry, "--json").document
    assert document["agreement"] == pytest.approx(found.to_dict(), rel=1e-5)
    assert (document["mode"], document["dtype"]) == ("fused", "float32")
    assert document["ways"][0]["fused"] is True


def test_what_was_not_measured_is_said_so(run: Run, registry: str) -> None:
    line = "agreement with isolated in float32: not measured; give images to measure it on: --check IMAGES"
    for options in (("--mode", "fused"), ("--dtype", "bfloat16")):
        assert line in run("compose", NAME, *options, "--registry", registry).out
    document = run("compose", NAME, "--mode", "fused", "--registry", registry, "--json").document
    assert document["agreement"] is None
    for options in ((), ("--mode", "auto")):
        assert "agreement with" not in run("compose", NAME, *options, "--registry", registry).out


def test_auto_says_what_it_chose_and_why(run: Run, registry: str) -> None:
    shown = run(
        "compose", NAME, "lines/bars:vertical", "lines/bars:horizontal", "--mode", "auto", "--registry", registry
    )
    assert "shapes/quadrants@1.0.0 runs isolated: no agreement is recorded" in shown.out
    assert (
        "lines/bars@1.0.0 runs fused: its release records 99.95 % equal labels of all 3 classes "
        "on 4,000 images of held out"
    ) in shown.out


def test_bfloat16_is_measured_the_same_way(run: Run, registry: str, images: Path) -> None:
    shown = run("compose", NAME, "--dtype", "bfloat16", "--check", images, "--registry", registry).out
    assert "trunks in bfloat16, heads in float32" in shown
    assert "of 40 images), margins differ by at most" in shown


def test_there_is_nothing_to_check_isolated_against(run: Run, registry: str, images: Path) -> None:
    refused = run("compose", NAME, "--check", images, "--registry", registry)
    assert refused.code == 2
    assert "--check was given, but modules run isolated in float32" in refused.err
    assert "add --mode fused, --mode auto or --dtype bfloat16" in refused.err


@pytest.mark.parametrize("option", ["--mode", "--dtype"])
def test_what_there_is_not_is_refused(run: Run, registry: str, option: str) -> None:
    refused = run("compose", NAME, option, "fast", "--registry", registry)
    assert refused.code == 2
    assert "'fast' is not one of" in refused.err
    assert "Traceback" not in refused.err


def test_predict_answers_as_in_python(run: Run, registry: str, images: Path) -> None:
    arguments = ("predict", NAME, "--images", images, "--registry", registry, "--json")
    x = quadrants(each=10, seed=9).x
    for mode, dtype in (("fused", "float32"), ("isolated", "bfloat16")):
        document = run(*arguments, "--mode", mode, "--dtype", dtype).document
        wanted = modhub.compose(NAME, registry=registry, mode=mode, dtype=dtype).predict(x)
        assert [row["label"] for row in document["images"]] == wanted.labels


def test_evaluate_compares_a_mode_with_the_exact_way(run: Run, registry: str, tmp_path: Path) -> None:
    data = quadrants(each=10, seed=9)
    np.savez(tmp_path / "data.npz", x=data.x, y=data.y, classes=np.array(data.classes))
    document = run(
        "evaluate", NAME, "--mode", "fused", "--compare", NAME, "--data", tmp_path / "data.npz",
        "--resamples", "100", "--registry", registry, "--json",
    ).document  # fmt: skip
    for mode, found in (("fused", document), ("isolated", document["other"])):
        labels = modhub.compose(NAME, registry=registry, mode=mode).predict(data.x).indices
        assert found["top_1"]["value"] == pytest.approx((labels == data.y).mean())
    assert document["top_1"]["value"] != document["other"]["top_1"]["value"]


def test_a_reduced_classifier_is_not_written(run: Run, registry: str, tmp_path: Path) -> None:
    out = tmp_path / "net.keras"
    refused = run("compose", NAME, "--dtype", "bfloat16", "--out", out, "--registry", registry)
    assert refused.code == 2
    assert "a composite whose trunks compute in bfloat16 cannot be exported" in refused.err
    assert not out.exists()


def test_a_projects_classifier_runs_in_a_mode_too(run: Run, registry: str) -> None:
    assert run("new", "--here", NAME, "--registry", registry).code == 0
    shown = run("compose", "--mode", "fused", "--dtype", "bfloat16", "--registry", registry)
    assert "shapes/quadrants@1.0.0 runs fused: as asked" in shown.out
    assert "trunks in bfloat16" in shown.out
