#!/usr/bin/env python3
"""A composite's ways to run, beside ten separate Keras models asked in a loop and beside the origin's own predict.

    python benchmarks/modes.py --data DATA [--only speed hundred memory agreement] [--rounds 5] [--quick]

- speed: all ten modules of cifar10-r20. "models" are ten full-size Keras files (as peers.py makes them), loaded and
  asked one after the other; "bare models" the same without masks; "origin" is the network's own ``predict`` on images
  that were scaled before the clock ran, "origin, not XLA" the same compiled without XLA, as modhub's networks are.
- hundred: the hundred modules of cifar100/r20 in the starter registry, beside the origin.
- memory: what a process of its own takes at its peak beyond what it took when keras and the images were loaded.
- agreement: fused and bfloat16 beside isolated in float32, for the modules of the starter and for sparse ones.

``KERAS_BACKEND=jax`` or ``torch`` measures these, on an accelerator where they find one.

Everything is warm: contenders answer the same images in turn, one round each, the first of which does not count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import peers

PARTS = ("speed", "hundred", "memory", "agreement")
WAYS = {
    "isolated": ("isolated", "float32"),
    "isolated, bfloat16": ("isolated", "bfloat16"),
    "fused": ("fused", "float32"),
    "fused, bfloat16": ("fused", "bfloat16"),
}
#: Images asked in turn, and classes of cifar100 in the table of agreement.
IMAGES = 1024
SEVERAL = 20


def in_turn(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each, one round after the other; one more round before compiles."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, ask in contenders.items():
            start = time.perf_counter()
            ask()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def composites(what: Any, images: Any, **options: Any) -> dict[str, Callable[[], Any]]:
    """A call for each way that answers ``images`` by the modules ``what``."""
    import modhub

    exact = modhub.compose(what, **options)
    ways = {name: exact.in_mode(*way) for name, way in WAYS.items()}
    return {name: (lambda each=each: each.predict(images, peers.BATCH).margins) for name, each in ways.items()}


def origins(model: Any, images: Any) -> dict[str, Callable[[], Any]]:
    """The network's own ``predict`` on scaled images, as it is loaded and, by TensorFlow, without XLA."""
    import keras

    x = images.astype("float32") / np.float32(255)
    asked = {"origin": lambda: model.predict(x, batch_size=peers.BATCH, verbose=0)}
    if keras.backend.backend() == "tensorflow":
        plain = keras.Model(model.inputs, model.outputs)
        plain.jit_compile = False
        asked["origin, not XLA"] = lambda: plain.predict(x, batch_size=peers.BATCH, verbose=0)
    return asked


def loaded(folder: Path) -> list[Any]:
    import keras

    return [keras.models.load_model(file, compile=False) for file in sorted(folder.iterdir())]


def asked_in_a_loop(models: list[Any], images: Any) -> Any:
    """Margins (N, models) of one model after the other."""
    x = images.astype("float32")
    return np.concatenate([model.predict(x, batch_size=peers.BATCH, verbose=0) for model in models], axis=1)


def speed(folder: Path, images: Any, rounds: int) -> dict[str, Any]:
    """Seconds for ``images`` by every contender over what ``peers.prepare`` left in ``folder``."""
    import keras

    contenders: dict[str, Callable[[], Any]] = {}
    for name, files in (("models", "files"), ("bare models", "bare files")):
        models = loaded(folder / files)
        contenders[name] = lambda models=models: asked_in_a_loop(models, images)
    contenders |= origins(keras.models.load_model(folder / "origin.keras", compile=False), images)
    contenders |= composites(peers.NAME, images, registry=str(folder / "registry"), cache=str(folder / "cache"))
    check_equal(contenders["models"](), contenders["isolated"]())
    return {**named(), "modules": len(models), "images": len(images), "seconds": in_turn(contenders, rounds)}


def hundred(models: Path, images: Any, rounds: int) -> dict[str, Any]:
    """The same for the starter's hundred classes, without the separate models."""
    contenders = origins(common.model(models, "cifar100-r20"), images) | composites("cifar100/r20", images)
    return {**named(), "modules": 100, "images": len(images), "seconds": in_turn(contenders, rounds)}


def named() -> dict[str, str]:
    """What computes; imported late, because a child of ``memory`` measures from before keras."""
    import backends

    return backends.named()


def check_equal(found: Any, wanted: Any) -> None:
    import backends

    # The separate models compute as accelerators do by default, with factors of 10 bits.
    if not np.allclose(found, wanted, atol=1e-3 if backends.device() == "cpu" else 0.1, rtol=1e-4):
        sys.exit(f"the separate models answer otherwise: margins differ by {np.abs(found - wanted).max():.2g}")


def peak_beyond(contender: str, folder: Path) -> int:
    """Bytes that one contender takes at its peak, beyond what this process had when it was ready to begin."""
    import keras  # noqa: F401

    import modhub.engine.run.plan  # noqa: F401

    images = np.load(folder / "images.npy")
    before = peers.peak()
    if contender == "models":
        asked_in_a_loop(loaded(folder / "files"), images)
    else:
        composites(peers.NAME, images, registry=str(folder / "registry"), cache=str(folder / "cache"))[contender]()
    return peers.peak() - before


def memory(folder: Path, rounds: int) -> dict[str, Any]:
    """Median peaks of processes of their own, in turn."""
    contenders = ("models", *WAYS)
    peaks: dict[str, list[int]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in contenders:
            child = [sys.executable, __file__, "--child", name, str(folder)]
            done = subprocess.run(child, capture_output=True, text=True, check=True)
            peaks[name].append(int(done.stdout.splitlines()[-1]))
    return {name: statistics.median(values) for name, values in peaks.items()}


def agreement(modules: list[Any], images: Any, labels: Any) -> dict[str, Any]:
    """Every approximate way of ``modules`` beside the exact one; ``labels`` (N,) are columns."""
    import modhub
    from modhub.composition.agreement import agreement_of

    exact = modhub.compose(modules)
    wanted = exact.predict(images)
    found: dict[str, Any] = {
        "modules": len(modules),
        "images": len(images),
        "jaccard": statistics.mean(module.jaccard for module in modules),
        "top_1": {"isolated": float((wanted.indices == labels).mean())},
        "ways": {},
    }
    for name in list(WAYS)[1:]:
        prediction = exact.in_mode(*WAYS[name]).predict(images)
        found["ways"][name] = agreement_of(prediction, wanted).to_dict()
        found["top_1"][name] = float((prediction.indices == labels).mean())
    return found


def concern_alone(modules: list[Any]) -> list[Any]:
    """The modules with their concern's nodes only. Nodes kept are active ones, so that JI is their share of these."""
    from modhub.package.decomposition import with_digests

    made = []
    for module in modules:
        less = sum(module.stages.concern) / sum(module.stages.kept)
        made.append(replace(module, keep=module.concern, jaccard=module.jaccard * less))
    return list(with_digests(made))


def agreements(options: argparse.Namespace) -> dict[str, Any]:
    """For both data sets: the starter's modules, sparse ones, and those of their concern's nodes alone."""
    import update_modules

    from modhub.installation.backend import InstalledBackend

    rows = {}
    hundreds = list(range(SEVERAL))
    sparse = update_modules.sparse_modules(options.models, options.data, hundreds)
    for name, own in zip(("cifar10", "cifar100"), sparse, strict=True):
        test = common.images(options.data, name, "test")
        chosen = np.flatnonzero(np.isin(test.y, [module.index for module in own]))
        chosen = chosen[: 100 if options.quick else options.images]
        kinds = {
            "starter": [m for m in InstalledBackend(None, None).find([f"{name}/r20"])[0] if m.index < len(own)],
            "sparse": own,
            "concern alone": concern_alone(own),
        }
        for kind, modules in kinds.items():
            rows[f"{name}-r20, {kind}"] = agreement(modules, test.x[chosen], test.y[chosen])
    return rows


def table(figures: Mapping[str, Any]) -> str:
    """All parts that were measured, as Markdown."""
    parts = []
    for part in ("speed", "hundred"):
        if part in figures:
            parts.append(_speed_table(figures[part]))
    if "memory" in figures:
        most = figures["memory"]["models"]
        rows = [(name, f"{b / peers.MIB:.0f}", f"{b / most:.2f}") for name, b in figures["memory"].items()]
        parts.append(common.markdown(("way", "peak MiB beyond the start", "of the models'"), rows))
    if "agreement" in figures:
        rows = []
        for kind, found in figures["agreement"].items():
            for name, said in found["ways"].items():
                accuracy = f"{found['top_1']['isolated']:.2%} -> {found['top_1'][name]:.2%}"
                cells = (f"{said['labels']:.2%}", f"{said['margin']:.2g}", accuracy)
                rows.append((kind, found["modules"], f"{found['jaccard']:.2f}", found["images"], name, *cells))
        headers = ("modules", "number", "JI", "images", "way", "equal labels", "largest difference", "top-1")
        parts.append(common.markdown(headers, rows))
    return "\n\n".join(parts)


def _speed_table(found: Mapping[str, Any]) -> str:
    seconds = found["seconds"]
    rows = [
        (
            f"{found['modules']} modules, {found['images']} images",
            name,
            f"{taken:.2f}",
            f"{seconds['models'] / taken:.1f}" if "models" in seconds else "",
            f"{taken / seconds['origin']:.2f}",
        )
        for name, taken in seconds.items()
    ]
    return common.markdown(("what", "way", "seconds", "times as fast as the models", "of the origin's"), rows)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(peak_beyond(sys.argv[2], Path(sys.argv[3])))
        return
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--only", nargs="*", default=list(PARTS), choices=list(PARTS))
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--images", type=int, default=IMAGES, help="images asked")
    arguments.add_argument("--samples", type=int, default=100, help="images of a class observed")
    arguments.add_argument("--quick", action="store_true", help="one round on a few images; nothing is kept")
    options = arguments.parse_args()
    kept = options.out / "modes.json"
    figures = json.loads(kept.read_text())["figures"] if kept.is_file() and not options.quick else {}
    for part, found in measured(options):
        figures[part] = found
        if not options.quick:
            common.keep(options.out, "modes", figures)
        print(table({part: found}), end="\n\n", flush=True)


def measured(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts asked for, each with its figures as soon as they are there."""
    count, rounds = (64, 1) if options.quick else (options.images, options.rounds)
    if {"speed", "memory"} & set(options.only):
        train, test = (common.images(options.data, "cifar10", split) for split in ("train", "test"))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            model = common.model(options.models, "cifar10-r20")
            peers.prepare(folder, model, train, test.first(count), 5 if options.quick else options.samples)
            if "speed" in options.only:
                yield "speed", speed(folder, test.first(count).x, rounds)
            if "memory" in options.only:
                yield "memory", memory(folder, min(rounds, 3))
    if "hundred" in options.only:
        images = common.images(options.data, "cifar100", "test").first(count).x
        yield "hundred", hundred(options.models, images, rounds)
    if "agreement" in options.only:
        yield "agreement", agreements(options)


if __name__ == "__main__":
    main()
