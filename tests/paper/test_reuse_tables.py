"""Tables 2 to 5 measure what composites answer: their columns are held against compose, swap and predict."""

from __future__ import annotations

import itertools
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

import baselines
import reuse
import table_2
import table_3
import table_4
import table_5
import two_class
import two_ways
from across import across
from cells import Cells
from study import Data, Study, Trained, first_of_each
from two_ways import LOGITS, Source

from modhub import compose
from modhub.data.images import ImageData
from modhub.engine.read.check import logits_of
from tests import small_origins

ALL = [30, 30]


def network(name: str, load: Any, data: Any) -> Trained:
    train, test = (ImageData(part.x, part.y, part.classes, name) for part in (data(), data(seed=9)))
    in_order = first_of_each(test, range(len(test.classes)), None)
    return Trained(f"{name}-net", Data(name, train, in_order), load, name)


def spoilt(trained: Trained, made: Any) -> Source:
    """Modules with random masks, so that they differ from their origin and make mistakes."""
    modules = [small_origins.with_random_masks(module, module.index, 0.8) for module in made.modules]
    return Source(trained, {"default": (modules, {"jaccard": 0.5, "kept": 0.8, "images": 30})})


@pytest.fixture(scope="module")
def one() -> Source:
    trained = network("quadrants", small_origins.quadrants_model, small_origins.quadrants)
    return spoilt(trained, small_origins.quadrant_modules())


@pytest.fixture(scope="module")
def two() -> Source:
    return spoilt(network("bars", small_origins.bars_model, small_origins.bars), small_origins.bar_modules())


def study(folder: Path, *sources: Source, **options: Any) -> Study:
    given = {"networks": None, "images": None, "classes": None, "quick": False, "ways": ["default"]}
    found = Study(Namespace(**(given | options)), Cells(folder / "cells"), folder)
    found.networks = {source.name: source.network for source in sources}
    return found


def test_pairs_are_what_compose_answers(one: Source) -> None:
    figures, test = table_2.measured(one, "default", range(4), one.test), one.test
    assert len(figures["pairs"]) == 6
    origin = one.network.origin
    for row, (left, right) in zip(figures["pairs"], itertools.combinations(range(4), 2), strict=True):
        here = np.isin(test.y, (left, right))
        names = np.array(test.classes)[test.y[here]]
        modules = [one.modules("default")[label] for label in (left, right)]
        answers = np.array(compose(modules).predict(test.x[here]).labels)
        assert row["composed"] == pytest.approx((answers == names).mean())
        logits = logits_of(origin, origin.contract, test.x[here], 100)[:, [left, right]]
        assert row["restricted"] == pytest.approx((logits.argmax(axis=1) == (test.y[here] == right)).mean())
        trained = table_2.pair_row(one, "default", (left, right))
        assert trained["default"] == pytest.approx(row["composed"])
        assert trained[LOGITS] == pytest.approx(row["restricted"])
    assert figures["difference"]["mean"] < 0, "the spoilt modules do worse"
    assert figures["proved"]["other_answers"] == 0
    assert figures["proved"]["largest_difference"] < 1e-4


def test_a_wrong_column_is_reported(one: Source) -> None:
    test = first_of_each(one.test, [0, 1], None)
    swapped = one.margins("default", [1, 0], test.x)
    assert table_2.proved(one, "default", [0, 1], test, swapped)["other_answers"] > len(test.y) / 2


def test_pairs_across_origins_are_what_compose_answers(one: Source, two: Source) -> None:
    found, every = across(one, two, "default", ALL), {}
    for left, right in itertools.product(range(4), range(3)):
        composite = compose([one.modules("default")[left], two.modules("default")[right]], vote="raw")
        parts = [part.test.x[part.test.y == label] for part, label in ((one, left), (two, right))]
        recalls = [float((composite.predict(x).indices == place).mean()) for place, x in enumerate(parts)]
        assert found.recalls(left, right) == pytest.approx(recalls)
        every[left, right] = sum(recalls) / 2
    assert table_3.every_pair(one, two, "default", ALL)["mean"]["mean"] == pytest.approx(np.mean(list(every.values())))
    pairs = table_3.measured(one, two, "default", list(every))["pairs"]
    assert [row["balanced"] for row in pairs] == pytest.approx(list(every.values()))


def test_logits_across_are_the_networks_own(one: Source, two: Source) -> None:
    found = across(one, two, LOGITS, ALL)
    x = np.concatenate([one.test.x[one.test.y == 1], two.test.x[two.test.y == 2]])
    columns = [
        logits_of(part.network.origin, part.network.origin.contract, x, 100)[:, label]
        for part, label in ((one, 1), (two, 2))
    ]
    second = columns[1] > columns[0]
    assert found.recalls(1, 2) == pytest.approx((1 - second[:30].mean(), second[30:].mean()))


def test_a_class_of_another_origin_in_a_class_s_place(one: Source, two: Source) -> None:
    figures = table_5.measured(one, two, "default", ALL)
    whole = compose(one.modules("default"), vote="raw")
    for row, (left, right) in zip(figures["pairs"], itertools.product(range(4), range(3)), strict=True):
        stay, come = one.test.y != left, two.test.y == right
        labels = np.concatenate([one.test.y[stay], np.full(come.sum(), left)])
        swapped = whole.swap(one.test.classes[left], two.modules("default")[right])
        answers = swapped.predict(np.concatenate([one.test.x[stay], two.test.x[come]])).indices
        recalls = [(answers[labels == label] == label).mean() for label in range(4)]
        assert row["top_1"] == pytest.approx(np.mean(recalls))
        assert row["recall"] == pytest.approx(recalls[left])
    assert figures["change_1"]["mean"] == pytest.approx(figures["top_1"]["mean"] - figures["before"][0])


def test_a_better_network_s_module_in_its_class_s_place(one: Source) -> None:
    about = {"jaccard": 1.0, "kept": 1.0, "images": 30}
    better = Source(one.network, {"default": (list(small_origins.quadrant_modules().modules), about)})
    figures = table_4.measured(one, better, "default", one.test)
    whole = compose(one.modules("default"), vote="raw")
    before = (whole.predict(one.test.x).indices == one.test.y).mean()
    for how, match in (("as it is", False), ("matched", True)):
        gains = []
        for row, module in zip(figures[how]["classes"], better.modules("default"), strict=True):
            answers = whole.swap(row["class"], module, match=match).predict(one.test.x).indices
            assert row["top_1"] == pytest.approx((answers == one.test.y).mean())
            gains.append(row["top_1"] - before)
        assert figures[how]["gain_top_1"]["mean"] == pytest.approx(np.mean(gains))
    assert figures["before"][0]["mean"] == pytest.approx(before)
    assert figures["before"][1]["mean"] == 1.0, "four classes are always among the best five"


def test_distinct_modules_keep_their_concern_alone(one: Source) -> None:
    modules, about = one.modules("distinct"), one.about("distinct")
    assert all(np.array_equal(module.keep[site], module.concern[site]) for module in modules for site in module.keep)
    tangled = two_ways.decomposed_modules(one.network.origin, one.network.data.train, about["images"])
    assert about["jaccard"] < two_ways.mean_jaccard(tangled)
    assert 0 < about["kept"] < 1


def test_margins_of_equal_images_are_computed_once(one: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    first = one.margins("default", [0, 2], one.test.x)
    monkeypatch.setattr(two_ways, "OriginRunner", None)
    monkeypatch.setattr(two_ways, "MaskedNetwork", None)
    np.testing.assert_array_equal(one.margins("default", [2, 0], one.test.x.copy()), first[:, ::-1])
    few = Source(one.network, one.made)
    with pytest.raises(TypeError):
        few.margins("default", [0], one.test.x)


def test_pairs_are_drawn_beforehand_and_differ() -> None:
    pairs = baselines.drawn(["cifar10", "cifar100"], {"cifar10": 10, "cifar100": 100}, 16)
    assert pairs == baselines.drawn(["cifar10", "cifar100"], {"cifar10": 10, "cifar100": 100}, 16)
    assert pairs[:3] == baselines.drawn(["cifar10", "cifar100"], {"cifar10": 10, "cifar100": 100}, 3)
    assert len(set(pairs)) == 16
    within = baselines.drawn(["cifar10"], {"cifar10": 10}, 30)
    assert all(one[1] < other[1] for one, other in within)


def test_a_trained_baseline_says_when_it_has_learnt_nothing() -> None:
    data, test = small_origins.quadrants(), small_origins.quadrants(seed=9)
    parts = two_class.TwoClasses.of(*[[d.x[d.y == label] for label in (0, 3)] for d in (data, test)])
    network = small_origins.quadrants_model()
    found = two_class.train(network, parts, epochs=12, seed=0, batch=32)
    assert (found["images"], len(found["curve"])) == ([30, 30], 12)
    assert found["curve"][found["best_epoch"] - 1] == found["held_out"] == max(found["curve"])
    assert found["accuracy"] == pytest.approx(sum(found["recalls"]) / 2)
    assert not found["undertrained"]
    assert min(found["fitted"], found["accuracy"]) >= 0.9
    same = two_class.TwoClasses.of(*[[data.x[:20], data.x[:20]]] * 2)
    assert two_class.train(network, same, epochs=1, seed=0, batch=32)["undertrained"]


def test_baselines_stop_at_their_budget_and_go_on(one: Source, two: Source, tmp_path: Path) -> None:
    none = study(tmp_path, one, two, kinds=None, train_minutes=-1.0)
    assert len(list(baselines.jobs(none))) == 9
    assert "Not trained yet: 9 of 9." in baselines.command(none)
    figures = {"best_epoch": 2, "curve": [0.5, 0.9], "images": [24, 24], "test_images": 60, "fitted": 0.95}
    figures |= {"held_out": 0.9, "recalls": [0.5, 0.75], "accuracy": 0.625, "undertrained": False}
    undertrained = figures | {"undertrained": True, "fitted": 0.6, "curve": None}
    first, second, third, *_ = baselines.jobs(none)
    assert {first.kind, second.kind, third.kind} == {"quadrants", "bars", "quadrants + bars"}, "one of each kind first"
    for job, cell in ((first, figures), (second, undertrained)):
        none.cell("baselines", job.key, job.networks, lambda cell=cell: cell)  # type: ignore[misc]
    page = baselines.command(none)
    assert "Not trained yet: 7 of 9." in page
    assert "undertrained: no baseline; its curve was not kept" in page
    assert (tmp_path / "baselines.png").stat().st_size > 1000
    shares = {"default": 0.8, LOGITS: 0.9}
    gains = reuse.gains(none, ["quadrants", "bars"], {(job.kind, job.key["pair"]): shares for job in (first, second)})
    assert f"| quadrants: {first.key['pair']} | 62.5 | 80.0 | 90.0 | +17.5 |" in gains
    assert "| **quadrants**, mean of 1 |" in gains
    assert "**bars**" not in gains, "an undertrained network is no baseline"


def test_the_pages_show_what_was_measured(one: Source, two: Source, tmp_path: Path, monkeypatch: Any) -> None:
    sources = {source.network: source for source in (one, two)}
    for table in (table_2, table_3, table_5):
        monkeypatch.setattr(table, "source", sources.__getitem__)
    world = study(tmp_path, one, two)
    figures = table_2.measured(one, "default", range(4), one.test)
    assert f"{100 * figures['difference']['mean']:+.2f} (" in table_2.command(world)
    pair = table_3.measured(one, two, "default", [(0, 0)])["pairs"][0]
    assert f"| {pair['pair']} | 60 | {100 * pair['balanced']:.1f} |" in table_3.command(world)
    assert "+2.5 over training | -7.1 over training" in table_5.command(world)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").rglob("*.json")}
    table_5.command(world)
    assert before == {file: file.stat().st_mtime_ns for file in (tmp_path / "cells").rglob("*.json")}
    for number in (2, 3, 5):
        assert (tmp_path / f"table-{number}.png").stat().st_size > 1000
