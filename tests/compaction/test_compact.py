"""``modhub.compact``: budgets hold, bytes repeat, and what comes out is used like any other release."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import modhub
from modhub.cli.root import root
from modhub.compaction.cutting import Structure
from modhub.compaction.patches import drawn_positions, kernel_rows, patches_at
from modhub.compaction.selecting import Goal, NetworkStatistics, blocks_and_channels, never
from modhub.composition.operations import on_scale
from modhub.composition.recipe import MarginScale
from modhub.decomposition.settings import DecomposeSettings
from modhub.engine.decompose.decompose import decompose_model
from modhub.engine.run.network import Network
from modhub.errors import Incompatible, InvalidData, UsageError
from modhub.package.decomposition import Decomposition
from modhub.spec.architecture import INPUT, Architecture, Call
from modhub.spec.layers import Conv2D
from modhub.spec.rearrangements import Flatten
from modhub.spec.text import is_observed
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants, quadrants_model, with_random_masks


def compacted(what: Any, **options: Any) -> Decomposition:
    data = options.pop("data", None) or quadrants(each=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return modhub.compact(what, (data.x, data.y, data.classes), **({"name": "me/small"} | options))


@pytest.fixture(scope="module")
def half() -> Decomposition:
    return compacted(quadrant_modules(), flops=0.5)


def accuracy(what: Any, data: Any) -> float:
    return float(np.mean(modhub.compose(what).predict(data.x).indices == data.y))


def test_half_the_network_still_tells_the_classes_apart(half: Decomposition) -> None:
    assert half.compacted is not None
    assert half.compacted.flops <= 0.5
    assert half.compacted.explained > 0.5
    (source,) = half.compacted.of
    assert source.name == "shapes/quadrants"
    assert source.modules == tuple(module.digest for module in quadrant_modules().modules)
    assert not half.compacted.unthinned
    held_out = quadrants(each=25, seed=9)
    assert accuracy(half, held_out) > accuracy(quadrant_modules(), held_out) - 0.1


def test_what_is_added_up_may_go_too() -> None:
    seen: list[tuple[str, ...]] = []

    def select(statistics: NetworkStatistics, goal: Goal) -> list[Structure]:
        seen.extend(group.producers for group in statistics.thinnable)
        return list(blocks_and_channels(statistics, goal))

    compacted(quadrant_modules(), flops=0.5, select=select)
    assert ("stem:0", "conv:0") in seen


def test_its_accuracies_are_marked_as_of_images_that_it_was_made_with(half: Decomposition) -> None:
    for origin in (half.origin, half.modules[0].origin):
        assert len(origin.accuracy) == 2
        assert all(is_observed(each.data) for each in origin.accuracy)


def test_the_arrays_are_smaller_not_masked(half: Decomposition) -> None:
    whole = quadrant_modules().origin.weights
    assert sum(value.size for value in half.origin.weights.values()) < sum(value.size for value in whole.values())


def test_the_same_input_gives_the_same_bytes(half: Decomposition) -> None:
    again = compacted(quadrant_modules(), flops=0.5)
    assert again.package.manifest.digest == half.package.manifest.digest
    assert again.package.blobs.keys() == half.package.blobs.keys()
    assert compacted(quadrant_modules(), flops=0.5, seed=1).package.manifest.digest != half.package.manifest.digest


def test_a_smaller_budget_gives_a_smaller_network(half: Decomposition) -> None:
    assert compacted(quadrant_modules(), flops=0.4).compacted.flops <= 0.4 < half.compacted.flops <= 0.5


def test_the_jaccard_bound_and_parameters_are_budgets_too() -> None:
    found = compacted(quadrant_modules(), parameters=0.4, jaccard=0.9).compacted
    assert found.budget == "parameters"
    assert found.parameters <= 0.4
    assert found.nodes <= 0.9


def test_budgets_that_are_measured(half: Decomposition) -> None:
    found = compacted(quadrant_modules(), points=20.0).compacted
    assert (found.budget, found.asked) == ("points", 20.0)
    assert found.points <= 20.0
    weights = half.package.manifest.content.origin.weights
    size = half.package.manifest.blobs[weights].size
    small = compacted(quadrant_modules(), size=size)
    record = small.package.manifest
    assert record.blobs[record.content.origin.weights].size <= size
    assert compacted(quadrant_modules(), milliseconds=1e6).compacted.flops > 0.9


def test_it_is_published_installed_and_composed_beside_its_origin(half: Decomposition, tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    modhub.publish(half.save(tmp_path / "half.modules"), version="1.0.0", registry=str(registry))
    modhub.publish(quadrant_modules().save(tmp_path / "whole.modules"), version="1.0.0", registry=str(registry))
    mixed = modhub.compose(
        ["me/small:top-left", "shapes/quadrants:bottom-right", "me/small:top-right"],
        registry=str(registry),
        cache=tmp_path / "cache",
    )
    shown = quadrants(each=25, seed=9)
    rows = shown.y != 2
    truth = np.array(shown.classes)[shown.y[rows]]
    assert np.mean(np.array(mixed.predict(shown.x[rows]).labels) == truth) > 0.8
    loaded = modhub.load(tmp_path / "half.modules")
    assert loaded.compacted == half.compacted


def test_some_classes_of_a_network() -> None:
    names = [module for module in quadrant_modules().modules if module.name.startswith("top")]
    found = compacted(names, flops=0.4)
    assert [module.name for module in found.modules] == ["top left", "top right"]
    assert found.origin.weights["head/bias"].shape == (2,)


def test_two_networks_become_one_which_is_trained_where_that_helps() -> None:
    parts = [*quadrant_modules().modules[1:], *bar_modules().modules[:2]]
    one, other = quadrants(each=60), bars(each=60)
    names = [*np.array(one.classes)[one.y], *np.array(other.classes)[other.y]]
    keep = np.array([name != "top left" for name in names])
    images = np.concatenate([one.x, other.x])[keep]
    labels = [name for name in names if name != "top left"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = modhub.compact(parts, (images, labels), name="me/both", flops=0.5, polish=True, polish_steps=60)
    assert [module.name for module in found.modules] == [module.name for module in parts]
    assert {each.name for each in found.compacted.of} == {"shapes/quadrants", "lines/bars"}
    assert found.compacted.flops <= 0.5
    assert found.compacted.labels == (found.compacted.polish_steps == 60)
    before = np.mean(np.array(modhub.compose(parts).predict(images).labels) == labels)
    after = np.mean(np.array(modhub.compose(found).predict(images).labels) == labels)
    assert after > before - 0.1


def test_a_keras_model_and_a_polish_that_helps_or_is_left_out() -> None:
    model = quadrants_model()
    plain = compacted(model, flops=0.4, rescale=1 / 255)
    trained = compacted(model, flops=0.4, rescale=1 / 255, polish=True, polish_steps=60)
    assert plain.compacted.polish_steps == 0
    assert trained.compacted.polish_steps in (0, 60)
    assert trained.compacted.explained >= plain.compacted.explained


def test_a_selection_of_ones_own() -> None:
    assert compacted(quadrant_modules(), select=never, flops=1.0).compacted.flops == 1.0

    def beyond(statistics: Any, goal: Any) -> list[Structure]:
        return [Structure(frozenset(), {})]

    with pytest.raises(UsageError, match="'beyond' gave is beyond the budget") as caught:
        compacted(quadrant_modules(), select=beyond, flops=0.5)
    assert caught.value.kind == "bad-selection"


def test_requests_that_cannot_be_met_say_so() -> None:
    with pytest.raises(UsageError, match="no structure of this network") as caught:
        compacted(quadrant_modules(), flops=0.001)
    assert caught.value.kind == "budget-too-small"
    with pytest.raises(UsageError, match="there is one budget"):
        compacted(quadrant_modules(), flops=0.5, points=1.0)
    with pytest.raises(UsageError, match="seed is -1"):
        compacted(quadrant_modules(), seed=-1)
    with pytest.raises(UsageError, match="above 0"):
        compacted(quadrant_modules(), flops=1.5)
    with pytest.raises(UsageError, match="no selection 'chanels'"):
        compacted(quadrant_modules(), select="chanels")
    with pytest.raises(InvalidData, match="8 of each class"):
        compacted(quadrant_modules(), data=quadrants(each=5))


def test_what_would_be_wrong_is_refused() -> None:
    data, modules = quadrants(each=60), list(quadrant_modules().modules)
    with pytest.raises(UsageError, match="validation images are those") as same:
        compacted(modules, validation=(data.x, data.y, data.classes))
    assert same.value.kind == "bad-option"
    modules[1] = on_scale(modules[1], MarginScale(0.5, 3.0))
    with pytest.raises(Incompatible, match="was updated") as updated:
        compacted(modules)
    assert (updated.value.kind, updated.value.data["module"]) == ("updated-module", modules[1].ref)


def test_metrics_of_many_modules_are_of_the_first_images_of_each_class() -> None:
    data, unseen = quadrants(each=60), quadrants(each=25, seed=9)
    settings = DecomposeSettings("me/quadrants", "a", "b", rescale=1 / 255)
    made = decompose_model(
        quadrants_model(),
        data.x,
        data.y,
        list(data.classes),
        settings,
        validation=(unseen.x, unseen.y),
        most_runs=64,
        progress=None,
    )
    assert [module.metrics[0].examples for module in made.modules] == [4] * 4
    assert made.modules[0].fused.examples == 16
    assert made.origin.accuracy[-1].examples == 100


def test_how_modules_run_changes_nothing() -> None:
    masked = [with_random_masks(module, seed, share=0.3) for seed, module in enumerate(quadrant_modules().modules)]
    found = [compacted(modhub.compose(masked, mode=mode), flops=0.5).compacted for mode in ("isolated", "fused")]
    assert found[0] == found[1]


def test_the_command_writes_a_folder_and_says_what_it_cost(tmp_path: Path) -> None:
    data = quadrants(each=60)
    np.savez(tmp_path / "data.npz", x=data.x, y=data.y, classes=np.array(data.classes))
    quadrant_modules().save(tmp_path / "whole.modules")
    arguments = ["compact", str(tmp_path / "whole.modules"), "--data", str(tmp_path / "data.npz"), "--as", "me/small"]
    out = tmp_path / "small.modules"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        done = CliRunner().invoke(root, [*arguments, "--flops", "0.5", "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["compacted"]["flops"] <= 0.5
    assert modhub.load(out).compacted.model_dump(mode="json") == said["compacted"]
    shown = CliRunner().invoke(root, ["info", str(out)]).stdout
    assert "processor-seconds" in shown


def test_patches_are_what_a_convolution_multiplies() -> None:
    random = np.random.default_rng(0)
    layer = Conv2D(filters=3, kernel_size=(3, 2), strides=(2, 1), padding="same")
    architecture = Architecture(
        input_shape=(7, 5, 2),
        layers={"conv": layer, "flat": Flatten()},
        calls=(Call(id="conv", layer="conv", inputs=(INPUT,)), Call(id="flat", layer="flat", inputs=("conv",))),
        features="flat",
        head="logits",
    )
    weights = {
        "conv/kernel": random.normal(size=(3, 2, 2, 3)).astype(np.float32),
        "conv/bias": random.normal(size=3).astype(np.float32),
    }
    images = random.normal(size=(4, 7, 5, 2)).astype(np.float32)
    network = Network(architecture, weights)
    shape = network.shapes["conv"]
    given = np.asarray(network.run(images)).reshape(4, -1, 3)
    positions = drawn_positions("conv", shape, 4, 6, seed=0)
    rows = patches_at(layer, images, positions, shape[1])
    expected = np.take_along_axis(given, positions[:, :, None], axis=1).reshape(-1, 3)
    np.testing.assert_allclose(rows @ kernel_rows(weights["conv/kernel"]) + weights["conv/bias"], expected, atol=1e-5)
