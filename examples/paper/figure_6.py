#!/usr/bin/env python3
"""Figure 6 of the paper: CO2e of training a network for two classes against having it from modules, in one run.

    python examples/paper/figure_6.py --data DATA [--networks cifar10-r20 cifar10-r56] [--epochs 60] [--pair cat,dog]
    python examples/paper/figure_6.py --quick

Training: the network's own architecture with two outputs, from random weights, on all training images of the two
classes at hand; a tenth of them chooses the best epoch. Against it: decompose, once for all pairs; reuse, replace and
update, each until the first answer of the composite and, a row of its own, with all test images of the two classes
measured. One cell, because ratios are of one run: everything is metered by ``modhub.meter`` in this process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import figure_6_page
import numpy as np
from study import FIRST, Figures, Study, Trained, run
from study import parser as study_parser

import modhub
from examples.paper.residual_training import Progress, fit_one_cycle, probabilities, resnet
from modhub.data.images import ImageData
from modhub.energy.meter import Meter
from modhub.energy.result import EnergyResult
from modhub.errors import UsageError

#: The network that is decomposed and trained again, and the one whose module replaces.
NETWORKS = (FIRST["cifar10"], "cifar10-r56")
QUICK_NETWORKS = ("digits-good", "digits-poor")
EPOCHS, QUICK_EPOCHS = 60, 3
BATCH = 32
HELD_OUT = 0.1
SAMPLES = 1000
#: Images of each class that an update is given.
EXAMPLES = 100

Meters = Callable[[], Meter]


@dataclass(frozen=True)
class Step:
    """One thing that was metered; ``top_1`` is of test images and measured inside the meter, None if it was not."""

    energy: EnergyResult
    top_1: float | None = None


@dataclass(frozen=True)
class Training:
    """``until_best`` is the energy from the start to the end of the best epoch, counted from 1."""

    whole: Step
    until_best: EnergyResult
    epochs: int
    best_epoch: int
    images: int
    curve: tuple[float, ...] = ()


def parser(doc: str) -> argparse.ArgumentParser:
    result = study_parser(doc)
    result.add_argument("--epochs", type=int, help=f"epochs of the training, its budget; default {EPOCHS}")
    result.add_argument("--pair", metavar="A,B", help="two classes; default: the data set's first two")
    return result


def main() -> None:
    run(parser(__doc__ or ""), command)


def command(study: Study) -> str:
    options = study.options
    names = options.networks if "pair" in options and options.networks else None
    names = names or (QUICK_NETWORKS if options.quick else NETWORKS)
    if len(names) != 2:
        raise UsageError(f"{len(names)} networks: Figure 6 takes two.", hint="first the one to decompose.")
    own, other = study.need(*names)
    if own.data is not other.data and own.data.test.classes != other.data.test.classes:
        raise UsageError(f"{own.name} and {other.name} have different classes.", hint="give two of one data set.")
    epochs = getattr(options, "epochs", None) or (QUICK_EPOCHS if options.quick else EPOCHS)
    pair = pair_of(getattr(options, "pair", None), own.data.train.classes)
    key = {"network": own.name, "other": other.name, "pair": pair, "epochs": epochs, "samples": SAMPLES}
    found = study.cell("figure-6", key, [own, other], lambda: figures_of(*measured(own, other, pair, epochs=epochs)))
    return figure_6_page.write(study, found)


def pair_of(given: str | None, classes: Sequence[str]) -> list[str]:
    """The two classes named, else the first two. Raises UsageError."""
    pair = given.split(",") if given else list(classes[:2])
    if len(pair) != 2 or not set(pair) <= set(classes) or pair[0] == pair[1]:
        raise UsageError(f"--pair {','.join(pair)}: give two classes.", hint=f"there are {', '.join(classes)}.")
    return pair


def two_class_network(name: str, model: Any, seed: int = 0) -> Any:
    """The architecture of ``model`` with two outputs and new weights; a DATASET-rNN is the paper's ResNet-NN."""
    import keras

    kind = name.rsplit("-", 1)[-1]
    if kind.startswith("r") and kind[1:].isdigit():
        return resnet(model.input_shape[1:], 2, depth=int(kind[1:]), seed=seed)
    keras.utils.set_random_seed(seed)
    trunk = keras.models.clone_model(model)
    head = next(layer for layer in reversed(trunk.layers) if isinstance(layer, keras.layers.Dense))
    return keras.Model(trunk.inputs, keras.layers.Dense(2, activation="softmax", name="two")(head.input))


def trained(network: Any, train: ImageData, test: ImageData, epochs: int, meter: Meters) -> Training:
    """Fit a new network; the validation counts, as choosing needs it, and measuring on test images does not."""
    after: list[EnergyResult] = []
    with meter() as running:

        def note(_: Progress) -> None:
            after.append(running.result)

        fitted = fit_one_cycle(
            network, train.x, train.y, epochs=epochs, seed=0, batch=BATCH, held_out=HELD_OUT, after_epoch=note
        )
    top_1 = float((probabilities(network, test.x).argmax(axis=1) == test.y).mean())
    return Training(Step(after[-1], top_1), after[fitted.epoch - 1], epochs, fitted.epoch, len(train), fitted.curve)


def decomposed(name: str, network: Trained, meter: Meters) -> tuple[Any, Step]:
    """Decompose all classes with up to ``SAMPLES`` training images of each."""
    train = network.data.train
    with meter() as running:
        own_modules = modhub.decompose(
            network.load(), train.x, train.y, classes=train.classes, name=name, rescale=1 / 255,
            samples_per_class=SAMPLES,
        )  # fmt: skip
    return own_modules, Step(running.result)


def answered(make: Callable[[], Any], test: ImageData, meter: Meters) -> tuple[Step, Step]:
    """What a composite takes until its first answer, and what another one takes until all test images are measured."""
    with meter() as until_first:
        make().predict(test.x[:1])
    with meter() as with_test:
        labels = np.array(make().predict(test.x).labels)
        top_1 = float((labels == test.labels).mean())
    return Step(until_first.result), Step(with_test.result, top_1)


def measured(
    own: Trained, other: Trained, pair: Sequence[str], *, epochs: int, meter: Meters = modhub.meter
) -> tuple[Training, dict[str, Step]]:
    """Everything in one run: the training, and the steps that are held against it."""
    train, test = own.data.train.restrict(pair), own.data.test.restrict(pair)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own_modules, once = decomposed("paper/one", own, meter)
        # The replacing module comes from a network that was decomposed and published elsewhere.
        spare, _ = decomposed("paper/other", other, meter)
        steps = {"decompose, once": once, **from_modules(own_modules, spare, train, test, meter)}
        return trained(two_class_network(own.name, own.load()), train, test, epochs, meter), steps


def from_modules(own_modules: Any, spare: Any, train: ImageData, test: ImageData, meter: Meters) -> dict[str, Step]:
    """Reuse, replace, update; each begins with names in a registry and an empty cache."""
    pair = train.classes
    slugs = {module.name: module.slug for module in own_modules.modules}
    chosen = np.concatenate([np.flatnonzero(train.y == number)[:EXAMPLES] for number in (0, 1)])
    examples = train.x[chosen], train.y[chosen], list(pair)
    with tempfile.TemporaryDirectory() as folder:
        registry = str(Path(folder) / "registry")
        for each in (own_modules, spare):
            modhub.publish(each, version="1.0.0", registry=registry)

        def reused() -> Any:
            names = [f"paper/one:{slugs[name]}" for name in pair]
            return modhub.compose(names, registry=registry, cache=tempfile.mkdtemp(dir=folder), vote="raw")

        def replaced() -> Any:
            return reused().swap(pair[1], f"paper/other:{slugs[pair[1]]}")

        def updated() -> Any:
            # The composite holds both modules, so that each is fitted to the other's class.
            both = replaced()
            return modhub.compose(list(modhub.update(both, against=both, data=examples).modules), vote="raw")

        steps = {}
        for name, make in (("reuse", reused), ("replace", replaced), ("update", updated)):
            steps[name], steps[f"{name}{figure_6_page.MEASURED}"] = answered(make, test, meter)
    return steps


def figures_of(training: Training, steps: dict[str, Step]) -> Figures:
    """Plain values: each step's energy, and how often it goes into the training's, alone and with the decomposition."""
    once = steps["decompose, once"].energy.co2e_kg
    rows = {}
    for name, step in steps.items():
        own = step.energy.co2e_kg
        whole = own if name == "decompose, once" else own + once
        rows[name] = {
            "energy": step.energy.to_dict(),
            "top_1": step.top_1,
            "fixed_epochs": training.whole.energy.co2e_kg / own,
            "best_epoch": training.until_best.co2e_kg / own,
            "fixed_epochs_with_decomposition": training.whole.energy.co2e_kg / whole,
            "best_epoch_with_decomposition": training.until_best.co2e_kg / whole,
        }
    return {
        "epochs": training.epochs,
        "best_epoch": training.best_epoch,
        "images": training.images,
        "curve": list(training.curve),
        "training": {"energy": training.whole.energy.to_dict(), "top_1": training.whole.top_1},
        "training_until_best": {"energy": training.until_best.to_dict()},
        "steps": rows,
        "load": list(os.getloadavg()),
        "is_estimate": training.whole.energy.is_estimate,
    }


if __name__ == "__main__":
    main()
