"""New heads for modules that vote against classes which their origin never saw: MAP logistic regression.

The margins of all modules of a joint composite go through one softmax, whose cross-entropy on labelled examples is
minimised. What may change, from the least to the most constrained, with z the standardised features of the module:

    margin = (1 + a) * margin + t + b + (s + u) . z

``a``, ``t`` and the direction ``s`` are shared by all modules of one origin, ``b`` and ``u`` are the module's own. Each
has a normal prior centred on "no change", its precision a fixed multiple of ``strength``: an infinite strength is
voting. Few examples are enough because origins differ mostly in what all their modules share: with own
directions alone 20 examples a class gain nothing (docs/results.md). The result is linear in the features, so it is a
head like any other: the modules stay modules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from modhub.package.module import Head

Doubles = NDArray[np.float64]

#: Prior precisions, as multiples of the strength; chosen on training images of CIFAR-10 with CIFAR-100.
_SCALE, _SHIFT, _SHARED, _BIAS, _OWN = 0.1, 0.1, 1.0, 1.0, 10.0
#: Standardised features are kept in float32 when there are more of them than this, to halve the memory.
_MOST_DOUBLES = 20_000_000
_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class FeatureGroup:
    """Features (n, F) of modules with equal masks: those of ``origin`` (any number that names it) in ``columns``."""

    origin: int
    columns: NDArray[np.int64]
    features: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Views:
    """What the k modules of a joint composite make of n examples.

    ``margins`` float64 (n, k). ``groups``: the features of the modules that may change; the others hold still.
    """

    margins: Doubles
    groups: tuple[FeatureGroup, ...]

    def __len__(self) -> int:
        return len(self.margins)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Views:
        """The views of some examples."""
        return Views(self.margins[rows], tuple(replace(g, features=g.features[rows]) for g in self.groups))


@dataclass(frozen=True, eq=False)
class HeadChange:
    """How one module's head changes: ``margin -> factor * margin + direction . h + offset`` with h its features."""

    factor: float
    direction: Doubles
    offset: float

    def head(self, head: Head, unit: float = 1.0) -> Head:
        """The changed head: both outputs scaled, the change added to the concerned one.

        ``unit`` is what the head's own margins were divided by where the change was fitted.
        """
        kernel = self.factor * head.kernel.astype(np.float64)
        bias = self.factor * head.bias.astype(np.float64)
        kernel[:, 0] += unit * self.direction
        bias[0] += unit * self.offset
        return Head(kernel.astype(np.float32), bias.astype(np.float32))


def changed_margins(views: Views, changes: dict[int, HeadChange]) -> Doubles:
    """The margins (n, k) when the heads in the columns that ``changes`` names have changed."""
    result = views.margins.copy()
    for group in views.groups:
        for column in group.columns:
            if (change := changes.get(int(column))) is not None:
                linear = group.features.astype(np.float64, copy=False) @ change.direction
                result[:, column] = change.factor * result[:, column] + linear + change.offset
    return result


def fit(views: Views, labels: NDArray[np.integer], strength: float) -> dict[int, HeadChange]:
    """The changes, by column, that fit ``labels`` (n,) best.

    ``strength`` above 0; infinite gives no change at all.
    """
    blocks = list(_blocks(views))
    if not blocks or np.isinf(strength):
        return {}
    problem = _Problem(views.margins, np.asarray(labels), blocks, strength)
    found = minimise(problem.value_and_gradient, np.zeros(problem.size), tolerance=_TOLERANCE)
    changes: dict[int, HeadChange] = {}
    for block, part in zip(blocks, problem.parts(found / problem.roots), strict=True):
        changes |= block.changes(part)
    return changes


def log_softmax(margins: Doubles) -> Doubles:
    """Log-probabilities (n, k) of the composite's softmax."""
    shifted = margins - margins.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def tempered(margins: Doubles, labels: NDArray[np.integer]) -> float:
    """The factor on all margins that makes the softmax fit ``labels`` best, between e^-3 and e^3; by golden section.

    Voting does not change by it, so it is granted to every set of margins before log-losses are compared.
    """
    rows = np.arange(len(labels))

    def loss(exponent: float) -> float:
        return -float(log_softmax(margins * np.exp(exponent))[rows, labels].mean())

    ratio = (np.sqrt(5) - 1) / 2
    low, high = -3.0, 3.0
    for _ in range(30):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


@dataclass(frozen=True, eq=False)
class _Part:
    """The parameters of one origin, or their gradient. ``own`` is (F, columns)."""

    scale: float
    shift: float
    shared: Doubles
    bias: Doubles
    own: Doubles

    def vector(self) -> Vector:
        return np.concatenate([[self.scale, self.shift], self.shared, self.bias, self.own.ravel()])


@dataclass(frozen=True, eq=False)
class _Block:
    """One origin's changing modules. ``places[g]`` are the positions of group g in ``columns``, ``z[g]`` its features,
    standardised by ``mean`` and ``spread`` (F,), which all groups of the origin share."""

    columns: NDArray[np.int64]
    places: tuple[slice, ...]
    z: tuple[NDArray[np.floating], ...]
    mean: Doubles
    spread: Doubles

    @property
    def features(self) -> int:
        return len(self.mean)

    @property
    def size(self) -> int:
        return 2 + self.features + len(self.columns) * (1 + self.features)

    def precisions(self) -> Vector:
        """The multiples of the strength, in the order of ``_Part.vector``."""
        own = len(self.columns) * self.features
        counts = (1, 1, self.features, len(self.columns), own)
        return np.repeat([_SCALE, _SHIFT, _SHARED, _BIAS, _OWN], counts)

    def curvatures(self, margins: Doubles, shares: Doubles) -> Vector:
        """The cross-entropy's second derivative by each parameter alone, at no change; z counts as uncorrelated noise.

        ``shares`` (n, k) are the softmax of ``margins``.
        """
        mine, before = shares[:, self.columns], margins[:, self.columns]
        together = mine.sum(axis=1)
        shared = float((together * (1 - together)).sum())
        scale = float(((mine * before**2).sum(axis=1) - (mine * before).sum(axis=1) ** 2).sum())
        own = (mine * (1 - mine)).sum(axis=0)
        return np.concatenate([[scale, shared], np.full(self.features, shared), own, np.tile(own, self.features)])

    def part(self, vector: Vector) -> _Part:
        shared, bias, own = np.split(vector[2:], [self.features, self.features + len(self.columns)])
        return _Part(float(vector[0]), float(vector[1]), shared, bias, own.reshape(self.features, -1))

    def margins(self, before: Doubles, part: _Part) -> Doubles:
        """The margins (n, columns) under ``part``."""
        result = before[:, self.columns] * (1 + part.scale) + part.shift + part.bias
        kernel = part.shared[:, None] + part.own
        for place, z in zip(self.places, self.z, strict=True):
            result[:, place] += z @ kernel[:, place].astype(z.dtype)
        return np.asarray(result)

    def gradient(self, before: Doubles, by_margin: Doubles) -> _Part:
        """The gradient by the parameters, given that by the margins of all modules (n, k)."""
        own = np.empty((self.features, len(self.columns)))
        mine = by_margin[:, self.columns]
        for place, z in zip(self.places, self.z, strict=True):
            own[:, place] = z.T @ mine[:, place].astype(z.dtype)
        bias = mine.sum(axis=0)
        scale = float((mine * before[:, self.columns]).sum())
        return _Part(scale, float(bias.sum()), own.sum(axis=1), bias, own)

    def changes(self, part: _Part) -> dict[int, HeadChange]:
        directions = (part.shared[:, None] + part.own) / self.spread[:, None]
        return {
            int(column): HeadChange(1 + part.scale, direction, part.shift + bias - float(self.mean @ direction))
            for column, direction, bias in zip(self.columns, directions.T, part.bias, strict=True)
        }


def _blocks(views: Views) -> Iterator[_Block]:
    doubles = sum(group.features.size for group in views.groups)
    kind = np.float64 if doubles <= _MOST_DOUBLES else np.float32
    for origin in sorted({group.origin for group in views.groups}):
        groups = [group for group in views.groups if group.origin == origin]
        mean, spread = _moments([group.features for group in groups])
        ends = np.cumsum([len(group.columns) for group in groups])
        yield _Block(
            np.concatenate([group.columns for group in groups]),
            tuple(slice(end - len(group.columns), end) for group, end in zip(groups, ends, strict=True)),
            tuple(((group.features - mean) / spread).astype(kind) for group in groups),
            mean,
            spread,
        )


def _moments(parts: Sequence[NDArray[np.floating]]) -> tuple[Doubles, Doubles]:
    """Mean and standard deviation of all rows of all parts together; 1 for a feature that never varies."""
    rows = sum(len(part) for part in parts)
    mean = np.asarray(sum(part.sum(axis=0, dtype=np.float64) for part in parts) / rows)
    variance = np.asarray(sum(((part - mean) ** 2).sum(axis=0, dtype=np.float64) for part in parts) / rows)
    return mean, np.where(variance > 1e-12, np.sqrt(np.maximum(variance, 1e-12)), 1.0)


class _Problem:
    """The penalised cross-entropy, in parameters divided by ``roots``: about as curved in every single one of them.

    Without that, a strong direction among weak ones costs ``minimise`` five times the steps.
    """

    def __init__(
        self,
        margins: Doubles,
        labels: NDArray[np.integer],
        blocks: Sequence[_Block],
        strength: float,
    ) -> None:
        self.margins = margins
        self.labels = labels
        self.blocks = blocks
        self.size = sum(block.size for block in blocks)
        self.prior = strength * np.concatenate([block.precisions() for block in blocks])
        shares = np.exp(log_softmax(margins))
        data = [block.curvatures(margins, shares) for block in blocks]
        self.roots = np.sqrt(self.prior + np.concatenate(data))
        self._ends = np.cumsum([block.size for block in blocks])[:-1]

    def parts(self, parameters: Vector) -> list[_Part]:
        pieces = np.split(parameters, self._ends)
        return [block.part(piece) for block, piece in zip(self.blocks, pieces, strict=True)]

    def value_and_gradient(self, scaled: Vector) -> tuple[float, Vector]:
        margins = self.margins.copy()
        parameters = scaled / self.roots
        for block, part in zip(self.blocks, self.parts(parameters), strict=True):
            margins[:, block.columns] = block.margins(self.margins, part)
        logs = log_softmax(margins)
        rows = np.arange(len(self.labels))
        loss = -float(logs[rows, self.labels].sum())
        by_margin = np.exp(logs)
        by_margin[rows, self.labels] -= 1
        gradient = np.concatenate([block.gradient(self.margins, by_margin).vector() for block in self.blocks])
        return loss + 0.5 * float(self.prior @ parameters**2), (gradient + self.prior * parameters) / self.roots


Vector = NDArray[np.float64]

_MEMORY = 10
_ENOUGH = 1e-4


def minimise(
    function: Callable[[Vector], tuple[float, Vector]], start: Vector, *, tolerance: float, iterations: int = 300
) -> Vector:
    """Where ``function``, which gives value and gradient, is least; stops when the gradient's length is ``tolerance``.

    Where the function is curved by c or more, the answer is then at most ``tolerance / c`` away from the true one. Also
    stops when rounding hides any further descent.
    """
    x = start
    value, gradient = function(x)
    pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=_MEMORY)
    for _ in range(iterations):
        if float(np.linalg.norm(gradient)) <= tolerance:
            break
        direction = _direction(gradient, pairs)
        slope = float(gradient @ direction)
        size = 1.0 if pairs else min(1.0, 1.0 / float(np.linalg.norm(gradient)))
        while True:
            moved = x + size * direction
            new_value, new_gradient = function(moved)
            if new_value <= value + _ENOUGH * size * slope:
                break
            size /= 2
            if size < 1e-10:
                return x
        step, change = moved - x, new_gradient - gradient
        curvature = float(step @ change)
        if curvature > 0:
            pairs.append((step, change, curvature))
        x, value, gradient = moved, new_value, new_gradient
    return x


def _direction(gradient: Vector, pairs: deque[tuple[Vector, Vector, float]]) -> Vector:
    """The quasi-Newton step that the remembered steps and gradient changes suggest."""
    result = -gradient
    weights = []
    for step, change, curvature in reversed(pairs):
        weight = float(step @ result) / curvature
        weights.append(weight)
        result = result - weight * change
    if pairs:
        _, change, curvature = pairs[-1]
        result = result * (curvature / float(change @ change))
    for (step, change, curvature), weight in zip(pairs, reversed(weights), strict=True):
        result = result + step * (weight - float(change @ result) / curvature)
    return result
