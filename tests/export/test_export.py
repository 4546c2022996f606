"""An export answers like its composite, in interpreters that know nothing of modhub; what differs is never kept."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import modhub
from modhub.composition.composite import Composite
from modhub.engine.export.formats import keras_bytes, plan_description, write_format
from modhub.engine.export.onnx import onnx_bytes, renumber
from modhub.errors import Conflict, Incompatible, InvalidData, ModhubError, StorageError, UnsupportedModel, UsageError
from modhub.installation.backend import InstalledBackend
from modhub.ops.export import TOLERANCE, export, synthetic_images
from tests.composition.made_by_hand import CONTRACT
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants, with_random_masks
from tests.thinning import long

IMAGES = np.concatenate([quadrants().x[:40], bars().x[:40]])

#: A user's own program: modhub cannot be imported, and the snippets of the documentation are all there is.
PROGRAM = """
import json, sys, zipfile
import numpy as np

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "modhub":
            raise ImportError("modhub is not here")

sys.meta_path.insert(0, Refuse())
images = np.load("images.npy")
import keras
import tensorflow as tf

classes = json.loads(zipfile.ZipFile("pets.keras").read("metadata.json"))["modhub"]["classes"]
plain = keras.models.load_model("pets.keras", safe_mode=True)
served = tf.saved_model.load("pets").signatures
answers = served["serving_default"](images=tf.constant(images))
np.savez(
    "answers.npz",
    keras=plain.predict(images, verbose=0),
    keras_classes=classes,
    served=answers["margins"].numpy(),
    served_labels=[label.decode() for label in answers["labels"].numpy()],
    served_classes=[name.decode() for name in served["classes"]()["classes"].numpy()],
    alone=served["serving_default"](images=tf.constant(images[:1]))["margins"].numpy(),
)
assert "modhub" not in sys.modules
"""


@pytest.fixture(scope="module")
def pets() -> Composite:
    """Two origins, masks of their own, a label of its own, and a stage that decides again."""
    one, two, three, _ = [with_random_masks(module, seed) for seed, module in enumerate(quadrant_modules().modules)]
    horizontal, vertical, corner = bar_modules().modules
    composite = modhub.compose([one, horizontal, two, three, vertical]).rename("horizontal", 'say "gräulich", ok')
    return composite.verify_with({("top left", "vertical"): [corner, horizontal]})


@pytest.fixture(scope="module")
def plain() -> Composite:
    return modhub.compose(list(bar_modules().modules))


class Other(InstalledBackend):
    """Runs plans as they are, but exports something else."""

    def __init__(self, change: Any) -> None:
        super().__init__(None, None)
        self._change = change

    def to_keras(self, plan: Any) -> Any:
        model = super().to_keras(plan)
        return keras.Model(model.inputs, self._change(model.outputs[0]))


def test_stages_change_answers_on_these_images(pets: Composite) -> None:
    """Else the tests below would prove nothing about them."""
    prediction = pets.predict(IMAGES)
    assert (prediction.margins != prediction.module_margins).any()


def test_keras_and_saved_model_without_modhub(pets: Composite, tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    for name in ("saved_model.pb", "keras_metadata.pb"):
        (tmp_path / "pets" / name).write_bytes(b"an old SavedModel, which is replaced as a whole")
    written = export(pets, tmp_path / "pets", check=IMAGES, force=True)
    assert not (tmp_path / "pets" / "keras_metadata.pb").exists()
    assert (written.format, written.checked_on) == ("saved-model", "80 images")
    assert written.difference <= TOLERANCE
    assert written.size == sum(file.stat().st_size for file in (tmp_path / "pets").rglob("*") if file.is_file())
    # As ``export`` writes it, whose own check is another interpreter; its docstring's example goes through that.
    write_format(pets.to_keras(), plan_description(pets.plan), "keras", tmp_path / "pets.keras")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pets", "pets.keras"]
    np.save(tmp_path / "images.npy", IMAGES.astype(np.float32))
    subprocess.run([sys.executable, "-I", "-c", PROGRAM], cwd=tmp_path, check=True, capture_output=True, timeout=240)
    expected = pets.predict(IMAGES)
    with np.load(tmp_path / "answers.npz") as found:
        for key in ("keras", "served"):
            assert np.abs(found[key] - expected.margins).max() <= TOLERANCE
            assert found[f"{key}_classes"].tolist() == pets.classes
        assert found["served_labels"].tolist() == expected.labels
        assert found["alone"].shape == (1, len(pets))
    inside = json.loads((tmp_path / "pets" / "assets.extra" / "modhub.json").read_text())
    assert inside["classes"] == pets.classes
    assert inside["input"]["height"] == 8


@pytest.mark.parametrize("count", [1, 7, 80])
def test_onnx_runs_in_onnxruntime_at_any_batch_size(
    pets: Composite, tmp_path_factory: pytest.TempPathFactory, count: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "pets.onnx"
    if not file.exists():
        written = export(pets, file, check=IMAGES)
        assert (written.format, written.images) == ("onnx", 80)
        assert 0 <= written.difference <= TOLERANCE
        onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (margins,) = session.run(None, {"images": IMAGES[:count].astype(np.float32)})
    assert np.abs(margins - pets.predict(IMAGES[:count]).margins).max() <= TOLERANCE
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["classes"]) == pets.classes
    inside = json.loads(properties["modhub"])
    # In units of the margins that it gives, which are those of the vote.
    counted = list(zip(pets.modules, pets.plan.counting.divisors, strict=True))
    assert len({divisor for _, divisor in counted}) == 2
    assert inside["thresholds"] == [module.threshold / divisor for module, divisor in counted]
    assert inside["scales"] == [module.scale * divisor for module, divisor in counted]
    assert inside["temperature"] == pets.plan.counting.temperature
    assert session.get_inputs()[0].shape == ["N", 8, 8, 1]
    assert session.get_outputs()[0].shape == ["N", len(pets)]


@pytest.mark.parametrize("how", ["resize", pytest.param("letterbox", marks=long)])
def test_adapters_are_inside(tmp_path: Path, how: str) -> None:
    """Images of 13x11, of which bars see 8x8."""
    composite = modhub.compose(list(bar_modules().modules), adapt=how, size=(13, 11))
    written = export(composite, tmp_path / "pets.onnx")
    assert written.difference <= TOLERANCE
    session = onnxruntime.InferenceSession(str(tmp_path / "pets.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["N", 13, 11, 1]


@pytest.mark.parametrize("written", [keras_bytes, onnx_bytes], ids=["keras", "onnx"])
def test_equal_composites_give_equal_bytes(pets: Composite, plain: Composite, written: Any) -> None:
    """Although Keras and tf2onnx name things by counting all that the process ever made."""
    text = {"classes": json.dumps(pets.classes)}
    first = written(pets.to_keras(), text)
    assert written(plain.to_keras(), text) != first
    assert written(pets.to_keras(), text) == first


def test_equal_graphs_are_named_and_ordered_alike() -> None:
    """However tf2onnx named and ordered them."""

    def graph(letters: str, order: list[int]) -> Any:
        image, one, two, half, out, unused = letters
        node = onnx.helper.make_node
        nodes = [
            node("Mul", [image, half], [one]),
            node("Relu", [image], [two]),
            node("Relu", [two], [unused]),
            node("Sub", [one, two], [out]),
        ]
        weights = [onnx.numpy_helper.from_array(np.float32([0.5]), half), onnx.numpy_helper.from_array(np.ones(3), "x")]
        ends = [onnx.helper.make_tensor_value_info(name, 1, ["batch", 1]) for name in (image, out)]
        made = onnx.helper.make_graph(
            [nodes[place] for place in order], "g", ends[:1], ends[1:], weights[:: order[0] * 2 - 1]
        )
        renumber(made)
        return made

    one, two = graph("abcdef", [1, 2, 0, 3]), graph("uzyxwv", [0, 1, 3, 2])
    assert one == two
    assert [node.op_type for node in one.node] == ["Mul", "Relu", "Sub"]
    assert (one.input[0].name, one.output[0].name, len(one.initializer)) == ("images", "margins", 1)
    assert graph("abcdef", [0, 1, 2, 3]).node[2].input == one.node[2].input


def test_a_keras_file_is_deflated_and_dated_nowhere(plain: Composite, tmp_path: Path) -> None:
    data = keras_bytes(plain.to_keras(), plan_description(plain.plan))
    (tmp_path / "small.keras").write_bytes(data)
    plain.to_keras().save(tmp_path / "large.keras")
    assert len(data) < (tmp_path / "large.keras").stat().st_size
    with zipfile.ZipFile(tmp_path / "small.keras") as archive:
        assert archive.namelist() == ["config.json", "metadata.json", "model.weights.h5"]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert json.loads(archive.read("metadata.json"))["date_saved"].startswith("1980")


def test_a_fused_trunk_is_shared(tmp_path: Path) -> None:
    """Modules of equal masks run as one trunk, in the artifact as in the composite."""
    modules = list(bar_modules().modules)
    masks = {module.keep.key() for module in modules}
    model = modhub.compose(modules).to_keras()
    dense = [layer for layer in model.layers if layer.name.startswith("margin_")]
    sources = {id(layer.input) for layer in dense}
    assert (len(dense), len(sources)) == (3, len(masks))


# What goes wrong


def test_what_answers_differently_is_not_kept(tmp_path: Path, plain: Composite) -> None:
    wrong = Composite(plain.plan, Other(lambda margins: margins * 1.001))
    with pytest.raises(Incompatible) as caught:
        export(wrong, tmp_path / "wrong.onnx", check=IMAGES)
    assert caught.value.kind == "export-differs"
    ours, theirs = caught.value.data["composite"], caught.value.data["artifact"]
    assert theirs == pytest.approx(ours * 1.001, rel=1e-5)
    assert str(caught.value).startswith("what was written as onnx does not answer like the composite: the margin of '")
    assert f"is {theirs:.6g} in the artifact and {ours:.6g} in the composite." in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_answers_nan_is_not_kept(tmp_path: Path, plain: Composite) -> None:
    wrong = Composite(plain.plan, Other(lambda margins: keras.ops.sqrt(margins - 1e6)))
    with pytest.raises(Incompatible, match="is nan in the artifact"):
        export(wrong, tmp_path / "wrong.onnx", check=IMAGES)
    assert list(tmp_path.iterdir()) == []


def test_a_replacement_that_differs_leaves_the_old_artifact(tmp_path: Path, plain: Composite) -> None:
    old = tmp_path / "pets.onnx"
    old.write_bytes(b"old")
    wrong = Composite(plain.plan, Other(lambda margins: margins[:, ::-1]))
    with pytest.raises(Incompatible):
        export(wrong, old, force=True)
    assert old.read_bytes() == b"old"
    assert export(plain, old, force=True).checked_on == "64 synthetic images"
    assert old.read_bytes() != b"old"


def test_an_operator_that_onnx_lacks(tmp_path: Path, plain: Composite) -> None:
    strange = Composite(plain.plan, Other(lambda margins: margins + 0 * keras.ops.erfinv(margins * 1e-9)))
    with pytest.raises(UnsupportedModel) as caught:
        export(strange, tmp_path / "strange.onnx")
    assert caught.value.kind == "unsupported-operator"
    assert caught.value.data == {"format": "onnx", "operators": ["Erfinv"]}
    assert str(caught.value) == (
        "the format onnx has no operator Erfinv. Hint: export it with --format saved-model or --format keras."
    )
    assert list(tmp_path.iterdir()) == []


def test_onnx_without_its_extra(tmp_path: Path, plain: Composite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UsageError) as caught:
        export(plain, tmp_path / "pets.onnx")
    assert caught.value.kind == "missing-extra"
    assert str(caught.value) == (
        "ONNX files are written and checked with onnx, tf2onnx, onnxruntime; not installed: tf2onnx. "
        "Hint: pip install 'modhub[onnx]'"
    )


def test_graphs_need_tensorflow(tmp_path: Path, plain: Composite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UnsupportedModel) as caught:
        export(plain, tmp_path / "pets.onnx")
    assert caught.value.kind == "needs-tensorflow"
    assert str(caught.value) == (
        "SavedModel and ONNX are written from TensorFlow's graph, but Keras runs on jax. "
        "Hint: set KERAS_BACKEND=tensorflow, or choose --format keras."
    )


@pytest.mark.parametrize(
    ("name", "options", "error", "kind", "message"),
    [
        ("there.keras", {}, Conflict, "output-exists", "exists. Hint: replace it with --force (force=True), or"),
        ("folder", {}, Conflict, "output-exists", "exists. Hint: choose another name."),
        ("folder", {"force": True}, Conflict, "output-exists", "exists and is no SavedModel. Hint: choose a"),
        ("there", {"format": "saved-model", "force": True}, Conflict, "output-exists", "exists. Hint: choose another"),
        ("pets.h5", {}, UsageError, "bad-format", "has no suffix that names a format. Hint: end it in .keras or .onnx"),
        ("pets.keras", {"format": "tflite"}, UsageError, "bad-format", "'tflite' is no format. Hint: use keras, "),
        ("pets.h5", {"format": "keras"}, UsageError, "bad-format", "is no name for keras, which ends in .keras. Hint:"),
        ("pets.onnx", {"format": "saved-model"}, UsageError, "bad-format", "is no name for saved-model, which is a f"),
        ("no/pets.keras", {}, UsageError, "no-folder", "there is no folder "),
        ("pets.keras", {"check": np.zeros((1, 9, 8, 1), np.uint8)}, InvalidData, "wrong-shape", "check on are 9x8x1"),
        ("pets.keras", {"check": "nowhere.png"}, ModhubError, "data-not-found", "no images at 'nowhere.png'."),
    ],
)
def test_bad_requests(
    tmp_path: Path,
    plain: Composite,
    name: str,
    options: dict[str, Any],
    error: type[ModhubError],
    kind: str,
    message: str,
) -> None:
    (tmp_path / "there.keras").write_bytes(b"mine")
    (tmp_path / "there").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error) as caught:
        export(plain, tmp_path / name, **options)
    assert caught.value.kind == kind
    assert message in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.keras").read_bytes() == b"mine"


def test_a_composite_that_rejects_is_exported_with_a_warning(tmp_path: Path) -> None:
    composite = modhub.compose(list(bar_modules().modules), reject=True)
    with pytest.warns(
        UserWarning, match=r'an artifact gives margins and never says "none of these"; to reject, compare'
    ):
        export(composite, tmp_path / "pets.onnx")
    found = onnx.load(tmp_path / "pets.onnx").metadata_props
    thresholds = json.loads(next(each.value for each in found if each.key == "modhub"))["thresholds"]
    session = onnxruntime.InferenceSession(str(tmp_path / "pets.onnx"), providers=["CPUExecutionProvider"])
    (margins,) = session.run(None, {"images": IMAGES.astype(np.float32)})
    rejected = ~(margins > thresholds).any(axis=1)
    assert 0 < rejected.sum() < len(IMAGES)
    np.testing.assert_array_equal(rejected, np.array(composite.predict(IMAGES).labels) == "none of these")


def test_a_disk_that_refuses(plain: Composite) -> None:
    with pytest.raises(StorageError, match=r"pets\.keras cannot be written: ") as caught:
        export(plain, "/proc/pets.keras")
    assert caught.value.kind == "not-writable"


# The images to compare on


def test_synthetic_images_are_smooth_seeded_and_fill_the_range() -> None:
    images = synthetic_images(CONTRACT)
    assert (images.shape, images.dtype) == ((64, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(images, synthetic_images(CONTRACT))
    assert (images[:-2].min(axis=(1, 2, 3)) == 0).all()
    assert (images[:-2].max(axis=(1, 2, 3)) == 255).all()
    assert (images[-2].max(), images[-1].min()) == (0, 255)
    for axis in (1, 2):
        assert np.abs(np.diff(images.astype(int), axis=axis)).max() < 60
    floats = synthetic_images(CONTRACT.model_copy(update={"dtype": "float32", "value_range": (-1.0, 1.0)}))
    assert (floats.dtype, floats.min(), floats.max()) == (np.float32, -1.0, 1.0)


def test_of_many_images_some_are_taken_evenly(tmp_path: Path, plain: Composite) -> None:
    np.savez(tmp_path / "many.npz", x=np.tile(IMAGES, (13, 1, 1, 1)))
    written = export(plain, tmp_path / "pets.onnx", check=tmp_path / "many.npz")
    assert (written.images, written.checked_on) == (512, f"512 of 1,040 images of {tmp_path / 'many.npz'}")


# The command


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from modhub.cli import main

    monkeypatch.chdir(tmp_path)
    registry = str(tmp_path / "registry")
    modhub.publish(bar_modules(), version="1.0.0", registry=registry)
    np.savez("images.npz", x=bars().x[:5])
    shape = ("--remove", "top left", "--registry", registry)
    assert main(["export", "lines/bars", *shape, "--out", "bars.onnx", "--check", "images.npz"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("2 classes on 1 trunk(s); input 8x8x1 grey, 0..255\nsaved bars.onnx (onnx, ")
    assert "read back without modhub: margins differ by " in out
    assert "at most, on 5 images of images.npz" in out
    # What it prints to be copied works as it is.
    found: dict[str, Any] = {}
    exec(err[err.index("import json") :], found)
    assert found["classes"] == ["horizontal", "vertical"]
    assert main(["export", "lines/bars", *shape, "--out", "bars.onnx", "--json"]) == 4
    assert json.loads(capsys.readouterr().err)["error"] == "output-exists"
    assert main(["export", "lines/bars", *shape, "--out", "bars.onnx", "--force", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["classes"] == ["horizontal", "vertical"]
    assert document["format"] == "onnx"
    assert document["check"]["on"] == "64 synthetic images"
    assert 0 <= document["check"]["difference"] <= TOLERANCE
    assert document["size"] == (tmp_path / "bars.onnx").stat().st_size
