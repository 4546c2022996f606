"""A lock made on one machine gives the same classifier, bit for bit, on another: its own home, cache and process.

The modules are the starter's, so the networks are real ones, and small enough to run.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_projects import both, lock, toml
from sklearn.datasets import load_sample_images

import modhub
from modhub import Project
from modhub.errors import InvalidData, NotFound
from modhub.installation.lockfile import Lock, MeasuredAccuracy
from modhub.project.measuring import TOLERANCE, accuracy_differences
from modhub.spec.digests import sha256
from tests.cli.running import plain_environment

LABELS = ["kitten", "dog", "apple"]


@pytest.fixture(scope="module")
def images():
    """Parts of two photographs; uint8 (16, 40, 48, 3), and labels of no meaning but always the same."""
    photographs = load_sample_images().images
    corners = np.random.default_rng(0).integers(0, 370, (16, 2))
    x = np.stack([photographs[i % 2][r : r + 40, c : c + 48] for i, (r, c) in enumerate(corners)])
    return x, np.arange(16) % 4


@pytest.fixture
def pets(tmp_path, images):
    """Two networks, a verifying stage, and adapters in front of both."""
    project = Project.new(tmp_path / "pets", ["cifar10/r20:cat", "cifar10/r20:dog", "cifar100/r20:apple"])
    project.rename({"cat": "kitten"})
    project.verify_with({("kitten", "dog"): ["cifar10/r20:deer", "cifar10/r20:horse"]})
    save(project, images)
    settings = 'name = "pets"\ndata = "d.npz"\nadapt = "letterbox"\nsize = [40, 48]'
    (project.folder / "modhub.toml").write_text(toml(project).replace('name = "pets"', settings))
    project.sync()
    return project


def save(project, images, names=("cat", "dog", "apple", "stone")):
    np.savez(project.folder / "d.npz", x=images[0], y=images[1], classes=np.array(names))


SCRIPT = """
import hashlib, json
import numpy as np
from modhub import Project
project = Project.open()
project.sync(frozen=True)
clf = project.build("pets.keras", frozen=True)
prediction = clf.predict(np.load("d.npz")["x"])
print(json.dumps({
    "classes": clf.classes,
    "margins": hashlib.sha256(prediction.margins.tobytes()).hexdigest(),
    "labels": prediction.labels,
    "file": hashlib.sha256(open("pets.keras", "rb").read()).hexdigest(),
}))
"""


def machine(home: Path, project: Project) -> subprocess.Popen[str]:
    """A process that has nothing but the project's folder, copied."""
    folder = home / "work" / "pets"
    folder.mkdir(parents=True)
    for name, data in both(project).items():
        (folder / name).write_bytes(data)
    own = {"HOME": str(home)} | {f"XDG_{kind}_HOME": str(home / kind) for kind in ("CONFIG", "CACHE", "DATA")}
    environment = plain_environment() | own | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=folder, env=environment, **pipes)


def test_two_machines_come_to_the_same_margins_and_the_same_file(pets, tmp_path, images):
    pets.lock(measure=False)
    process = machine(tmp_path / "other", pets)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert (tmp_path / "other" / "work" / "pets" / "modhub.lock").read_text() == lock(pets)
    there = json.loads(out)
    # This process is the other of the two machines.
    classifier = pets.build(pets.folder / "pets.keras", frozen=True)
    here = classifier.predict(images[0])
    assert there == {
        "classes": LABELS,
        "margins": hashlib.sha256(here.margins.tobytes()).hexdigest(),
        "labels": list(here.labels),
        "file": hashlib.sha256((pets.folder / "pets.keras").read_bytes()).hexdigest(),
    }
    assert [branch.adapter is None for branch in pets.tree().branches] == [False, False]


def test_the_accuracy_is_that_of_the_images_whose_class_the_project_has(pets, images):
    locked = pets.lock().locked
    accuracy = locked.accuracy
    x, y = images
    composite = pets.compose()
    right = {"kitten": 0, "dog": 1, "apple": 2}
    answers = np.array([right[label] for label in composite.predict(x).labels])
    known = y < 3
    assert accuracy.examples == known.sum() == 12
    assert accuracy.top_1 == pytest.approx((answers == y)[known].mean())
    assert pets.sync().locked.accuracy == accuracy
    recalls = [(answers == c)[y == c].mean() for c in range(3)]
    assert accuracy.balanced == pytest.approx(np.mean(recalls))
    assert accuracy.top_5 == 1
    assert 'data = "d.npz"' in lock(pets)


def test_locking_and_evaluating_match_the_same_images_to_the_same_columns(pets, images):
    """A label spelled otherwise, a module under another label, and an unknown class."""
    accuracy = pets.lock().locked.accuracy
    save(pets, images, ("Cat", "DOG", "Apple!", "stone"))
    locked = pets.lock().locked.accuracy
    evaluated = modhub.evaluate(pets.folder, pets.folder / "d.npz", drop_unknown=True)
    assert (locked.examples, locked.top_1, locked.balanced) == (accuracy.examples, accuracy.top_1, accuracy.balanced)
    assert (evaluated.images, evaluated.top_1.value, evaluated.left_out) == (12, locked.top_1, {"stone": 4})
    assert evaluated.balanced.value == pytest.approx(locked.balanced)
    assert evaluated.fingerprint == locked.fingerprint != accuracy.fingerprint


def test_verify_replays_the_accuracy_and_says_what_differs(pets, images):
    pets.lock()
    replay = pets.verify()
    assert (replay.problems, replay.data, replay.differing) == ((), "right", {})
    assert replay.accuracy == pets.locked.accuracy
    x, y = images
    save(pets, (255 - x, y))
    replay = pets.verify()
    assert replay.data == "wrong"
    assert [problem.kind for problem in replay.problems] == ["data-changed"]
    assert "the data d.npz has changed" in str(replay.problems[0])
    (pets.folder / "d.npz").unlink()
    assert [problem.kind for problem in pets.verify().problems] == ["data-not-found"]
    assert pets.verify(measure=False).problems == ()


def test_an_edit_forgets_an_accuracy_that_is_not_its_own_and_keeps_one_that_is(pets):
    measured = MeasuredAccuracy(data="d.npz", fingerprint=sha256(b""), examples=4, top_1=1, top_5=1, balanced=1)
    locked = Lock.of_project(replace(pets.locked, accuracy=measured))
    (pets.folder / "modhub.lock").write_text(locked.to_text())
    pets.sync()
    pets.sync()
    pets.upgrade()
    assert pets.locked.accuracy == measured
    pets.lock(measure=False)
    assert pets.locked.accuracy == measured
    pets.swap({"apple": "cifar100/r20:bear"})
    assert pets.locked.accuracy is None


def test_data_without_any_class_of_the_project_or_none_at_all(pets, images):
    save(pets, images, ("ash", "oak", "elm", "fir"))
    before = both(pets)
    with pytest.raises(InvalidData, match="has no image of any class of the project") as caught:
        pets.lock()
    assert caught.value.kind == "no-such-class"
    assert both(pets) == before
    with pytest.raises(NotFound, match="no data at"):
        pets.lock(data=str(pets.folder / "none.npz"))


def test_shares_differ_when_rounding_does_not_explain_it():
    accuracy = MeasuredAccuracy(data="d", fingerprint=sha256(b""), examples=4, top_1=0.5, top_5=1, balanced=0.5)
    near = accuracy.model_copy(update={"top_1": accuracy.top_1 + TOLERANCE / 2})
    far = accuracy.model_copy(update={"top_1": accuracy.top_1 + 2 * TOLERANCE, "examples": accuracy.examples + 1})
    assert accuracy_differences(accuracy, near) == {}
    assert set(accuracy_differences(accuracy, far)) == {"top_1", "examples"}
