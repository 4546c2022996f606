"""A package that brings a kind of layer: found by its entry point, and missed by name where it is not installed."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import modhub
from modhub.engine.read.reader import read_model
from modhub.engine.run.network import Network
from modhub.errors import Incompatible, UnsupportedModel, UsageError
from modhub.spec.architecture import Architecture, shapes_of
from tests.small_origins import SHAPE, quadrants

ROOT = Path(__file__).resolve().parents[2]
RECORDS = """
from typing import ClassVar, Literal

from modhub.spec.layer_record import Reads, Shape
from modhub.spec.packaged_layers import PackagedLayer


class Squash(PackagedLayer):
    \"\"\"``low + (high - low) * sigmoid(gain * x)``. Weights: gain (channels,).\"\"\"

    reads: ClassVar[Reads] = "elementwise"
    engine: ClassVar[str] = "acme_layers.engine:SQUASH"

    kind: Literal["acme/squash"] = "acme/squash"
    low: float = 0.0
    high: float = 1.0

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return {"gain": (input_shape[-1],)}
"""

ENGINE = """
import keras

from acme_layers.records import Squash as Record
from modhub.engine.packaged import KerasHalf


class Squash(keras.layers.Layer):
    def __init__(self, low=0.0, high=1.0, **options):
        super().__init__(**options)
        self.low, self.high = low, high

    def build(self, shape):
        self.gain = self.add_weight(shape=shape[-1:], name="gain")

    def call(self, x):
        # What no rule reads, so that it is read as its kind or not at all.
        return self.low + (self.high - self.low) / (1 + keras.ops.exp(-self.gain * keras.ops.sort(x[None], axis=0)[0]))


SQUASH = KerasHalf(
    layers=(Squash,),
    read=lambda layer: (Record(low=layer.low, high=layer.high), {"gain": layer.gain.numpy()}),
    make=lambda record, name: Squash(record.low, record.high, name=name, dtype="float32"),
)
"""


#: What a process does that does not have the package.
WITHOUT = """
import sys
import modhub
registry, *names = sys.argv[1:]
print(len(modhub.search("squashed", registry=registry)), len(modhub.install("me/squashed", registry=registry)))
try:
    modhub.compose(names, registry=registry)
except modhub.ModhubError as error:
    print(error.kind, error, sep="\\n")
"""


def installed(folder: Path, entries: str, name: str = "acme-layers") -> None:
    """A package as pip leaves it: its code, and what it says of itself."""
    code = folder / "acme_layers"
    code.mkdir(exist_ok=True)
    (code / "__init__.py").write_text("")
    (code / "records.py").write_text(RECORDS)
    (code / "engine.py").write_text(ENGINE)
    about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[modhub.layers]\n{textwrap.dedent(entries)}")


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_layers"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    forget()


def network() -> tuple[Any, Any]:
    from acme_layers.engine import Squash

    data = quadrants(each=10)
    keras.utils.set_random_seed(0)
    image = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    squash = Squash(-1.0, 2.0, name="squash")
    trunk = keras.Model(image, keras.layers.Flatten()(squash(x)))
    squash.gain.assign([0.5, 1.0, 2.0, -1.0])
    head = keras.layers.Dense(4, activation="softmax")
    model = keras.Model(image, head(trunk.output))
    seen = trunk.predict(data.x / np.float32(255), verbose=0)
    solution = np.linalg.lstsq(np.c_[seen, np.ones(len(seen))], 6 * np.eye(4)[data.y] - 3, rcond=1e-4)[0]
    head.set_weights([solution[:-1], solution[-1]])
    return model, data


def test_a_kind_from_a_package_is_read_run_published_and_missed(packages: Path, tmp_path: Path) -> None:
    installed(packages, "acme/squash = acme_layers.records:Squash")
    model, data = network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = modhub.decompose(
            model, data.x, data.y, classes=data.classes, name="me/squashed", rescale=1 / 255, batch_size=16
        )
    architecture = made.origin.architecture
    (record,) = [layer for layer in architecture.layers.values() if layer.kind == "acme/squash"]
    assert (record.low, record.high) == (-1.0, 2.0)
    assert made.package.manifest.format == 2
    assert (modhub.compose(made).predict(data.x).indices == model.predict(data.x / 255).argmax(axis=1)).mean() > 0.95
    registry = str(tmp_path / "registry")
    modhub.publish(made, version="1.0.0", registry=registry)
    made.save(tmp_path / "squashed.modules")
    names = [f"me/squashed:{module.slug}" for module in made.modules]
    margins = modhub.compose(names, registry=registry).predict(data.x).margins
    np.testing.assert_array_equal(margins, modhub.compose(made).predict(data.x).margins)

    sys.path.remove(str(packages))
    forget()
    # Its fields are kept as they are by who does not know them; only what it computes is not known.
    same = Architecture.model_validate(architecture.model_dump(mode="json"))
    assert same.model_dump(mode="json") == architecture.model_dump(mode="json")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, registry, *names],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found, kind, message = done.stdout.splitlines()
    assert (found, kind) == ("1 4", "missing-layer-kind")
    assert "a layer of the kind 'acme/squash', which no installed package provides" in message
    assert "if you trust those who made it" in message


def test_the_layer_computes_what_its_formula_says(packages: Path) -> None:
    installed(packages, "acme/squash = acme_layers.records:Squash")
    model, data = network()
    reading = read_model(model)
    x = data.x[:4] / np.float32(255)
    outputs: dict[str, Any] = {}
    Network(reading.architecture, reading.weights).run(
        x, lambda call, value: outputs.setdefault(call, np.asarray(value)) * 1
    )
    before, after = (next(v for k, v in outputs.items() if k.startswith(name)) for name in ("conv2d", "squash"))
    gain = np.array([0.5, 1.0, 2.0, -1.0])
    np.testing.assert_allclose(after, -1 + 3 / (1 + np.exp(-gain * before)), atol=1e-5)


def test_without_its_package_such_a_layer_is_refused_as_any_other(packages: Path) -> None:
    installed(packages, "")
    with pytest.raises(UnsupportedModel, match=r"Sort|squash"):
        read_model(network()[0])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("acme/squash = acme_layers.nothing:Squash", "cannot be imported: No module named 'acme_layers.nothing'"),
        ("acme/squash = acme_layers.engine:SQUASH", "is no subclass of modhub.spec.packaged_layers.PackagedLayer"),
        ("acme/other = acme_layers.records:Squash", "has the kind 'acme/squash'"),
    ],
)
def test_a_package_that_is_broken_is_named(packages: Path, entries: str, message: str) -> None:
    installed(packages, entries)
    with pytest.raises(UsageError) as caught:
        Architecture.model_validate(
            {
                "input_shape": [4, 4, 1],
                "layers": {"a": {"kind": entries.partition(" ")[0]}},
                "calls": [{"id": "a", "layer": "a", "inputs": ["input"]}],
                "features": "a",
                "head": "softmax",
            }
        )
    assert caught.value.kind == "bad-layer-package"
    assert message in caught.value.message
    assert "acme-layers" in caught.value.message


def test_two_packages_of_one_kind_are_named(packages: Path) -> None:
    installed(packages, "acme/squash = acme_layers.records:Squash")
    installed(packages, "acme/squash = acme_layers.engine:Squash", "other-layers")
    with pytest.raises(UsageError, match="two packages provide the kind of layer 'acme/squash'"):
        read_model(network()[0])


@pytest.mark.parametrize("kind", ["acme/", "/squash", "Acme/squash", "acme/squash/more", "acme/" + "x" * 600])
def test_a_kind_is_called_as_kinds_are(kind: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|at most"):
        Architecture.model_validate(
            {"input_shape": [4, 4, 1], "layers": {"a": {"kind": kind}}, "calls": [], "features": "a", "head": "softmax"}
        )


def test_a_missing_kind_has_no_shape(packages: Path) -> None:
    call = {"id": "a", "layer": "a", "inputs": ["input"]}
    layers = {"a": {"kind": "nobody/knows", "anything": [1, 2]}}
    architecture = Architecture.model_validate(
        {"input_shape": [4, 4, 1], "layers": layers, "calls": [call], "features": "a", "head": "softmax"}
    )
    with pytest.raises(Incompatible, match="nobody/knows"):
        shapes_of(architecture)
