"""What a compact release says of itself: costs, JI over the origin's nodes, and what it costs on unused images."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import modhub
from modhub.cards.document import ReleaseCard
from modhub.cli.root import root
from modhub.package.decomposition import Decomposition
from modhub.project.diff import compared_releases
from modhub.spec.text import is_observed
from tests.small_origins import quadrant_modules, quadrants


@pytest.fixture(scope="module")
def half() -> Decomposition:
    """Half of the quadrants' network, measured on images of its own."""
    data, unused = quadrants(each=60), quadrants(each=25, seed=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return modhub.compact(
            quadrant_modules(),
            (data.x, data.y, data.classes),
            name="me/half",
            validation=(unused.x, unused.y, unused.classes),
            validation_dataset="unused",
        )


@pytest.fixture(scope="module")
def registry(half: Decomposition, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("registry"))
    other = half.origin
    assert other.name == "me/half"
    modhub.publish(half, version="1.0.0", registry=folder)
    modhub.publish(quadrant_modules(), version="1.0.0", registry=folder)
    return folder


def test_the_index_is_over_the_origin_s_nodes(half: Decomposition) -> None:
    nodes = sum(mask.size for mask in quadrant_modules().modules[0].keep.values())
    assert half.compacted.origin_nodes == nodes
    for module in half.modules:
        assert module.jaccard == sum(int(mask.sum()) for mask in module.keep.values()) / nodes
        assert module.jaccard <= half.compacted.nodes
    assert half.report().jaccard == pytest.approx(np.mean([module.jaccard for module in half.modules]))


def test_the_index_between_modules_is_the_mean_of_all_pairs(half: Decomposition) -> None:
    masks = [np.concatenate([mask.ravel() for mask in module.keep.values()]) for module in half.modules]
    pairs = [(a & b).sum() / (a | b).sum() for place, a in enumerate(masks) for b in masks[place + 1 :]]
    recorded = half.package.manifest.content.jaccard_between
    assert recorded == pytest.approx(np.mean(pairs))
    assert half.report().jaccard_between == recorded


def test_the_cost_on_unused_images_is_measured_against_the_whole(half: Decomposition) -> None:
    unused = quadrants(each=25, seed=9)
    right = [np.mean(modhub.compose(part).predict(unused.x).indices == unused.y) for part in (quadrant_modules(), half)]
    found = half.compacted.validation
    assert (found.data, found.examples) == ("unused", 100)
    assert found.points == pytest.approx(100 * (right[0] - right[1]), abs=1.01)
    assert found.low <= found.points <= found.high


def test_only_the_accuracy_on_unused_images_is_not_marked(half: Decomposition) -> None:
    assert [is_observed(each.data) for each in half.origin.accuracy] == [True, False]
    assert half.origin.accuracy[-1].data == "unused"
    assert half.modules[0].metrics[-1].data == "unused"


def test_reports_and_cards_say_what_it_is_against_its_origin(half: Decomposition) -> None:
    shown = ["of the multiply-adds", "nodes (JI)", "R2", "on 100 images of unused"]
    report, card = str(half.report()), str(ReleaseCard("me/half", half.package.manifest, ""))
    for text in shown:
        assert text in " ".join(report.split())
        assert text in card
    assert "between two modules" in report
    assert half.report().to_dict()["compacted"] == half.compacted.model_dump(mode="json")


def test_a_release_and_a_compact_one_of_it_are_compared_over_the_same_nodes(registry: str) -> None:
    found = compared_releases("shapes/quadrants", "me/half", registry=registry)
    assert found.compact == "me/half@1.0.0"
    settings = {each.name: (each.before, each.after) for each in found.settings}
    flops = [int(text.replace(",", "")) for text in settings["multiply-adds"]]
    assert flops[1] <= flops[0] / 2
    assert {"parameters", "nodes at ReLUs", "bytes of weights", "compact"} <= settings.keys()
    for each in found.classes:
        assert each.values["JI"][1] < each.values["JI"][0]
        assert each.values["kept"][1] == pytest.approx(each.values["JI"][1])
    done = CliRunner().invoke(root, ["diff", "shapes/quadrants", "me/half", "--registry", registry])
    assert "me/half@1.0.0 is a compact network of shapes/quadrants@1.0.0" in " ".join(done.stdout.split())


def test_what_is_searched_says_that_it_is_compact(registry: str) -> None:
    hits = {hit.ref: hit.release.compacted for hit in modhub.search("", registry=registry)}
    assert hits["shapes/quadrants"] is None
    assert hits["me/half"].of == ("shapes/quadrants",)
    said = CliRunner().invoke(root, ["search", "me/half", "--registry", registry])
    assert "of shapes/quadrants" in " ".join(said.stdout.split())
    found = json.loads(CliRunner().invoke(root, ["search", "me/half", "--registry", registry, "--json"]).stdout)
    assert found["hits"][0]["compact_of"] == ["shapes/quadrants"]


def test_the_folder_s_info_has_all_of_it(half: Decomposition, tmp_path: Path) -> None:
    folder = str(half.save(tmp_path / "half.modules"))
    text = " ".join(CliRunner().invoke(root, ["info", folder]).stdout.split())
    assert "with which nothing was made" in text
    assert "with what that was made of" in text
    said = json.loads(CliRunner().invoke(root, ["info", folder, "--json"]).stdout)
    assert said["compacted"]["validation"]["data"] == "unused"
    assert said["jaccard_between"] == half.package.manifest.content.jaccard_between
