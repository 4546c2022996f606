#!/usr/bin/env python3
"""A composite beside the way without modhub: one full-size .keras file for each module, loaded and asked in a loop.

    python benchmarks/peers.py --data DATA [--runs 3] [--only NAME ...] [--quick]

Three contenders answer the same test images, each in a process of its own, in turn, ``--runs`` times; the table shows
medians.

- modhub: from a registry in a folder into an empty cache, composed, asked. Installing counts.
- files: one .keras file a module, masks as layers, so that it answers what the module answers; loaded, asked, let go,
  one after the other.
- bare files: the same without masks, the origin's trunk with a module's head: the least that a full-size file can be,
  and not the same answers.

Seconds count from keras being imported to the labels; peaks are the processes' own (Linux). Every file is made before.
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np

BATCH = 256
NAME = "bench/net"
MIB = 2**20
CONTENDERS = ("modhub", "files", "bare files")

#: Network -> test images asked: a hundred files take their time.
IMAGES = {"cifar10-r20": 2000, "cifar100-r20": 500}


def prepare(folder: Path, model: Any, train: common.Images, test: common.Images, samples: int) -> None:
    """A registry with the modules, a file for each module in both forms, and the images to answer."""
    import keras

    import modhub
    from modhub.engine.run.network import Network

    decomposition = modhub.decompose(
        model, train.x, train.y, classes=train.classes, name=NAME, rescale=1 / 255, samples_per_class=samples
    )
    modhub.publish(decomposition, version="1.0.0", registry=str(folder / "registry"))
    for contender in CONTENDERS[1:]:
        (folder / contender).mkdir()
    for module in decomposition.modules:
        file = f"{module.index:03}.keras"
        modhub.compose([module]).to_keras().save(folder / "files" / file)
        network = Network(decomposition.origin.architecture, decomposition.origin.weights)
        images = keras.Input(test.x.shape[1:], dtype="float32")
        head = keras.layers.Dense(1)
        bare = keras.Model(images, head(network.run(keras.layers.Rescaling(1 / 255)(images), lambda _, output: output)))
        head.set_weights([module.head.margin_kernel[:, None], np.array([module.head.margin_bias])])
        bare.save(folder / "bare files" / file)
    model.save(folder / "origin.keras")
    np.save(folder / "images.npy", test.x)


def ask_modhub(folder: Path, images: Any) -> Any:
    """Class numbers (N,) that the composite of all modules answers."""
    import modhub

    with tempfile.TemporaryDirectory() as cache:
        composite = modhub.compose(NAME, registry=str(folder / "registry"), cache=cache)
        return composite.predict(images, batch_size=BATCH).margins.argmax(axis=1)


def ask_files(folder: Path, images: Any) -> Any:
    """Class numbers (N,) with the largest margin, from one model at a time."""
    import keras

    x = images.astype("float32")
    columns = []
    for file in sorted(folder.iterdir()):
        model = keras.models.load_model(file, compile=False)
        columns.append(model.predict(x, batch_size=BATCH, verbose=0)[:, 0])
        keras.backend.clear_session()
    return np.argmax(columns, axis=0)


def asked(contender: str, folder: Path) -> dict[str, Any]:
    """What one contender takes, in this process: seconds, peak resident bytes, the class numbers."""
    import keras  # noqa: F401

    import modhub.engine.run.network  # noqa: F401

    images = np.load(folder / "images.npy")
    started = time.perf_counter()
    work: Callable[[], Any] = (
        (lambda: ask_modhub(folder, images))
        if contender == "modhub"
        else (lambda: ask_files(folder / contender, images))
    )
    labels = work()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_bytes": peak(), "labels": [int(label) for label in labels]}


def peak() -> int:
    """Peak resident bytes of this process. Not getrusage's, which a process has from the one that started it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024


def in_process(contender: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", contender, str(folder)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def compared(folder: Path, labels: Any, runs: int, contenders: Sequence[str] = CONTENDERS) -> dict[str, Any]:
    """The figures of contenders over what ``prepare`` left in ``folder``; ``labels`` (N,) are the true classes."""
    answers_of: dict[str, list[dict[str, Any]]] = {contender: [] for contender in contenders}
    for _ in range(runs):
        for contender in contenders:
            answers_of[contender].append(in_process(contender, folder))
    own = np.array(answers_of["modhub"][0]["labels"])
    result: dict[str, Any] = {
        "modules": len(list((folder / "files").iterdir())),
        "images": len(labels),
        "runs": runs,
        "origin_bytes": (folder / "origin.keras").stat().st_size,
        "load": list(os.getloadavg()),
        "contenders": {},
    }
    for contender, answers in answers_of.items():
        given = np.array(answers[0]["labels"])
        result["contenders"][contender] = {
            "seconds": statistics.median(answer["seconds"] for answer in answers),
            "all_seconds": [answer["seconds"] for answer in answers],
            "peak_bytes": statistics.median(answer["peak_bytes"] for answer in answers),
            "disk_bytes": bytes_in(folder / ("registry" if contender == "modhub" else contender)),
            "same_answers": float((given == own).mean()),
            "top_1": float((given == np.asarray(labels)).mean()),
        }
    return result


def table(figures: dict[str, Any]) -> str:
    """Every network's contenders, and what the files take for one of modhub's."""
    rows = []
    for name, found in figures.items():
        own = found["contenders"]["modhub"]
        for contender, cost in found["contenders"].items():
            cells = [f"{name}, {found['modules']} modules, {found['images']} images", contender]
            for key, unit, digits in (("seconds", 1.0, 1), ("peak_bytes", MIB, 0), ("disk_bytes", MIB, 2)):
                ratio = "" if contender == "modhub" else f" ({cost[key] / own[key]:.1f}x)"
                cells.append(f"{cost[key] / unit:.{digits}f}{ratio}")
            rows.append([*cells, f"{cost['same_answers']:.2%}", f"{cost['top_1']:.2%}"])
    return common.markdown(("network", "way", "seconds", "peak MiB", "disk MiB", "answers as modhub", "top-1"), rows)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(asked(sys.argv[2], Path(sys.argv[3]))))
        return
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--only", nargs="*", default=list(IMAGES), choices=list(IMAGES))
    arguments.add_argument("--samples", type=int, default=100, help="images of a class observed")
    arguments.add_argument("--quick", action="store_true", help="one run on a few images; nothing is kept")
    options = arguments.parse_args()
    kept = options.out / "peers.json"
    # Networks measured earlier stay, since each takes long.
    figures = json.loads(kept.read_text())["figures"] if kept.is_file() and not options.quick else {}
    for name in options.only:
        figures[name] = measured(options, name)
        if not options.quick:
            common.keep(options.out, "peers", figures)
    print(table(figures))


def measured(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """One network's figures, all files in a temporary folder."""
    train, test = (common.images(options.data, common.MODELS[name], split) for split in ("train", "test"))
    test = test.first(50 if options.quick else IMAGES[name])
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), common.model(options.models, name), train, test, 5 if options.quick else options.samples)
        return compared(Path(folder), test.y, 1 if options.quick else options.runs)


if __name__ == "__main__":
    main()
