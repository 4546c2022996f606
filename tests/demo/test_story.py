"""The story, run once with an empty home: its figures, and that it writes nowhere else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modhub.demo.story import Step, StoryAccuracy, run


@dataclass(frozen=True)
class Outcome:
    steps: list[dict[str, Any]]
    emitted: bool
    lines: list[str]
    workdir: Path
    elsewhere: set[str]

    def step(self, name: str, what: str = "") -> dict[str, Any]:
        found = [step for step in self.steps if step["name"] == name and what in step["what"]]
        assert len(found) == 1, found
        return found[0]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    root = tmp_path_factory.mktemp("story")
    home, workdir = root / "home", root / "work"
    home.mkdir()
    workdir.mkdir()
    emitted: list[Step] = []
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("MODHUB", "XDG"))]:
            patch.delenv(name)
        for name, folder in (("HOME", home), ("KERAS_HOME", root / "keras"), ("MPLCONFIGDIR", root / "mpl")):
            patch.setenv(name, str(folder))
        steps = run(workdir, emitted.append, doing=lines.append)
    return Outcome(
        # As a command would print them.
        json.loads(json.dumps([asdict(step) for step in steps])),
        emitted == steps,
        lines,
        workdir=workdir,
        elsewhere={str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()},
    )


def test_the_steps_come_in_the_order_of_the_work(outcome: Outcome) -> None:
    assert [step["name"] for step in outcome.steps] == [
        *["train"] * 3, *["decompose"] * 3, "publish", "install", "compose", "compose", "swap", "remove",
    ]  # fmt: skip
    assert outcome.emitted
    assert "training demo/letters: epoch 6 of 6" in outcome.lines
    assert "publishing" in outcome.lines


def test_both_networks_learn(outcome: Outcome) -> None:
    accuracy = {step["what"]: step["accuracy"] for step in outcome.steps if step["name"] == "train"}
    assert accuracy["demo/digits"] >= 0.96
    assert accuracy["demo/letters"] >= 0.93


def test_modules_together_match_their_origin(outcome: Outcome) -> None:
    for name in ("demo/digits", "demo/letters", "demo/digits-b"):
        decomposed = next(step for step in outcome.steps if (step["name"], step["what"]) == ("decompose", name))
        trained = next(step for step in outcome.steps if (step["name"], step["what"]) == ("train", name))
        assert decomposed["baseline"] == trained["accuracy"]
        assert decomposed["accuracy"] == pytest.approx(decomposed["baseline"], abs=0.01)


def test_classes_of_different_origins_work_together(outcome: Outcome) -> None:
    pair = outcome.step("compose", "demo/digits:3")
    assert pair["classes"] == ["3", "a"]
    assert pair["balanced"] >= 0.96
    ten = outcome.step("compose", "demo/digits-b")
    assert ten["classes"] == [*"01234", *"abcde"]
    assert 0.85 <= ten["balanced"] <= 0.97


def test_the_swap_repairs_the_poor_module(outcome: Outcome) -> None:
    before, after = outcome.step("compose", "demo/digits-b"), outcome.step("swap")
    assert after["classes"] == before["classes"]
    assert after["balanced"] >= max(0.95, before["balanced"] + 0.02)


def test_the_removed_class_is_gone(outcome: Outcome) -> None:
    left = outcome.step("remove")
    assert left["classes"] == [*"01234", *"acde"]
    assert left["balanced"] >= 0.95


def test_everything_is_written_below_the_folder_given(outcome: Outcome) -> None:
    releases = {
        path.relative_to(outcome.workdir / "registry" / "releases").as_posix()
        for path in (outcome.workdir / "registry" / "releases").rglob("*.json")
    }
    assert releases == {"demo/digits/1.0.0.json", "demo/letters/1.0.0.json", "demo/digits-b/1.0.0.json"}
    assert any((outcome.workdir / "cache").rglob("*"))
    assert outcome.elsewhere == set()


def test_balanced_accuracy_weighs_every_class_equally() -> None:
    truth, answers = np.array(["a", "a", "a", "b"]), np.array(["a", "a", "x", "x"])
    measured = StoryAccuracy.of(answers, truth)
    assert measured.accuracy == 0.5
    assert measured.recalls == {"a": pytest.approx(2 / 3), "b": 0.0}
    assert measured.balanced == pytest.approx(1 / 3)
