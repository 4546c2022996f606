"""What an explanation counts, against a slow literal forward pass; what it says of the vote; images it cannot take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import modhub
from modhub.composition.composite import Composite
from modhub.composition.explanation import Firing, explanation_of
from modhub.composition.recipe import Stage
from modhub.errors import InvalidData, ModhubError, NotFound, UsageError
from modhub.ops.explain import explain
from modhub.package.decomposition import with_digests
from modhub.package.module import Module, PackedMasks
from tests.composition.made_by_hand import made_plan, module
from tests.oracle.forward import forward
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants, with_random_masks


@pytest.fixture(scope="module")
def mixed() -> Composite:
    """Two origins, masks of their own, one module that keeps nothing of a layer, and a stage that decides again."""
    one, two, three, four = [with_random_masks(each, seed) for seed, each in enumerate(quadrant_modules().modules)]
    emptied = {site: mask & (site != "hidden:0") for site, mask in two.keep.items()}
    two = with_digests([replace(two, keep=PackedMasks.of(emptied))])[0]
    horizontal, vertical, corner = bar_modules().modules
    composite = modhub.compose([one, horizontal, two, three, vertical])
    return composite.verify_with(
        {("top left", "vertical"): [corner, horizontal], ("vertical", "horizontal"): [four, corner]}
    )


def literally(module: Module, image: np.ndarray, masks: Any) -> dict[str, np.ndarray]:
    """Every call's output for one raw image, position by position."""
    contract = module.origin.contract
    pixels = image.astype(np.float32) * np.float32(contract.rescale)
    return forward(module.origin.architecture, module.origin.weights, pixels, masks)


# What fired


@pytest.mark.parametrize("image", [quadrants().x[0], bars().x[1]], ids=["quadrant", "bar"])
def test_what_fired_against_a_literal_forward_pass(mixed: Composite, image: np.ndarray) -> None:
    explanation = explain(mixed, image)
    for said, own in zip(explanation.modules, mixed.modules, strict=True):
        masked, whole = literally(own, image, own.keep), literally(own, image, None)
        assert [firing.site for firing in said.firings] == list(own.keep)
        for firing in said.firings:
            keep = own.keep[firing.site]
            assert (firing.nodes, firing.kept) == (keep.size, int(keep.sum()))
            assert firing.fired == int((masked[firing.site] > 0)[keep].sum())
            assert firing.origin_fired == int((whole[firing.site] > 0).sum())
            assert firing.layer in firing.site
    fired = [firing for said in explanation.modules for firing in said.firings]
    assert any(firing.fired < firing.origin_fired for firing in fired)
    assert [firing.share for firing in fired if firing.kept == 0] == [None]


def test_margins_are_those_of_the_prediction(mixed: Composite) -> None:
    images = np.concatenate([quadrants().x[:4], bars().x[:4]])
    prediction = mixed.predict(images)
    for row, image in enumerate(images):
        explanation = explain(mixed, image)
        assert explanation.verdict.label == prediction.labels[row]
        said = explanation.modules
        own = prediction.module_margins[row]
        np.testing.assert_allclose([each.module_margin for each in said], own, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose([each.margin for each in said], prediction.margins[row], atol=1e-5, rtol=1e-5)
        scores, shares = prediction.module_scores[row], prediction.probabilities[row]
        np.testing.assert_allclose([each.module_score for each in said], scores, atol=1e-5, rtol=1e-4)
        np.testing.assert_allclose([each.probability for each in said], shares, atol=1e-5, rtol=1e-4)
        assert [each.positive for each in said] == prediction.positive[row].tolist()


def test_modules_see_the_image_through_their_adapters() -> None:
    composite = modhub.compose(list(bar_modules().modules), adapt="resize", size=(11, 13))
    image = np.random.default_rng(0).integers(0, 256, (11, 13, 1), np.uint8)
    explanation = explain(composite, image)
    own = composite.modules[0]
    adapter = composite.plan.adapter(own)
    assert adapter is not None
    small = np.einsum("hwc,Hh,Ww->HWc", image.astype(np.float64), adapter.rows, adapter.columns)
    masked = literally(own, small, own.keep)
    assert [firing.fired for firing in explanation.modules[0].firings] == [
        int((masked[site] > 0)[keep].sum()) for site, keep in own.keep.items()
    ]
    np.testing.assert_allclose(
        [said.margin for said in explanation.modules], composite.predict(image[None]).margins[0], atol=1e-5
    )


# How the vote went


def by_hand(margins: list[float], thresholds: list[float] | None = None, **options: Any) -> Any:
    names = ("cat", "dog", "fox", "owl", "pig", "yak")[: len(margins)]
    modules = [
        module(f"me/net:{name}", threshold=threshold)
        for name, threshold in zip(names, thresholds or [0.0] * len(names), strict=True)
    ]
    plan = made_plan(modules, **options)
    return explanation_of(plan, np.array(margins, np.float32), [()] * len(modules))


@pytest.mark.parametrize(
    ("margins", "options", "vote", "text"),
    [
        ([2.5, -1, -3], {}, "one", "cat: it alone is positive; margin 2.50, 3.50 above dog"),
        (
            [2.5, 1, 4],
            {},
            "several",
            "fox: the largest of 3 positive modules, margin 4.00, 1.50 above cat; also cat, dog",
        ),
        ([-2, -1, -3], {}, "none", "dog: no module is positive; it has the largest margin -1.00, 1.00 above cat"),
        (
            [-2, -1, -3],
            {"reject": True},
            "none",
            "none of these: no module is positive; dog has the largest margin -1.00, 1.00 above cat",
        ),
        ([-2, 1, -3], {"reject": True}, "one", "dog: it alone is positive; margin 1.00, 3.00 above cat"),
        ([1.5], {}, "one", "cat: it alone is positive; margin 1.50"),
        (
            [3, 2, -3],
            {"thresholds": [4, 1, 0]},
            "one",
            "cat: the largest margin 3.00, 1.00 above dog; but only dog is positive",
        ),
        (
            [3, 2, 1],
            {"thresholds": [4, 1, 0]},
            "several",
            "cat: the largest margin 3.00, 1.00 above dog; but only dog, fox are positive",
        ),
        (
            [1, 2, 3, 4, 5, 6],
            {},
            "several",
            "yak: the largest of 6 positive modules, margin 6.00, 1.00 above pig; also pig, owl, fox and 2 more",
        ),
    ],
)
def test_the_verdict(margins: list[float], options: dict[str, Any], vote: str, text: str) -> None:
    explanation = by_hand(margins, **options)
    assert explanation.verdict.vote == vote
    assert str(explanation.verdict) == text
    assert explanation.to_dict()["verdict"]["text"] == text


def test_equal_margins_go_to_the_first() -> None:
    verdict = by_hand([1, 3, 3]).verdict
    assert (verdict.winner, verdict.runner_up, verdict.lead) == ("dog", "fox", 0.0)


def test_stages_say_what_they_did() -> None:
    cat, dog, fox, wolf = (module(f"me/net:{name}") for name in ("cat", "dog", "fox", "wolf"))
    judges = tuple(module(f"me/judge:{name}") for name in ("cat", "dog", "wolf"))
    plan = made_plan(
        (cat, dog, fox, wolf),
        stages=[Stage((0, 1), judges[:2]), Stage((0, 3), judges[::2]), Stage((1, 3), judges[1:])],
    )
    margins = np.array([5, 4, 1, 2, -1, 3, 7, 8, 6, 0.5], np.float32)
    explanation = explanation_of(plan, margins, [()] * 4)
    assert [str(stage) for stage in explanation.stages] == [
        "between cat | dog it was decided again: dog takes the place of cat (me/judge:cat -1.00, me/judge:dog 3.00)",
        "between cat | wolf nothing was decided again, for dog had won",
        "between dog | wolf it was decided again: dog stays (me/judge:dog 6.00, me/judge:wolf 0.50)",
    ]
    assert [(said.module_margin, said.margin) for said in explanation.modules] == [(5, 4), (4, 5), (1, 1), (2, 2)]
    assert str(explanation.verdict).startswith("dog: the largest of 4 positive modules, margin 5.00, 1.00 above cat;")
    assert [said.label for said in explanation.ranked()] == ["dog", "cat", "wolf", "fox"]


def test_shares() -> None:
    firing = Firing("relu:0", "relu", nodes=8, kept=4, fired=1, origin_fired=6)
    assert (firing.share, firing.origin_share) == (0.25, 0.75)
    assert replace(firing, kept=0, fired=0).share is None


# Images


def test_an_image_may_come_as_an_array_or_from_a_file(tmp_path: Path) -> None:
    composite = modhub.compose(list(bar_modules().modules))
    image = bars().x[3]
    expected = explain(composite, image)
    Image.fromarray(image[..., 0]).save(tmp_path / "bar.png")
    np.savez(tmp_path / "bars.npz", x=bars().x)
    given: list[Any] = [image[None], image[..., 0], tmp_path / "bar.png", str(tmp_path / "bar.png")]
    assert all(explain(composite, each) == expected for each in given)
    assert explain(composite, tmp_path / "bars.npz", index=3) == expected
    assert explain(list(bar_modules().modules), bars().x, index=3) == expected


@pytest.mark.parametrize(
    ("image", "index", "error", "message"),
    [
        (
            np.zeros((9, 8, 1), np.uint8),
            None,
            InvalidData,
            "the pixels of the image are 9x8x1; the modules take 8x8x1.",
        ),
        (np.zeros((8, 8, 3), np.uint8), None, InvalidData, "the pixels of the image are 8x8x3; the modules take 8x8x1"),
        (np.zeros(3), None, InvalidData, "the image has the shape (3,); wanted height x width x channels."),
        (np.zeros((0, 8, 8, 1)), None, InvalidData, "the image has the shape (0, 8, 8, 1); wanted height"),
        (np.full((8, 8, 1), np.nan), None, InvalidData, "the pixels of the image hold NaN or infinity"),
        (np.full((8, 8, 1), 0.5), None, InvalidData, "the pixels of the image hold floats up to 0.5; the modules take"),
        (
            np.zeros((2, 8, 8, 1)),
            None,
            UsageError,
            "x holds 2 images; one is explained at a time. Hint: choose one: --",
        ),
        (np.zeros((2, 8, 8, 1)), 2, UsageError, "x has no image 2; it holds 2. Hint: choose 0 to 1."),
        (np.zeros((2, 8, 8, 1)), -1, UsageError, "x has no image -1; it holds 2."),
        ("nowhere.png", None, NotFound, "no images at 'nowhere.png'."),
        ("words.txt", None, InvalidData, "words.txt cannot be read as an image: "),
        ("empty", None, InvalidData, "empty holds no images."),
    ],
)
def test_bad_images(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    image: Any,
    index: int | None,
    error: type[ModhubError],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("no image")
    Path("empty").mkdir()
    with pytest.raises(error) as caught:
        explain(list(bar_modules().modules), image, index=index)
    assert message in str(caught.value)
