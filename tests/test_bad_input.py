"""What ``decompose`` says to data and arguments that it cannot use; every message names the thing and what to do."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

import modhub
from modhub.errors import InvalidData, InvalidRef, UnsupportedModel, UsageError
from tests.small_origins import Data, bars, fitted_model, quadrants, quadrants_model, residual_features

DATA = quadrants()
HALF = DATA.x.shape[0] // 2


def decompose(model=None, x=DATA.x, y=DATA.y, **options):
    chosen = {"classes": DATA.classes, "name": "me/net", "rescale": 1 / 255, "batch_size": 32, **options}
    return modhub.decompose(quadrants_model() if model is None else model, x, y, **chosen)


def refusal(error, **changes):
    """The message of an error that comes without any warning before it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(error) as caught:
            decompose(**changes)
    return str(caught.value)


def warned(work, *arguments, **options):
    """What ``work`` gives, and the warnings that it leaves to the user."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        result = work(*arguments, **options)
    return result, [str(warning.message) for warning in caught]


def changed(array, position, value):
    result = array.copy()
    result[position] = value
    return result


# Labels and classes


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            changed(DATA.y, 5, 4),
            "y has the label 4 at image 5, outside the 4 classes (0 to 3). Hint: labels count from 0 in the order of",
        ),
        (changed(DATA.y, 5, -1), "y has the label -1 at image 5, outside the 4 classes (0 to 3)."),
        (DATA.y[:-1], "y has 119 labels for 120 images."),
        (
            np.eye(5)[DATA.y],
            "y has the shape (120, 5); labels are one index or name an image. Hint: one-hot labels have",
        ),
        (np.eye(4)[DATA.y] / 2, "y has the row [0.0, 0.0, 0.0, 0.5] at image 0, which is not one-hot."),
        (DATA.y + 0.5, "y has the dtype float64; labels are integers or class names."),
        (np.full(120, "centre"), "'centre'"),
        ([[0], [1, 2]], "y is a list of parts of different shapes."),
    ],
)
def test_labels_that_are_no_indices_into_the_classes(y, message):
    assert message in refusal(InvalidData, y=y)


def test_labels_may_be_names_or_a_column():
    expected = decompose().package.manifest.content.modules
    names = np.array(DATA.classes)[DATA.y]
    assert decompose(y=names).package.manifest.content.modules == expected
    assert decompose(y=DATA.y[:, None]).package.manifest.content.modules == expected
    assert decompose(y=np.eye(4)[DATA.y]).package.manifest.content.modules == expected


def test_a_class_without_an_example_is_named():
    others = DATA.y != 2
    assert refusal(InvalidData, x=DATA.x[others], y=DATA.y[others]) == (
        "1 of 4 classes have no example: 'bottom left'. Hint: add at least one image of every class."
    )


def test_an_unconcerned_class_with_too_few_warns_with_the_ratio():
    chosen = np.concatenate([np.flatnonzero(DATA.y != 2), np.flatnonzero(DATA.y == 2)[:2]])
    result, messages = warned(decompose, x=DATA.x[chosen], y=DATA.y[chosen])
    assert (
        "class 'top left': 1 of the other classes have fewer than the 10 inputs wanted against it ('bottom left' has "
        "2), so concerned : unconcerned is 1 : 0.73 instead of 1 : 1."
    ) in messages
    row = result.report().classes[0]
    assert (row.concerned, row.unconcerned) == (30, 22)
    assert not any("class 'bottom left'" in message for message in messages)
    assert result.report().classes[2].ratio == pytest.approx(3 / 2)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            DATA.classes[:3],
            "the model has 4 outputs, but 3 class names were given. Hint: list every class of the model, in the order",
        ),
        ((*DATA.classes, "centre"), "the model has 4 outputs, but 5 class names were given."),
        (["all"], "the model has 4 output(s) and 1 class name(s) were given; a decomposition needs at least two"),
        ([], "the model has 4 output(s) and 0 class name(s) were given"),
        (
            ["potter's wheel", "potters wheel", "c", "d"],
            """the classes "potter's wheel" and 'potters wheel' would both be called 'potters-wheel'.""",
        ),
        (["a", "a", "c", "d"], "classes hold the name 'a' twice."),
        ([b"a", "a", "c", "d"], "classes hold the name 'a' twice."),
        ([None, "b", "c", "d"], "classes: None is no class name but of the type NoneType."),
        ({"a", "b", "c", "d"}, "which has no order. Hint: give the list of class names, in output order."),
        ({"a": 0, "b": 1, "c": 2, "d": 4}, "wanted are names and the indices 0 to 3, each once."),
        (["class 1", "*", "c", "d"], "the classes 'class 1' and '*' would both be called 'class-1'."),
        (["", "b", "c", "d"], "classes hold an empty name."),
        (["a", "b", "c", "d" * 501], "class 3 has the name 'ddd"),
        (["a", "b\n", "c", "d"], r"class 1 has the name 'b\n'. Hint: give it a short name without control characters."),
        (["a", "\ud83d", "c", "d"], r"class 1 has the name '\ud83d'."),
        (4, "classes is 4. Hint: give the list of class names, in output order."),
        ("abcd", "classes is 'abcd'."),
        (None, "the data names no classes: the data. Hint: say which there are"),
    ],
)
def test_class_names_that_cannot_be_used(classes, message):
    assert message in refusal((InvalidData, UsageError), classes=classes)


def test_class_names_in_any_script_get_a_slug():
    result = decompose(classes=["猫", "Chien (été)", "c", "d"])
    assert [module.slug for module in result.modules] == ["class-0", "chien-ete", "c", "d"]
    assert [module.name for module in result.modules] == ["猫", "Chien (été)", "c", "d"]


# Images


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.zeros((120, 9, 8, 1), np.uint8),
            "the images are 9x8x1, but the model takes 8x8x1. Hint: give the images that the model was trained on.",
        ),
        (np.repeat(DATA.x, 3, axis=3), "the images are 8x8x3, but the model takes 8x8x1."),
        (
            np.zeros((120, 3, 8, 8), np.uint8),
            "x has the shape (120, 3, 8, 8), which looks like N x channels x height x width; channels come last here.",
        ),
        (DATA.x[0], "y has 120 labels for 8 images."),
        (DATA.x[:, 0, 0, 0], "x has the shape (120,); images are N x height x width x channels, at least one;"),
        (DATA.x[:, :, 0, 0], "the images are 8, but the model takes 8x8x1."),
        (DATA.x[:0], "x has the shape (0, 8, 8, 1); images are N x height x width x channels, at least one;"),
        (
            changed(DATA.x.astype(np.float32), (7, 3, 3, 0), np.nan),
            "x has NaN or infinite values in 1 of 120 images, first in image 7. Hint: drop those images or repair",
        ),
        (changed(DATA.x.astype(np.float64), (7, 3, 3, 0), np.inf), "x has NaN or infinite values in 1 of 120 images"),
        (changed(DATA.x.astype(np.float64), (7, 3, 3, 0), 1e300), "x has NaN or infinite values in 1 of 120 images"),
        (
            DATA.x.astype(np.uint16),
            "x has the dtype uint16; images are uint8 or float32. Hint: convert it, for example",
        ),
        (DATA.x > 100, "x has the dtype bool; images are uint8 or float32."),
        (DATA.x.astype(str), "x has the dtype <U3; images are uint8 or float32."),
        (None, "the images have the type NoneType, and their labels were given apart."),
        ([DATA.x[0], DATA.x[1][:4]], "the images in x differ: number 0 is 8x8x1, number 1 is 4x8x1"),
    ],
)
def test_images_that_cannot_be_used(x, message):
    assert message in refusal((InvalidData, UsageError), x=x)


def test_grey_images_may_lack_their_last_axis():
    assert decompose(x=DATA.x[..., 0]).package.manifest.digest == decompose().package.manifest.digest


@pytest.mark.parametrize(
    ("x", "rescale", "value_range"),
    [
        (DATA.x, 1 / 255, (0, 255)),
        (DATA.x.astype(np.float32), 1 / 255, (0, 255)),
        (DATA.x / 255, 1.0, (0, 1)),
        (DATA.x / 127.5 - 1, 1.0, (-1, 1)),
    ],
)
def test_the_contract_says_what_the_images_were(x, rescale, value_range):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = decompose(x=x, rescale=rescale)
    assert result.origin.contract.value_range == value_range
    assert result.origin.contract.dtype == ("uint8" if x.dtype == np.uint8 else "float32")


@pytest.mark.parametrize("scaled", [DATA.x / 255, (DATA.x / 255).astype(np.float32)])
def test_floats_up_to_one_for_modules_that_take_0_to_255(scaled):
    composite = modhub.compose(list(decompose().modules))
    with pytest.raises(InvalidData) as caught:
        composite.predict(scaled)
    assert caught.value.kind == "already-rescaled"
    assert str(caught.value) == (
        f"the images hold floats up to {scaled.max():g}; the modules take raw values 0..255. "
        "Hint: pass the raw images: modules rescale by themselves."
    )


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ((DATA.x / 255, DATA.y), "the validation images hold floats up to 0.8"),
        ((np.zeros((2, 4, 4, 1), np.uint8), [0, 1]), "the validation images are 4x4x1; the modules take 8x8x1."),
        ((DATA.x, DATA.y + 1), "validation y has the label 4 at image "),
        ((DATA.x[:0], DATA.y[:0]), "validation x has the shape (0, 8, 8, 1)"),
        ((changed(DATA.x.astype(float), (0, 0, 0, 0), np.nan), DATA.y), "validation x has NaN or infinite values in 1"),
    ],
)
def test_validation_data_is_checked_before_any_work(validation, message):
    assert message in refusal(InvalidData, validation=validation)


# The model against the data


def saturating(image):
    """Features that are right for values 0 to 1 and all at their ceiling beyond."""
    x = keras.layers.Conv2D(8, 3, padding="same", name="stem")(image)
    x = keras.layers.ReLU(max_value=0.5, name="relu")(x)
    return keras.layers.Flatten(name="flatten")(x)


SATURATING = fitted_model(DATA, saturating, seed=2)


def test_a_model_near_chance_gets_no_release_but_a_hint_about_rescaling():
    """Bright noise: at the wrong scale every feature is at its ceiling."""
    data = Data(255 - DATA.x // 4, DATA.y, DATA.classes)
    model = fitted_model(data, saturating, seed=2)
    assert decompose(model, x=data.x).origin.accuracy[0].top_1 > 0.9
    message = refusal(InvalidData, model=model, x=data.x, rescale=1.0)
    assert message.startswith("the model answers ")
    assert "of the 120 inputs right; chance is 25.0%. Hint: rescale=1/" in message
    assert message.endswith("% on 120 of them; was it trained so?")


def test_a_model_near_chance_for_another_reason_gets_another_hint():
    assert refusal(InvalidData, y=(DATA.y + 1) % 4) == (
        "the model answers 0.0% of the 120 inputs right; chance is 25.0%. "
        "Hint: do rescale, mean and std, and the order of classes, match its training?"
    )


def test_a_rescaling_that_is_clearly_wrong_is_refused_with_the_line_to_use_unless_it_is_kept():
    """A network without normalisation, whose answers hardly change: only how sure it is does."""
    message = refusal(InvalidData, rescale=1.0)
    assert message.startswith("with rescale=1 the network answers ")
    assert "; with values from 0 to 1 it is " in message
    assert message.endswith(
        "Hint: give rescale=1/255 (--rescale 1/255); or keep what was given: --keep-rescale (keep_rescale=True)."
    )
    kept, messages = warned(decompose, rescale=1.0, keep_rescale=True)
    assert kept.origin.accuracy[0].top_1 > 0.9
    assert len(messages) == 1
    assert "margins are " in messages[0] or "Was it trained so?" in messages[0]


#: What networks are trained on, as ``rescale``, ``mean`` and ``std``, of images that hold 0 to 255.
USUAL = {"0 to 1": (1 / 255, None, None), "-1 to 1": (1 / 127.5, 1.0, None), "as they are": (1.0, None, None)}


@pytest.mark.parametrize("trained", USUAL)
def test_the_right_scaling_is_left_in_peace_and_no_wrong_one_goes_unnoticed(trained):
    def scaled(rescale, mean, std):
        return DATA.x * np.float32(rescale) - np.float32(mean or 0)

    data = Data(scaled(*USUAL[trained]), DATA.y, DATA.classes)
    model = fitted_model(data, residual_features, rescale=1.0, seed=4)
    for given, (rescale, mean, std) in USUAL.items():
        try:
            _, messages = warned(decompose, model, rescale=rescale, mean=mean, std=std)
        except InvalidData as error:
            messages = [error.kind]
        assert bool(messages) == (given != trained), (given, messages)


def test_weights_that_are_not_finite_are_named():
    model = fitted_model(bars(), saturating)
    kernel, bias = model.get_layer("stem").get_weights()
    model.get_layer("stem").set_weights([kernel, bias * np.nan])
    assert refusal(UnsupportedModel, model=model, x=bars().x, y=bars().y, classes=bars().classes) == (
        "the weight stem/bias holds NaN or infinity. Hint: the training diverged; train it again."
    )


def test_a_model_of_one_output():
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="relu")]
    # One output, with a sigmoid or before one, is the pair of logits 0 and z.
    for activation in (None, "sigmoid"):
        pair = keras.Sequential([*layers, keras.layers.Dense(1, activation=activation)])
        message = refusal(InvalidData, model=pair, classes=["one"])
        assert "2 output(s) and 1 class name(s) were given; a decomposition needs at least two classes." in message
        assert "Hint: name both classes of a two-class model." in message


def test_a_path_instead_of_a_model():
    assert refusal(UnsupportedModel, model="net.keras") == (
        "expected a keras.Model, got str. Hint: load it first: keras.models.load_model(path)."
    )


def test_the_model_is_refused_before_the_data_is_looked_at():
    tanh = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4, "tanh", name="t")])
    assert "the head 't' ends in the activation 'tanh'" in refusal(UnsupportedModel, model=tanh, x=None, y=None)


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"observe": "sigmoid"},
            "observe is 'sigmoid': Input should be 'relu' or 'conv'. Hint: see help(modhub.decompo",
        ),
        ({"backtrack": "last_conv"}, "backtrack is 'last_conv': Input should be 'none', 'last-conv' or 'input'."),
        ({"rule": "paper"}, "rule is 'paper': Input should be 'text' or 'printed'."),
        ({"delta": -0.5}, "delta is -0.5: Input should be greater than or equal to 0."),
        ({"delta": float("nan")}, "delta is nan: Input should be a finite number."),
        ({"delta": "p95"}, "delta is 'p95': "),
        ({"delta": "q100"}, "delta is 'q100': "),
        ({"samples_per_class": 0}, "samples_per_class is 0: Input should be greater than or equal to 1."),
        ({"batch_size": 0}, "batch_size is 0: Input should be greater than or equal to 1."),
        ({"seed": -1}, "seed is -1: Input should be greater than or equal to 0."),
        ({"seed": 1.5}, "seed is 1.5: Input should be a valid integer"),
        ({"rescale": 0}, "rescale is 0. Hint: use the factor of the training, for example 1/255."),
        ({"rescale": float("inf")}, "rescale is inf."),
        ({"rescale": "1/255"}, "rescale is '1/255'."),
        ({"mean": "grey"}, "mean is 'grey'. Hint: give one number, or one a channel."),
        ({"mean": [0.1, 0.2, 0.3]}, "mean [0.1, 0.2, 0.3] and std None do not fit images of 1 channels."),
        ({"mean": []}, "mean is []. Hint: give finite numbers"),
        ({"std": 0}, "std is 0. Hint: give finite numbers; std above zero."),
        ({"std": [-1.0]}, "std is [-1.0]."),
        ({"std": float("nan")}, "std is nan."),
        ({"dataset": ""}, "the data set's name '' has 0 characters; wanted 1 to 489."),
        ({"dataset": "d" * 600}, "has 600 characters; wanted 1 to 489."),
    ],
)
def test_options_that_mean_nothing(options, message):
    assert message in refusal(UsageError, **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net", "'net' is not a model's name. Hint: write namespace/model, for example me/net."),
        ("me/net:cat", "'me/net:cat' is not a model's name."),
        ("me/net@1.0.0", "'me/net@1.0.0' is not a model's name."),
        ("Me/net", "the namespace 'Me' is not a valid name. Hint: use lower-case ASCII letters, digits"),
        ("me/../net", "'me/../net' has more than one '/'."),
        ("me/n..t", "the model 'n..t' is not a valid name."),
        ("", "an empty name was given. Hint: names look like namespace/model:class@version"),
        (None, "an empty name was given."),
    ],
)
def test_names_that_cannot_be_published(name, message):
    assert message in refusal(InvalidRef, name=name)
