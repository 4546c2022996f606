#!/usr/bin/env python3
"""Joining one class of CIFAR-10 with one of CIFAR-100: balanced accuracy of two-class composites, no training.

    python benchmarks/pairs.py --data DATA

Uses the modules of the starter registry, installed as a user would. All 10 CIFAR-10 classes stand in the pairs, each
with CIFAR-100 classes spread over the alphabet; ``c10:cat`` with ``c100:apple`` is the first.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import report

from modhub import compose


def main() -> None:
    options = common.parser(__doc__ or "").parse_args()
    tens, hundreds = (common.images(options.data, name, "test") for name in ("cifar10", "cifar100"))
    pairs = [("cat", "apple")]
    for number, first in enumerate(tens.classes):
        for step in (7, 53):
            pairs.append((first, hundreds.classes[(number * 10 + step) % len(hundreds.classes)]))
    figures = []
    with tempfile.TemporaryDirectory() as cache:
        for first, second in pairs:
            ours, theirs = (
                data.x[data.y == data.classes.index(name)] for data, name in ((tens, first), (hundreds, second))
            )
            composite = compose([f"c10:{first}", f"c100:{second}"], cache=cache)
            answers = composite.predict(np.concatenate([ours, theirs])).indices
            recalls = float((answers[: len(ours)] == 0).mean()), float((answers[len(ours) :] == 1).mean())
            figures.append({"pair": [first, second], "recalls": recalls, "balanced": sum(recalls) / 2})
    mean = float(np.mean([figure["balanced"] for figure in figures]))
    found = {"pairs": figures, "mean": mean}
    common.keep(options.out, "pairs", found)
    print(report.pairs(found))


if __name__ == "__main__":
    main()
