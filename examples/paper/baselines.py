#!/usr/bin/env python3
"""Train the two-class networks that Tables 2 and 3 compare composites with.

    python examples/paper/baselines.py --data DATA [--train-minutes 25] [--kinds cifar10 ...]
    python examples/paper/baselines.py --quick

The pairs are drawn by a seed before anything is measured, a cell is one network, and the data sets take turns. No
network is begun after the minutes are over; the same command goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cells import NotMeasured
from study import FIRST, Figures, Study, Trained, fill, markdown, parser, run

from modhub.errors import UsageError

#: Epochs for each kind of pair: 360 to 750 steps with the images of a fifth of CIFAR-10 and the like.
EPOCHS = {"cifar10": 15, "cifar100": 60, "imagenet200": 120, "cifar10 + cifar100": 25}
BATCH = {"cifar10": 32, "cifar100": 8, "imagenet200": 8, "cifar10 + cifar100": 32}
#: Of any other data set, such as those of a quick run.
OTHER_EPOCHS, OTHER_BATCH = 6, 32
SEED = 0
PAIRS, QUICK_PAIRS = 3, 1

Class = tuple[str, int]
Pair = tuple[Class, Class]


@dataclass(frozen=True, eq=False)
class Job:
    """One network to train: a pair of classes, the architecture to train, and the networks whose data it takes."""

    kind: str
    names: tuple[str, str]
    pair: Pair
    networks: Sequence[Trained]

    @property
    def key(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "pair": " + ".join(self.names),
            "network": self.networks[0].name,
            "epochs": EPOCHS.get(self.kind, OTHER_EPOCHS),
            "batch": BATCH.get(self.kind, OTHER_BATCH),
            "seed": SEED,
        }


def main() -> None:
    arguments = parser(__doc__ or "")
    options(arguments)
    run(arguments, command)


def options(arguments: Any) -> None:
    add = arguments.add_argument
    add("--train-minutes", type=float, default=25.0, help="begin no network after this time; default: 25")
    add("--kinds", nargs="*", metavar="KIND", help="a data set, or 'one + other'; default: all")


def command(study: Study) -> str:
    every, chosen = list(jobs(study)), getattr(study.options, "kinds", None)
    kinds = list(dict.fromkeys(job.kind for job in every))
    if unknown := sorted(set(chosen or ()) - set(kinds)):
        raise UsageError(f"there are no pairs of {unknown[0]}.", hint=f"there are {', '.join(kinds)}.", kind="no-kind")
    stop = time.monotonic() + 60 * study.options.train_minutes
    for job in every:
        if study.cells.draw_only or time.monotonic() > stop or (chosen and job.kind not in chosen):
            continue
        study.cell("baselines", job.key, job.networks, lambda job=job: trained(job))  # type: ignore[misc]
    return write(study)


def trained(job: Job) -> Figures:
    import two_class

    by_data = {network.data.name: network.data for network in job.networks}
    parts = [
        [
            split.x[split.y == label]
            for split, label in ((getattr(by_data[name], which), label) for name, label in job.pair)
        ]
        for which in ("train", "test")
    ]
    settings = {name: job.key[name] for name in ("epochs", "seed", "batch")}
    return two_class.train(job.networks[0].load(), two_class.TwoClasses.of(*parts), **settings)


# Which pairs


def drawn(datasets: Sequence[str], classes: dict[str, int], count: int) -> list[Pair]:
    """``count`` different pairs of classes, or as many as there are, seeded.

    Both classes are of one data set, or one is of each of two.
    """
    sizes = [classes[name] for name in datasets]
    count = min(count, sizes[0] * (sizes[0] - 1) // 2 if len(sizes) == 1 else sizes[0] * sizes[1])
    random = np.random.default_rng([SEED, *(ord(letter) for letter in "".join(datasets))])
    found: list[Pair] = []
    while len(found) < count:
        if len(datasets) == 1:
            name = datasets[0]
            one, other = sorted(random.choice(classes[name], 2, replace=False).tolist())
            pair = (name, one), (name, other)
        else:
            first, second = datasets
            pair = (first, int(random.integers(classes[first]))), (second, int(random.integers(classes[second])))
        if pair not in found:
            found.append(pair)
    return found


def baselines_of(study: Study) -> dict[str, Trained]:
    """The network of each data set that pairs are trained with: the paper's smallest, where it is there."""
    result: dict[str, Trained] = {}
    for name, network in study.networks.items():
        if network.data.name not in result or FIRST.get(network.data.name) == name:
            result[network.data.name] = network
    return result


def jobs(study: Study) -> Iterator[Job]:
    """Every network to train, one of each kind at a time: pairs of each data set, and of the first two together."""
    networks = baselines_of(study)
    sizes = {name: len(network.data.test.classes) for name, network in networks.items()}
    kinds: list[list[str]] = [[name] for name in networks]
    if len(networks) > 1:
        kinds.append(list(networks)[:2])
    count = QUICK_PAIRS if study.options.quick else PAIRS
    pairs = {" + ".join(kind): drawn(kind, sizes, count) for kind in kinds}
    for number in range(count):
        for kind in kinds:
            name = " + ".join(kind)
            if number < len(pairs[name]):
                pair = pairs[name][number]
                (one, first), (other, second) = pair
                names = networks[one].data.test.classes[first], networks[other].data.test.classes[second]
                yield Job(name, names, pair, [networks[data] for data in kind])


def measured(study: Study) -> list[tuple[Job, Figures]]:
    """The networks that were trained, in this run or before."""
    earlier = replace(study, cells=replace(study.cells, draw_only=True))
    found = []
    for job in jobs(study):
        try:
            found.append((job, earlier.cell("baselines", job.key, job.networks, dict)))
        except NotMeasured:
            continue
    return found


# The page


def write(study: Study) -> str:
    found = measured(study)
    if found:
        draw(found, study.out / "baselines.png")
    every = len(list(jobs(study)))
    more = f"\n\nNot trained yet: {every - len(found)} of {every}." if len(found) < every else ""
    part = {"the trained networks": table(found) + more}
    return fill(study.out / "baselines.md", "The networks trained on two classes", part)


def table(found: Sequence[tuple[Job, Figures]]) -> str:
    rows = []
    for job, cell in found:
        key = job.key
        rows.append((
            f"{job.kind}: {key['pair']}", key["network"], " + ".join(str(count) for count in cell["images"]),
            f"{cell['best_epoch']} of {key['epochs']}", f"{100 * cell['fitted']:.1f}", f"{100 * cell['held_out']:.1f}",
            f"{100 * sum(cell['recalls']) / 2:.1f}", cell["test_images"], verdict(cell),
        ))  # fmt: skip
    headers = (
        "pair", "architecture", "training images", "best epoch", "recall on the fitted images", "on those held out",
        "balanced accuracy", "test images", "",
    )  # fmt: skip
    return markdown(headers, rows)


def verdict(cell: Figures) -> str:
    """What is printed beside a network's figures."""
    notes = ["undertrained: no baseline"] if cell["undertrained"] else []
    if cell["curve"] is None:
        notes.append("its curve was not kept")
    return "; ".join(notes)


def draw(found: Sequence[tuple[Job, Figures]], path: Any) -> None:
    """The mean recall on the held-out images after every epoch, a small plot for each kind of pair."""
    from modhub.plots.drawing import ACCENT, FAINT, INK, STRONG, check_matplotlib_installed, look, new_figure, save

    check_matplotlib_installed()
    kinds = list(dict.fromkeys(job.kind for job, _ in found))
    with look():
        figure = new_figure(8, 1.9 * -(-len(kinds) // 2) + 0.5)
        every = np.atleast_1d(figure.subplots(-(-len(kinds) // 2), min(2, len(kinds)), sharey=True)).ravel()
        for place, axes in enumerate(every):
            if place >= len(kinds):
                axes.set_visible(False)
                continue
            own = [one for one in found if one[0].kind == kinds[place]]
            for (job, cell), color in zip(own, (STRONG, ACCENT, INK), strict=False):
                curve, best = cell["curve"] or [], (cell["best_epoch"], 100 * cell["held_out"])
                axes.plot(range(1, len(curve) + 1), [100 * share for share in curve], color=color, linewidth=1)
                axes.plot(*best, "o", color=color, markersize=4, label=job.key["pair"])
            axes.axhline(50, color=FAINT, linewidth=0.8, zorder=0)
            axes.set_xlim(0, max(job.key["epochs"] for job, _ in own) + 1)
            axes.set_ylim(40, 101)
            axes.set_title(kinds[place])
            axes.legend(loc="lower right", fontsize=7)
            axes.set_xlabel("epoch; the dot is the one that was kept")
        every[0].set_ylabel("held-out recall, %")
        save(figure, path)


if __name__ == "__main__":
    main()
