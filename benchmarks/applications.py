#!/usr/bin/env python3
"""Decompose, publish, install and compose every classifier of the installed ``keras.applications``.

    python benchmarks/applications.py [NAME ...] [--size 32] [--again] [--out FOLDER]

Each network runs in a process of its own; what ``applications.json`` in the folder holds already of the same size and
the same Keras is not measured again unless ``--again`` is given, so a run that was stopped goes on where it was.
Weights are random with a seed, as Keras draws them, except that the residual branches of ConvNeXt and EfficientNet end
in small scales; normalisations have the statistics of the images, as after training; only the head is fitted, by least
squares on the images, so that it tells ten classes of random images apart.

Reported are the layers that were rewritten, sites and nodes, seconds of processor time to decompose against one warm
``predict`` of the same images, the largest memory of the process until the end and until it had predicted, stored bytes
against those of the weights, and the largest difference between the composed margins and the channelled logits of the
network itself on inputs that the module observed, relative to the largest margin.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
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

    model, data = trained(name, size, CLASSES * EACH)
    model.predict(data.scaled, batch_size=len(data.y), verbose=0)
    started = time.process_time()
    logits = model.predict(data.scaled, batch_size=len(data.y), verbose=0)
    predicting = time.process_time() - started
    read = _read(model)
    before = _peak_mib()
    started = time.process_time()
    decomposition = modhub.decompose(
        model,
        data.x,
        data.y,
        classes=data.classes,
        name=f"apps/{name.lower()}",
        rescale=data.rescale,
        backtrack="none",
    )
    decomposing = time.process_time() - started
    # A module promises its network's answers on what it observed: its class, and some of each other class.
    sample = draw(data.y, CLASSES, decomposition.options.samples_per_class, decomposition.options.seed)
    sites = decomposition.sites
    # What has done its work leaves the memory, as it would between two commands.
    del model
    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        registry, cache = f"{folder}/registry", f"{folder}/cache"
        release = modhub.publish(decomposition, version="1.0.0", registry=registry)
        del decomposition
        composite = modhub.compose(f"apps/{name.lower()}", registry=registry, cache=cache)
        margins = composite.predict(data.x).margins
    others = (logits.sum(axis=1, keepdims=True) - logits) / (CLASSES - 1)
    seen = np.zeros(margins.shape, bool)
    for k in range(CLASSES):
        seen[np.concatenate([sample.indices[k], sample.unconcerned(k)]), k] = True
    return {
        "name": name,
        "input": "x".join(map(str, data.x.shape[1:])),
        **read,
        "sites": len(sites),
        "nodes": int(sum(np.prod(site.shape) for site in sites)),
        "predicting": predicting,
        "decomposing": decomposing,
        "predicted_peak_mib": before,
        "peak_mib": _peak_mib(),
        "bytes": release.size,
        "bytes_share": release.size / read["weight_bytes"],
        "difference": float(np.abs(margins - (logits - others))[seen].max() / np.abs(margins).max()),
        "right": float((np.argmax(margins, axis=1) == data.y).mean()),
        "keras": keras.__version__,
        "size": size,
    }


def trained(name: str, size: int, count: int) -> tuple[Any, common.Images]:
    """A network of random weights that tells apart the ten classes of ``count`` random images of ``size``."""
    import keras

    keras.utils.set_random_seed(0)
    model = _model(name, size)
    labels = np.arange(count) % CLASSES
    images = _images(np.random.default_rng(0), labels, tuple(model.input_shape[1:]))
    # Those that prepare images themselves take them as they are; between 0 and 1 all would look alike to them.
    kinds = keras.layers.Rescaling | keras.layers.Normalization
    prepares = any(isinstance(layer, kinds) for layer in model._flatten_layers())
    classes = tuple(f"class {k}" for k in range(CLASSES))
    data = common.Images(images, labels, classes, 1.0 if prepares else 1 / 255)
    few = data.first(CLASSES * EACH)
    _scale_layers(model)
    _take_statistics(model, few.scaled)
    _fit_head(model, few.scaled, few.y)
    return model, data


def _read(model: Any) -> dict[str, int]:
    """What the reader says of the network, without keeping its weights."""
    from modhub.engine.read.reader import read_model

    reading = read_model(model)
    return {
        "layers": len(reading.architecture.calls),
        "lowered": len(reading.lowered),
        "weight_bytes": 4 * sum(value.size for value in reading.weights.values()),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _images(random: Any, labels: Any, shape: tuple[int, ...]) -> Any:
    """Images uint8 of the labels' classes: each class has a coarse pattern of its own, each image some noise."""
    coarse = random.uniform(40, 215, (CLASSES, 4, 4, shape[2]))
    rows, columns = (np.arange(extent) * 4 // extent for extent in shape[:2])
    patterns = coarse[:, rows][:, :, columns]
    return (patterns[labels] + random.normal(0, 15, (len(labels), *shape))).clip(0, 255).astype(np.uint8)


def _model(name: str, size: int) -> Any:
    """The network for images of ``size``, or the next larger that it takes."""
    import keras

    make = getattr(keras.applications, name)
    options: dict[str, Any] = {"weights": None, "classes": CLASSES, "classifier_activation": None}
    for extent in (size, *(larger for larger in (71, 75) if larger > size)):
        try:
            return make(input_shape=(extent, extent, 3), **options)
        except ValueError:
            continue
    return make(**options)


def _scale_layers(model: Any) -> None:
    """Give the branches of deep residual networks the share of the sum that training gives them.

    ConvNeXt's begin with a millionth of it; EfficientNet's with so much that rounding grows from block to block.
    """
    random, names = np.random.default_rng(1), {layer.name for layer in model.layers}
    for layer in model._flatten_layers():
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(random.uniform(0.1, 0.5, layer.gamma.shape))
        elif layer.name.replace("project_bn", "add") in names - {layer.name}:
            layer.gamma.assign(random.uniform(0.005, 0.02, layer.gamma.shape))


def _take_statistics(model: Any, images: Any) -> None:
    """Give every batch normalisation the statistics of these images, as training would; nothing is dropped."""
    import keras

    layers = model._flatten_layers()
    given = [(layer, "momentum") for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    given += [(layer, "rate") for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
    before = [getattr(layer, name) for layer, name in given]
    for layer, name in given:
        setattr(layer, name, 0.0)
    model(images, training=True)
    for (layer, name), value in zip(given, before, strict=True):
        setattr(layer, name, value)


def _fit_head(model: Any, images: Any, labels: Any) -> None:
    """Fit the last kernel by least squares, so that the images are told apart."""
    import keras

    head = next(
        layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)
    )
    features = np.asarray(keras.Model(model.inputs, head.input)(images)).reshape(len(images), -1)
    middle = features.mean(axis=0, dtype=np.float64)
    wanted = 4.0 * np.eye(CLASSES)[labels] - 0.4
    # Directions in which the images hardly differ would only bring rounding into the logits.
    solved = np.linalg.lstsq(features - middle, wanted, rcond=3e-2)[0]
    head.set_weights([solved.reshape(head.kernel.shape), -middle @ solved])


def main() -> None:
    arguments = common.parser(__doc__ or "", needs_data=False)
    arguments.add_argument("names", nargs="*")
    arguments.add_argument(
        "--size", type=int, default=32, help="rows and columns; networks that take none so small have their smallest"
    )
    arguments.add_argument("--again", action="store_true", help="measure also what was measured before")
    arguments.add_argument("--one", action="store_true", help="measure in this process, and print JSON")
    options = arguments.parse_args()
    if options.one:
        print(json.dumps(measure(options.names[0], options.size)))
        return
    rows = kept(options.out)
    for name in options.names or names():
        if options.again or not is_measured(rows.get(name), options.size):
            rows[name] = measured_apart(name, options.size)
            common.keep(options.out, "applications", {"rows": [rows[name] for name in sorted(rows)]})
            print(table([rows[name]]).splitlines()[-1], flush=True)
    print(table([rows[name] for name in sorted(rows)]))


def kept(out: Path) -> dict[str, dict[str, Any]]:
    """What was measured before, by name."""
    path = out / "applications.json"
    return {row["name"]: row for row in json.loads(path.read_text())["figures"]["rows"]} if path.exists() else {}


def is_measured(row: dict[str, Any] | None, size: int) -> bool:
    """Whether a row is of this size and of the installed Keras, and no refusal."""
    return row is not None and row.get("size") == size and row.get("keras") == version("keras")


def measured_apart(name: str, size: int) -> dict[str, Any]:
    """``measure`` in a process of its own; a row that says why not when that fails."""
    command = [sys.executable, __file__, name, "--one", "--size", str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        reason = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:300]
        return {"name": name, "refused": reason}
    return dict(json.loads(lines[-1]))


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    headers = (
        "network", "input", "layers", "rewritten", "sites", "nodes", "decompose / predict", "peak MiB",
        "of it predicting", "stored MB", "bytes / weights", "largest difference",
    )  # fmt: skip
    return common.markdown(headers, (_cells(row) for row in rows))


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    if "refused" in row:
        return (row["name"], f"refused: {row['refused']}", *[""] * 10)
    return (
        row["name"],
        row["input"],
        row["layers"],
        row["lowered"],
        row["sites"],
        f"{row['nodes']:,}",
        f"{row['decomposing']:.1f} s / {row['predicting']:.1f} s",
        f"{row['peak_mib']:.0f}",
        f"{row['predicted_peak_mib']:.0f}",
        f"{row['bytes'] / 1e6:.1f}",
        f"{row['bytes_share']:.2f}",
        f"{row['difference']:.1e}",
    )


if __name__ == "__main__":
    main()
