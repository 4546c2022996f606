#!/usr/bin/env python3
"""The faulty class of the paper's Figure 1 on CIFAR-100: what each of the four ways to mend it gives.

    python benchmarks/faulty_class.py --data DATA [--each 10]

Measures the very composites of examples/07_faulty_class.py; only, the margins of every module are computed once for
all of them. That they are what the composites answer by themselves is checked on some images of the pair. Intervals
are of the change against the network's own modules, by bootstrap over the images of every class.
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import reuse_tables

from modhub import compose
from modhub.composition.composite import Composite
from modhub.composition.plan import Plan
from modhub.demo.faulty import Case, cifar100_case, digits_case, hits, measured
from modhub.engine.masked import OriginRunner

mended = runpy.run_path(str(common.ROOT / "examples" / "07_faulty_class.py"))["mended"]

_CHECKED = 8


class Remembering:
    """A composite's backend that runs each module once, for one array of images."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._margins: dict[int, Any] = {}

    def runner(self, plan: Plan) -> Any:
        return _Remembered(plan, self._margins)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


@dataclass
class _Remembered:
    plan: Plan
    margins_of: dict[int, Any]

    def margins(self, images: Any, batch_size: int) -> Any:
        new = [module for module in self.plan.recognisers if id(module) not in self.margins_of]
        for origin in {id(module.origin): module.origin for module in new}.values():
            own = [module for module in new if module.origin is origin]
            found = OriginRunner(origin, own).margins(images, batch_size)
            self.margins_of |= {id(module): found[:, column] for column, module in enumerate(own)}
        return np.stack([self.margins_of[id(module)] for module in self.plan.recognisers], axis=1)


def figures(case: Case) -> dict[str, Any]:
    clf = compose(case.modules)
    remembering = Remembering(clf.backend)
    fast = mended(replace(clf, backend=remembering), case)
    rows = [asdict(measured("the network", case.test.classes, case.answers, case))]
    usual = None
    for what, composite in fast.items():
        margins = composite.predict(case.test.x).margins
        row = asdict(measured(what, composite.classes, margins, case))
        own = hits(composite.classes, margins, case.test).astype(float)
        usual = own if usual is None else usual
        row["change"] = [_interval(one, case) for one in own - usual]
        rows.append(row)
    return {
        "pair": case.pair,
        "confused": case.confused,
        "two_network": case.two_network,
        "images": len(case.test),
        "rows": rows,
        "checked": _checked(fast, mended(clf, case), case),
    }


def _interval(changes: Any, case: Case) -> dict[str, Any]:
    """The mean over the classes of ``changes`` (N,), with its 95 % interval over the images."""
    random, total = np.random.default_rng(0), np.zeros(2000)
    parts = [changes[case.test.y == label] for label in range(len(case.test.classes))]
    for part in parts:
        total += part[random.integers(0, len(part), (2000, len(part)))].mean(axis=1)
    bounds = np.quantile(total / len(parts), (0.025, 0.975))
    return {"mean": float(np.mean([part.mean() for part in parts])), "interval": [float(bound) for bound in bounds]}


def _checked(fast: dict[str, Composite], slow: dict[str, Composite], case: Case) -> dict[str, Any]:
    """The first images of the pair, by the composites themselves."""
    where = np.flatnonzero(np.isin(case.test.labels, case.pair))[:_CHECKED]
    largest = 0.0
    for what, composite in slow.items():
        alone = composite.predict(case.test.x[where]).margins
        largest = max(largest, float(np.abs(fast[what].predict(case.test.x).margins[where] - alone).max()))
    return {"images": len(where), "largest_difference": largest}


def main() -> None:
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--each", type=int, default=10, help="test images of each class outside the pair")
    arguments.add_argument("--quick", action="store_true", help="the example's digits instead; keeps no figures")
    options = arguments.parse_args([*sys.argv[1:], *(["--data", "."] if "--quick" in sys.argv else [])])
    case = digits_case() if options.quick else cifar100_case(options.models, options.data, each=options.each)
    found = figures(case)
    if not options.quick:
        common.keep(options.out, "faulty-class", found)
    print(reuse_tables.faulty_class(found))


if __name__ == "__main__":
    main()
