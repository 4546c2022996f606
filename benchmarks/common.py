"""What the benchmark programs share: where models and data are, how tables are printed and figures kept."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parents[1]

#: Network file, data set, for every trained network that the figures are about.
MODELS = {
    "cifar10-r20": "cifar10",
    "cifar10-r56": "cifar10",
    "cifar10-vgg": "cifar10",
    "cifar100-r20": "cifar100",
    "cifar100-r32": "cifar100",
    "imagenet200-r20": "imagenet200",
}


@dataclass(frozen=True, eq=False)
class Images:
    """Raw images uint8 (N, H, W, 3), labels int64 (N,), class names, and what images are multiplied with."""

    x: Any
    y: Any
    classes: tuple[str, ...]
    rescale: float = 1 / 255

    @property
    def scaled(self) -> Any:
        """The images as a network takes them, float32."""
        return self.x.astype("float32") * np.float32(self.rescale)

    def taken(self, places: Any) -> Images:
        return Images(self.x[places], self.y[places], self.classes, self.rescale)

    def first(self, count: int) -> Images:
        return self.taken(slice(count))


def parser(doc: str, *, needs_data: bool = True) -> argparse.ArgumentParser:
    """The arguments every program has: where the .keras files and the NAME_train.npz, NAME_test.npz files are."""
    result = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models", help="folder of .keras files")
    result.add_argument("--data", type=Path, required=needs_data, help="folder of NAME_train.npz and NAME_test.npz")
    result.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder for the JSON figures")
    return result


def images(folder: Path, name: str, split: str) -> Images:
    with np.load(folder / f"{name}_{split}.npz") as data:
        return Images(data["x"], data["y"], tuple(data["classes"].tolist()))


def model(folder: Path, name: str) -> Any:
    import keras

    return keras.models.load_model(folder / f"{name}.keras", compile=False)


def origin_of(model: Any, name: str, data: Images) -> Any:
    """The modhub Origin of a network that takes raw images times 1/255."""
    from modhub.engine.read.reader import read_model
    from modhub.package.module import Origin
    from modhub.spec.input_contract import ImageContract

    reading = read_model(model)
    architecture, weights = reading.architecture, reading.weights
    height, width, channels = data.x.shape[1:]
    contract = ImageContract(
        height=height,
        width=width,
        channels=channels,
        dtype="uint8",
        value_range=(0.0, 255.0),
        colour="rgb",
        rescale=1 / 255,
    )
    return Origin("bench", name, data.classes, architecture, weights, contract, name)


def markdown(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as a Markdown table; the first column is text, the others are aligned right."""
    lines = [f"| {' | '.join(headers)} |", "|" + "|".join(["---"] + ["---:"] * (len(headers) - 1)) + "|"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def keep(out: Path, name: str, figures: Any) -> None:
    """Write the figures of one program as JSON, with the machine that gave them."""
    out.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    text = json.dumps({"machine": machine, "figures": figures}, indent=1, sort_keys=True)
    (out / f"{name}.json").write_text(text + "\n")
