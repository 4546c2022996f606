"""``modhub update``: from published modules to a folder that ``modhub publish`` takes, and what ``info`` then says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import modhub
from modhub.cli import main
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry") / "registry"
    for modules in (quadrant_modules(), bar_modules()):
        modhub.publish(modules, version="1.0.0", registry=str(folder))
    return str(folder)


@pytest.fixture
def run(capsys, tmp_path, monkeypatch, registry):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODHUB_REGISTRY", registry)

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def save(path, each, seed=7):
    """Images of two quadrants and of one kind of bars."""
    one, two = quadrants(30, seed), bars(30, seed + 1)
    rows = [np.flatnonzero(one.y == cls)[:each] for cls in (1, 2)]
    lines = np.flatnonzero(two.y == 0)[:each]
    x = np.concatenate([one.x[rows[0]], one.x[rows[1]], two.x[lines]])
    np.savez(path, x=x, y=np.repeat([0, 1, 2], each), classes=np.array(["top right", "bottom left", "horizontal"]))
    return path


def save_all(path, each):
    """Images of all quadrants and of one kind of bars."""
    one, two = quadrants(each, 7), bars(each, 8)
    lines = two.y == 0
    np.savez(
        path,
        x=np.concatenate([one.x, two.x[lines]]),
        y=np.concatenate([one.y, 4 + two.y[lines]]),
        classes=np.array([*one.classes, "horizontal"]),
    )
    return path


ORDER = ("shapes/quadrants", "--against", "lines/bars:horizontal", "--strategy", "calibrate")


def test_a_model_is_updated_written_published_and_shown(run, tmp_path):
    data = save_all(tmp_path / "data.npz", 20)
    code, out, err = run("update", *ORDER, "--data", data, "--as", "shapes/more", "--out", "more.modules")
    assert code == 0, err
    assert out.startswith("updated by calibrate (strength ")
    assert "before" in out
    assert "95 % interval" in out
    assert "top right" in out
    assert "35 images report; 65 others fitted and chose, in turns" in out
    assert "saved more.modules" in out
    assert "next: modhub publish more.modules" in err

    code, out, err = run("publish", "more.modules", "--version", "1.0.0")
    assert code == 0, err
    code, out, err = run("info", "shapes/more")
    assert code == 0, err
    shown = "derived from  shapes/quadrants:top-left@1.0.0 and 3 more, by calibrate against 1 module, 65 examples\n"
    assert shown in out
    assert "4 of 4" in out
    code, out, err = run("info", "shapes/quadrants")
    assert "derived from" not in out


def test_json_and_reporting_data_of_ones_own(run, tmp_path):
    data, report = save_all(tmp_path / "data.npz", 8), save_all(tmp_path / "report.npz", 10)
    code, out, err = run("update", *ORDER, "--data", data, "--report", report, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["examples"] == 40
    assert document["after"]["examples"] == 50
    assert document["out"] == []
    assert set(document["before"]["recalls"]) == {"top left", "top right", "bottom left", "bottom right", "horizontal"}
    assert document["against"] == ["lines/bars:horizontal@1.0.0"]


def test_two_models_are_updated_together_and_written_to_a_folder_each(run, tmp_path):
    data, both = save(tmp_path / "data.npz", 20), ["shapes/quadrants:top-right", "shapes/quadrants:bottom-left"]
    both += ["lines/bars:horizontal"]
    against = [part for ref in both for part in ("--against", ref)]
    arguments = ["update", *both, *against, "--data", data, "--strategy", "calibrate", "--out", "new"]
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "saved new/shapes-quadrants\nsaved new/lines-bars\n" in out
    assert [module.name for module in modhub.load("new/shapes-quadrants").modules] == ["top right", "bottom left"]
    code, _, err = run(*arguments, "--as", "me/net", "--out", "other")
    assert code == 2
    assert "--as me/net names one model, but modules of 2 were updated: shapes/quadrants, lines/bars." in err


def test_what_is_kept_is_not_written(run, tmp_path):
    data = save_all(tmp_path / "data.npz", 3)
    code, out, err = run("update", *ORDER, "--data", data, "--out", "more.modules")
    assert code == 0
    assert out.startswith("kept the original\n'top left' has 3 examples; an update needs 4 of every class\n")
    assert "more.modules was not written, because the original modules were kept." in err
    assert not (tmp_path / "more.modules").exists()


def test_a_class_that_the_data_lacks(run, tmp_path):
    code, out, err = run("update", *ORDER, "--data", save(tmp_path / "data.npz", 5))
    assert (code, out) == (1, "")
    assert "2 of 5 classes have no example: 'top left', 'bottom right'." in err


def test_out_is_refused_before_the_work(run, tmp_path):
    (tmp_path / "notes").write_text("mine")
    code, _, err = run("update", *ORDER, "--data", "nowhere.npz", "--out", "notes")
    assert code == 4
    assert "notes exists and is not a package of modules." in err


def test_pictures_of_any_size_are_fitted(run, tmp_path):
    data = np.load(save_all(tmp_path / "data.npz", 12))
    for number, (image, label) in enumerate(zip(data["x"], data["classes"][data["y"]], strict=True)):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        large = Image.fromarray(image[..., 0]).resize((32, 32), Image.Resampling.NEAREST)
        large.save(tmp_path / "data" / label / f"{number}.png")
    code, out, err = run("update", *ORDER, "--data", "data", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["examples"] + document["after"]["examples"] == len(data["x"])
    assert f"{len(data['x'])} images read: {len(data['x'])} resized to 8x8" in err


def test_a_folder_of_modules_is_updated_before_it_is_published(run, tmp_path, monkeypatch):
    data = save_all(tmp_path / "data.npz", 20)
    monkeypatch.setenv("MODHUB_REGISTRY", str(tmp_path / "none"))
    quadrant_modules().save(tmp_path / "q.modules")
    bar_modules().save(tmp_path / "b.modules")
    order = ("q.modules", "--against", "b.modules:horizontal", "--strategy", "calibrate", "--data", data)
    code, out, err = run("update", *order, "--out", "more.modules")
    assert code == 0, err
    assert "saved more.modules" in out
    assert [module.name for module in modhub.load("more.modules").modules] == list(quadrants().classes)
