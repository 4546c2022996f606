"""The named data sets, read by keras' own loaders from a cache that is made on the spot.

keras only accepts archives with the sha256 of the real ones, which random images cannot have. The child process
therefore accepts any archive; finding, extracting and reading it stay keras' own.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from modhub.engine.datasets import CIFAR10, CIFAR100

LOAD = """
import sys, json, numpy as np
if {trust}:
    import keras.src.utils.file_utils as file_utils
    file_utils.validate_file = lambda *arguments, **options: True
from modhub.data.images import load_data
from modhub.engine.datasets import load_dataset
from modhub.errors import ModhubError
result = {{}}
for name in {names}:
    for split in ("train", "test"):
        try:
            data = load_data(name, split=split, datasets=load_dataset)
        except ModhubError as error:
            result[name] = [error.kind, error.exit_code, str(error)]
            continue
        step = 10_000 if len(data) == 50_000 else 1
        np.savez({folder!r} + f"/{{name}}_{{split}}.npz", x=data.x[::step], y=data.y)
        result[f"{{name}} {{split}}"] = [data.name, list(data.classes), len(data), str(data.x.dtype)]
print(json.dumps(result))
"""


def load_in_a_process(folder: Path, *, names: list[str], trust: bool) -> dict[str, list[object]]:
    ran = subprocess.run(
        [sys.executable, "-c", LOAD.format(names=names, trust=trust, folder=str(folder))],
        env=os.environ | {"KERAS_HOME": str(folder / "keras"), "http_proxy": "", "https_proxy": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, list[object]] = json.loads(ran.stdout)  # fails when keras' progress reaches stdout
    return answer


def write_archive(path: Path, folder: str, batches: dict[str, dict[bytes, object]]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, batch in batches.items():
            content = pickle.dumps(batch, protocol=4)
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def test_keras_loaders_give_raw_images_with_standard_class_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    planes = rng.integers(0, 256, (9, 3, 32, 32), dtype=np.uint8)
    datasets = tmp_path / "keras" / "datasets"
    datasets.mkdir(parents=True)
    # keras gives each of the five batches room for 10,000 images; one image fills all of it.
    ten = {f"data_batch_{i}": {b"data": planes[i : i + 1].reshape(1, -1), b"labels": [i]} for i in range(1, 6)}
    ten["test_batch"] = {b"data": planes[6:].reshape(3, -1), b"labels": [9, 0, 3]}
    write_archive(datasets / "cifar-10-batches-py-target_archive", "cifar-10-batches-py", ten)
    hundred = {
        split: {b"data": planes[:4].reshape(4, -1), b"fine_labels": [0, 99, 1, label], b"coarse_labels": [0, 1, 2, 3]}
        for split, label in (("train", 29), ("test", 71))
    }
    write_archive(datasets / "cifar-100-python-target_archive", "cifar-100-python", hundred)

    result = load_in_a_process(tmp_path, names=["cifar10", "cifar100"], trust=True)

    assert "cifar10" not in result, result["cifar10"]
    assert result["cifar10 train"] == ["cifar10_train", list(CIFAR10), 50_000, "uint8"]
    assert result["cifar10 test"] == ["cifar10_test", list(CIFAR10), 3, "uint8"]
    assert result["cifar100 test"] == ["cifar100_test", list(CIFAR100), 4, "uint8"]
    images = planes.transpose(0, 2, 3, 1)
    expected = {
        "cifar10_train": (images[1:6], np.repeat(np.arange(1, 6), 10_000)),
        "cifar10_test": (images[6:], np.array([9, 0, 3])),
        "cifar100_train": (images[:4], np.array([0, 99, 1, 29])),
        "cifar100_test": (images[:4], np.array([0, 99, 1, 71])),
    }
    for name, (x, y) in expected.items():
        with np.load(tmp_path / f"{name}.npz") as stored:
            assert np.array_equal(stored["x"], x), name
            assert stored["y"].dtype == np.int64
            assert np.array_equal(stored["y"], y), name


def test_without_a_copy_or_a_network_the_hint_says_where_a_copy_goes(tmp_path: Path) -> None:
    result = load_in_a_process(tmp_path, names=["cifar100"], trust=False)
    kind, exit_code, text = result["cifar100"]
    assert (kind, exit_code) == ("dataset-unavailable", 3)
    assert "keras has no usable copy of the data set cifar100 and could not fetch one: URL fetch failure" in str(text)
    place = tmp_path / "keras" / "datasets" / "cifar-100-python-target_archive"
    assert f"copy cifar-100-python.tar.gz to {place}, or give your own copy as an .npz file" in str(text)


def test_the_class_names_are_the_folder_names_of_the_reference_images() -> None:
    """The labels count in alphabetical order, as in the images' own folders."""
    reference = Path(__file__).parents[3] / "shared" / "data"
    if not reference.is_dir():
        pytest.skip("the CIFAR images in ../shared/data are not here")
    import zipfile

    for name, classes in {"cifar10": CIFAR10, "cifar100": CIFAR100}.items():
        with zipfile.ZipFile(reference / f"{name}.zip") as archive:
            assert classes == tuple(sorted({entry.split("/")[1] for entry in archive.namelist()}))
