"""The reuse benchmark measures what composites answer: its columns are held against compose, swap and predict."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import baselines
import common
import reuse
import reuse_baselines
import reuse_origins
import reuse_tables

from modhub import compose
from modhub.engine.check import logits_of
from tests import small_origins


def source(name: str, made: Any, data: Any, folder: Path | None = None) -> reuse_origins.Source:
    """Modules with random masks, so that they differ from their origin and make mistakes."""
    modules = [small_origins.with_random_masks(module, module.index, 0.8) for module in made.modules]
    train, test = (common.Images(part.x, part.y, part.classes) for part in (data(), data(seed=9)))
    return reuse_origins.Source(name, name, made.origin, train, test, lambda: modules, folder)


@pytest.fixture(scope="module")
def world() -> reuse.World:
    quadrants = source("quadrants", small_origins.quadrant_modules(), small_origins.quadrants)
    bars = source("bars", small_origins.bar_modules(), small_origins.bars)
    spared = reuse_origins.Source(
        "spared", "quadrants", quadrants.origin, quadrants.train, quadrants.test,
        lambda: list(small_origins.quadrant_modules().modules),
    )  # fmt: skip
    return reuse.World([quadrants, bars], quadrants, bars, [(quadrants, spared)], full=True)


def only(found: Any) -> Any:
    ((_, figures),) = found
    return figures


def test_pairs_are_what_compose_answers(world: reuse.World) -> None:
    figures = dict(reuse.intra(world, "usual"))
    origin = world.first
    assert len(figures["quadrants"]["pairs"]) == 6
    for row, (one, other) in zip(figures["quadrants"]["pairs"], itertools.combinations(range(4), 2), strict=True):
        here = np.isin(origin.test.y, (one, other))
        names = np.array(origin.test.classes)[origin.test.y[here]]
        modules = [origin.modules("usual")[label] for label in (one, other)]
        answers = np.array(compose(modules).predict(origin.test.x[here]).labels)
        assert row["composed"] == pytest.approx((answers == names).mean())
        logits = logits_of(origin.origin, origin.origin.contract, origin.test.x[here], 100)[:, [one, other]]
        assert row["restricted"] == pytest.approx((logits.argmax(axis=1) == (origin.test.y[here] == other)).mean())
    assert figures["quadrants"]["difference"]["mean"] < 0, "the spoilt modules do worse"
    assert figures["quadrants"]["proved"]["other_answers"] == 0
    assert figures["quadrants"]["proved"]["largest_difference"] < 1e-4


def test_a_wrong_column_is_told(world: reuse.World) -> None:
    test = reuse.subset(world.first.test, [0, 1], None)
    swapped = world.first.margins("usual", [1, 0], test.x, "own")
    assert reuse.proved(world.first, "usual", [0, 1], test, swapped)["other_answers"] > len(test.y) / 2


def test_pairs_across_origins_are_what_compose_answers(world: reuse.World) -> None:
    found, one, two = reuse.across(world, "usual"), world.first, world.second
    every = []
    for left, right in itertools.product(range(4), range(3)):
        composite = compose([one.modules("usual")[left], two.modules("usual")[right]])
        parts = [part.test.x[part.test.y == label] for part, label in ((one, left), (two, right))]
        recalls = [float((composite.predict(x).indices == place).mean()) for place, x in enumerate(parts)]
        assert found.recalls(left, right) == pytest.approx(recalls)
        every.append(sum(recalls) / 2)
    figures = only(reuse.inter(world, "usual"))
    assert figures["every"]["mean"] == pytest.approx(np.mean(every))
    named = {tuple(row["pair"]): row["balanced"] for row in figures["pairs"]}
    for (left, right), balanced in zip(itertools.product(range(4), range(3)), every, strict=True):
        assert named.get((one.test.classes[left], two.test.classes[right]), balanced) == pytest.approx(balanced)


def test_a_class_of_another_origin_in_a_class_s_place(world: reuse.World) -> None:
    figures, one, two = only(reuse.inter_replace(world, "usual")), world.first, world.second
    whole = compose(one.modules("usual"))
    for row, (left, right) in zip(figures["pairs"], itertools.product(range(4), range(3)), strict=True):
        stay, come = one.test.y != left, two.test.y == right
        labels = np.concatenate([one.test.y[stay], np.full(come.sum(), left)])
        swapped = whole.swap(one.test.classes[left], two.modules("usual")[right])
        answers = swapped.predict(np.concatenate([one.test.x[stay], two.test.x[come]])).indices
        recalls = [(answers[labels == label] == label).mean() for label in range(4)]
        assert row["top_1"] == pytest.approx(np.mean(recalls))
        assert row["recall"] == pytest.approx(recalls[left])


def test_a_better_network_s_module_in_its_class_s_place(world: reuse.World) -> None:
    figures, one, better = only(reuse.intra_replace(world, "usual")), world.first, world.better[0][1]
    whole = compose(one.modules("usual"))
    before = (whole.predict(one.test.x).indices == one.test.y).mean()
    gains = []
    for row, module in zip(figures["classes"], better.modules("usual"), strict=True):
        answers = whole.swap(row["class"], module).predict(one.test.x).indices
        assert row["top_1"] == pytest.approx((answers == one.test.y).mean())
        gains.append(row["top_1"] - before)
    assert figures["before"][0] == pytest.approx(before)
    assert figures["gain_top_1"]["mean"] == pytest.approx(np.mean(gains))
    assert figures["before"][1] == 1.0, "four classes are always among the best five"


def test_distinct_modules_keep_their_concern_alone(world: reuse.World) -> None:
    chosen = world.first
    modules, about = chosen.modules("distinct"), chosen.about("distinct")
    assert all(np.array_equal(module.keep[site], module.concern[site]) for module in modules for site in module.keep)
    tangled = reuse_origins.few_images(chosen.origin, chosen.train, about["images"])
    assert about["jaccard"] < reuse_origins.mean_jaccard(tangled)
    assert 0 < about["kept"] < 1


def test_margins_are_kept_for_equal_modules_and_images_only(world: reuse.World, tmp_path: Path) -> None:
    kept = source("quadrants", small_origins.quadrant_modules(), small_origins.quadrants, tmp_path)
    first = kept.margins("usual", [0, 2], kept.test.x, "own")
    for file in tmp_path.iterdir():
        np.save(file, first + 1)
    np.testing.assert_array_equal(kept.margins("usual", [0, 2], kept.test.x, "own"), first + 1)
    np.testing.assert_array_equal(kept.margins("usual", [0], kept.test.x, "own"), first[:, :1])
    assert len(kept.margins("usual", [0, 2], kept.test.x[:5], "own")) == 5


def test_intervals_hold_the_mean_and_shrink() -> None:
    values = np.random.default_rng(1).normal(3, 1, 400)
    low, high = reuse.interval(values)
    assert low < values.mean() < high
    # Two standard errors either side.
    assert high - low == pytest.approx(4 * values.std() / 20, rel=0.1)
    assert reuse.interval([2.0, 2.0]) == [2.0, 2.0]


def test_pairs_are_drawn_beforehand_and_differ() -> None:
    pairs = reuse_baselines.drawn(["cifar10", "cifar100"], {"cifar10": 10, "cifar100": 100}, 16)
    assert pairs == reuse_baselines.drawn(["cifar10", "cifar100"], {"cifar10": 10, "cifar100": 100}, 16)
    assert pairs[:3] == reuse_baselines.drawn(["cifar10", "cifar100"], {"cifar10": 10, "cifar100": 100}, 3)
    assert len(set(pairs)) == 16
    within = reuse_baselines.drawn(["cifar10"], {"cifar10": 10}, 30)
    assert all(one[1] < other[1] for one, other in within)


def test_cells_that_are_there_are_not_trained_again() -> None:
    classes = {name: [f"{name} {label}" for label in range(10)] for name in reuse_baselines.NETWORK}
    every = list(reuse_baselines.jobs(classes))
    assert len(every) == 3 * 4
    assert len({settings["kind"] for _, settings, _ in every[:4]}) == 4, "one of each kind first"
    cells = {key: settings | {"recalls": [1.0, 1.0]} for key, settings, _ in every[:5]}
    cells[every[2][0]] = cells[every[2][0]] | {"epochs": 1}
    assert [key for key, _, _ in reuse_baselines.missing(cells, every)] == [every[2][0], *(job[0] for job in every[5:])]


def test_a_trained_baseline_says_when_it_has_learnt_nothing() -> None:
    data, test = small_origins.quadrants(), small_origins.quadrants(seed=9)
    parts = baselines.TwoClasses.of(*[[d.x[d.y == label] for label in (0, 3)] for d in (data, test)])
    network = small_origins.quadrants_model()
    found = baselines.train(network, parts, epochs=12, seed=0, batch=32)
    assert (found["images"], found["epochs"]) == ([30, 30], 12)
    assert found["accuracy"] == pytest.approx(sum(found["recalls"]) / 2)
    assert not found["undertrained"]
    assert min(found["fitted"], found["accuracy"]) >= 0.9
    same = baselines.TwoClasses.of(*[[data.x[:20], data.x[:20]]] * 2)
    assert baselines.train(network, same, epochs=1, seed=0, batch=32)["undertrained"]


def test_the_tables_show_what_was_measured(world: reuse.World) -> None:
    found: dict[str, Any] = {}
    for part, way in itertools.product(("intra", "inter", "inter_replace", "intra_replace"), ("usual",)):
        found.setdefault(part, {})[way] = dict(reuse.PARTS[part](world, way))
    pair = found["inter"]["usual"]["quadrants + bars"]["pairs"][0]
    cell = {"kind": "cifar10 + cifar100", "pair": pair["pair"], "recalls": [0.5, 0.75], "fitted": 0.95}
    cell |= {"undertrained": False, "network": "quadrants"}
    page = reuse_tables.page(found, {"one": cell, "two": cell | {"pair": ["x", "y"], "undertrained": True}})
    intra = found["intra"]["usual"]["quadrants"]
    assert f"| quadrants | default | {intra['about']['jaccard']:.3f} | 6 | 120 | " in page
    assert f"{100 * intra['difference']['mean']:+.2f} (" in page
    assert f"| {' + '.join(pair['pair'])} | {100 * pair['balanced']:.1f} |" in page
    assert f"| {100 * pair['balanced'] - 62.5:+.1f} | -12.7 |" in page
    assert "cifar10 + cifar100: x + y, undertrained: no baseline | 95.0 | 62.5 |" in page
    assert [line for line in page.splitlines() if line.startswith("### ")] == [
        "### Intra-dataset reuse (Table 2)",
        "### Against networks trained on the two classes",
        "### Inter-dataset reuse (Table 3)",
        "### Intra-dataset replace (Table 4)",
        "### Inter-dataset replace (Table 5)",
    ]


def test_a_quick_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["reuse.py", "--quick", "--only", "inter", "intra_replace", "--ways", "usual", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    reuse.main()
    page = capsys.readouterr().out
    assert "| **mean of the pairs** | " in page
    kept = reuse.before(tmp_path)
    assert kept["intra_replace"]["usual"]["poor <- good"]["gain_top_1"]["mean"] > 0
    assert 0.9 < kept["inter"]["usual"]["good + letters"]["mean"]["mean"] <= 1
    assert page.strip() == reuse_tables.page(kept, {})
