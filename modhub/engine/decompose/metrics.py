"""Measuring modules on held-out data: precision and recall of each, and the accuracy of origin and vote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.data.arrays import Labelled
from modhub.engine.read.check import accuracy_of, logits_of
from modhub.engine.run.fused import FusedRunner
from modhub.engine.run.isolated import OriginRunner
from modhub.package.module import Module, Origin
from modhub.spec.manifest import Accuracy, FusedAgreement, Metric


def validated(
    origin: Origin,
    modules: tuple[Module, ...],
    data: Labelled,
    data_name: str,
    batch_size: int,
    most_runs: int | None = None,
) -> tuple[tuple[Module, ...], Accuracy, NDArray[np.float32]]:
    """The modules with their metrics on ``data``, all classes of the origin voting; the origin's accuracy and logits
    there, float32 (n, classes).

    ``most_runs`` bounds images times modules: the modules' metrics are then of the first images of each class.
    """
    logits = logits_of(origin, origin.contract, data.images, batch_size)
    images, labels = data.images, data.labels
    if most_runs is not None and len(labels) * len(modules) > most_runs:
        rows = first_rows_of_labels(labels, max(1, most_runs // len(modules) // len(np.unique(labels))))
        images, labels = images[rows], labels[rows]
    margins = OriginRunner(origin, modules).margins(images, batch_size)
    fused = fused_agreement(modules, images, data_name, margins, batch_size)
    measured = [
        replace(module, metrics=(metric_of(module, column, margins, labels, data_name),), fused=fused)
        for column, module in enumerate(modules)
    ]
    return tuple(measured), accuracy_of(logits, data.labels, data_name), logits


def first_rows_of_labels(labels: NDArray[np.integer], each: int) -> NDArray[np.int64]:
    """The rows, sorted, of the first ``each`` images of every label (n,), all where there are fewer.

    >>> first_rows_of_labels(np.array([1, 0, 1, 1, 0]), 2).tolist()
    [0, 1, 2, 4]
    """
    rows = [np.flatnonzero(labels == label)[:each] for label in np.unique(labels)]
    return np.sort(np.concatenate(rows)).astype(np.int64)


def fused_agreement(
    modules: Sequence[Module], images: NDArray[Any], data_name: str, margins: NDArray[np.float32], batch_size: int
) -> FusedAgreement:
    """How ``modules``, all of one origin, answer raw images (n, H, W, C) fused; ``margins`` (n, k) are isolated.

    The images must not be those that the modules observed, on which isolated modules give the origin's answers.
    """
    fused = FusedRunner(modules[0].origin, modules).margins(images, batch_size)
    return recorded_agreement(fused, margins, data_name)


def recorded_agreement(fused: NDArray[np.float32], isolated: NDArray[np.float32], data_name: str) -> FusedAgreement:
    """What two ways' margins (n, k), n >= 1, have in common, as a release records it.

    The largest difference is rounded up to two digits, since the last ones change with machine and batch.
    """
    difference = float(np.abs(fused - isolated).max())
    unit = 10.0 ** (math.floor(math.log10(difference)) - 1) if difference > 0 else 1.0
    return FusedAgreement(
        data=data_name,
        examples=len(fused),
        classes=fused.shape[1],
        labels=float((fused.argmax(axis=1) == isolated.argmax(axis=1)).mean()),
        margin=float(f"{math.ceil(difference / unit) * unit:.2g}"),
    )


def metric_of(
    module: Module, column: int, margins: NDArray[np.floating], labels: NDArray[np.integer], data: str
) -> Metric:
    """The figures of the module in ``column`` of margins (n, k); ``labels`` (n,) name the right column."""
    own, won, true = margins[:, column], margins.argmax(axis=1) == column, labels == column
    positive = own > module.threshold
    return Metric(
        data=data,
        examples=int(true.sum()),
        vote_recall=_share(won & true, true),
        vote_precision=_share(won & true, won),
        own_recall=_share(positive & true, true),
        own_precision=_share(positive & true, positive),
    )


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    """``part`` of ``whole``; 0 of nothing is 0."""
    return float(part.sum() / whole.sum()) if whole.any() else 0.0
