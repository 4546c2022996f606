"""Compiled functions: traced once a shape, what they give stays a tensor, and results come one step behind."""

from __future__ import annotations

import numpy as np
from keras import ops

from modhub.engine.run.compiled import compiled, fetched, to_numpy


def test_traced_once_for_all_numbers_of_images():
    traced = []

    def double(images, masks):
        traced.append(images.shape)
        return {"doubled": images * 2.0 * ops.cast(masks["a"], "float32")}

    run = compiled(double)
    for count in (4, 3, 2, 7, 4):
        mask = np.arange(5) % 2 == count % 2
        images = np.random.default_rng(count).random((count, 5)).astype(np.float32)
        found = to_numpy(run(images, {"a": mask}))
        np.testing.assert_array_equal(found["doubled"], images * 2 * mask)
    # Once as it came first, once more for any number.
    assert len(traced) == 2


def test_what_one_gives_another_takes():
    first, second = compiled(lambda x: {"live": x + 1.0}), compiled(lambda live: live["live"] * 3.0)
    live = first(np.ones((2, 2), np.float32))
    assert not isinstance(live["live"], np.ndarray)
    np.testing.assert_array_equal(to_numpy(second(live)), np.full((2, 2), 6.0))


def test_each_result_is_fetched_when_the_next_is_under_way():
    log = []

    def results():
        for number in range(3):
            log.append(f"run {number}")
            yield ops.convert_to_tensor(number)

    for result in fetched(results()):
        assert isinstance(result, np.ndarray)
        log.append(f"have {result}")
    assert log == ["run 0", "run 1", "have 0", "run 2", "have 1", "have 2"]
    assert list(fetched(iter(()))) == []
