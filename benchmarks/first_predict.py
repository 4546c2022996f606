#!/usr/bin/env python3
"""The first answer of a fresh process: ten modules composed and asked, beside loading their network with Keras.

    python benchmarks/first_predict.py [--only resnet50 vgg16] [--runs 5] [--keep FOLDER]

Contenders answer the same 30 images of 32 x 32, each in a process of its own, in alternating turns, ``--runs`` times;
the table shows medians and the medians of the ratios of a turn.

- keras: ``keras.saving.load_model`` of the network's .keras file, then ``predict`` on images that were scaled before.
- modhub, one mask: ``compose`` of the names of its ten modules, which are installed, then ``predict``. All modules keep
  what one of them keeps, so that the network runs once: the least that there can be.
- modhub, ten masks: the same of modules that observed few images. Masks differ from the first site on and every image
  meets nodes that every module lacks, so that the network runs ten times where Keras runs it once: the most.

Everything counts, from the start of Python to its end: seconds by the clock, seconds of processors (user and system, by
which a busy machine is less noticed), and the peak of resident memory. Networks are keras.applications' ResNet50 and
VGG16 for ten classes, with random weights and a head fitted by least squares. Every byte that modhub reads is verified.

``--keep`` keeps what was prepared (networks, registry, cache) in a folder, and uses it where it is there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import peers

NETWORKS = {"resnet50": "ResNet50", "vgg16": "VGG16"}
CLASSES = 10
IMAGES = 30
#: Images of a class that modules observe: few, because masks differ most then.
OBSERVED = 20
#: By the clock, of processors (both seconds), and of memory (bytes).
MEASURES = ("wall", "cpu", "peak")
CONTENDERS = ("keras", "modhub, one mask", "modhub, ten masks")
#: Versions of the release whose modules are asked.
VERSIONS = {"modhub, one mask": "2.0.0", "modhub, ten masks": "1.0.0"}


def patterns(count: int, seed: int) -> tuple[Any, Any]:
    """Images uint8 (N, 32, 32, 3), ``count`` of each class: the class's coarse pattern and noise; labels (N,)."""
    coarse = np.random.default_rng(0).uniform(0, 255, (CLASSES, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    noise = np.random.default_rng(seed).normal(0, 40, (count * CLASSES, 32, 32, 3))
    labels = np.tile(np.arange(CLASSES), count)
    return (coarse[labels] + noise).clip(0, 255).astype(np.uint8), labels


def prepare(network: str, folder: Path) -> None:
    """The network's file, its modules in a registry and in a cache, and the images to answer."""
    import keras

    import modhub
    from modhub.engine.run.masks import union_of
    from modhub.package.decomposition import with_digests
    from modhub.package.module import PackedMasks

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, NETWORKS[network])(weights=None, classes=CLASSES, input_shape=(32, 32, 3))
    x, y = patterns(OBSERVED, 1)
    head = model.layers[-1]
    features = keras.Model(model.inputs, head.input).predict(x.astype("float32") / 255, verbose=0)
    centre = features.mean(axis=0, dtype=np.float64)
    spread = features - centre
    inner = spread @ spread.T
    wanted = np.eye(CLASSES)[y] - 1 / CLASSES
    kernel = spread.T @ np.linalg.solve(inner + 1e-3 * np.trace(inner) / len(inner) * np.eye(len(inner)), wanted)
    head.set_weights([10 * kernel, -10 * centre @ kernel])
    model.save(folder / "origin.keras")
    names = tuple(f"class {label}" for label in range(CLASSES))
    made = modhub.decompose(model, x, y, classes=names, name=peers.NAME, rescale=1 / 255, samples_per_class=OBSERVED)
    kept = PackedMasks.of(union_of(made.modules))
    one_mask = replace(made, modules=with_digests([replace(module, keep=kept) for module in made.modules]))
    registry = str(folder / "registry")
    for version, each in (("1.0.0", made), ("2.0.0", one_mask)):
        modhub.publish(each, version=version, registry=registry)
        modhub.install(f"{peers.NAME}@{version}", registry=registry, cache=folder / "cache")
    np.save(folder / "images.npy", patterns(IMAGES // CLASSES, 2)[0])


def ask_keras(folder: Path, images: Any) -> Any:
    import keras

    model = keras.saving.load_model(folder / "origin.keras")
    return model.predict(images.astype("float32") / np.float32(255), verbose=0)


def ask_modhub(folder: Path, images: Any, version: str) -> Any:
    from modhub import compose

    names = [f"{peers.NAME}:class-{label}@{version}" for label in range(CLASSES)]
    composite = compose(names, registry=str(folder / "registry"), cache=folder / "cache")
    return composite.predict(images).margins


def in_process(contender: str, folder: Path) -> dict[str, Any]:
    """One fresh process: its seconds by the clock and of processors, its peak in bytes, the class numbers."""
    before, started = os.times(), time.perf_counter()
    child = [sys.executable, __file__, "--child", contender, str(folder)]
    done = subprocess.run(child, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": wall, "cpu": cpu, **json.loads(done.stdout.splitlines()[-1])}


def measured(folder: Path, runs: int) -> dict[str, Any]:
    """What each contender took in every run, the first, in which files are read for the first time, left out."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for number in range(runs + 1):
        order = CONTENDERS if number % 2 else CONTENDERS[::-1]
        for name in order:
            result = in_process(name, folder)
            if number:
                found[name].append(result)
    yardstick = found["keras"]
    return {
        name: {
            "median": {what: statistics.median(run[what] for run in runs) for what in MEASURES},
            "ratio": {
                what: statistics.median(own[what] / other[what] for own, other in zip(runs, yardstick, strict=True))
                for what in MEASURES
            },
            "equal_labels": float(np.equal(runs[0]["labels"], yardstick[0]["labels"]).mean()),
        }
        for name, runs in found.items()
    }


def table(figures: dict[str, Any]) -> str:
    rows = []
    for network, found in figures.items():
        for name, own in found.items():
            wall, cpu, peak = (own["median"][what] for what in MEASURES)
            ratios = (f"{own['ratio'][what]:.2f}" for what in MEASURES)
            rows.append((f"{network}, {name}", f"{wall:.2f}", f"{cpu:.2f}", f"{peak / peers.MIB:.0f}", *ratios))
    headers = ("first answer", "seconds", "processor seconds", "peak MiB", "ratio", "of processors", "of memory")
    return common.markdown(headers, rows)


def child(contender: str, folder: Path) -> None:
    images = np.load(folder / "images.npy")
    answers = ask_keras(folder, images) if contender == "keras" else ask_modhub(folder, images, VERSIONS[contender])
    print(json.dumps({"peak": peers.peak(), "labels": answers.argmax(axis=1).tolist()}))


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
        return
    if sys.argv[1:2] == ["--prepare"]:
        prepare(sys.argv[2], Path(sys.argv[3]))
        return
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--keep", type=Path, help="folder for what was prepared")
    arguments.add_argument("--out", type=Path, default=common.ROOT / "benchmarks" / "results")
    options = arguments.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        for network in options.only:
            folder = (options.keep or Path(name)) / network
            if not (folder / "images.npy").is_file():
                folder.mkdir(parents=True, exist_ok=True)
                # In a process of its own, so that what it takes is not counted.
                subprocess.run([sys.executable, __file__, "--prepare", network, str(folder)], check=True)
            figures[network] = measured(folder, options.runs)
            print(json.dumps({network: figures[network]}), file=sys.stderr)
    common.keep(options.out, "first_predict", figures)
    print(table(figures))


if __name__ == "__main__":
    main()
