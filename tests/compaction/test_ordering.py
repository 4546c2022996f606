"""The order in which channels go is that of solving anew for every set that is left."""

from __future__ import annotations

import numpy as np
import pytest

from modhub.compaction.ordering import (
    RIDGE,
    LayerStatistics,
    RemovalOrder,
    calibrated,
    change_without,
    removal_order,
)


def statistics(seed: int, channels: int, window: int, outputs: int) -> LayerStatistics:
    """Of 400 random rows whose channels depend on each other."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(channels * window, channels * window)) / 3 + np.eye(channels * window)
    inputs = random.normal(size=(400, channels * window)) @ mixing + random.normal(size=channels * window)
    outputs_seen = inputs @ random.normal(size=(channels * window, outputs)) + 0.1 * random.normal(size=(400, outputs))
    design = np.hstack([inputs, np.ones((400, 1))])
    rows = np.arange(window)[None, :] * channels + np.arange(channels)[:, None]
    return LayerStatistics(
        design.T @ design / 400, design.T @ outputs_seen / 400, random.uniform(0.1, 2, outputs), rows
    )


def loss(seen: LayerStatistics, gone: list[int]) -> float:
    """What is lost when the rows of ``gone`` are 0 and all others are solved anew, literally."""
    size = len(seen.gram)
    gram = seen.gram + RIDGE * np.trace(seen.gram) / size * np.eye(size)

    def best(rows: np.ndarray) -> float:
        weights = np.zeros_like(seen.cross)
        weights[rows] = np.linalg.solve(gram[np.ix_(rows, rows)], seen.cross[rows])
        return float(
            sum(
                seen.importance[o] * (weights[:, o] @ gram @ weights[:, o] - 2 * weights[:, o] @ seen.cross[:, o])
                for o in range(seen.cross.shape[1])
            )
        )

    everything = np.arange(size)
    lost = {int(row) for channel in gone for row in seen.rows[channel]}
    return best(np.array([row for row in everything if row not in lost])) - best(everything)


@pytest.mark.parametrize(("seed", "channels", "window"), [(0, 5, 1), (1, 4, 3), (2, 6, 2)])
def test_each_step_is_the_best_of_all_that_are_left(seed: int, channels: int, window: int) -> None:
    readers = [statistics(seed, channels, window, 3), statistics(seed + 10, channels, window, 2)]
    found = removal_order(readers)
    gone: list[int] = []
    for step, channel in enumerate(found.order):
        costs = {
            other: sum(loss(seen, [*gone, other]) for seen in readers) for other in range(channels) if other not in gone
        }
        assert channel == min(costs, key=costs.__getitem__)
        gone.append(channel)
        assert found.losses[step + 1] == pytest.approx(costs[channel], rel=1e-6, abs=1e-9)


def test_losses_only_grow() -> None:
    found = removal_order([statistics(3, 12, 2, 4)])
    assert (np.diff(found.losses) >= 0).all()
    assert sorted(found.order) == list(range(12))


def test_a_channel_that_repeats_another_goes_first_and_costs_nothing() -> None:
    random = np.random.default_rng(4)
    inputs = random.normal(size=(500, 4))
    inputs[:, 2] = inputs[:, 0]
    design = np.hstack([inputs, np.ones((500, 1))])
    outputs = inputs @ random.normal(size=(4, 3))
    seen = LayerStatistics(design.T @ design / 500, design.T @ outputs / 500, np.ones(3), np.arange(4)[:, None])
    found = removal_order([seen])
    assert found.order[0] in (0, 2)
    assert found.losses[1] < 1e-3 * found.losses[2]


def test_the_change_makes_up_for_what_is_gone_as_solving_anew_does() -> None:
    seen = statistics(4, 5, 2, 3)
    gone = [1, 3]
    rows = [row for row in range(len(seen.gram)) if row not in set(seen.rows[gone].ravel().tolist())]
    gram = seen.gram + RIDGE * np.trace(seen.gram) / len(seen.gram) * np.eye(len(seen.gram))
    before = np.linalg.solve(gram, seen.cross)
    after = np.zeros_like(before)
    after[rows] = np.linalg.solve(gram[np.ix_(rows, rows)], seen.cross[rows])
    assert change_without(seen, gone) == pytest.approx(after - before)
    by_square = np.einsum("io,ij,jo->o", after - before, gram, after - before) @ seen.importance
    assert by_square == pytest.approx(loss(seen, gone), rel=1e-6)


def test_losses_follow_what_was_measured_and_still_only_grow() -> None:
    order = RemovalOrder((2, 0, 1, 3), np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    assert calibrated(order, {1: 2.0, 3: 4.0}).losses.tolist() == [0.0, 2.0, 6.0, 12.0, 16.0]
    assert calibrated(order, {1: 4.0, 2: 1.0}).losses.tolist() == [0.0, 4.0, 4.0, 4.0, 4.0]
    assert calibrated(order, {1: 2.0}).order == order.order
