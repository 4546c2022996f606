#!/usr/bin/env python3
"""How time and memory grow with registries, releases and composites, and the slopes; everything is made up on the spot.

    python benchmarks/growth.py [--short] [--only releases classes modules]

releases: a folder registry of 10 to 10,000 releases; publish one more, resolve and install one class, search.
classes: a release of 10 to 1,000 classes; decompose, publish, install all, compose all.
modules: a composite of 2 to 200 modules of one network, each with masks of its own; compose it, predict 256 images,
isolated and fused.

Every point is a process of its own, which makes its world, works once to warm up, then five times; the median counts,
and what its peak memory grew by. A slope is that of log time against log size: 1 is proportional. "At the end" is
between the last two.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import registries
import scale

SIZES = {
    "releases": (10, 100, 1000, 10_000),
    "classes": (10, 30, 100, 300, 1000),
    "modules": (2, 5, 10, 20, 50, 100, 200),
}
SHORT = {"releases": (10, 40), "classes": (4, 8), "modules": (2, 4)}
ROUNDS = 5
IMAGES = 256

Work = Callable[[], Any]


@contextmanager
def releases(size: int) -> Iterator[dict[str, Work]]:
    """Works on a registry of ``size`` releases, ten versions a model."""
    import modhub

    with ExitStack() as stack:
        stack.enter_context(registries.own_home())
        root = stack.enter_context(registries.folder())
        models = max(1, size // 10)
        shape = scale.Shape(max(1, models // 10), min(models, 10), min(size, 10))
        scale.build(root, shape)
        decomposition = decomposed(3)
        number = count(1)
        cls = scale._class_of(shape)
        where = {"registry": str(root), "cache": str(root / "cache")}
        yield {
            "publish": lambda: modhub.publish(decomposition, version=f"1.0.{next(number)}", registry=str(root)),
            "resolve": lambda: scale.resolve([shape.middle], [scale.Registry(scale.open_store(str(root)))], {}),
            "install one class": lambda: modhub.install([f"{shape.middle}:{cls}"], **where),
            "search": lambda: modhub.search(scale.WORD, registry=str(root)),
        }


@contextmanager
def classes(size: int) -> Iterator[dict[str, Work]]:
    """Works on a release of ``size`` classes."""
    import modhub

    with ExitStack() as stack:
        stack.enter_context(registries.own_home())
        root = stack.enter_context(registries.folder())
        data, model = prototypes(size), network(size)
        decomposition = decomposed(size)
        modhub.publish(decomposition, version="1.0.0", registry=str(root / "registry"))
        number = count(1)

        def install() -> Any:
            cache = root / f"cache-{next(number)}"
            return modhub.install(["made/up"], registry=str(root / "first"), cache=str(cache))

        modhub.publish(decomposition, version="1.0.0", registry=str(root / "first"))
        yield {
            "decompose": lambda: modhub.decompose(model, *data, classes=names(size), name="made/up"),
            "publish": lambda: modhub.publish(
                decomposition, version=f"1.1.{next(number)}", registry=str(root / "registry")
            ),
            "install": install,
            "compose": lambda: modhub.compose(["made/up"], registry=str(root / "first"), cache=str(root / "cache-1")),
        }


@contextmanager
def modules(size: int) -> Iterator[dict[str, Work]]:
    """Works on a composite of ``size`` modules that keep nine tenths of their nodes, each others."""
    import modhub
    from tests.small_origins import with_random_masks

    every = [with_random_masks(module, module.index, 0.9) for module in decomposed(200).modules[:size]]
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, *_INPUT)).astype(np.uint8)
    isolated, fused = (modhub.compose(every, mode=mode) for mode in ("isolated", "fused"))
    yield {
        "compose": lambda: modhub.compose(every),
        "predict, isolated": lambda: isolated.predict(images),
        "predict, fused": lambda: fused.predict(images),
    }


WORLDS = {"releases": releases, "classes": classes, "modules": modules}

_INPUT = (12, 12, 3)
_EACH = 3


def names(size: int) -> list[str]:
    return [f"class {number}" for number in range(size)]


def prototypes(size: int) -> tuple[Any, Any]:
    """Images (N, 12, 12, 3) uint8 around one random prototype a class, and labels."""
    random = np.random.default_rng(0)
    centres = random.integers(30, 226, (size, *_INPUT))
    y = random.permutation(np.repeat(np.arange(size), _EACH))
    return (centres[y] + random.integers(-20, 21, (len(y), *_INPUT))).astype(np.uint8), y


def network(size: int) -> Any:
    """A small network with random features whose head is fitted to the prototypes."""
    from tests.small_origins import Data, fitted_model

    x, y = prototypes(size)
    return fitted_model(Data(x, y, tuple(names(size))), features, rescale=1.0)


def features(image: Any) -> Any:
    import keras

    layers = keras.layers
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(24, 3, strides=2, padding="same", activation="relu")(x)
    return layers.Flatten()(x)


def decomposed(size: int) -> Any:
    """All classes of such a network as modules."""
    import warnings

    import modhub

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return modhub.decompose(network(size), *prototypes(size), classes=names(size), name="made/up")


def point(what: str, size: int, rounds: int) -> dict[str, Any]:
    """Median seconds, and MiB that the peak grew by, of each work at one size."""
    found = {}
    with WORLDS[what](size) as works:
        for name, work in works.items():
            before = peak()
            work()
            seconds = []
            for _ in range(rounds):
                started = time.perf_counter()
                work()
                seconds.append(time.perf_counter() - started)
            found[name] = {"seconds": statistics.median(seconds), "mib": peak() - before}
    return found


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Of log value against log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def table(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    rows = []
    for what, points in found.items():
        sizes = sorted(map(int, points))
        for work in points[str(sizes[0])]:
            seconds = [points[str(size)][work]["seconds"] for size in sizes]
            memory = [points[str(size)][work]["mib"] for size in sizes]
            rows.append((
                f"{what}: {work}", f"{sizes[0]} to {sizes[-1]}",
                *(f"{1000 * one:.1f}" for one in (seconds[0], seconds[-1])),
                f"{slope(sizes, seconds):.2f}", f"{slope(sizes[-2:], seconds[-2:]):.2f}",
                f"{memory[0]:.0f}", f"{memory[-1]:.0f}",
            ))  # fmt: skip
    headers = ("of", "size", "least, ms", "most, ms", "slope", "at the end", "least, MiB more", "most, MiB more")
    return common.markdown(headers, rows)


def draw(found: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """Time above, memory below, a column a kind of size."""
    from modhub.plots.drawing import FAINT, look, new_figure, save

    with look():
        figure = new_figure(4 * len(found), 6)
        grid = figure.subplots(2, len(found), squeeze=False)
        for column, (what, points) in enumerate(found.items()):
            sizes = sorted(map(int, points))
            for row, (unit, label) in enumerate((("seconds", "seconds"), ("mib", "MiB more at the peak"))):
                axes = grid[row][column]
                for work in points[str(sizes[0])]:
                    values = [points[str(size)][work][unit] for size in sizes]
                    axes.plot(sizes, values, "o-", markersize=3, linewidth=1.2, label=work)
                axes.set(
                    xscale="log",
                    yscale="linear" if row else "log",
                    ylabel=label if not column else "",
                    xlabel=what if row else "",
                )
                for axis in (axes.xaxis, axes.yaxis):
                    axis.set_major_formatter(lambda value, _: f"{value:g}")
                    axis.set_minor_formatter(lambda *_: "")
                axes.grid(color=FAINT, linewidth=0.3)
                if not row:
                    axes.legend(fontsize=7)
                    axes.set_title(f"{what}: {sizes[0]} to {sizes[-1]}")
        save(figure, path)


def main() -> None:
    arguments = registries.parser(__doc__ or "")
    arguments.add_argument("--only", nargs="*", choices=list(WORLDS), default=list(WORLDS))
    arguments.add_argument("--point", nargs=3, metavar=("WHAT", "SIZE", "ROUNDS"), help="one point, as JSON")
    options = arguments.parse_args()
    if options.point:
        what, size, rounds = options.point
        print(json.dumps(point(what, int(size), int(rounds))))
        return
    kept = options.out / "growth.json"
    found = json.loads(kept.read_text())["figures"] if kept.exists() and not options.short else {}
    for what in options.only:
        found[what] = {}
        for size in (SHORT if options.short else SIZES)[what]:
            command = [sys.executable, __file__, "--point", what, str(size), "1" if options.short else str(ROUNDS)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[what][str(size)] = json.loads(done.stdout.splitlines()[-1])
            print(what, size, found[what][str(size)], file=sys.stderr, flush=True)
    found = {what: found[what] for what in WORLDS if what in found}
    if not options.short:
        common.keep(options.out, "growth", found)
        draw(found, common.ROOT / "docs" / "growth.png")
    print(table(found))


if __name__ == "__main__":
    sys.path.insert(0, str(common.ROOT))
    main()
