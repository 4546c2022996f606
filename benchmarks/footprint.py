#!/usr/bin/env python3
"""The paper's Figure 6: CO2e of training a network for two classes against having it from modules, in one run.

    python benchmarks/footprint.py --data DATA [--network cifar10-r20] [--pair cat,dog] [--epochs 10] [--quick]

Training: the network's own architecture with two outputs, from random weights, on the two classes' training images; a
tenth of them chooses the best epoch. Against it: decompose (once for all pairs), reuse (compose two modules and measure
them on the test images), replace (put another network's module in a class's place, and measure), update (fit that pair
of two networks to each other by some images, and measure). All are metered by ``modhub.meter`` in this process; ratios
are given for all epochs and for those up to the best one, with and without the decomposition. Where power is an
estimate the table says so: its ratios are of time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np

import modhub
from modhub.energy import EnergyResult, Meter

BATCH = 128
#: The other network of the same data set, whose module replaces.
OTHER = {"cifar10-r20": "cifar10-r56", "cifar100-r20": "cifar100-r32"}
#: Images of each class that an update is given.
EXAMPLES = 100
ESTIMATED = (
    "Power is an estimate here (processor time and memory), so every ratio is one of time, not of measured energy."
)
UNFINISHED = (
    "The best epoch is the last one: the network was still getting better, and this is no baseline of accuracy."
)


@dataclass(frozen=True)
class Step:
    """One thing that was metered, and how many of its test images the result answers right, if it answers."""

    energy: EnergyResult
    top_1: float | None = None


@dataclass(frozen=True)
class Training:
    """``until_best`` is the energy from the start to the end of the best epoch, counted from 1."""

    whole: Step
    until_best: EnergyResult
    epochs: int
    best_epoch: int


def only(data: common.Images, pair: Sequence[str]) -> common.Images:
    """The images of two classes, labels 0 and 1."""
    numbers = [data.classes.index(name) for name in pair]
    mine = np.isin(data.y, numbers)
    return common.Images(data.x[mine], (data.y[mine] == numbers[1]).astype(np.int64), tuple(pair))


def two_class_network(model: Any) -> Any:
    """``model``'s architecture with new weights and two outputs."""
    import keras

    trunk = keras.models.clone_model(model)
    head = next(layer for layer in reversed(trunk.layers) if isinstance(layer, keras.layers.Dense))
    return keras.Model(trunk.inputs, keras.layers.Dense(2, activation="softmax", name="two")(head.input))


def trained(model: Any, train: common.Images, test: common.Images, epochs: int, meter: Callable[[], Meter]) -> Training:
    """Train from scratch with the best weights by a validation split; the validation counts, as choosing needs it."""
    import keras

    keras.utils.set_random_seed(0)
    network = two_class_network(model)
    network.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    order = np.random.default_rng(0).permutation(len(train.y))
    x, y = train.x[order].astype("float32") / 255, train.y[order]
    held_out = max(1, len(y) // 10)
    best, best_epoch, weights, until_best = -1.0, 0, network.get_weights(), None
    with meter() as running:
        for epoch in range(1, epochs + 1):
            network.fit(x[held_out:], y[held_out:], batch_size=BATCH, verbose=0)
            right = network.evaluate(x[:held_out], y[:held_out], batch_size=256, verbose=0)[1]
            if right > best:
                best, best_epoch, weights, until_best = right, epoch, network.get_weights(), running.result
    assert until_best is not None
    network.set_weights(weights)
    answers = network.predict(test.x.astype("float32") / 255, batch_size=256, verbose=0).argmax(axis=1)
    top_1 = float((answers == test.y).mean())
    return Training(Step(running.result, top_1), until_best, epochs, best_epoch)


def decomposed(
    name: str, model: Any, train: common.Images, samples: int, meter: Callable[[], Meter]
) -> tuple[Any, Step]:
    with meter() as running:
        cut = modhub.decompose(
            model, train.x, train.y, classes=train.classes, name=name, rescale=1 / 255, samples_per_class=samples
        )
    return cut, Step(running.result)


def answered(make: Callable[[], Any], test: common.Images, meter: Callable[[], Meter]) -> Step:
    """Compose and measure on the test images of the two classes."""
    with meter() as running:
        labels = np.array(make().predict(test.x).labels)
        top_1 = float((labels == np.array(test.classes)[test.y]).mean())
    return Step(running.result, top_1)


def measured(
    model: Any,
    other: Any,
    train: common.Images,
    test: common.Images,
    pair: Sequence[str],
    *,
    epochs: int,
    samples: int,
    meter: Callable[[], Meter] = modhub.meter,
) -> tuple[Training, dict[str, Step]]:
    """Everything in one run: the training, and the steps against which it is held."""
    two_train, two_test = only(train, pair), only(test, pair)
    chosen = np.concatenate([np.flatnonzero(two_train.y == number)[:EXAMPLES] for number in (0, 1)])
    examples = two_train.x[chosen], two_train.y[chosen], list(pair)
    cut, once = decomposed("paper/one", model, train, samples, meter)
    # The replacing module comes from a network that somebody else has cut and published.
    spare, _ = decomposed("paper/other", other, train, samples, meter)
    with tempfile.TemporaryDirectory() as folder:
        registry, cache = str(Path(folder) / "registry"), str(Path(folder) / "cache")
        for each in (cut, spare):
            modhub.publish(each, version="1.0.0", registry=registry)
        slugs = [next(module.slug for module in cut.modules if module.name == name) for name in pair]

        def compose() -> Any:
            return modhub.compose([f"paper/one:{slug}" for slug in slugs], registry=registry, cache=cache)

        def mixed(composite: Any) -> Any:
            return composite.swap(pair[1], f"paper/other:{slugs[1]}")

        def updated() -> Any:
            # The composite holds both modules, so that each is fitted to the other's class.
            both = mixed(compose())
            return modhub.compose(list(modhub.update(both, against=both, data=examples).modules))

        training = trained(model, two_train, two_test, epochs, meter)
        steps = {
            "decompose, once": once,
            "reuse": answered(compose, two_test, meter),
            "replace": answered(lambda: mixed(compose()), two_test, meter),
            "update": answered(updated, two_test, meter),
        }
    return training, steps


def figures_of(training: Training, steps: dict[str, Step]) -> dict[str, Any]:
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
        "training": {"energy": training.whole.energy.to_dict(), "top_1": training.whole.top_1},
        "training_until_best": {"energy": training.until_best.to_dict()},
        "steps": rows,
        "load": list(os.getloadavg()),
        "is_estimate": training.whole.energy.is_estimate,
    }


def table(found: dict[str, Any]) -> str:
    """The figure as a Markdown table, with what its ratios are ratios of."""

    def costs(energy: dict[str, Any]) -> list[str]:
        return [f"{energy['seconds']:.1f}", f"{energy['kwh']:.3g}", f"{energy['co2e_kg']:.3g}"]

    training = found["training"]
    rows = [
        [f"training, {found['epochs']} epochs", *costs(training["energy"]), f"{training['top_1']:.2%}", *[""] * 4],
        [f"training, best epoch {found['best_epoch']}", *costs(found["training_until_best"]["energy"]), *[""] * 5],
    ]
    for name, row in found["steps"].items():
        right = "" if row["top_1"] is None else f"{row['top_1']:.2%}"
        ratios = (
            row[f"{kind}{once}"] for once in ("", "_with_decomposition") for kind in ("fixed_epochs", "best_epoch")
        )
        rows.append([name, *costs(row["energy"]), right, *(f"{ratio:.1f}x" for ratio in ratios)])
    headers = ("step", "seconds", "kWh", "kg CO2e", "top-1", "fixed epochs", "best epoch")
    text = common.markdown((*headers, "fixed, decomposition in", "best, decomposition in"), rows)
    parts = training["energy"]["parts"].values()
    sources = "Sources: " + "; ".join(part["source"] for part in parts) + "."
    remarks = [ESTIMATED] if found["is_estimate"] else []
    remarks += [UNFINISHED] if found["best_epoch"] == found["epochs"] else []
    return "\n".join([text, "", sources, *remarks])


def main() -> None:
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--network", default="cifar10-r20", choices=list(OTHER))
    arguments.add_argument("--pair", default=None, metavar="A,B", help="two classes; default: the first two")
    arguments.add_argument("--epochs", type=int, default=10)
    arguments.add_argument("--samples", type=int, default=1000, help="images of a class observed by decompose")
    arguments.add_argument("--quick", action="store_true", help="two epochs on few images; nothing is kept")
    options = arguments.parse_args()
    figures = figures_of(*run(options))
    if not options.quick:
        common.keep(options.out, f"footprint-{options.network}", figures)
    print(table(figures))


def run(options: argparse.Namespace) -> tuple[Training, dict[str, Step]]:
    data = common.MODELS[options.network]
    train, test = (common.images(options.data, data, split) for split in ("train", "test"))
    if options.quick:
        train, test = train.first(2000), test.first(1000)
    pair = options.pair.split(",") if options.pair else train.classes[:2]
    if len(pair) != 2 or not set(pair) <= set(train.classes):
        sys.exit(f"--pair {','.join(pair)}: give two of {', '.join(train.classes)}")
    model, other = (common.model(options.models, name) for name in (options.network, OTHER[options.network]))
    epochs, samples = (2, 50) if options.quick else (options.epochs, options.samples)
    return measured(model, other, train, test, pair, epochs=epochs, samples=samples)


if __name__ == "__main__":
    main()
