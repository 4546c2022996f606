#!/usr/bin/env python3
"""Train the paper's ResNet-20, -32 or -56 without batch normalisation, and keep the best epoch.

    python examples/paper/train.py cifar10 r20 --data keras --epochs 25
    python examples/paper/train.py imagenet200 r56 --tiny-imagenet FOLDER --epochs 15 --minutes 600

Writes DATASET-NETWORK.keras, which takes images times 1/255 and is a network of the study, and DATASET-NETWORK.json
with what it was trained on, the curve and its accuracy on the test images. DATASET is any name for which the --data
folder has DATASET_train.npz and DATASET_test.npz, or one of keras.datasets.

Every epoch is kept in DATASET-NETWORK.DIGEST.npz until the end, where the digest stands for images and settings. A run
that was killed, or whose --minutes were spent, goes on from there when started again. It ends with the weights that one
run would have given, as far as TensorFlow adds in the same order: on one machine with the same number of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from study import ROOT, Data, dataset

from examples.paper.residual_training import Fitted, Progress, fit_one_cycle, probabilities, resnet
from modhub.errors import InvalidData, ModhubError, UsageError
from modhub.spec.digests import canonical_json, sha256

_LISTS = ("kept", "weights", "optimizer")


@dataclass(frozen=True)
class Settings:
    """All that the weights depend on, beside the images."""

    depth: int
    epochs: int = 25
    seed: int = 0
    validation: float = 0.1
    batch: int = 128

    def check(self) -> None:
        """Raises UsageError."""
        if not 0 < self.validation < 1:
            raise UsageError(f"--validation {self.validation:g}: give a share between 0 and 1.", value=self.validation)
        for name, value in (("epochs", self.epochs), ("batch", self.batch)):
            if value < 1:
                raise UsageError(f"--{name} {value}: give at least 1.", value=value)


def train(
    data: Data, settings: Settings, folder: Path, name: str, *, minutes: float | None = None, stop_after: int = 0
) -> dict[str, Any]:
    """Train, going on where an earlier run stopped, and write both files into ``folder``; returns what the JSON says.

    Stops early after ``minutes`` of this run, or ``stop_after`` of its epochs: the network is the best so far, and
    the next run goes on. Raises UsageError; InvalidData, kind ``bad-checkpoint``.
    """
    settings.check()
    ends = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    folder.mkdir(parents=True, exist_ok=True)
    digest = sha256(canonical_json({"data": data.digest, **vars(settings)}))[-12:]
    checkpoint = folder / f"{name}.{digest}.npz"
    before = read_checkpoint(checkpoint) if checkpoint.exists() else None
    first = len(before.curve) if before else 0
    seconds = [time.perf_counter()]

    def after_epoch(progress: Progress) -> bool:
        epoch = len(progress.curve)
        write_checkpoint(checkpoint, progress)
        seconds.append(time.perf_counter())
        took = seconds[-1] - seconds[-2]
        print(
            f"epoch {epoch} of {settings.epochs}: {progress.curve[-1]:.2%}, {took:.0f} s", file=sys.stderr, flush=True
        )
        return time.monotonic() > ends or epoch - first == stop_after

    model = resnet(data.train.x.shape[1:], len(data.train.classes), depth=settings.depth, seed=settings.seed)
    fitted = fit_one_cycle(
        model, data.train.x, data.train.y, epochs=settings.epochs, seed=settings.seed, batch=settings.batch,
        held_out=settings.validation, progress=before, after_epoch=after_epoch,
    )  # fmt: skip
    record = about(model, data, settings, fitted)
    with tempfile.TemporaryDirectory(dir=folder) as part:
        model.save(Path(part) / f"{name}.keras")
        (Path(part) / f"{name}.keras").replace(folder / f"{name}.keras")
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    if record["finished"]:
        checkpoint.unlink(missing_ok=True)
    return record


def about(model: Any, data: Data, settings: Settings, fitted: Fitted) -> dict[str, Any]:
    """What is known of a trained network; shares are of 1, the curve's are mean recall on the validation split."""
    shares = probabilities(model, data.test.x)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :5] == data.test.y[:, None]
    return {
        "dataset": data.name,
        "data": data.digest,
        "images": {"all": len(data.train), "test": len(data.test)},
        **vars(settings),
        "parameters": int(model.count_params()),
        "finished": len(fitted.curve) == settings.epochs,
        "epochs_done": len(fitted.curve),
        "best_epoch": fitted.epoch,
        "curve": list(fitted.curve),
        "validation_recall": fitted.held_out,
        "training_recall": fitted.share,
        "top_1": float(order[:, 0].mean()),
        "top_5": float(order.any(axis=1).mean()),
    }


# Checkpoints: arrays and JSON only, so that reading one runs nothing.


def write_checkpoint(file: Path, progress: Progress) -> None:
    """Whole or not at all."""
    arrays = {f"{kind}_{place}": array for kind in _LISTS for place, array in enumerate(getattr(progress, kind))}
    record = {"curve": progress.curve, "best": progress.best, "random": progress.random}
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        np.savez(part, told=np.array(json.dumps(record)), **arrays)
        part.flush()
        os.fsync(part.fileno())
    Path(part.name).replace(file)


def read_checkpoint(file: Path) -> Progress:
    """Raises InvalidData, kind ``bad-checkpoint``, naming the file."""
    try:
        with np.load(file, allow_pickle=False) as found:
            record = json.loads(str(found["told"]))
            lists = {kind: _list(found, kind) for kind in _LISTS}
        first, second, epoch = record["best"]
        return Progress(list(record["curve"]), (first, second, epoch), **lists, random=record["random"])
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidData(
            f"{file} is no checkpoint of this program: {error}.",
            kind="bad-checkpoint",
            hint="delete it to begin again.",
        ) from error


def _list(found: Mapping[str, Any], kind: str) -> list[Any]:
    count = sum(name.startswith(f"{kind}_") for name in found)
    return [found[f"{kind}_{place}"] for place in range(count)]


def depth_of(network: str) -> int:
    """20 of ``r20``. Raises ValueError, which argparse reports."""
    if not network.startswith("r"):
        raise ValueError(network)
    return int(network[1:])


def parser(doc: str) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add, usual = result.add_argument, Settings(20)
    add("dataset", help="cifar10, cifar100, imagenet200, or another name of files in the --data folder")
    add("network", type=depth_of, metavar="{r20,r32,r56}", help="or another depth, 6n + 2")
    add("--data", help="folder of NAME_train.npz and NAME_test.npz, or 'keras': CIFAR from keras.datasets")
    add("--tiny-imagenet", type=Path, metavar="FOLDER", help="a Tiny ImageNet folder, for imagenet200")
    add("--out", type=Path, default=ROOT.parent / "shared" / "models", help="folder for the network")
    add("--epochs", type=int, default=usual.epochs, help=f"length of the one cycle; default {usual.epochs}")
    add("--minutes", type=float, help="stop after the epoch in which they are spent; the same command goes on")
    add("--seed", type=int, default=usual.seed)
    add("--validation", type=float, default=usual.validation, help="share of each class that chooses the epoch")
    add("--batch", type=int, default=usual.batch)
    return result


def main() -> None:
    options = parser(__doc__ or "").parse_args()
    settings = Settings(options.network, options.epochs, options.seed, options.validation, options.batch)
    name = f"{options.dataset}-r{options.network}"
    try:
        settings.check()
        if options.data is None and options.tiny_imagenet is None:
            raise UsageError("no images: give --data FOLDER, --data keras, or --tiny-imagenet FOLDER.")
        record = train(dataset(options, options.dataset), settings, options.out, name, minutes=options.minutes)
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on after the last whole epoch.")
    except ModhubError as error:
        sys.exit(f"error: {error}")
    state = (
        "" if record["finished"] else f" after {record['epochs_done']} of {record['epochs']} epochs, to be gone on with"
    )
    print(f"{options.out / name}.keras: top-1 {record['top_1']:.1%}, top-5 {record['top_5']:.1%}{state}")


if __name__ == "__main__":
    main()
