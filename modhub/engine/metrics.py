"""Measuring modules on held-out data: precision and recall of each, and the accuracy of origin and vote."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from modhub.engine.check import accuracy_of, logits_of
from modhub.engine.masked import OriginRunner
from modhub.inputs import Labelled
from modhub.manifest import Accuracy, Metric
from modhub.module import Module, Origin


def validated(
    origin: Origin, modules: tuple[Module, ...], data: Labelled, data_name: str, batch_size: int
) -> tuple[tuple[Module, ...], Accuracy]:
    """The modules with their metrics on ``data``, all classes of the origin voting, and the origin's own accuracy."""
    logits = logits_of(origin, origin.contract, data.images, batch_size)
    margins = OriginRunner(origin, modules).margins(data.images, batch_size)
    measured = [
        replace(module, metrics=(metric_of(module, column, margins, data.labels, data_name),))
        for column, module in enumerate(modules)
    ]
    return tuple(measured), accuracy_of(logits, data.labels, data_name)


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
