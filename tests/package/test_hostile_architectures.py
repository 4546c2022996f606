"""Architectures written by hand, under true checksums: refused in words, nothing run, nothing allocated."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.errors import IntegrityError
from modhub.limits import MAX_JSON_DEPTH
from modhub.package.codec import encode
from modhub.spec.architecture import Architecture, Call, shapes_of
from modhub.spec.digests import canonical_json, sha256
from tests.small_origins import quadrant_modules


def signed(change, folder):
    """The quadrants' package in ``folder`` after ``change(content)``, every digest and checksum put right again."""
    quadrant_modules().save(folder)
    manifest = quadrant_modules().package.manifest.model_dump(mode="json")
    change(manifest["content"])
    manifest["digest"] = sha256(canonical_json(manifest["content"]))
    manifest["checksum"] = sha256(canonical_json(manifest))
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    return folder


def architecture_of(content):
    return content["origin"]["architecture"]


def layer(name, **fields):
    def change(content):
        architecture_of(content)["layers"][name] |= fields

    return change


def instead(name, **fields):
    def change(content):
        architecture_of(content)["layers"][name] = fields

    return change


def call(number, **fields):
    def change(content):
        architecture_of(content)["calls"][number] |= fields

    return change


def field(name, value):
    def change(content):
        architecture_of(content)[name] = value

    return change


def wide_units(content):
    """Two dense layers of 65,536 units: 17 GB of weights between them."""
    architecture = architecture_of(content)
    for name in ("wide", "wider"):
        architecture["layers"][name] = {"kind": "dense", "units": 65_536}
    architecture["calls"] += [
        {"id": "w:0", "layer": "wide", "inputs": ["hidden:0"]},
        {"id": "w:1", "layer": "wider", "inputs": ["w:0"]},
    ]
    architecture["features"] = "w:1"


def many_wide_units(content):
    """Each layer alone would pass; together they are some terabytes."""
    architecture = architecture_of(content)
    source = "hidden:0"
    for number in range(600):
        architecture["layers"][f"wide {number}"] = {"kind": "dense", "units": 30_000}
        architecture["calls"].append({"id": f"w:{number}", "layer": f"wide {number}", "inputs": [source]})
        source = f"w:{number}"
    architecture["features"] = source


def great_padding(content):
    architecture = architecture_of(content)
    architecture["layers"]["border"] = {"kind": "zero_padding2d", "padding": [[60_000, 60_000], [60_000, 60_000]]}
    architecture["calls"].append({"id": "b", "layer": "border", "inputs": ["pool:0"]})


def doubled_again_and_again(content):
    """Thirty concatenations of a tensor with itself: 2^30 times its size."""
    architecture = architecture_of(content)
    architecture["layers"]["twice"] = {"kind": "concatenate", "axis": 0}
    source = "flatten:0"
    for number in range(30):
        architecture["calls"].append({"id": f"t:{number}", "layer": "twice", "inputs": [source, source]})
        source = f"t:{number}"


def head_is_a_map(content):
    architecture_of(content)["features"] = "pool:0"


def on_other_channels(content):
    architecture = architecture_of(content)
    architecture["layers"]["mixed"] = {"kind": "conv2d", "filters": 9, "kernel_size": [1, 1]}
    architecture["calls"] += [
        {"id": "m", "layer": "mixed", "inputs": ["pool:0"]},
        {"id": "again", "layer": "stem", "inputs": ["m"]},
    ]


def too_many_calls(content):
    architecture = architecture_of(content)
    architecture["calls"] += [{"id": f"c{n}", "layer": "relu", "inputs": ["hidden:0"]} for n in range(10_000)]


def deep(content):
    value = []
    for _ in range(MAX_JSON_DEPTH):
        value = [value]
    content["extra"] = value


REFUSED = {
    "an unknown kind": (layer("stem", kind="conv3d"), "layers.stem"),
    "a Lambda": (instead("relu", kind="lambda", function="import os; os.abort()"), "layers.relu"),
    "a keras class": (instead("relu", kind="keras.layers.Lambda", module="keras.layers"), "layers.relu"),
    "a custom object": (layer("relu", registered_name="Evil>Layer"), "layers.relu.relu.registered_name"),
    "an initializer": (layer("hidden", kernel_initializer="ones"), "layers.hidden.dense.kernel_initializer"),
    "an activation by path": (layer("stem", activation="os.system"), "layers.stem.conv2d.activation"),
    "a function as activation": (
        layer("stem", activation={"class_name": "function"}),
        "layers.stem.conv2d.activation",
    ),
    "units beyond all bounds": (layer("hidden", units=10**12), "layers.hidden.dense.units"),
    "filters beyond all bounds": (layer("conv", filters=2**40), "layers.conv.conv2d.filters"),
    "no units": (layer("hidden", units=0), "layers.hidden.dense.units"),
    "negative strides": (layer("conv", strides=[-1, 1]), "layers.conv.conv2d.strides"),
    "an unknown padding": (layer("conv", padding="causal"), "layers.conv.conv2d.padding"),
    "epsilon of nothing": (layer("norm", epsilon=0), "layers.norm.batch_normalization.epsilon"),
    "three kernel sizes": (layer("conv", kernel_size=[1, 1, 1]), "layers.conv.conv2d.kernel_size"),
    "text for a number": (layer("hidden", units="24 units"), "layers.hidden.dense.units"),
    "a list of layers": (field("layers", []), "architecture.layers"),
    "an image beyond all bounds": (field("input_shape", [2**30, 2**30, 3]), "architecture.input_shape"),
    "an unknown head": (field("head", "svm"), "architecture.head"),
    "an unknown field": (field("build_config", {"input_shape": [None, 10**9]}), "architecture.build_config"),
    "a call with arguments": (call(0, kwargs={"training": True}), "calls.0.kwargs"),
    "a call without inputs": (call(0, inputs=[]), "calls.0.inputs"),
    "a name of a megabyte": (call(0, id="n" * 2**20), "calls.0.id"),
    "more calls than allowed": (too_many_calls, "architecture.calls"),
    "terabytes in one layer": (wide_units, "'w:1' brings the weights to more than 2147483648 numbers"),
    "terabytes in many layers": (many_wide_units, "brings the weights to more than 2147483648 numbers"),
    "a kernel as large as allowed": (layer("conv", kernel_size=[65_536, 65_536]), "brings the weights to more than"),
    "a border of gigabytes": (great_padding, "'b' has the output shape (120004, 120004, 5), beyond what is allowed"),
    "doubled again and again": (doubled_again_and_again, "beyond what is allowed"),
    "a call that reads itself": (call(2, inputs=["conv:0"]), "'conv:0' reads 'conv:0', which is not computed before"),
    "a cycle": (call(0, inputs=["hidden:0"]), "'stem:0' reads 'hidden:0', which is not computed before it"),
    "a tensor that is not computed": (call(0, inputs=["nothing"]), "'stem:0' reads 'nothing', which is not computed"),
    "a layer that is not there": (call(0, layer="nobody"), "'stem:0' names the unknown layer 'nobody'"),
    "a call twice": (call(1, id="stem:0"), "'stem:0' occurs twice"),
    "a call named as the image": (call(0, id="input"), "'input' occurs twice"),
    "two inputs for a convolution": (call(0, inputs=["input", "input"]), "'stem:0' reads 2 tensors, but conv2d takes"),
    "features that are not computed": (
        field("features", "nothing"),
        "'nothing' is named as the features but never computed",
    ),
    "features that are a map": (head_is_a_map, "'pool:0' is no vector but has the shape (4, 4, 5)"),
    "an image of other channels": (field("input_shape", [8, 8, 3]), "its network reads (8, 8, 3)"),
    "groups that do not divide": (layer("conv", groups=4), "'conv:0' has 4 groups for 5 channels and 5 filters"),
    "strides with dilation": (
        layer("conv", strides=[2, 2], dilation=[2, 2]),
        "'conv:0' has the strides (2, 2) together with the dilation (2, 2)",
    ),
    "a window larger than the map": (layer("pool", pool_size=[9, 9]), "'pool:0' has the output shape (0, 0, 5)"),
    "unequal parts of a sum": (layer("conv", padding="valid"), "'add:0' adds tensors of different shapes"),
    "a layer on other channels": (on_other_channels, "'again' calls the layer 'stem' on the shape (4, 4, 9), unlike"),
    "other filters than weights": (layer("stem", filters=6), "'add:0' adds tensors of different shapes"),
    "other units than weights": (
        layer("hidden", units=25),
        "'hidden/kernel' is float32 (80, 24), not float32 (80, 25)",
    ),
    "a bias without weights": (layer("conv", use_bias=True), "lacks, or has too many of, the array 'conv/bias'"),
    "nested too deeply": (deep, "is nested deeper than 64 levels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_architecture_is_refused_before_anything_is_allocated(case, tmp_path):
    change, message = REFUSED[case]
    folder = signed(change, tmp_path / "net.modules")
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError) as caught:
            modhub.load(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert peak < 30 * 2**20


def test_the_signature_of_these_tests_is_believed(tmp_path):
    """Without a change the package loads: what is refused above is refused for its content."""
    folder = signed(lambda content: content.update(note="an unknown field outside the architecture"), tmp_path / "net")
    assert modhub.load(folder).name == "shapes/quadrants"


def site(number, **fields):
    def change(content):
        content["sites"][number] |= fields

    return change


def another_sites_shape(content):
    content["sites"][0]["shape"] = [8, 8, 6]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (another_sites_shape, "shapes/quadrants has a mask of (8, 8, 6) at 'stem:0'; the architecture gives (8, 8, 5)"),
        (site(0, id="nowhere"), "has a mask of (8, 8, 5) at 'nowhere'; the architecture gives None"),
        (site(0, shape=[2**40]), "sites.0.shape"),
        (lambda content: content["sites"].pop(), "a module counts nodes for other sites than the release has"),
        (lambda content: content["modules"][1].update(index=0), "two modules with one slug or one index"),
        (lambda content: content["modules"][1].update(slug="top-left"), "two modules with one slug or one index"),
        (lambda content: content["modules"][3].update(index=4), "a module's index is beyond"),
        (lambda content: content["modules"][0].update(slug="../../etc"), "modules.0.slug"),
        (lambda content: content["modules"][0].update(scale=0), "modules.0.scale"),
        (lambda content: content["modules"][0].update(threshold="high"), "modules.0.threshold"),
        (lambda content: content["modules"][0].update(blob="sha256:" + "0" * 64), "the blob table lacks sha256:0000"),
        (
            lambda content: content["modules"][0].update(blob=content["origin"]["weights"]),
            "it claims to hold 10148 bytes where at most",
        ),
        (lambda content: content["modules"].clear(), "modules"),
        (lambda content: content["origin"].update(classes=["one", "two", "three"]), "index is beyond"),
        (
            lambda content: content["origin"]["classes"].append("five"),
            "'head/kernel' is float32 (24, 4), not float32 (24, 5)",
        ),
        (lambda content: content["contract"].update(std=[0.0]), "contract.image.std"),
        (lambda content: content["contract"].update(mean=[0.0, 0.0]), "2 numbers for 1 channels"),
        (lambda content: content["contract"].update(value_range=[1.0, 1.0]), "an empty value range"),
        (lambda content: content.update(namespace="../up"), "namespace"),
        (lambda content: content.update(version="1.0"), "version"),
    ],
)
def test_hostile_content_around_the_architecture_is_refused(change, message, tmp_path):
    with pytest.raises(IntegrityError) as caught:
        modhub.load(signed(change, tmp_path / "net.modules"))
    assert message in str(caught.value)


_LOAD_ALL = """
import resource, sys
import modhub
from modhub.errors import IntegrityError
import modhub.package.decomposition
before = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (before + 200 * 2**20,) * 2)
for folder in sys.argv[1:]:
    try:
        modhub.load(folder)
    except IntegrityError:
        continue
    raise SystemExit(f"{folder} was loaded")
assert "keras" not in sys.modules, "reading a manifest must not need keras"
print("refused", len(sys.argv) - 1)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to know its own size")
def test_all_of_them_are_refused_within_200_megabytes_and_without_keras(tmp_path):
    folders = [signed(change, tmp_path / f"{number}") for number, (change, _) in enumerate(REFUSED.values())]
    done = subprocess.run(
        [sys.executable, "-c", _LOAD_ALL, *map(str, folders)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(modhub.__file__).parents[1])},
    )
    assert done.stdout == f"refused {len(REFUSED)}\n", done.stderr[-2000:]


def test_nothing_that_an_architecture_names_is_imported_or_run(tmp_path):
    """The file that the Lambda's text would make stays unmade, and its words are nowhere evaluated."""
    bomb = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(bomb)!r}).touch()"
    for change in (
        instead("relu", kind="lambda", function=code),
        layer("stem", activation=code),
        call(0, layer=code),
        field("features", code),
    ):
        with pytest.raises(IntegrityError):
            modhub.load(signed(change, tmp_path / "net.modules"))
    assert not bomb.exists()


def test_an_accepted_architecture_can_be_built(tmp_path):
    """Odd names and layers that are never called are allowed, and harmless."""

    def odd(content):
        architecture = architecture_of(content)
        text = copy.deepcopy(architecture)
        text["layers"]["../..\n\u202e"] = text["layers"].pop("relu")
        text["layers"]["unused"] = {"kind": "dense", "units": 65_536}
        for one in text["calls"]:
            one["layer"] = "../..\n\u202e" if one["layer"] == "relu" else one["layer"]
        architecture.update(text)

    found = modhub.load(signed(odd, tmp_path / "net.modules"))
    images = np.zeros((2, 8, 8, 1), np.uint8)
    expected = modhub.compose(list(quadrant_modules().modules)).predict(images).margins
    np.testing.assert_array_equal(modhub.compose(list(found.modules)).predict(images).margins, expected)


def test_shapes_of_is_what_the_weights_blob_must_hold():
    """A weight counted once though its layer is called twice."""
    architecture = quadrant_modules().origin.architecture
    calls = (*architecture.calls, Call(id="again", layer="hidden", inputs=("flatten:0",)))
    twice = Architecture(**{**dict(architecture), "calls": calls})
    assert shapes_of(twice)["again"] == (24,)
    assert twice.layers["hidden"].weight_shapes(shapes_of(twice)["flatten:0"])["kernel"] == (80, 24)


def test_a_blob_may_not_lie_about_its_size_in_the_table(tmp_path):
    """Also while other modules in this process have the very weights that it should hold."""
    held = modhub.load(quadrant_modules().save(tmp_path / "held.modules"))
    folder = tmp_path / "net.modules"
    quadrant_modules().save(folder)
    manifest = quadrant_modules().package.manifest.model_dump(mode="json")
    weights = manifest["content"]["origin"]["weights"]
    manifest["blobs"][weights]["decoded_size"] = 2**33
    manifest["checksum"] = sha256(canonical_json(manifest))
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    with pytest.raises(IntegrityError, match="claims to hold 8589934592 bytes where at most"):
        modhub.load(folder)
    manifest.pop("checksum")
    manifest["blobs"][weights]["decoded_size"] = encode(b"x").record.decoded_size
    manifest["checksum"] = sha256(canonical_json(manifest))
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    with pytest.raises(IntegrityError, match="its frame does not hold the 1 bytes promised"):
        modhub.load(folder)
    with pytest.raises(IntegrityError, match="its frame does not hold the 1 bytes promised"):
        modhub.publish(folder, version="1.0.0", registry=str(tmp_path / "registry"))
    assert held.modules
