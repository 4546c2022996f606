"""What all commands of the study share: networks, images, cells, intervals and pages.

A command is ``python examples/paper/table_1.py --data DATA``. It measures the cells that are missing, prints its table
and fills it into ``docs/study/``. Ctrl-C or a kill loses the cell that was being measured and no other.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import common
from cells import Cells, Figures, NotMeasured
from common import markdown as markdown
from tiny_imagenet import tiny_imagenet

from modhub.data.images import ImageData, load_data
from modhub.errors import ModhubError, NotFound, UsageError

#: Test images of each class, unless ``--images`` says otherwise: what the whole study does in an hour on 2 cores.
USUAL_IMAGES = {"cifar10": 500, "cifar100": 10, "imagenet200": 3}
#: The network of each data set that stands for it where the paper takes one: its smallest.
FIRST = {"cifar10": "cifar10-r20", "cifar100": "cifar100-r20", "imagenet200": "imagenet200-r20"}
BOOTSTRAPS = 2000


@dataclass(frozen=True, eq=False)
class Data:
    """One data set: images to decompose, fit and choose with, images to measure with. ``digest`` covers both."""

    name: str
    train: ImageData
    test: ImageData

    @cached_property
    def digest(self) -> str:
        whole = hashlib.sha256()
        for part in (self.train, self.test):
            for array in (part.x, part.y):
                whole.update(np.ascontiguousarray(array).data)
        return whole.hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and its data set. ``load`` reads or makes the keras model; ``digest`` distinguishes
    networks."""

    name: str
    data: Data
    load: Callable[[], Any]
    digest: str

    @property
    def made_of(self) -> dict[str, str]:
        """What every figure of this network depends on."""
        return {"network": self.digest, "data": self.data.digest}

    @cached_property
    def origin(self) -> Any:
        """The modhub Origin of the network."""
        return common.origin_of(self.load(), self.name, self.data.train)


@dataclass(eq=False)
class Study:
    """One run of one command or of several: the options, the cells, the networks by name."""

    options: argparse.Namespace
    cells: Cells
    out: Path
    networks: dict[str, Trained] = field(default_factory=dict)

    def cell(
        self, table: str, key: Mapping[str, Any], networks: Sequence[Trained], measure: Callable[[], Figures]
    ) -> Figures:
        """The figures of one cell. ``key`` has its settings; what the networks and images are is added to it."""
        return self.cells.figures(table, self._whole_key(key, networks), measure)

    def has_cell(self, table: str, key: Mapping[str, Any], networks: Sequence[Trained]) -> bool:
        """Whether the cell was measured before."""
        return self.cells.file(table, self._whole_key(key, networks)).exists()

    def _whole_key(self, key: Mapping[str, Any], networks: Sequence[Trained]) -> dict[str, Any]:
        return {**key, "made_of": {network.name: network.made_of for network in networks}}

    def test_images(self, network: Trained) -> ImageData:
        """The images that figures of this network are measured with: the first of each class, by class."""
        test = network.data.test
        return first_of_each(test, range(len(test.classes)), self.each(network))

    def each(self, network: Trained) -> int:
        """How many test images of a class are used."""
        most = int(np.bincount(network.data.test.y).max())
        return min(most, self.options.images or USUAL_IMAGES.get(network.data.name, most))

    def need(self, *names: str) -> list[Trained]:
        """The networks of these names; NotFound says which there are."""
        missing = [name for name in names if name not in self.networks]
        if missing:
            raise NotFound(
                f"the study needs the network {missing[0]}, which is not in {self.options.models}.",
                kind="network-not-found",
                hint="name the folder of trained networks with --models, or train it: examples/paper/train.py.",
                network=missing[0],
            )
        return [self.networks[name] for name in names]


def first_of_each(data: ImageData, classes: Sequence[int] | range, each: int | None) -> ImageData:
    """The first ``each`` images of the classes, in the order of the classes; labels as they were."""
    return data.take(np.concatenate([np.flatnonzero(data.y == label)[:each] for label in classes]))


# Command line


def parser(doc: str) -> argparse.ArgumentParser:
    """The options that every command of the study has."""
    result = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = result.add_argument
    add("--data", help="folder of NAME_train.npz and NAME_test.npz, or 'keras': CIFAR from keras.datasets")
    add("--tiny-imagenet", type=Path, metavar="FOLDER", help="a Tiny ImageNet folder, instead of imagenet200_*.npz")
    add("--models", type=Path, default=ROOT.parent / "shared" / "models", help="folder of DATASET-NETWORK.keras files")
    add("--networks", nargs="*", metavar="NAME", help="only these; default: all in the folder")
    add("--images", type=int, metavar="N", help="test images of a class; default: what makes an hour in all")
    add("--out", type=Path, default=ROOT / "docs" / "study", help="folder of the pages, plots and cells")
    add("--draw", action="store_true", help="measure nothing, draw the pages from the cells there are")
    add("--quick", action="store_true", help="small networks trained on the spot; keeps nothing unless --out is given")
    return result


def run(arguments: argparse.ArgumentParser, command: Callable[[Study], str]) -> None:
    """Parse, open the study, run, print; every failure is a line and an exit code."""
    options = arguments.parse_args()
    try:
        with Opened(options, "--out" in sys.argv) as study:
            print(command(study))
    except KeyboardInterrupt:
        sys.exit("stopped; what was measured is kept, and the same command goes on from there.")
    except NotMeasured as missing:
        sys.exit(f"not measured yet: {missing}. Run without --draw.")
    except ModhubError as error:
        sys.exit(f"error: {error}")


class Opened:
    """A Study for the options; a quick one lives in a folder that goes away with it."""

    def __init__(self, options: argparse.Namespace, out_given: bool) -> None:
        self.options, self.out_given = options, out_given

    def __enter__(self) -> Study:
        import tempfile

        self._folder = tempfile.TemporaryDirectory()
        options = self.options
        if options.images is not None and options.images < 1:
            raise UsageError(f"--images {options.images}: give at least 1.", images=options.images)
        out = Path(self._folder.name) if options.quick and not self.out_given else options.out
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file.", kind="not-a-folder", hint="name a folder with --out.", path=str(out))
        study = Study(options, Cells(out / "cells", options.draw), out)
        study.networks = quick_networks() if options.quick else dict(networks(options))
        if unknown := sorted(set(options.networks or ()) - set(study.networks)):
            raise UsageError(
                f"there is no network {unknown[0]} in {options.models}.",
                hint=f"there are {', '.join(study.networks)}.",
                network=unknown[0],
            )
        return study

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


# Networks and images


def networks(options: argparse.Namespace) -> Iterator[tuple[str, Trained]]:
    """Every DATASET-NETWORK.keras of the folder whose data set can be had, by name."""
    if options.data is None and not options.draw:
        raise UsageError("no images: give --data FOLDER, --data keras, or --quick for a small run without any.")
    files = sorted(options.models.glob("*-*.keras"))
    if not files:
        raise NotFound(f"there is no DATASET-NETWORK.keras in {options.models}.", hint="name a folder with --models.")
    data: dict[str, Data] = {}
    for file in files:
        name = file.stem.split("-")[0]
        if name not in data:
            data[name] = dataset(options, name)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        yield file.stem, Trained(file.stem, data[name], lambda file=file: common.model(file.parent, file.stem), digest)


def dataset(options: argparse.Namespace, name: str) -> Data:
    """A data set from where the options say it is."""
    if name == "imagenet200" and options.tiny_imagenet:
        return Data(name, *(tiny_imagenet(options.tiny_imagenet, split) for split in ("train", "test")))
    if options.data == "keras":
        from modhub.engine.datasets import load_dataset

        return Data(name, *(load_dataset(name, split) for split in ("train", "test")))  # type: ignore[arg-type]
    return Data(name, *(load_data(Path(options.data or ".") / f"{name}_{split}.npz") for split in ("train", "test")))


def quick_networks() -> dict[str, Trained]:
    """Digits, digits of whose threes the network saw four images, and letters: a minute, and no images needed.

    A network is trained where it is first asked for.
    """
    from modhub.demo.digits import load_digits
    from modhub.demo.letters import load_letters
    from modhub.engine.training import train_small_cnn

    digits, letters = (load() for load in (load_digits, load_letters))
    own = np.flatnonzero(digits.train.labels == "3")
    few = digits.train.take(np.setdiff1d(np.arange(len(digits.train)), own[4:]))
    result = {}
    made = {
        "digits-good": (digits, digits.train),
        "digits-poor": (digits, few),
        "letters-good": (letters, letters.train),
    }
    for seed, (name, (data, train)) in enumerate(made.items()):
        load = cache(partial(train_small_cnn, train, seed=seed, epochs=4))
        result[name] = Trained(name, Data(name.split("-")[0], data.train, data.test), load, f"seed {seed}")
    return result


# Figures


def mean(values: Any) -> Figures:
    """The mean of ``values`` (N,) with its 95 % interval, by bootstrap over them."""
    random, values = np.random.default_rng(0), np.asarray(values, float)
    means = [values[random.integers(0, len(values), len(values))].mean() for _ in range(BOOTSTRAPS)]
    return {"mean": float(values.mean()), "interval": [float(bound) for bound in np.quantile(means, (0.025, 0.975))]}


def top_hits(margins: Any, labels: Any) -> tuple[Any, Any]:
    """Which images are right, and which among the best five; (N,) each."""
    order = np.argsort(-margins, axis=1, kind="stable")[:, :5]
    return order[:, 0] == labels, (order == labels[:, None]).any(axis=1)


def share(value: Figures) -> str:
    """A share as percent with its interval."""
    low, high = value["interval"]
    return f"{100 * value['mean']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def points(value: Figures) -> str:
    """A difference of shares in points, with its interval."""
    low, high = value["interval"]
    return f"{100 * value['mean']:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


# Pages


def fill(page: Path, title: str, parts: Mapping[str, str]) -> str:
    """Put ``parts`` between the marks of ``page`` that name them; the text around them is written by hand and stays.

    A page that is not there yet begins with ``title``; a part without a mark comes at its end. Returns all parts.
    """
    text = page.read_text() if page.exists() else f"# {title}\n"
    for name, part in parts.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
        if not count:
            text += f"\n<!-- {name} -->\n\n{part}\n\n<!-- end -->\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text)
    return "\n\n".join(parts.values())
