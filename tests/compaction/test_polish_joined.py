"""Training one network of several origins, towards labels and what each origin answers among its own classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modhub.compaction.joining import JoinedPart, joined
from modhub.data.images import ImageData
from modhub.engine.compact.observing import network_logits, prepared_images
from modhub.engine.compact.polish_joined import Teacher, polished_joined, steps_for
from modhub.engine.compact.training import Bounds, Schedule
from modhub.engine.library import keras
from modhub.engine.run.network import Network
from modhub.package.module import Module
from modhub.spec.input_contract import ImageContract
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants


def parts() -> list[Module]:
    """Classes of two networks, of which none is called as another."""
    return [*quadrant_modules().modules[1:], *bar_modules().modules[:2]]


def images(each: int, seed: int) -> ImageData:
    one, other = quadrants(each=each, seed=seed), bars(each=each, seed=seed + 1)
    first, second = one.y > 0, other.y < 2
    labels = np.concatenate([one.y[first] - 1, other.y[second] + 3])
    return ImageData(np.concatenate([one.x[first], other.x[second]]), labels, tuple(p.name for p in parts()), "mixed")


def wholes(*, other: ImageContract | None = None) -> tuple[JoinedPart, list[Teacher]]:
    """Both whole networks in one, whose second votes three times too high, and its teachers."""
    found, teachers = [], []
    for decomposition, columns, factor in ((quadrant_modules(), [1, 2, 3], 1.0), (bar_modules(), [0, 1], 3.0)):
        origin = decomposition.origin
        contract = origin.contract if not found or other is None else other
        kernel, bias = (origin.weights[f"head/{name}"][..., columns] for name in ("kernel", "bias"))
        head = {"head/kernel": factor * kernel, "head/bias": factor * bias}
        found.append(JoinedPart(origin.architecture, {**origin.weights, **head}, contract))
        teachers.append(Teacher(Network(origin.architecture, origin.weights), kernel, bias, contract))
    return joined(found), teachers


def right(part: JoinedPart, data: ImageData) -> float:
    logits = network_logits(Network(part.architecture, part.weights), part.weights, part.contract, data.x)
    return float(np.mean(logits.argmax(axis=1) == data.y))


def test_training_tells_classes_of_different_networks_apart() -> None:
    part, teachers = wholes()
    data, shown = images(60, 0), images(40, 20)
    bounds = Bounds(lambda done, total: None)
    trained, steps = polished_joined(part, teachers, data, steps=70, seed=0, bounds=bounds)
    assert steps == 70
    assert right(part, shown) < 0.9
    assert right(replace(part, weights=trained), shown) > right(part, shown) + 0.05


def test_a_teacher_answers_as_its_network_whatever_the_others_take() -> None:
    contract = bar_modules().origin.contract.model_copy(update={"mean": (0.4,), "std": (0.2,)})
    part, teachers = wholes(other=contract)
    shown = images(5, 3).x
    for teacher in teachers:
        weights = {"head/kernel": teacher.kernel, "head/bias": teacher.bias}
        expected = network_logits(teacher.network, weights, teacher.contract, shown)
        given = teacher.logits(prepared_images(shown, part.contract), part.contract)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(given), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("given", "classes", "steps"), [(2500, 30, 250), (14_000, 30, 800), (6000, 10, 400), (600, 30, 0)]
)
def test_more_images_are_trained_on_for_longer(given: int, classes: int, steps: int) -> None:
    assert steps_for(given, classes) == steps


def test_the_learning_rate_rises_and_falls_to_a_hundredth() -> None:
    schedule = Schedule(400, 2e-3)
    rates = [schedule.rate(step, step / 400) for step in range(401)]
    assert rates[0] == 0
    assert max(rates) == rates[50] == pytest.approx(2e-3)
    assert rates[400] == pytest.approx(2e-5)
    assert (np.diff(rates[50:]) < 0).all()
