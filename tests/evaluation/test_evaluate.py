"""``modhub.evaluate`` on a real network and its modules: what it says is what scikit-learn says of their answers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn import metrics as sk

import modhub
from modhub.data.images import ImageData
from modhub.errors import InvalidData, ModhubError, NotFound, UnsupportedModel, UsageError
from modhub.evaluation.answers import Answers
from modhub.ops.evaluate import EvaluateOptions, Preprocessing, Subject, evaluate_all, place_of, timed
from tests.small_origins import bar_modules, bars, bars_model, quadrant_modules, quadrants, quadrants_model

QUADRANTS = quadrants(25, 7)
RAW = (QUADRANTS.x, QUADRANTS.y, QUADRANTS.classes)
#: The same images under the classifier's classes in another order, two of them spelled by their slugs.
SHUFFLED = ImageData(
    QUADRANTS.x,
    np.array([3, 1, 0, 2])[QUADRANTS.y],
    ("bottom-left", "top right", "bottom right", "Top Left"),
    "shuffled",
)


def noisy(seed: int = 0) -> ImageData:
    """Images dark enough to be mistaken for each other."""
    random = np.random.default_rng(seed)
    x = np.clip(QUADRANTS.x * 0.4 + random.integers(0, 150, QUADRANTS.x.shape), 0, 255).astype(np.uint8)
    return ImageData(x, QUADRANTS.y, QUADRANTS.classes, "noisy")


def test_a_composite_is_measured_as_scikit_learn_measures_its_answers():
    data = noisy()
    composite = modhub.compose(quadrant_modules().modules)
    said = composite.predict(data.x)
    found = modhub.evaluate(composite, data)
    truth, answers = data.y, said.indices
    assert 0.3 < found.top_1.value < 0.98, "images of which all or none are answered rightly test nothing"
    assert found.top_1.value == sk.accuracy_score(truth, answers)
    assert math.isclose(found.balanced.value, sk.balanced_accuracy_score(truth, answers))
    assert found.top_5 == replace(found.top_5, value=1.0, low=1.0, high=1.0)
    assert np.array_equal(found.confusion[:, :-1], sk.confusion_matrix(truth, answers))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, answers, zero_division=np.nan)
    own = said.positive
    for column, row in enumerate(found.classes):
        true = truth == column
        assert [row.recall.value, row.precision.value, row.f1] == pytest.approx(
            [recall[column], precision[column], f1[column]]
        )
        assert row.own_recall.value == sk.recall_score(true, own[:, column])
        assert row.own_precision.value == sk.precision_score(true, own[:, column])
        assert row.recall.low <= row.recall.value <= row.recall.high
    counts = own.sum(axis=1)
    assert (found.positives.none, found.positives.one) == ((counts == 0).mean(), (counts == 1).mean())
    assert [row.jaccard for row in found.classes] == [module.jaccard for module in composite.modules]
    assert len(found.layers) == len(composite.modules[0].keep)
    assert found.between.shape == (4, 4)
    assert found.timing.images_per_second > 0


def test_classes_are_matched_by_name_and_slug_whatever_their_order():
    plain, shuffled = (modhub.evaluate(quadrant_modules(), data) for data in (RAW, SHUFFLED))
    assert np.array_equal(plain.confusion, shuffled.confusion)
    assert shuffled.data == "shuffled"
    assert plain.what == "shapes/quadrants"


def test_a_module_under_another_label_is_measured_on_the_class_that_it_recognises():
    renamed = modhub.compose(quadrant_modules().modules).rename("top left", "corner").rename("bottom left", "top left")
    plain, found = modhub.evaluate(quadrant_modules(), RAW), modhub.evaluate(renamed, RAW, drop_unknown=True)
    assert [row.name for row in found.classes] == ["corner", "top right", "top left", "bottom right"]
    # "top left" is a label again, of another module, so neither module's own class is in doubt.
    assert found.left_out == {"bottom left": int((QUADRANTS.y == 2).sum())}
    once = modhub.evaluate(modhub.compose(quadrant_modules().modules).rename("top left", "corner"), RAW)
    assert (once.top_1, once.left_out) == (plain.top_1, {})


def test_a_network_is_measured_too():
    data = noisy()
    outputs = quadrants_model().predict(data.x / 255, verbose=0)
    found = modhub.evaluate(quadrants_model(), data, rescale=1 / 255)
    assert found.top_1.value == (outputs.argmax(axis=1) == data.y).mean()
    assert found.positives is None
    assert found.jaccard is None
    assert found.layers == ()
    confidence = outputs.max(axis=1)
    edges = np.linspace(0, 1, 16)
    expected = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            right = outputs.argmax(axis=1)[inside] == data.y[inside]
            expected += abs(right.mean() - confidence[inside].mean()) * inside.mean()
    assert math.isclose(found.calibration.error, expected, abs_tol=1e-6)


@pytest.mark.parametrize("head", ["softmax", "logits"])
def test_probabilities_and_logits_say_the_same(head):
    model = quadrants_model()
    if head == "logits":
        last = model.layers[-1]
        plain = keras.layers.Dense(4)
        model = keras.Model(model.input, plain(model.layers[-2].output))
        plain.set_weights(last.get_weights())
    found = modhub.evaluate(model, RAW, rescale=1 / 255)
    expected = modhub.evaluate(quadrants_model(), RAW, rescale=1 / 255)
    assert found.to_dict()["confusion"] == expected.to_dict()["confusion"]
    assert math.isclose(found.calibration.error, expected.calibration.error, abs_tol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_output_is_the_second_class(activation):
    image = keras.Input((8, 8, 1))
    mean = keras.layers.Dense(1, activation=activation)(keras.layers.Flatten()(image))
    model = keras.Model(image, mean)
    model.layers[-1].set_weights([np.full((64, 1), 1.0, np.float32), np.array([-32.0], np.float32)])
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    bright = x.mean(axis=(1, 2, 3)) / 255 > 0.5
    assert modhub.evaluate(model, (x, bright.astype(int), ["dark", "bright"]), rescale=1 / 255).top_1.value == 1.0


def test_a_decomposition_a_model_and_a_project_by_their_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = quadrant_modules().save(tmp_path / "net.modules")
    quadrants_model().save(tmp_path / "net.keras")
    by_value = modhub.evaluate(quadrant_modules(), RAW)
    by_path = modhub.evaluate("net.modules", RAW)
    assert np.array_equal(by_path.confusion, by_value.confusion)
    assert by_path.what == "net.modules"
    assert modhub.evaluate(Path("net.keras"), RAW, rescale=1 / 255).images == 100
    modhub.publish(folder, version="1.0.0", registry=str(tmp_path / "registry"))
    by_name = modhub.evaluate("shapes/quadrants", RAW, registry=str(tmp_path / "registry"))
    assert np.array_equal(by_name.confusion, by_value.confusion)
    modhub.Project.new(tmp_path / "home", ["shapes/quadrants"], registry=str(tmp_path / "registry"))
    places = (tmp_path / "home", tmp_path / "home" / "modhub.toml", modhub.Project.open(tmp_path / "home"))
    for place in places:
        found = modhub.evaluate(place, RAW, registry=str(tmp_path / "registry"))
        assert np.array_equal(found.confusion, by_value.confusion)
        assert Path(found.what).name == "home", "the project's own folder"
    monkeypatch.chdir(tmp_path / "home")
    assert modhub.evaluate(".", RAW, registry=str(tmp_path / "registry")).what == "home"


def test_what_is_at_a_path(tmp_path):
    (tmp_path / "empty").mkdir()
    assert place_of("me/net") is None
    assert place_of("c10:cat@^1") is None
    assert place_of("anything.keras") == "model"
    with pytest.raises(NotFound, match="neither a model's file, nor a project, nor a folder that modhub decompose"):
        place_of(str(tmp_path / "empty"))
    with pytest.raises(NotFound):
        place_of(tmp_path / "empty")


def test_rejecting_is_never_right():
    composite = modhub.compose([replace(m, threshold=m.threshold + 3) for m in quadrant_modules().modules], reject=True)
    found = modhub.evaluate(composite, noisy())
    assert found.rejected == composite.predict(noisy().x).labels.count("none of these") > 0
    assert found.top_1.value == (composite.predict(noisy().x).indices == noisy().y).mean()
    assert found.calibration.counts.sum() == found.images - found.rejected


def test_images_of_unknown_classes_are_an_error_or_left_out():
    two = modhub.compose(quadrant_modules().modules).restrict(["top left", "bottom right"])
    with pytest.raises(InvalidData) as raised:
        modhub.evaluate(two, RAW, name="two corners")
    assert raised.value.kind == "labels-do-not-match"
    assert "two corners does not know: 'top right' (25 images), 'bottom left' (25 images)" in str(raised.value)
    found = modhub.evaluate(two, RAW, drop_unknown=True)
    assert found.images == 50
    assert found.left_out == {"top right": 25, "bottom left": 25}
    assert "50 images of 2 class(es) it does not know left out" in str(found)


def test_two_are_compared_on_the_images_that_both_know():
    data = ImageData(*RAW, "corners")
    whole = modhub.compose(quadrant_modules().modules)
    three = whole.remove("top right")
    options = EvaluateOptions(drop_unknown=True)
    first, second = evaluate_all([("all", whole), ("three", three)], data, options)
    assert first.images == second.images == 75
    assert first.rows.tolist() == np.flatnonzero(data.y != 1).tolist()
    comparison = first.compare(second)
    right = [composite.predict(data.x).labels == data.labels for composite in (whole, three)]
    known = data.labels != "top right"
    assert comparison.only_first == (right[0] & ~right[1] & known).sum()
    assert comparison.only_second == (right[1] & ~right[0] & known).sum()
    with pytest.raises(InvalidData) as raised:
        modhub.evaluate(whole, data).compare(first)
    assert raised.value.kind == "other-images"
    assert "100 images of corners, all on 75 images of corners; a comparison needs the same." in str(raised.value)
    with pytest.raises(InvalidData, match="a comparison needs the same"):
        modhub.evaluate(whole, data).compare(modhub.evaluate(whole, noisy()))


def test_preprocessing_is_for_the_network_alone_when_modules_are_measured_beside_it():
    options = EvaluateOptions(Preprocessing(rescale=1 / 255))
    whats = [("network", quadrants_model()), ("modules", quadrant_modules())]
    network, modules = evaluate_all(whats, ImageData(*RAW, "corners"), options)
    assert network.top_1.value == modhub.evaluate(quadrants_model(), RAW, rescale=1 / 255).top_1.value
    assert modules.top_1.value == modhub.evaluate(quadrant_modules(), RAW).top_1.value


def test_a_comparison_sees_that_modules_are_as_good_as_their_network():
    data = noisy()
    modules = modhub.evaluate(quadrant_modules(), data)
    network = modhub.evaluate(quadrants_model(), data, rescale=1 / 255, name="network")
    comparison = network.compare(modules)
    assert comparison.first == "network"
    assert comparison.top_1.value == pytest.approx(network.top_1.value - modules.top_1.value)
    assert comparison.top_1.low <= comparison.top_1.value <= comparison.top_1.high


def test_the_document_is_json_and_the_same_again():
    found = [modhub.evaluate(quadrant_modules(), noisy(), seed=3, resamples=500) for _ in range(2)]
    documents = [each.to_dict() for each in found]
    for document in documents:
        for clock in ("seconds", "warm_seconds", "images_per_second"):
            assert document.pop(clock) > 0
    assert documents[0] == documents[1]
    json.dumps(documents[0], allow_nan=False)
    for figure in ("top_1", "top_5", "balanced"):
        assert set(documents[0][figure]) == {"value", "low", "high"}
    text = str(found[0])
    assert "shapes/quadrants on noisy: 100 images, 4 classes" in text
    assert "own recall" in text
    assert "mistaken" in text


def test_modules_of_two_networks_have_no_overlap_between_them():
    whole = modhub.compose([quadrant_modules().modules[0], *bar_modules().modules[:2]])
    x, y = np.concatenate([QUADRANTS.x, bars().x]), np.concatenate([QUADRANTS.y, 4 + bars().y])
    names = (*QUADRANTS.classes, "horizontal", "vertical", "corner")
    found = modhub.evaluate(whole, (x, y, names), drop_unknown=True)
    assert np.isnan(found.between[0, 1:]).all()
    assert found.overlap == found.between[1, 2]
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_clock_runs_after_every_size_of_batch_has_been_seen():
    sizes: list[int] = []

    def answer(images: np.ndarray, batch_size: int) -> Answers:
        sizes.append(len(images))
        return Answers.of_network(("a", "b"), np.ones((len(images), 2)), "logits")

    _, timing = timed(Subject("x", ("a", "b"), answer, None), np.zeros((70, 1)), 32)
    assert sizes == [32, 6, 70]
    assert timing.warm <= timing.whole


@pytest.mark.parametrize(
    ("what", "data", "options", "error", "message"),
    [
        ("modules", (QUADRANTS.x[:0], QUADRANTS.y[:0], QUADRANTS.classes), {}, InvalidData, "at least one; rows of"),
        ("modules", (QUADRANTS.x[QUADRANTS.y == 1], QUADRANTS.y[QUADRANTS.y == 1], QUADRANTS.classes), {}, InvalidData,
         "the data has images of one class only: 'top right'. Hint: give images of at least two classes"),
        ("modules", (QUADRANTS.x, QUADRANTS.y), {}, UsageError, "the labels are numbers, and nothing says what they"),
        ("modules", 5, {}, UsageError, "the data has the type int. Hint: give arrays (x, y) or (x, y,"),
        ("modules", 5, {}, UsageError, "; a data set's name; ImageData; or what gives (x, y)"),
        ("modules", RAW, {"rescale": 0.5}, UsageError, "rescale, mean, std and color describe a Keras model; modules"),
        ("modules", RAW, {"batch_size": 0}, UsageError, "batch_size is 0."),
        ("modules", RAW, {"confidence": 2}, UsageError, "confidence is 2."),
        ("modules", (QUADRANTS.x / 255, *RAW[1:]), {}, InvalidData, "; the modules take raw values 0..255."),
        ("network", (QUADRANTS.x[:, :6], *RAW[1:]), {}, InvalidData, "are 6x8x1, but the model takes 8x8x1."),
        ("network", RAW, {"rescale": 0.0}, UsageError, "rescale is 0.0."),
        ("network", RAW, {"mean": [1.0, 2.0]}, UsageError, "do not fit images of 1 channels."),
        ("network", RAW, {"rescale": "1/255"}, UsageError, "rescale is '1/255'."),
        ("network", RAW, {"classes": ["a", "b"]}, InvalidData, "has 4 outputs, but 2 class names were given."),
        (3.5, RAW, {}, UnsupportedModel, "float cannot be evaluated. Hint: give names of modules, a composite,"),
        ("nothing.keras", RAW, {}, NotFound, "there is no model at 'nothing.keras'."),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated(what, data, options, error, message):
    thing = {"modules": quadrant_modules, "network": quadrants_model}.get(what, lambda: what)()
    with pytest.raises(ModhubError) as raised:
        modhub.evaluate(thing, data, **options)
    assert type(raised.value) is error
    assert message in str(raised.value)
    assert raised.value.hint


def test_labels_that_are_names_need_no_classes():
    names = np.array(QUADRANTS.classes)[QUADRANTS.y]
    assert modhub.evaluate(quadrant_modules(), (QUADRANTS.x, names)).top_1.value > 0.9


def test_a_network_of_other_shapes_is_no_classifier():
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Conv2D(2, 3)(image), name="maps")
    with pytest.raises(UnsupportedModel, match=r"the model 'maps' takes .* and gives .* Hint: one input"):
        modhub.evaluate(model, RAW)


def test_a_network_that_answers_nan_is_named():
    model = keras.models.clone_model(bars_model())
    model.layers[-1].set_weights([np.full_like(w, np.nan) for w in model.layers[-1].get_weights()])
    with pytest.raises(UnsupportedModel, match="answers NaN or infinity"):
        modhub.evaluate(model, (bars().x, bars().y, bars().classes), rescale=1 / 255)


def test_a_network_near_chance_gets_a_remark():
    wrong = (QUADRANTS.x, (QUADRANTS.y + 1) % 4, QUADRANTS.classes)
    with pytest.warns(
        UserWarning, match=r"answers 0.0% right, chance is 25.0%: do rescale \(0.00392157\), mean and std"
    ):
        modhub.evaluate(quadrants_model(), wrong, rescale=1 / 255)
