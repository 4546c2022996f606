#!/usr/bin/env python3
"""Votes across networks on one scale beside votes as they are, and how far a vote's probability is from the truth.

    python benchmarks/voting.py --data DATA

Modules of cifar10-r20 and cifar100-r20, made with the training images; both networks answer the same test images
(fused, so each in one pass), and all composites vote with those margins. ``gain`` is the balanced accuracy of the
scaled vote less that of the raw one, over draws of classes, with the 95 % interval of resampled images. ``ECE`` is the
expected calibration error over 15 bins, each class counting alike; its temperatures are fitted on the observed training
images, or on one half of the test images and then measured on the other.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import report

import modhub
from modhub.composition.plan import Plan, make_plan
from modhub.composition.recipe import ClassifierSettings, Recipe
from modhub.decomposition.vote import fit_temperature
from modhub.evaluation.metrics import reliability

#: Classes of CIFAR-10 and of CIFAR-100 in a composite, and how many draws of them.
MIXTURES = ((5, 5, 20), (10, 20, 20), (10, 100, 1))
RESAMPLES = 1000


class Networks:
    """The modules of both networks, their margins (N, 110) for all test images, and the columns of the true classes."""

    def __init__(self, options: Any) -> None:
        images, labels, self.modules, parts = [], [], [], []
        for name in ("cifar10", "cifar100"):
            train, test = (common.images(options.data, name, split) for split in ("train", "test"))
            parts.append(
                modhub.decompose(
                    common.model(options.models, f"{name}-r20"), train.x, train.y, classes=train.classes,
                    name=f"{name}/r20", rescale=1 / 255, dataset=name,
                )
            )  # fmt: skip
            labels.append(test.y + len(self.modules))
            self.modules += parts[-1].modules
            images.append(test.x)
        self.labels = np.concatenate(labels)
        both = modhub.compose(parts, mode="fused")
        self.margins = both.predict(np.concatenate(images)).module_margins
        self.counts = [len(part.modules) for part in parts]

    def plan(self, columns: Any, vote: str, modules: Any = None) -> Plan:
        chosen = [(modules or self.modules)[column] for column in columns]
        return make_plan(Recipe(tuple(zip(map(str, columns), chosen, strict=True)), (), ClassifierSettings(vote=vote)))

    def answers(self, plan: Plan, columns: Any, rows: Any) -> Any:
        return plan.prediction(self.margins[np.ix_(rows, columns)])

    def rows_of(self, columns: Any) -> Any:
        return np.flatnonzero(np.isin(self.labels, columns))

    def drawn(self, tens: int, hundreds: int, seed: int) -> Any:
        random = np.random.default_rng(seed)
        first, second = self.counts
        ours = np.sort(random.permutation(first)[:tens])
        return np.concatenate([ours, first + np.sort(random.permutation(second)[:hundreds])])

    def with_validation(self, half: Any) -> list[Any]:
        """The modules with temperatures fitted on some rows of the test images, each network on those of its own."""
        found = []
        for network, start in enumerate((0, self.counts[0])):
            columns = np.arange(start, start + self.counts[network])
            rows = half[np.isin(self.labels[half], columns)]
            fitted = fit_temperature(self.margins[np.ix_(rows, columns)], self.labels[rows] - start)
            for column in columns:
                origin = self.modules[column].origin
                vote = origin.vote.model_copy(update={"temperature": fitted})
                found.append(replace(self.modules[column], origin=replace(origin, vote=vote)))
        return found


def balanced_ece(confidence: Any, right: Any, labels: Any) -> float:
    """The expected calibration error in which each class counts alike: images of rarer ones stand in it more often."""
    counts = np.bincount(labels)
    repeats = np.round(counts.max() / counts[labels]).astype(int)
    return reliability(np.repeat(confidence, repeats), np.repeat(right, repeats)).error


def ece(networks: Networks, columns: Any, rows: Any, modules: Any = None, vote: str = "scaled") -> float:
    plan = networks.plan(columns, vote, modules)
    found = networks.answers(plan, columns, rows)
    right = columns[found.indices] == networks.labels[rows]
    return balanced_ece(found.probabilities.max(axis=1), right, networks.labels[rows])


def gains(networks: Networks, tens: int, hundreds: int, draws: int) -> dict[str, Any]:
    """Balanced accuracies of both votes, and the mean difference with its interval."""
    weights = np.zeros((draws, len(networks.labels)))
    differences, raws, scaleds = np.zeros_like(weights), [], []
    for draw in range(draws):
        columns = networks.drawn(tens, hundreds, draw)
        rows = networks.rows_of(columns)
        truth = networks.labels[rows]
        right = {
            vote: columns[networks.answers(networks.plan(columns, vote), columns, rows).indices] == truth
            for vote in ("scaled", "raw")
        }
        weights[draw, rows] = 1 / (len(columns) * np.bincount(truth)[truth])
        differences[draw, rows] = right["scaled"].astype(float) - right["raw"]
        scaleds.append(float((weights[draw, rows] * right["scaled"]).sum()))
        raws.append(float((weights[draw, rows] * right["raw"]).sum()))
    each = (weights * differences).mean(axis=0)
    random = np.random.default_rng(0)
    of_class = [np.flatnonzero(networks.labels == cls) for cls in range(sum(networks.counts))]
    resampled = [
        sum(each[random.choice(rows, len(rows))].sum() for rows in of_class) for _ in range(RESAMPLES)
    ]  # fmt: skip
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {
        "classes": [tens, hundreds], "draws": draws, "raw": float(np.mean(raws)), "scaled": float(np.mean(scaleds)),
        "gain": float(each.sum()), "low": float(low), "high": float(high),
    }  # fmt: skip


def calibration(networks: Networks) -> list[dict[str, Any]]:
    random = np.random.default_rng(1)
    order = random.permutation(len(networks.labels))
    half, other = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    validated = networks.with_validation(half)
    first, second = networks.counts
    found = []
    for name, several in (
        ("cifar10/r20", [np.arange(first)]),
        ("cifar100/r20", [np.arange(first, first + second)]),
        ("10 + 20 classes", [networks.drawn(10, 20, draw) for draw in range(20)]),
        ("10 + 100 classes", [np.arange(first + second)]),
    ):
        rows = [networks.rows_of(columns) for columns in several]
        held = [np.intersect1d(each, other) for each in rows]
        pairs = list(zip(several, rows, held, strict=True))
        scores = []
        for columns, own, _ in pairs:
            said = networks.answers(networks.plan(columns, "scaled"), columns, own)
            right = columns[said.indices] == networks.labels[own]
            best = said.module_scores[np.arange(len(own)), said.indices]
            scores.append(balanced_ece(best, right, networks.labels[own]))
        found.append({
            "what": name,
            "temperature": float(np.mean([networks.plan(c, "scaled").counting.temperature for c in several])),
            "observed": float(np.mean([ece(networks, c, own) for c, own, _ in pairs])),
            "validation": float(np.mean([ece(networks, c, part, validated) for c, _, part in pairs])),
            "module_scores": float(np.mean(scores)),
        })  # fmt: skip
    return found


def main() -> None:
    networks = Networks(common.parser(__doc__ or "").parse_args())
    figures = {
        "gains": [gains(networks, *mixture) for mixture in MIXTURES],
        "calibration": calibration(networks),
    }
    common.keep(common.parser(__doc__ or "").parse_args().out, "voting", figures)
    print(report.voting(figures))


if __name__ == "__main__":
    main()
