"""Classifiers of tables and signals from the command line, from a Keras file to another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import modhub
from tests.small_arrays import rows, signal_network, signals, table_network

pytestmark = pytest.mark.filterwarnings("ignore:.*do not rise with its class")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``table.keras`` and ``signals.keras`` with their data, and what a person hands over to be classified."""
    folder = tmp_path_factory.mktemp("shop")
    for name, network, data in (("table", table_network, rows), ("signals", signal_network, signals)):
        network().save(folder / f"{name}.keras")
        for end, part in (("", data()), ("-test", data(60, 1))):
            np.savez(folder / f"{name}{end}.npz", x=part.x, y=part.y, classes=part.classes)
    lines = [",".join(map(str, row)) for row in rows(60, 1).x.tolist()]
    (folder / "new.csv").write_text("\n".join(["a,b,c,d,e,f", *lines]) + "\n")
    labels = [rows().classes[label] for label in rows(60, 1).y]
    labelled = [f"{label},{line}" for label, line in zip(labels, lines, strict=True)]
    (folder / "test.csv").write_text("\n".join(["label,a,b,c,d,e,f", *labelled]) + "\n")
    np.save(folder / "new.npy", signals(60, 1).x)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "picture.png")
    return folder


@pytest.fixture(scope="module")
def registry(shop: Path) -> str:
    """With me/wine, which the command line decomposed, and me/waves."""
    place = str(shop / "registry")
    data = signals()
    waves = modhub.decompose(signal_network(), *data.both, classes=data.classes, name="me/waves", backtrack="none")
    modhub.publish(waves, version="1.0.0", registry=place)
    return place


def test_a_table_goes_all_the_way(run, shop, registry):
    assert "arrays   6\n" in run("decompose", shop / "table.keras", "--dry-run").out
    made = run("decompose", shop / "table.keras", "--data", shop / "table.npz", "--validation", shop / "test.csv",
               "--as", "me/wine", "--out", "wine.modules")  # fmt: skip
    assert made.code == 0
    assert "me/wine: 3 modules" in made.out
    assert run("publish", "wine.modules", "--version", "1.0.0", "--registry", registry).code == 0
    found = run("search", "wine", "--registry", registry, "--json").document["hits"][0]
    assert (found["input_shape"], found["kind"]) == ([6], "array")
    assert run("install", "me/wine", "--registry", registry).code == 0
    shown = run("info", "me/wine", "--registry", registry).out
    assert "input      array of 6, raw float32 0.9" in shown

    answers = run("predict", "me/wine", "--inputs", shop / "new.csv", "--registry", registry, "--json").document
    again = run("predict", "me/wine", "--images", shop / "table-test.npz", "--registry", registry, "--json").document
    assert [row["label"] for row in answers["images"]] == [row["label"] for row in again["images"]]
    right = [row["label"] == rows().classes[label] for row, label in zip(answers["images"], rows(60, 1).y, strict=True)]
    assert np.mean(right) > 0.8
    table = run("predict", "me/wine", "--inputs", shop / "new.csv", "--registry", registry).out.splitlines()
    assert table[0].split()[:2] == ["input", "label"]
    assert table[1].startswith("x[0]")

    report = run("evaluate", "me/wine", "--data", shop / "table-test.npz", "--registry", registry, "--json").document
    assert report["top_1"]["value"] == pytest.approx(np.mean(right))
    classes = ",".join(rows().classes)
    table = shop / "test.csv"
    network = run("evaluate", shop / "table.keras", "--data", table, "--classes", classes, "--json").document
    assert network["top_1"]["value"] > 0.8
    why = run("explain", shop / "new.csv", "me/wine", "--index", 0, "--registry", registry, "--out", "why.png")
    assert why.code == 0
    written = run("export", "me/wine", "--registry", registry, "--check", shop / "new.csv", "--out", "wine.onnx")
    assert written.code == 0, written.err
    assert "on 60 images of" in written.out


def test_signals_are_a_project_and_a_keras_file(run, shop, registry):
    answers = run("predict", "me/waves", "--images", shop / "new.npy", "--registry", registry, "--json").document
    right = [row["label"] == signals().classes[y] for row, y in zip(answers["images"], signals(60, 1).y, strict=True)]
    assert np.mean(right) > 0.7
    assert run("new", "proj").code == 0
    added = run("add", "me/waves:slow", "me/waves:step", "--project", "proj", "--registry", registry)
    assert added.code == 0, added.err
    assert run("tree", "--project", "proj").out.startswith("proj  array of 16x2, ")
    assert run("evaluate", "proj", "--data", shop / "signals-test.npz", "--drop-unknown").code == 0
    assert run("build", "--project", "proj", "--out", "both.keras").code == 0
    assert Path("both.keras").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["predict", "me/waves", "--inputs", "picture.png"], 1, "is a picture, and the modules take array of 16x2."),
        (["predict", "me/waves", "--inputs", "new.csv"], 1, "wanted (N, 16, 2): the modules take arrays."),
        (
            ["predict", "me/waves", "--inputs", "new.npy", "--fit", "crop"],
            2,
            "fit is 'crop', which is for images, and the modules take array of 16x2.",
        ),
        (
            ["compose", "me/waves:slow", "me/waves:step", "--adapt", "resize"],
            4,
            "adapters are for images, and me/waves:slow@1.0.0 takes array of 16x2.",
        ),
        (
            ["compose", "me/waves:slow", "cifar10/r20:cat"],
            4,
            ": input array of 16x2 vs 32x32x3 rgb.",
        ),
        (
            ["decompose", "signals.keras", "--data", "table.npz", "--as", "me/x"],
            1,
            "the images are 6, but the model takes 16x2.",
        ),
    ],
)
def test_what_is_for_images_says_so(run, shop, registry, arguments, code, message):
    given = [shop / each if (shop / str(each)).is_file() else each for each in arguments]
    where = [] if arguments[0] == "decompose" else ["--registry", registry]
    result = run(*given, *where)
    assert result.code == code
    assert message in result.err


def test_modules_of_two_tables_are_updated_and_swapped():
    data, held = rows(), rows(60, 1)
    two = [
        modhub.decompose(table_network(seed), *data.both, classes=data.classes, name=f"me/wine{seed}")
        for seed in (0, 5)
    ]
    first, second = (each.modules for each in two)
    updated = modhub.update(first[:2], against=second[2], data=(*data.both, data.classes))
    assert [module.name for module in updated.modules] == list(data.classes[:2])
    joint = modhub.compose([*updated.modules, second[2]])
    assert (joint.predict(held.x).indices == held.y).mean() > 0.7
    swapped = joint.swap("barbera", first[2], match=True)
    assert swapped.classes == list(data.classes)
    assert (swapped.predict(held.x).indices == held.y).mean() > 0.7
