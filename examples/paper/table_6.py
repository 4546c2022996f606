#!/usr/bin/env python3
"""Table 6 and Figure 1 of the paper: a class that a network is bad at, and what each of four ways to repair it gives.

    python examples/paper/table_6.py --data DATA [--images 10]
    python examples/paper/table_6.py --quick

The pair is the one that cifar100-r32 confuses most on training images; better is cifar100-r20; a small ResNet knows the
pair alone. Measures the very composites of examples/05_faulty_class.py; only, the margins of every module are computed
once for all of them. That they are what the composites answer by themselves is checked on some images of the pair. One
cell; test images are ``--images`` a class, of the pair all there are.
"""

from __future__ import annotations

import runpy
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import table_6_page
from study import ROOT, Figures, Study, Trained, parser, run

from examples.paper.faulty import Case, case_of, hits, measured
from modhub import compose, decompose
from modhub.composition.composite import Composite
from modhub.composition.plan import Plan
from modhub.engine.run.isolated import OriginRunner
from modhub.package.module import Module

repaired = runpy.run_path(str(ROOT / "examples" / "05_faulty_class.py"))["repaired"]

#: The faulty network and the better one; the quick study has digits of whose threes one network saw four images.
NETWORKS = ("cifar100-r32", "cifar100-r20")
QUICK_NETWORKS = ("digits-poor", "digits-good")
#: Epochs that the network of the pair is trained for.
EPOCHS, QUICK_EPOCHS = 60, 2
#: Training images of a class that are observed.
OBSERVED = 50
_CHECKED = 8


def main() -> None:
    run(parser(__doc__ or ""), command)


def command(study: Study) -> str:
    quick = study.options.quick
    faulty, better = study.need(*(QUICK_NETWORKS if quick else NETWORKS))
    each, epochs = study.each(faulty), QUICK_EPOCHS if quick else EPOCHS
    key = {"network": faulty.name, "better": better.name, "images": each, "epochs": epochs, "observed": OBSERVED}
    found = study.cell("table-6", key, [faulty, better], lambda: figures(case(faulty, better, each, epochs)))
    return table_6_page.write(study, found)


def case(faulty: Trained, better: Trained, each: int, epochs: int) -> Case:
    data = faulty.data

    def modules(pair: Sequence[str]) -> Sequence[Module]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decomposition = decompose(
                better.load(), data.train.x, data.train.y, classes=data.train.classes, name="paper/better",
                rescale=1 / 255, samples_per_class=OBSERVED,
            )  # fmt: skip
        return [decomposition.modules[data.train.classes.index(name)] for name in pair]

    return case_of(faulty.load(), modules, data.train, data.test, each=each, epochs=epochs, observed=OBSERVED)


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


def figures(case: Case) -> Figures:
    """Every option's figures; changes are against the network's own modules."""
    clf = compose(case.modules, vote="raw")
    remembering = Remembering(clf.backend)
    fast = repaired(replace(clf, backend=remembering), case)
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
        "pair": list(case.pair),
        "confused": case.confused,
        "two_network": case.two_network,
        "images": len(case.test),
        "images_of_the_pair": int(np.isin(case.test.labels, case.pair).sum()),
        "rows": rows,
        "checked": _checked(fast, repaired(clf, case), case),
    }


def _interval(changes: Any, case: Case) -> Figures:
    """The mean over the classes of ``changes`` (N,), with its 95 % interval over the images."""
    random, total = np.random.default_rng(0), np.zeros(2000)
    parts = [changes[case.test.y == label] for label in range(len(case.test.classes))]
    for part in parts:
        total += part[random.integers(0, len(part), (2000, len(part)))].mean(axis=1)
    bounds = np.quantile(total / len(parts), (0.025, 0.975))
    return {"mean": float(np.mean([part.mean() for part in parts])), "interval": [float(bound) for bound in bounds]}


def _checked(fast: dict[str, Composite], slow: dict[str, Composite], case: Case) -> Figures:
    """The first images of the pair, by the composites themselves."""
    where = np.flatnonzero(np.isin(case.test.labels, case.pair))[:_CHECKED]
    largest = 0.0
    for what, composite in slow.items():
        alone = composite.predict(case.test.x[where]).margins
        largest = max(largest, float(np.abs(fast[what].predict(case.test.x).margins[where] - alone).max()))
    return {"images": len(where), "largest_difference": largest}


if __name__ == "__main__":
    main()
