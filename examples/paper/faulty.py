"""A classifier with a faulty class, and how to measure what repairs it: the paper's Figure 1 (Pan & Rajan, ICSE 2022).

A case is a network that confuses two classes, a better network's modules for both, and modules of a network that knows
only these two. The pair is chosen on training images, so that the test images say nothing about what was chosen. The
case of digits is made on the spot; that of CIFAR-100 needs trained networks and images.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.data.images import ImageData, load_data
from modhub.demo.digits import load_digits
from modhub.ops.compose import compose
from modhub.ops.decompose import decompose
from modhub.package.module import Module
from modhub.spec.refs import slug_of

#: Top-1 and top-5 in the paper's Figure 1, in percent: the network, its modules, and the four options.
PAPER: Final = ((26.6, 50.4), (26.0, 50.4), (27.2, 54.6), (25.0, 50.4), (24.0, 48.2), (25.3, 50.8))

_FEW: Final = 4
_EPOCHS: Final = 6


@dataclass(frozen=True, eq=False)
class Case:
    """``pair`` names the faulty class, the one with the lower recall, and the class that it is confused with.

    ``modules`` are all of the faulty network's, ``better`` and ``two`` one module for each of the pair. ``answers``
    are the faulty network's own scores (N, classes) for the images of ``test``; ``confused`` is how many training
    images of the pair it takes for the other class.
    """

    pair: tuple[str, str]
    confused: int
    modules: Sequence[Module]
    better: Sequence[Module]
    two: Sequence[Module]
    two_network: str
    answers: NDArray[np.floating]
    test: ImageData


@dataclass(frozen=True)
class Figures:
    """Shares of right answers. ``top_1`` and ``top_5`` are means over all classes; the ``others`` leave out the images
    of the faulty class, which a classifier without it cannot answer. ``recalls`` are the pair's.
    """

    what: str
    top_1: float
    top_5: float
    others_top_1: float
    others_top_5: float
    recalls: tuple[float, float]


def hits(classes: Sequence[str], scores: NDArray[np.floating], test: ImageData) -> NDArray[np.bool_]:
    """Which images of ``test`` are right, and which among the best five, (2, N), by ``scores`` (N, classes)."""
    best = np.array(classes)[np.argsort(-scores, axis=1, kind="stable")[:, :5]]
    truth = test.labels
    return np.stack([best[:, 0] == truth, (best == truth[:, None]).any(axis=1)])


def measured(what: str, classes: Sequence[str], scores: NDArray[np.floating], case: Case) -> Figures:
    """``scores`` (N, classes) for the images of ``case.test``.

    Every class weighs the same, however many images it has.
    """
    truth, faulty = case.test.labels, case.pair[0]
    first, fifth = (
        {name: float(hit[truth == name].mean()) for name in case.test.classes}
        for hit in hits(classes, scores, case.test)
    )

    def mean(shares: dict[str, float], without: str | None = None) -> float:
        return float(np.mean([share for name, share in shares.items() if name != without]))

    recalls = first[faulty], first[case.pair[1]]
    return Figures(what, mean(first), mean(fifth), mean(first, faulty), mean(fifth, faulty), recalls)


def table(rows: Iterable[Figures], pair: Sequence[str]) -> str:
    """In percent, a line an option, with the paper's top-1 / top-5 behind it."""
    rows = list(rows)
    width = max(len(row.what) for row in rows)
    head = (f"without {pair[0]}", *(f"recall {name}" for name in pair), "the paper's")
    columns = max(17, *(len(name) + 2 for name in head))
    lines = [f"{'':{width}}" + "".join(f"{name:>{columns}}" for name in ("top-1 / top-5", *head))]
    for row, paper in zip(rows, PAPER, strict=True):
        tops = (row.top_1, row.top_5), (row.others_top_1, row.others_top_5)
        cells = [*(f"{100 * one:.1f} / {100 * five:.1f}" for one, five in tops)]
        cells += [*(f"{100 * recall:.1f}" for recall in row.recalls), f"{paper[0]} / {paper[1]}"]
        lines.append(f"{row.what:{width}}" + "".join(f"{cell:>{columns}}" for cell in cells))
    return "\n".join(lines)


def digits_case() -> Case:
    """Handwritten digits, of whose threes the faulty network has seen four. A minute at most."""
    from modhub.engine.training import predict_proba, train_small_cnn

    data = load_digits()
    own = np.flatnonzero(data.train.labels == "3")
    poor = data.train.take(np.setdiff1d(np.arange(len(data.train)), own[_FEW:]))
    faulty, good = (train_small_cnn(seen, seed=seed, epochs=_EPOCHS) for seed, seen in ((1, poor), (0, data.train)))
    pair, confused = confused_pair(predict_proba(faulty, data.train.x), data.train)
    two = data.train.restrict(pair)
    modules, better = (_decomposed(net, data.train, f"demo/{name}") for net, name in ((faulty, "poor"), (good, "good")))
    return Case(
        pair,
        confused,
        modules,
        [better[data.train.classes.index(name)] for name in pair],
        _decomposed(train_small_cnn(two, seed=0, epochs=_EPOCHS), two, "demo/two"),
        f"a small network trained on {len(two)} images",
        predict_proba(faulty, data.test.x),
        data.test,
    )


def cifar100_case(models: Path, data: Path, *, each: int = 10, epochs: int = 60) -> Case:
    """``cifar100-r32`` is faulty; better are the starter registry's modules of ``cifar100-r20``.

    ``models`` holds the .keras file, ``data`` cifar100_train.npz and cifar100_test.npz. Measured on ``each`` test
    images a class, and all of the pair's; decomposed, and the pair chosen, with 50 training images a class.
    """
    from modhub.engine.read.files import load_model

    train, test = (load_data(data / f"cifar100_{split}.npz") for split in ("train", "test"))
    faulty = load_model(models / "cifar100-r32.keras")

    def better(pair: Sequence[str]) -> Sequence[Module]:
        return compose([f"cifar100/r20:{slug_of(name)}" for name in pair]).modules

    return case_of(faulty, better, train, test, each=each, epochs=epochs, name="cifar100/r32")


def case_of(
    faulty: Any,
    better: Callable[[Sequence[str]], Sequence[Module]],
    train: ImageData,
    test: ImageData,
    *,
    each: int = 10,
    epochs: int = 60,
    observed: int = 50,
    name: str = "paper/faulty",
) -> Case:
    """The case of a keras model that takes raw images times 1/255; ``better`` gives modules for the pair's names.

    Measured on ``each`` test images a class, and all of the pair's; decomposed, and the pair chosen, with the first
    ``observed`` training images of a class. A small ResNet, fitted for ``epochs``, knows the pair alone.
    """
    from examples.paper.residual_training import probabilities, train_small_resnet

    some = train.take(
        np.concatenate([np.flatnonzero(train.y == label)[:observed] for label in range(len(train.classes))])
    )
    pair, confused = confused_pair(probabilities(faulty, some.x), some)
    two = train.restrict(pair)
    network, fitted = train_small_resnet(two, epochs=epochs)
    chosen = [np.flatnonzero(test.labels == name)[: None if name in pair else each] for name in test.classes]
    test = test.take(np.concatenate(chosen))
    return Case(
        pair,
        confused,
        _decomposed(faulty, some, name),
        better(pair),
        _decomposed(network, two, "pair/resnet"),
        f"a small ResNet trained on {len(two)} images; right on {fitted.share:.1%} of those it was fitted to, on "
        f"{fitted.held_out:.1%} of those held out",
        probabilities(faulty, test.x),
        test,
    )


def confused_pair(scores: NDArray[np.floating], data: ImageData) -> tuple[tuple[str, str], int]:
    """The two classes that are most often taken for each other, that of the lower recall first, and how often.

    ``scores`` (N, classes) for the images of ``data``.
    """
    count = len(data.classes)
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (data.y, scores.argmax(axis=1)), 1)
    recalls = np.diag(matrix) / np.maximum(1, matrix.sum(axis=1))
    both = np.where(np.tri(count, dtype=bool), -1, matrix + matrix.T)
    one, other = np.unravel_index(both.argmax(), both.shape)
    faulty, healthy = sorted((int(one), int(other)), key=lambda label: recalls[label])
    return (data.classes[faulty], data.classes[healthy]), int(both.max())


def _decomposed(network: Any, data: ImageData, name: str) -> tuple[Module, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return decompose(network, data.x, data.y, classes=data.classes, name=name, rescale=1 / 255).modules
