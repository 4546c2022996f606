"""Which inputs are observed, in which order, and how they are packed into batches.

Tangling identification wants, for a class with E_c observed inputs, the first n_c inputs of every other class. So each
class's inputs, in a seeded order, are split into segments at the n_c that occur; one pass that records one activity row
a segment then serves all classes. Inside a batch, images are in groups of one segment each, so that the device can
reduce a group to one row; groups are filled up by repeating an image, which an OR does not notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def class_order(count: int, class_index: int, seed: int) -> Indices:
    """The seeded order, shape (count,), in which the inputs of one class are taken.

    It depends on the seed, the class and its number of inputs only, so other classes do not disturb it.
    """
    return np.random.default_rng([seed, class_index]).permutation(count).astype(np.int64)


def unconcerned_share(concerned: int, others: int) -> int:
    """How many inputs of each of ``others`` classes a class of so many ``concerned`` inputs is compared with, 1 : 1."""
    return max(1, concerned // others)


@dataclass(frozen=True, eq=False)
class Sample:
    """The observed inputs: for every class the indices into the data, in the seeded order."""

    indices: tuple[Indices, ...]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """E_c: observed inputs of every class."""
        return tuple(len(own) for own in self.indices)

    @cached_property
    def shares(self) -> tuple[int, ...]:
        """n_c: the inputs taken of each other class for class c (docs/algorithm.md, Tangling identification)."""
        others = len(self.indices) - 1
        return tuple(unconcerned_share(count, others) for count in self.counts)

    def unconcerned(self, cls: int) -> Indices:
        """The inputs that class ``cls`` is compared with: of every other class the first n_c, as many as there are."""
        share = self.shares[cls]
        return np.concatenate([own[:share] for k, own in enumerate(self.indices) if k != cls])

    def short_of(self, cls: int) -> dict[int, int]:
        """The other classes that have fewer than n_c inputs, with their number: the ratio 1 : 1 is not reached."""
        share = self.shares[cls]
        return {k: count for k, count in enumerate(self.counts) if k != cls and count < share}


def draw(labels: NDArray[np.integer], classes: int, samples_per_class: int, seed: int) -> Sample:
    """Up to ``samples_per_class`` inputs of each of ``classes`` classes; ``labels`` has shape (inputs,)."""
    indices = []
    for cls in range(classes):
        own = np.flatnonzero(labels == cls).astype(np.int64)
        indices.append(own[class_order(len(own), cls, seed)][:samples_per_class])
    return Sample(tuple(indices))


@dataclass(frozen=True)
class Segment:
    """Inputs ``start`` to ``stop`` of a class's seeded order."""

    cls: int
    start: int
    stop: int


def segments(sample: Sample) -> list[Segment]:
    """All observed inputs, split at every n_c that another class needs; by class, then in order."""
    result = []
    for k, count in enumerate(sample.counts):
        shares = {share for c, share in enumerate(sample.shares) if c != k and share < count}
        bounds = [0, *sorted(shares), count]
        result += [Segment(k, start, stop) for start, stop in pairwise(bounds) if start < stop]
    return result


@dataclass(frozen=True, eq=False)
class Batches:
    """``images`` (batches, groups, images a group) are indices into the data, ``rows`` (batches, groups) segments."""

    images: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def group(self) -> int:
        return int(self.images.shape[2])


def pack(sample: Sample, parts: Sequence[Segment], batch_size: int) -> Batches:
    """Pack all segments into batches of exactly ``batch_size`` images."""
    return pack_rows(observed(sample, parts), batch_size)


@dataclass(frozen=True, eq=False)
class Observed:
    """Inputs to observe, ``inputs`` (n,) indices into the data, and the segment of each, ``rows`` (n,)."""

    inputs: Indices
    rows: Indices

    def within(self, start: int, stop: int) -> Observed:
        """Those of the inputs ``start`` to ``stop``, in the same order, counted from ``start``."""
        chosen = (self.inputs >= start) & (self.inputs < stop)
        return Observed(self.inputs[chosen] - start, self.rows[chosen])


def observed(sample: Sample, parts: Sequence[Segment]) -> Observed:
    """All inputs of a sample, by segment, each segment in its seeded order."""
    members = [sample.indices[part.cls][part.start : part.stop] for part in parts]
    return Observed(np.concatenate(members), np.repeat(np.arange(len(parts)), [len(own) for own in members]))


def pack_rows(chosen: Observed, batch_size: int) -> Batches:
    """Pack inputs, at least one, of which those of one segment are adjacent, into batches of ``batch_size`` images.

    The group size is the divisor of ``batch_size`` that wastes least: large groups repeat images, small ones leave the
    reduction to the host.
    """
    starts = np.flatnonzero(np.concatenate([[True], chosen.rows[1:] != chosen.rows[:-1]]))
    lengths = np.diff(np.append(starts, len(chosen.rows)))
    group = min(_divisors(batch_size), key=lambda q: _cost(lengths, q, batch_size))
    images, rows = [], []
    for start, length in zip(starts, lengths, strict=True):
        own = chosen.inputs[start : start + length]
        groups = -(-length // group)
        filled = np.concatenate([own, np.repeat(own[-1], groups * group - length)])
        images.append(filled.reshape(groups, group))
        rows.append(np.full(groups, chosen.rows[start], np.int64))
    all_images, all_rows = np.concatenate(images), np.concatenate(rows)
    per_batch = batch_size // group
    missing = -len(all_rows) % per_batch
    all_images = np.concatenate([all_images, np.repeat(all_images[-1:], missing, axis=0)])
    all_rows = np.concatenate([all_rows, np.repeat(all_rows[-1:], missing)])
    return Batches(all_images.reshape(-1, per_batch, group), all_rows.reshape(-1, per_batch))


def _divisors(number: int) -> list[int]:
    return [q for q in range(1, number + 1) if number % q == 0]


def _cost(lengths: NDArray[np.int64], group: int, batch_size: int) -> float:
    """Forward passes and rows brought to the host, in images; a row costs about a fifth of a pass (measured)."""
    groups = int(np.sum(-(-lengths // group)))
    batches = -(-groups * group // batch_size)
    return batches * batch_size + groups / 5
