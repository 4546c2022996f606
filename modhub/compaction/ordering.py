"""In which order the channels that a layer reads can go, each time with the weights of the rest made up for it.

Block optimal brain surgeon (Hassibi and Stork 1993, for whole rows): of the statistics ``G = X'X / n`` of what a layer
reads, with a column of ones, and ``C = X'Z / n`` with what it gives, the weights ``W = inverse(G) C`` are least
squares; removing the rows I of a channel costs at best ``sum over outputs o of lambda_o W_Io' inverse((inverse(G))_II)
W_Io``, and inverse(G) and W of the rest follow by a rank-|I| update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_Doubles = NDArray[np.float64]

#: Ridge of ``inverse(G)``, as a share of the mean of G's diagonal.
RIDGE = 1e-4


@dataclass(frozen=True)
class LayerStatistics:
    """What one reading layer sees: ``gram`` (d + 1, d + 1) of its inputs and a last column of ones, ``cross``
    (d + 1, outputs) with its outputs before the activation, ``importance`` (outputs,), the lambda of each output.

    ``rows`` gives for each channel of a group the rows of ``gram`` that it takes, int64 (channels, rows a channel).
    """

    gram: _Doubles
    cross: _Doubles
    importance: _Doubles
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class RemovalOrder:
    """Channels in the order in which they go, and the loss when the first so many are gone, (channels + 1,).

    The last channel is in the order too, though one always stays in a network whose layer is not dropped whole.
    """

    order: tuple[int, ...]
    losses: _Doubles


class _Reader:
    """One layer's inverse and weights, while channels go."""

    def __init__(self, statistics: LayerStatistics) -> None:
        gram = statistics.gram
        ridge = RIDGE * np.trace(gram) / len(gram)
        self.inverse = np.linalg.inv(gram + ridge * np.eye(len(gram)))
        self.weights = self.inverse @ statistics.cross
        self.importance, self.rows = statistics.importance, statistics.rows

    def losses(self, channels: NDArray[np.int64]) -> _Doubles:
        """What removing each of ``channels`` next would cost."""
        rows = self.rows[channels]
        blocks = np.linalg.inv(self.inverse[rows[:, :, None], rows[:, None, :]])
        weights = self.weights[rows]
        return np.asarray(((blocks @ weights) * weights).sum(axis=1) @ self.importance)

    def remove(self, channel: int) -> None:
        rows = self.rows[channel]
        columns = self.inverse[:, rows]
        step = columns @ np.linalg.inv(columns[rows])
        self.weights -= step @ self.weights[rows]
        self.inverse -= step @ columns.T
        self.weights[rows] = 0
        # Gone rows and columns are 0 up to rounding; an exact 0 would make their blocks singular if asked again.


def removal_order(readers: Sequence[LayerStatistics]) -> RemovalOrder:
    """The order for one group of channels, which all of ``readers`` read. Ties go to the lower number."""
    count = len(readers[0].rows)
    states = [_Reader(statistics) for statistics in readers]
    left = np.arange(count)
    order: list[int] = []
    losses = [0.0]
    while len(left):
        costs = np.sum([state.losses(left) for state in states], axis=0)
        best = int(np.argmin(costs))
        channel = int(left[best])
        order.append(channel)
        losses.append(losses[-1] + max(float(costs[best]), 0.0))
        for state in states:
            state.remove(channel)
        left = np.delete(left, best)
    return RemovalOrder(tuple(order), np.array(losses))


def change_without(statistics: LayerStatistics, gone: Sequence[int]) -> _Doubles:
    """What is added to a layer's weights (d + 1, outputs), the bias last, when the channels ``gone`` go and those of
    the others make up for it."""
    gram = statistics.gram + RIDGE * np.trace(statistics.gram) / len(statistics.gram) * np.eye(len(statistics.gram))
    lost = np.unique(statistics.rows[list(gone)])
    left = np.setdiff1d(np.arange(len(gram)), lost)
    change = -np.linalg.solve(gram, statistics.cross)
    change[left] += np.linalg.solve(gram[np.ix_(left, left)], statistics.cross[left])
    return np.asarray(change)


def calibrated(order: RemovalOrder, ratios: Mapping[int, float]) -> RemovalOrder:
    """The losses times what they are too low by: ``ratios`` at some numbers of channels gone, linear between those."""
    places = sorted(ratios)
    factors = np.interp(np.arange(len(order.losses)), places, [ratios[place] for place in places])
    return replace(order, losses=np.maximum.accumulate(order.losses * factors))
