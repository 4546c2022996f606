"""``modhub.update`` on two small origins: what it gives, what it refuses, and what becomes of it when published."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

import modhub
from modhub.data.images import ImageData
from modhub.engine.run.isolated import OriginRunner
from modhub.engine.update import Examples, JointNetworks
from modhub.errors import Incompatible, InvalidData, NotFound, UsageError
from tests.oracle.forward import forward
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants

#: Both origins know a "top left"; only the quadrants' own takes part.
QUADRANTS = ("top left", "top right", "bottom left", "bottom right")
BARS = ("horizontal", "vertical")


def mixed(each=24, seed=7):
    """``each`` images of four quadrants and two bars, labelled by name."""
    one, two = quadrants(each, seed), bars(each, seed + 1)
    lines = two.y < 2
    x = np.concatenate([one.x, two.x[lines]])
    return ImageData(x, np.concatenate([one.y, 4 + two.y[lines]]), QUADRANTS + BARS, "mixed")


def lines():
    return [module for module in bar_modules().modules if module.name in BARS]


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@pytest.fixture(scope="module")
def updated():
    return modhub.update(quadrant_modules(), against=lines(), data=mixed(), strategy="calibrate")


def test_examples_may_spell_classes_as_slugs(updated):
    data = dataclasses.replace(mixed(), classes=tuple(name.replace(" ", "-").upper() for name in QUADRANTS + BARS))
    other = modhub.update(quadrant_modules(), against=lines(), data=data, strategy="calibrate")
    assert (other.after, other.way) == (updated.after, updated.way)


def answers(modules, images):
    return modhub.compose(list(modules)).predict(images)


def test_calibrating_helps_these_modules_and_says_so(updated):
    assert updated.strategy == "calibrate"
    assert updated.after.balanced > updated.before.balanced + 0.1
    assert updated.after.interval[0] < updated.after.balanced < updated.after.interval[1]
    assert str(updated).startswith("updated by calibrate (strength ")
    assert f"top-1 {updated.after.top_1:.2%}" in str(updated)
    assert list(updated.after.recalls) == [*QUADRANTS, *BARS]
    assert updated.after.balanced == pytest.approx(np.mean(list(updated.after.recalls.values())))


def test_an_offset_is_kept_where_it_helps_and_recorded():
    update = modhub.update(quadrant_modules(), against=lines(), data=mixed(), strategy="offset")
    assert update.strategy == "offset"
    assert update.after.balanced > update.before.balanced
    assert [each.derived_from[-1].strategy for each in update.modules] == ["offset"] * 4
    report = mixed(20, seed=50)
    right = answers([*update.modules, *update.against], report.x).indices == report.y
    assert right.mean() > update.before.top_1
    assert update.decomposition("me/offset").package.manifest.content.modules[0].derived_from[-1].strategy == "offset"


def test_fitting_choosing_and_reporting_images_are_all_of_the_data_and_disjoint(updated):
    assert updated.after.examples + updated.examples == len(mixed())
    assert updated.after.examples == len(mixed()) // 3


def test_what_is_reported_is_what_the_modules_answer(updated):
    """On reporting data of one's own, the figures are those of the composite that the caller can build."""
    data, report = mixed(12), mixed(20, seed=50)
    update = modhub.update(quadrant_modules(), against=lines(), data=data, report=report, strategy="calibrate")
    for figures, modules in (
        (update.before, [*quadrant_modules().modules, *lines()]),
        (update.after, [*update.modules, *update.against]),
    ):
        right = answers(modules, report.x).indices == report.y
        assert figures.top_1 == pytest.approx(right.mean())
        assert figures.recalls["vertical"] == pytest.approx(right[report.y == 5].mean())


def test_modules_that_are_updated_against_stay_as_they_are(updated):
    assert list(updated.against) == lines()
    assert [module.name for module in updated.modules] == list(QUADRANTS)
    assert all(new.digest != old.digest for new, old in zip(updated.modules, quadrant_modules().modules, strict=True))


def test_modules_of_both_origins_are_updated_together():
    both = [*quadrant_modules().modules, *lines()]
    update = modhub.update(both, against=both, data=mixed(), strategy="calibrate")
    assert update.changed
    assert update.against == ()
    assert len(update.modules) == 6
    assert all(new.digest != old.digest for new, old in zip(update.modules, both, strict=True))
    with pytest.raises(UsageError) as caught:
        update.decomposition()
    assert str(caught.value) == (
        "modules of 2 origins were updated: lines/bars, shapes/quadrants. "
        "Hint: choose one, for example origin='lines/bars'."
    )


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_examples(updated):
    again = modhub.update(quadrant_modules(), against=lines(), data=mixed(), strategy="calibrate")
    other = modhub.update(quadrant_modules(), against=lines(), data=mixed(), strategy="calibrate", seed=1)
    assert [module.digest for module in again.modules] == [module.digest for module in updated.modules]
    assert again.to_dict() == updated.to_dict()
    assert [module.digest for module in other.modules] != [module.digest for module in updated.modules]


def test_thresholds_follow_the_new_margins(updated):
    data = mixed(30, seed=90)
    positive = answers([*updated.modules, *updated.against], data.x).positive
    own = positive[np.arange(len(data)), data.y][data.y < 4]
    foreign = positive[data.y >= 4][:, :4]
    assert own.mean() > 0.6 > 0.4 > foreign.mean()


def test_lineage_and_figures_travel_with_the_modules(updated):
    old, new = quadrant_modules().modules[0], updated.modules[0]
    (step,) = new.derived_from
    assert (step.module, step.digest, step.strategy) == (old.ref, old.digest, "calibrate")
    assert step.against == tuple(module.digest for module in lines())
    assert step.examples == updated.examples
    (metric,) = new.metrics
    assert metric.data == "mixed (reporting)"
    assert metric.vote_recall == pytest.approx(updated.after.recalls["top left"])


def test_published_and_installed_it_has_equal_margins_and_its_lineage(updated, tmp_path):
    registry, cache = str(tmp_path / "registry"), tmp_path / "cache"
    images = mixed(10, seed=33).x
    folder = updated.decomposition("shapes/updated").save(tmp_path / "out")
    release = modhub.publish(folder, version="1.0.0", registry=registry)
    composite = modhub.compose("shapes/updated", registry=registry, cache=cache)
    assert release.classes == QUADRANTS
    assert np.array_equal(composite.predict(images).margins, answers(updated.modules, images).margins)
    assert [module.derived_from for module in composite.modules] == [m.derived_from for m in updated.modules]
    again = modhub.update(
        "shapes/updated", against=lines(), data=mixed(12, seed=3), strategy="calibrate", registry=registry, cache=cache
    )
    if again.changed:
        assert [step.module for step in again.modules[0].derived_from][1] == "shapes/updated:top-left@1.0.0"
        assert again.decomposition().dataset == updated.decomposition().dataset


def test_a_release_may_have_some_of_the_classes_only(tmp_path):
    registry, cache = str(tmp_path / "registry"), tmp_path / "cache"
    modhub.publish(quadrant_modules(), version="1.0.0", registry=registry)
    data = mixed().restrict(("top left", *BARS))
    update = modhub.update(
        "shapes/quadrants:top-left", against=lines(), data=data, strategy="calibrate", registry=registry, cache=cache
    )
    assert update.changed
    decomposition = update.decomposition()
    assert [module.name for module in decomposition.modules] == ["top left"]
    assert modhub.publish(decomposition, registry=registry).ref.version == "1.1.0"


# Masks


def activity(origin, module, images):
    """Which nodes any of the images activates, by running the origin literally."""
    found = {site: np.zeros(mask.shape, bool) for site, mask in module.keep.items()}
    for image in images:
        values = forward(origin.architecture, origin.weights, image.astype(np.float32) * np.float32(1 / 255))
        for site in found:
            found[site] |= values[site] > 0
    return found


def remasked(strategy, part, join=False, options=None):
    modules = (*quadrant_modules().modules, *lines())
    networks = JointNetworks(modules, [True] * 4 + [False] * 2, np.ones(6), 16, any_masks=True)
    data = mixed(8)
    half = np.arange(len(data)) % 2
    unseen = networks.unseen_activity(Examples(data.x, data.y), half, seed=0)
    return networks.remasked(strategy, unseen, part, join, options or {}), data, half


@pytest.mark.parametrize(("strategy", "part"), [("tangle", None), ("tangle", 1), ("remove", 0), ("remove", None)])
def test_new_masks_are_the_literal_rule_on_what_the_examples_activate(strategy, part):
    modules, data, half = remasked(strategy, part)
    chosen = (data.y >= 4) & (True if part is None else half == part)
    for old, new in zip(quadrant_modules().modules, modules, strict=False):
        seen = activity(old.origin, old, data.x[chosen])
        for site in old.keep:
            concern, keep = old.concern[site], old.keep[site]
            if strategy == "tangle":
                wanted = (concern | seen[site]) & ~(concern & ~keep)
            else:
                wanted = keep & ~(seen[site] & ~concern)
            assert np.array_equal(new.keep[site], wanted), site
        stages = new.stages
        parts = zip(stages.concern, stages.tangled, stages.last_conv, stages.input, strict=True)
        assert stages.kept == tuple(int(mask.sum()) for mask in new.keep.values())
        assert stages.kept == tuple(c + t - b - i for c, t, b, i in parts)
        assert new.unconcerned == (chosen.sum() if strategy == "tangle" else old.unconcerned)
        assert 0 < new.jaccard <= 1


def test_tangling_backtracks_as_the_origin_was_decomposed():
    origin = quadrant_modules()
    modules, _, _ = remasked("tangle", None, options={origin.origin.fingerprint: origin.options})
    for old, new in zip(origin.modules, modules, strict=False):
        features = list(old.keep)[-1]
        gone = (old.concern[features] & ~old.keep[features]).sum()
        assert sum(new.stages.last_conv) > 0
        assert (new.concern[features] & ~new.keep[features]).sum() == gone


def test_keeping_the_origins_tangling_keeps_more():
    alone, joined = remasked("tangle", None)[0], remasked("tangle", None, join=True)[0]
    for old, less, more in zip(quadrant_modules().modules, alone, joined, strict=False):
        for site in old.keep:
            assert not (less.keep[site] & ~more.keep[site]).any()
            assert not (old.keep[site] & ~more.keep[site]).any()


def test_a_mask_strategy_that_is_kept_gives_modules_that_run_so(monkeypatch):
    """Whatever is chosen, what is reported as after is what the given modules answer."""
    monkeypatch.setattr("modhub.updating.choosing.Improvement.clearly_better", True)
    report = mixed(20, seed=50)
    update = modhub.update(quadrant_modules(), against=lines(), data=mixed(12), report=report, strategy="remove")
    if update.changed:
        assert update.strategy == "remove"
        right = answers([*update.modules, *update.against], report.x).indices == report.y
        assert update.after.top_1 == pytest.approx(right.mean())
        runner = OriginRunner(update.modules[0].origin, update.modules)
        assert runner.margins(report.x[:3], 3).shape == (3, 4)
    else:
        assert "worse on the reporting images" in str(update)


def test_auto_tries_everything_and_says_so():
    update = modhub.update(quadrant_modules(), against=lines(), data=mixed(12))
    assert {each.way.strategy for each in update.tried} >= {"calibrate", "remove"}
    assert update.changed


# What is kept, and what is refused


@pytest.mark.parametrize("each", [1, 3])
def test_few_examples_keep_the_original(each):
    data = mixed().take(np.concatenate([np.flatnonzero(mixed().y == c)[: each if c == 2 else 9] for c in range(6)]))
    update = modhub.update(quadrant_modules(), against=lines(), data=data)
    assert list(update.modules) == list(quadrant_modules().modules)
    assert not update.changed
    assert update.before == update.after
    some = "1 example" if each == 1 else f"{each} examples"
    assert str(update).startswith(
        f"kept the original: 'bottom left' has {some}; an update needs 4 of every class\nbefore: top-1 "
    )
    with pytest.raises(UsageError) as caught:
        update.decomposition()
    assert caught.value.kind == "nothing-updated"


def test_four_examples_are_enough():
    update = modhub.update(quadrant_modules(), against=lines(), data=mixed(4), strategy="calibrate")
    assert len(update.tried) == 1
    assert update.after.examples == 6


def test_labels_that_say_nothing_keep_the_original():
    data = mixed()
    noise = dataclasses.replace(data, y=np.random.default_rng(0).permutation(data.y))
    update = modhub.update(quadrant_modules(), against=lines(), data=noise, strategy="calibrate")
    assert "kept the original: no way was clearly better on the 96 examples to choose" in str(update)


def refused(kind, error, *arguments, **options):
    with pytest.raises(error) as caught:
        modhub.update(*arguments, **options)
    assert caught.value.kind == kind
    return str(caught.value)


def test_a_class_without_example():
    data = dataclasses.replace(mixed(), classes=(*QUADRANTS, "horizontal", "vertical"))
    message = refused(
        "class-without-example", InvalidData, quadrant_modules(), against=lines(), data=data.take(data.y != 3)
    )
    assert message == ("1 of 6 classes have no example: 'bottom right'. Hint: add at least one image of every class.")


def test_labels_that_no_module_has():
    message = refused("label-outside", InvalidData, quadrant_modules(), against=lines()[:1], data=mixed())
    assert message == (
        "the data: 'vertical' is not among the classes. Hint: the classes are 'top left', 'top right', "
        "'bottom left', 'bottom right', 'horizontal'."
    )


def test_images_of_the_wrong_size():
    data = mixed()
    message = refused(
        "wrong-shape",
        InvalidData,
        quadrant_modules(),
        against=lines(),
        data=(np.zeros((6, 9, 8, 1), np.uint8), np.arange(6), data.classes),
    )
    assert "the images of the data are 9x8x1; the modules take 8x8x1. Hint: bring them to that size" in message


def test_data_that_is_none():
    message = refused("bad-data", UsageError, quadrant_modules(), against=lines(), data=7)
    assert message.startswith("the data has the type int. Hint: give arrays (x, y) or (x, y, classes); the path of an")
    refused("data-not-found", NotFound, quadrant_modules(), against=lines(), data="photos")


def test_an_origin_against_itself():
    message = refused("nothing-unseen", UsageError, lines()[:1], against=lines(), data=mixed())
    assert message == (
        "all modules are of lines/bars, which has seen all of their classes. "
        "Hint: update against modules of another origin."
    )


def test_nothing_to_update_against():
    message = refused("empty", UsageError, lines(), against=[], data=mixed())
    assert message == "no modules were given to update against. Hint: name at least one of both."


def test_an_unknown_strategy():
    message = refused("bad-option", UsageError, lines(), against=[], data=mixed(), strategy="calibrat")
    assert message == "there is no strategy 'calibrat'. Hint: did you mean calibrate?"


def test_origins_that_take_other_images():
    from tests.composition.made_by_hand import module

    message = refused("input-mismatch", Incompatible, lines(), against=[module("cifar10/r56:cat")], data=mixed())
    assert message.startswith("cannot compose lines/bars:horizontal with cifar10/r56:cat: input 8x8x1 vs 32x32x3")


def test_an_origin_that_was_not_updated(updated):
    with pytest.raises(NotFound) as caught:
        updated.decomposition(origin="lines/bars")
    assert str(caught.value) == "no module of lines/bars was updated; those updated are of shapes/quadrants."


def test_modules_without_their_decomposition_cannot_be_packed():
    update = modhub.update(quadrant_modules().modules, against=lines(), data=mixed(12), strategy="calibrate")
    with pytest.raises(UsageError) as caught:
        update.decomposition()
    assert str(caught.value) == (
        "shapes/quadrants:top-left was given without the decomposition that it comes from. "
        "Hint: give update the names of published modules, or the Decomposition itself."
    )
