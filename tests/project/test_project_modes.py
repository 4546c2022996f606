"""A project runs as its file says, wherever it is used, until a command line says otherwise; and its lock knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from made_projects import lock, toml, with_settings

import modhub
from modhub import Project
from modhub.cli import main
from modhub.composition.agreement import Agreement
from modhub.errors import Conflict
from modhub.installation.lockfile import Lock, MeasuredAccuracy
from modhub.project.measuring import REDUCED_TOLERANCE, TOLERANCE
from modhub.spec.digests import sha256
from tests import thinning
from tests.cli.running import Result
from tests.small_origins import Data, bar_modules, quadrant_modules, quadrants, with_random_masks

Run = Callable[..., Result]
NAME = "shapes/quadrants"
WHY = "shapes/quadrants@1.0.0 runs fused: as asked; no agreement is recorded"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Modules whose masks differ so much that fused answers otherwise, and others of the same images."""
    root = str(tmp_path_factory.mktemp("modules") / "registry")
    quarters = quadrant_modules()
    sparse = tuple(with_random_masks(module, seed) for seed, module in enumerate(quarters.modules))
    modhub.publish(replace(quarters, modules=sparse), version="1.0.0", registry=root)
    modhub.publish(bar_modules(), version="1.0.0", registry=root)
    return root


@pytest.fixture(scope="module")
def data() -> Data:
    return quadrants(each=20, seed=9)


@pytest.fixture
def shapes(tmp_path: Path, modules: str, data: Data, monkeypatch: pytest.MonkeyPatch) -> Project:
    """All quadrants, locked before the file says how they run; and data to measure on."""
    monkeypatch.setenv("MODHUB_REGISTRY", modules)
    project = Project.new(tmp_path / "shapes", [NAME])
    np.savez(project.folder / "d.npz", x=data.x, y=data.y, classes=np.array(data.classes))
    monkeypatch.chdir(project.folder)
    return project


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return run


def says(project: Project, *lines: str) -> None:
    """Write settings into the project file, in the place of those that are there."""
    text = "".join(line for line in toml(project).splitlines(True) if not line.startswith(("mode", "dtype", "data")))
    first, rest = text.split("\n", 1)
    (project.folder / "modhub.toml").write_text("\n".join([first, *lines, rest]))


def share(project: Project, data: Data, **way: str) -> float:
    return float((project.compose().in_mode(**way).predict(data.x).indices == data.y).mean())


# Locking


def test_lock_measures_in_the_way_chosen_and_prints_how_exact_that_is(run: Run, shapes: Project, data: Data) -> None:
    says(shapes, 'data = "d.npz"', 'mode = "fused"')
    done = run("lock")
    agreement = shapes.compose().agreement(data.x)
    assert 0 < agreement.equal < len(data.x) - 8
    assert done.out.splitlines()[0] == "~ mode: isolated -> fused"
    assert done.out.splitlines()[-1] == f"agreement with isolated in float32: {agreement}"
    assert "nothing changed" not in done.err
    found = shapes.locked
    assert (found.settings.mode, found.settings.dtype) == ("fused", "float32")
    assert found.accuracy.top_1 == pytest.approx(share(shapes, data, mode="fused"))
    assert found.accuracy.top_1 != pytest.approx(share(shapes, data), abs=1e-3)
    assert '\nmode = "fused"\n' in lock(shapes)
    # The same again is known already.
    again = run("lock")
    assert (again.out.splitlines()[1:], "nothing changed; 4 classes" in again.err) == ([], True)


def test_lock_json_has_the_agreement_and_what_was_set(run: Run, shapes: Project, data: Data) -> None:
    says(shapes, 'mode = "fused"', 'dtype = "bfloat16"')
    document = run("lock", "--data", "d.npz", "--json").document
    agreement = shapes.compose().agreement(data.x).to_dict()
    assert document["agreement"] == pytest.approx(agreement, rel=1e-5)
    assert (document["mode"], document["dtype"]) == ("fused", "bfloat16")
    assert document["settings"] == [
        {"name": "mode", "before": "isolated", "after": "fused"},
        {"name": "dtype", "before": "float32", "after": "bfloat16"},
    ]
    assert run("lock", "--no-accuracy", "--json").document["agreement"] is None


@pytest.mark.parametrize("mode", ["isolated", "auto"])
def test_there_is_no_agreement_to_measure_of_what_runs_exactly(shapes: Project, mode: str) -> None:
    """Nothing is recorded of these modules, so auto leaves them isolated."""
    says(shapes, 'data = "d.npz"', f'mode = "{mode}"')
    change = shapes.lock()
    assert change.agreement is None
    assert change.locked.accuracy.examples == 80


def test_the_agreement_of_several_batches_is_that_of_all_images(shapes: Project) -> None:
    many = quadrants(each=80, seed=3)
    np.savez(shapes.folder / "many.npz", x=many.x, y=many.y, classes=np.array(many.classes))
    says(shapes, 'data = "many.npz"', 'mode = "fused"')
    found = shapes.lock().agreement
    whole = shapes.compose().agreement(many.x)
    assert (found.images, found.equal) == (320, whole.equal)
    assert found.margin == pytest.approx(whole.margin, rel=1e-5)


def test_a_mode_that_changed_is_a_reason_to_lock_again(run: Run, shapes: Project) -> None:
    says(shapes, 'mode = "fused"')
    with pytest.raises(Conflict, match="modules, ranges or settings differ") as caught:
        shapes.sync(frozen=True)
    assert caught.value.kind == "lock-outdated"
    assert run("build", "--frozen", "--out", "x.keras").code == 4
    done = run("sync")
    assert (done.code, done.out) == (0, "~ mode: isolated -> fused\n")
    assert run("sync", "--frozen").out == ""


def test_who_takes_the_mode_away_has_the_lock_of_before(shapes: Project) -> None:
    before = toml(shapes), lock(shapes)
    says(shapes, 'mode = "auto"', 'dtype = "bfloat16"')
    shapes.lock()
    assert lock(shapes) != before[1]
    says(shapes, 'mode = "isolated"', 'dtype = "float32"')
    shapes.lock()
    assert lock(shapes) == before[1]
    says(shapes)
    assert toml(shapes) == before[0]
    assert shapes.sync(frozen=True).settings == ()


def test_an_accuracy_of_another_way_is_forgotten(run: Run, shapes: Project) -> None:
    measured = MeasuredAccuracy(data="d.npz", fingerprint=sha256(b""), examples=4, top_1=1, top_5=1, balanced=1)
    kept = Lock.of_project(replace(shapes.locked, accuracy=measured))
    for line in ('mode = "fused"', 'dtype = "bfloat16"'):
        says(shapes)
        (shapes.folder / "modhub.lock").write_text(kept.to_text())
        shapes.sync()
        assert shapes.locked.accuracy == measured
        says(shapes, line)
        assert "the accuracy that was measured is not this classifier's any more" in run("lock", "--no-accuracy").err
        assert shapes.locked.accuracy is None


def test_verify_replays_in_the_way_that_is_locked(run: Run, shapes: Project, data: Data) -> None:
    says(shapes, 'data = "d.npz"', 'mode = "fused"')
    shapes.lock()
    assert run("verify").code == 0
    replay = shapes.verify()
    assert replay.accuracy == shapes.locked.accuracy
    # What isolated modules answer would not be as locked.
    exact = with_settings(shapes.locked, mode="isolated")
    (shapes.folder / "modhub.lock").write_text(Lock.of_project(exact).to_text())
    done = run("verify")
    assert done.code == 1
    assert "the classifier answers otherwise than when it was locked: top_1 was" in done.err


@pytest.mark.parametrize(("dtype", "code"), [("float32", 1), ("bfloat16", 0)])
def test_in_bfloat16_shares_may_differ_by_more(run: Run, shapes: Project, dtype: str, code: int) -> None:
    says(shapes, 'data = "d.npz"', f'dtype = "{dtype}"')
    shapes.lock()
    found = shapes.locked
    elsewhere = found.accuracy.model_copy(
        update={"balanced": found.accuracy.balanced - (TOLERANCE + REDUCED_TOLERANCE) / 2}
    )
    (shapes.folder / "modhub.lock").write_text(Lock.of_project(replace(found, accuracy=elsewhere)).to_text())
    assert run("verify").code == code


# Edits


def edits() -> Iterator[tuple[str, ...]]:
    yield "add", "lines/bars:vertical"
    yield "rename", "top left=first"
    yield "swap", "top right=lines/bars:horizontal"
    yield "verify-with", "first,bottom left=lines/bars:vertical,lines/bars:horizontal"
    yield "remove", "vertical"
    yield ("upgrade",)
    yield "restrict", "bottom left", "first"


def test_every_edit_keeps_how_the_project_runs(run: Run, shapes: Project) -> None:
    says(shapes, 'mode = "fused"   # one pass', 'dtype = "bfloat16"')
    assert run("lock").code == 0
    for arguments in edits():
        done = run(*arguments)
        assert done.code == 0, (arguments, done.err)
        assert toml(shapes).startswith('[project]\nmode = "fused"   # one pass\ndtype = "bfloat16"\nname = "shapes"\n')
        assert (shapes.locked.settings.mode, shapes.locked.settings.dtype) == ("fused", "bfloat16"), arguments
        plan = shapes.compose(frozen=True).plan
        assert (plan.settings.mode, plan.settings.dtype) == ("fused", "bfloat16")
    assert shapes.compose().classes == ["bottom left", "first"]


def test_merge_keeps_the_way_of_this_project(run: Run, shapes: Project, tmp_path: Path) -> None:
    other = Project.new(tmp_path / "other", ["lines/bars:vertical"])
    says(other, 'mode = "fused"', 'dtype = "bfloat16"')
    other.lock()
    assert run("merge", "../other").code == 0
    assert (shapes.locked.settings.mode, shapes.locked.settings.dtype) == ("isolated", "float32")
    assert "mode" not in toml(shapes)
    says(shapes, 'mode = "auto"')
    shapes.remove("vertical")
    assert run("merge", "../other").code == 0
    assert (shapes.locked.settings.mode, shapes.locked.settings.dtype) == ("auto", "float32")
    assert len(shapes.locked.classes) == 5


def test_diff_and_tree_show_how_projects_run(run: Run, shapes: Project) -> None:
    (shapes.folder / "old.lock").write_text(lock(shapes))
    says(shapes, 'mode = "fused"')
    shapes.sync()
    assert run("diff", "old.lock", "modhub.lock").out == "  mode  isolated -> fused\n"
    tree = shapes.tree()
    assert (tree.settings.mode, tree.settings.dtype) == ("fused", "float32")


# Using it


def test_commands_run_the_project_as_it_says_and_the_command_line_wins(run: Run, shapes: Project, data: Data) -> None:
    says(shapes, 'mode = "fused"')
    shapes.sync()
    answers = {mode: modhub.compose(NAME, mode=mode).predict(data.x).labels for mode in ("isolated", "fused")}
    assert answers["isolated"] != answers["fused"]
    for options, mode in (((), "fused"), (("--mode", "isolated"), "isolated"), (("--dtype", "float32"), "fused")):
        document = run("predict", "--images", "d.npz", *options, "--json").document
        assert [row["label"] for row in document["images"]] == answers[mode]
    shown = run("compose")
    assert WHY in shown.out
    assert "agreement with isolated in float32: not measured" in shown.out
    assert "runs" not in run("compose", "--mode", "isolated").out
    assert "trunks in bfloat16" in run("compose", "--dtype", "bfloat16").out
    document = run("evaluate", ".", "--data", "d.npz", "--resamples", "100", "--json").document
    assert document["top_1"]["value"] == pytest.approx(share(shapes, data, mode="fused"))


def test_names_run_exactly_also_in_the_folder_of_such_a_project(run: Run, shapes: Project) -> None:
    says(shapes, 'mode = "fused"', 'dtype = "bfloat16"')
    document = run("compose", NAME, "--json").document
    assert (document["mode"], document["dtype"]) == ("isolated", "float32")


def test_compose_checks_the_way_of_the_project(run: Run, shapes: Project, data: Data) -> None:
    refused = run("compose", "--check", "d.npz")
    assert (refused.code, "modules run isolated in float32" in refused.err) == (2, True)
    says(shapes, 'mode = "fused"')
    found = json.loads(run("compose", "--check", "d.npz", "--json").out)["agreement"]
    assert found == pytest.approx(shapes.compose().agreement(data.x).to_dict(), rel=1e-5)
    refused = run("compose", "--check", "d.npz", "--mode", "isolated")
    assert (refused.code, "modules run isolated in float32" in refused.err) == (2, True)


def test_a_project_that_rejects_does_so_in_what_is_printed(run: Run, shapes: Project) -> None:
    says(shapes, "reject = true")
    assert run("compose").out.splitlines()[1].split() == ["label", "module", "threshold"]
    titles = run("predict", "--images", "d.npz").out.splitlines()[0].split()
    assert titles == ["image", "answer", "label", "probability", "module", "score"]
    assert run("predict", "--images", "d.npz", "--json").document["reject"] is True


# Writing it


def test_build_writes_a_fused_project_as_the_one_network_that_it_is(run: Run, shapes: Project, data: Data) -> None:
    says(shapes, 'mode = "fused"')
    done = run("build", "--out", "net.keras")
    assert (done.code, WHY in done.out) == (0, True)
    model = keras.models.load_model("net.keras", safe_mode=True)
    margins = model.predict(data.x.astype("float32"), verbose=0)
    assert np.abs(margins - shapes.compose().predict(data.x).margins).max() < 1e-4
    assert np.abs(margins - shapes.compose().in_mode().predict(data.x).margins).max() > 0.1
    heads = [layer for layer in model.layers if layer.name.startswith("margin_")]
    assert len({id(head.input) for head in heads}) == 1
    first = Path("net.keras").read_bytes()
    document = run("build", "--frozen", "--out", "net.keras", "--force", "--json").document
    assert (document["mode"], document["ways"][0]["fused"]) == ("fused", True)
    assert Path("net.keras").read_bytes() == first


def test_build_writes_what_runs_in_bfloat16_in_float32_and_says_so(run: Run, shapes: Project, data: Data) -> None:
    says(shapes, 'mode = "fused"', 'dtype = "bfloat16"')
    done = run("build", "--out", "net.keras", "--json")
    assert done.code == 0
    assert "the model is written in float32; bfloat16 is a way to run modules here" in done.err
    assert (done.document["mode"], done.document["dtype"]) == ("fused", "float32")
    model = keras.models.load_model("net.keras", safe_mode=True)
    margins = model.predict(data.x.astype("float32"), verbose=0)
    assert np.abs(margins - shapes.compose().in_mode("fused").predict(data.x).margins).max() < 1e-4


@pytest.mark.parametrize("out", [pytest.param("net.keras", marks=thinning.long), "net.onnx"])
def test_export_writes_and_checks_what_the_project_is(run: Run, shapes: Project, out: str) -> None:
    says(shapes, 'mode = "fused"', 'dtype = "bfloat16"')
    refused = run("export", "--out", out)
    assert (refused.code, Path(out).exists()) == (2, False)
    assert "a composite whose trunks compute in bfloat16 cannot be exported" in refused.err
    done = run("export", "--out", out, "--dtype", "float32", "--check", "d.npz")
    assert done.code == 0, done.err
    assert "read back without modhub" in done.out


def test_agreement_is_of_a_change_that_measured_it_alone(shapes: Project) -> None:
    says(shapes, 'data = "d.npz"', 'mode = "fused"')
    assert isinstance(shapes.lock().agreement, Agreement)
    assert shapes.lock().agreement is None
    assert shapes.sync().agreement is None
