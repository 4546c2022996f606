#!/usr/bin/env python3
"""Decompose, publish, install and compose every classifier of the installed ``keras.applications``.

    python benchmarks/applications.py [NAME ...] [--size 96] [--out FOLDER]

Each network runs in a process of its own, with random weights and the statistics of its images; only its head is
fitted, by least squares on the images, so that it tells ten classes of random images apart. Reported are the layers
that were rewritten, sites and nodes, seconds of processor time to decompose against one ``predict`` of the same images,
the largest memory of the process, stored bytes against those of the weights, and the largest difference between the
composed margins and the channelled logits of the network itself on inputs that the module observed, relative to the
largest margin.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np

CLASSES = 10
#: Images of each class.
EACH = 4


def names() -> list[str]:
    """Every classifier of the installed version."""
    import keras

    found = vars(keras.applications)
    return sorted(name for name, made in found.items() if callable(made) and name[0].isupper())


def measure(name: str, size: int) -> dict[str, Any]:
    """One network from Keras to a composite, as plain values."""
    import keras

    import modhub
    from modhub.decomposition.sampling import draw
    from modhub.engine.read.reader import read_model

    model = _model(name, size)
    shape = tuple(model.input_shape[1:])
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), EACH)
    images = _images(random, labels, shape)
    scaled = images.astype("float32") / 255
    _take_statistics(model, scaled)
    _fit_head(model, scaled, labels)
    classes = [f"class {k}" for k in range(CLASSES)]

    model.predict(scaled, batch_size=EACH * CLASSES, verbose=0)
    started = time.process_time()
    logits = model.predict(scaled, batch_size=EACH * CLASSES, verbose=0)
    predicting = time.process_time() - started
    started = time.process_time()
    decomposition = modhub.decompose(
        model, images, labels, classes=classes, name=f"apps/{name.lower()}", rescale=1 / 255, backtrack="none"
    )
    decomposing = time.process_time() - started
    with tempfile.TemporaryDirectory() as folder:
        registry, cache = f"{folder}/registry", f"{folder}/cache"
        release = modhub.publish(decomposition, version="1.0.0", registry=registry)
        composite = modhub.compose(f"apps/{name.lower()}", registry=registry, cache=cache)
        margins = composite.predict(images).margins
    others = (logits.sum(axis=1, keepdims=True) - logits) / (CLASSES - 1)
    # A module promises its network's answers on what it observed: its class, and some of each other class.
    sample = draw(labels, CLASSES, decomposition.options.samples_per_class, decomposition.options.seed)
    seen = np.zeros(margins.shape, bool)
    for k in range(CLASSES):
        seen[np.concatenate([sample.indices[k], sample.unconcerned(k)]), k] = True
    difference = float(np.abs(margins - (logits - others))[seen].max() / np.abs(margins).max())
    reading = read_model(model)
    weights = 4 * sum(value.size for value in reading.weights.values())
    sites = decomposition.sites
    return {
        "name": name,
        "input": "x".join(map(str, shape)),
        "layers": len(reading.architecture.calls),
        "lowered": len(reading.lowered),
        "sites": len(sites),
        "nodes": int(sum(np.prod(site.shape) for site in sites)),
        "predicting": predicting,
        "decomposing": decomposing,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "bytes": release.size,
        "bytes_share": release.size / weights,
        "difference": difference,
        "right": float((np.argmax(margins, axis=1) == labels).mean()),
        "keras": keras.__version__,
    }


def _images(random: Any, labels: Any, shape: tuple[int, ...]) -> Any:
    """Images uint8 of the labels' classes: each class has a coarse pattern of its own, each image some noise."""
    coarse = random.uniform(40, 215, (CLASSES, 4, 4, shape[2]))
    rows, columns = (np.arange(extent) * 4 // extent for extent in shape[:2])
    patterns = coarse[:, rows][:, :, columns]
    return (patterns[labels] + random.normal(0, 15, (len(labels), *shape))).clip(0, 255).astype(np.uint8)


def _model(name: str, size: int) -> Any:
    import keras

    make = getattr(keras.applications, name)
    options: dict[str, Any] = {"weights": None, "classes": CLASSES, "classifier_activation": None}
    try:
        return make(input_shape=(size, size, 3), **options)
    except ValueError:
        # Some take no images so small.
        return make(**options)


def _take_statistics(model: Any, images: Any) -> None:
    """Give every batch normalisation the statistics of these images, as training would."""
    import keras

    normalised = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in normalised]
    for layer in normalised:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(normalised, before, strict=True):
        layer.momentum = momentum


def _fit_head(model: Any, images: Any, labels: Any) -> None:
    """Fit the last kernel by least squares, so that the images are told apart."""
    import keras

    head = next(
        layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)
    )
    features = keras.Model(model.inputs, head.input).predict(images, verbose=0).reshape(len(images), -1)
    middle = features.mean(axis=0, dtype=np.float64)
    wanted = 4.0 * np.eye(CLASSES)[labels] - 0.4
    solved = np.linalg.lstsq(features - middle, wanted, rcond=1e-2)[0]
    head.set_weights([solved.reshape(head.kernel.shape), -middle @ solved])


def main() -> None:
    arguments = common.parser(__doc__ or "", needs_data=False)
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--size", type=int, default=96)
    arguments.add_argument("--one", action="store_true", help="measure in this process, and print JSON")
    options = arguments.parse_args()
    if options.one:
        print(json.dumps(measure(options.names[0], options.size)))
        return
    rows = []
    for name in options.names or names():
        command = [sys.executable, __file__, name, "--one", "--size", str(options.size)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stdout.strip().splitlines()
        if done.returncode or not lines:
            reason = (done.stderr.strip().splitlines() or ["no output"])[-1][:300]
            rows.append({"name": name, "refused": reason})
            print(f"{name}: {reason}", flush=True)
            continue
        rows.append(json.loads(lines[-1]))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    common.keep(options.out, "applications", {"rows": rows, "size": options.size})
    print(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| network | input | layers | rewritten | sites | nodes | decompose / predict | peak MiB | bytes / weights | "
        "largest difference |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if "refused" in row:
            lines.append(f"| {row['name']} | refused: {row['refused']} | | | | | | | | |")
            continue
        lines.append(
            f"| {row['name']} | {row['input']} | {row['layers']} | {row['lowered']} | {row['sites']} | "
            f"{row['nodes']:,} | {row['decomposing']:.1f} s / {row['predicting']:.1f} s | {row['peak_mib']:.0f} | "
            f"{row['bytes_share']:.2f} | {row['difference']:.1e} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
