"""Plots as files: drawn for few classes and many, for awkward names, and always the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modhub.composition.votes import Prediction
from modhub.errors import Conflict, UsageError
from modhub.evaluation.answers import Answers
from modhub.evaluation.evaluation import Evaluation, Timing, evaluated
from modhub.evaluation.labels import Matched
from modhub.package.module import PackedMasks
from modhub.plots import drawing
from modhub.plots.drawing import check_folder
from modhub.plots.evaluation import confusion, overlap, save_plots
from tests.composition.made_by_hand import module


def evaluation(classes: int, *, names: tuple[str, ...] | None = None, modules: bool = True) -> Evaluation:
    """Of random margins in which the true class is often largest; four fifths of the modules are of one origin."""
    random = np.random.default_rng(classes)
    images = 20 * classes
    truth = np.arange(images) % classes
    margins = random.normal(size=(images, classes)).astype(np.float32)
    margins[np.arange(images), truth] += 2
    names = names or tuple(f"class {number}" for number in range(classes))
    answers = Answers.of_modules(
        Prediction(names, margins, margins, np.ones(classes), np.ones(classes), 1.0, reject=classes == 3)
    )
    made = [
        module(
            f"{'cifar10/r56' if number < 0.8 * classes else 'cifar100/r20'}:class-{number}",
            keep=PackedMasks.of({site: random.random((4, 4, 3)) < 0.7 for site in ("first", "second")}),
        )
        for number in range(classes)
    ]
    return evaluated(
        "me/net", "photos", answers, Matched(np.arange(images), truth, {}),
        fingerprint="", timing=Timing(1, 1, 1), modules=made if modules else None,
    )  # fmt: skip


@pytest.mark.parametrize("classes", [2, 40])
def test_plots_are_the_same_bytes_again(classes: int, tmp_path: Path) -> None:
    first = save_plots(evaluation(classes), tmp_path / "first")
    assert [path.name for path in first] == [
        "confusion.png",
        "reliability.png",
        "recall.png",
        "layers.png",
        "overlap.png",
    ]
    for path in first:
        with Image.open(path) as image:
            assert min(image.size) > 200
            assert len(image.convert("RGB").getcolors(2**24) or []) > 20, "something is drawn"
    if classes < 40:
        second = save_plots(evaluation(classes), tmp_path / "second")
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_users_own_settings_change_nothing(tmp_path: Path) -> None:
    import matplotlib

    plain = save_plots(evaluation(3), tmp_path / "plain")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30}):
        own = save_plots(evaluation(3), tmp_path / "own")
        assert matplotlib.rcParams["font.size"] == 30
    assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in own]


def test_cells_hold_numbers_while_these_fit() -> None:
    few, many = evaluation(10), evaluation(40)
    numbers = [text.get_text() for text in confusion(few).axes[0].texts]
    shares = few.confusion[:, :-1] / few.confusion.sum(axis=1, keepdims=True)
    assert numbers == [f"{100 * share:.0f}" if share >= 0.005 else "" for share in shares.ravel()]
    assert not confusion(many).axes[0].texts
    assert [label.get_text() for label in confusion(many).axes[0].get_yticklabels()] == [
        row.name for row in many.classes
    ]
    assert len(overlap(few).axes[0].texts) == 8 * 7 + 2, "neither a module with itself nor with another origin's"


def test_who_rejects_has_a_column_for_it() -> None:
    labels = [label.get_text() for label in confusion(evaluation(3)).axes[0].get_xticklabels()]
    assert labels == ["class 0", "class 1", "class 2", "none of these"]


def test_awkward_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = ("$x^$", "Löwe \u7ae0\u9b5a", "a very long name that would leave no space for anything else")
    strange = evaluation(3, names=names)
    save_plots(strange, tmp_path)
    labels = [label.get_text() for label in confusion(strange).axes[0].get_yticklabels()]
    assert labels == ["$x^$", "Löwe \u7ae0\u9b5a", "a very long name that would…"]


def test_a_network_has_no_plots_of_modules(tmp_path: Path) -> None:
    drawn = save_plots(evaluation(3, modules=False), tmp_path)
    assert [path.name for path in drawn] == ["confusion.png", "reliability.png", "recall.png"]


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_folder(tmp_path / "new", force=False)
    check_folder(tmp_path, force=False)
    (tmp_path / "held").write_text("mine")
    with pytest.raises(Conflict) as raised:
        check_folder(tmp_path, force=False)
    assert raised.value.kind == "folder-exists"
    assert "exists and is not empty. Hint: name another, or" in str(raised.value)
    check_folder(tmp_path, force=True)
    with pytest.raises(Conflict, match=r"held is a file\. Hint: name a folder\."):
        check_folder(tmp_path / "held", force=True)


def test_without_matplotlib_the_message_says_what_to_install(tmp_path: Path) -> None:
    """In a fresh interpreter that finds no matplotlib."""
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from modhub.plots.drawing import check_folder\n"
        "from pathlib import Path\n"
        "try:\n    check_folder(Path('x'), force=False)\n"
        "except Exception as error:\n    print(type(error).__name__, error.kind, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(
        "UsageError missing-extra plots are drawn by matplotlib, which is not installed. Hint: pip"
    )
    assert drawing.check_matplotlib_installed() is None
    assert UsageError.exit_code == 2
