"""One compact network of a project: made once, pinned with what it answers, used again, and refused when it is old."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import modhub
from modhub.cli.root import root
from modhub.errors import Conflict, IntegrityError, NotFound, UsageError
from modhub.installation.lockfile import read_lock
from modhub.project.compact import COMPACT_FOLDER
from tests.small_origins import quadrant_modules, quadrants

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry, images, and a project for which a compact network was built."""
    where = tmp_path_factory.mktemp("made")
    whole = quadrant_modules().save(where / "whole.modules")
    modhub.publish(whole, version="1.0.0", registry=str(where / "registry"))
    for name, data in (("train", quadrants(each=60)), ("test", quadrants(each=25, seed=9))):
        np.savez(where / f"{name}.npz", x=data.x, y=data.y, classes=np.array(data.classes))
    refs = [f"shapes/quadrants:{slug}" for slug in ("top-left", "top-right", "bottom-left")]
    modhub.Project.new(where / "pets", refs, registry=str(where / "registry"), cache=where / "cache")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        opened(where).build(where / "first.keras", data=str(where / "train.npz"), flops=0.5)
    return where


@pytest.fixture
def there(made: Path, tmp_path: Path) -> Path:
    """A copy of all that, to change."""
    shutil.copytree(made, tmp_path / "there")
    return tmp_path / "there"


def opened(where: Path) -> modhub.Project:
    return modhub.Project.open(where / "pets", registry=str(where / "registry"), cache=where / "cache")


def places(where: Path) -> list[str]:
    return [*("--project", str(where / "pets"), "--registry", str(where / "registry"), "--cache", str(where / "cache"))]


def test_it_is_one_smaller_network_of_the_projects_classes(made: Path) -> None:
    test = quadrants(each=25, seed=9)
    rows = test.y < 3
    small = keras.models.load_model(made / "first.keras", compile=False)
    whole = opened(made).compose().to_keras()
    right = np.mean(small.predict(test.x[rows], verbose=0).argmax(axis=1) == test.y[rows])
    assert right > 0.8
    assert small.count_params() < whole.count_params()
    assert modhub.load(made / "pets" / COMPACT_FOLDER).compacted.flops <= 0.5


def test_the_lock_pins_it_with_what_was_asked_and_what_it_answers(made: Path) -> None:
    table = opened(made).locked.compact
    assert table.digest == modhub.load(made / "pets" / COMPACT_FOLDER).package.manifest.digest
    assert (table.budget, table.asked, table.data) == ("flops", 0.5, str(made / "train.npz"))
    assert table.accuracy.data == "train (set aside)"
    # 15 % of 60 images of each of three classes.
    assert table.accuracy.examples == 27
    assert table.accuracy.top_1 > 0.8


def test_what_is_there_is_used_again(there: Path) -> None:
    before = {path: path.read_bytes() for path in (there / "pets").rglob("*") if path.is_file()}
    made_at = {path: path.stat().st_mtime_ns for path in before}
    opened(there).build(there / "second.keras")
    # Other names of the images' place would be another lock: the copy names them as the original did.
    assert {path: path.read_bytes() for path in before} == before
    assert {path: path.stat().st_mtime_ns for path in before} == made_at
    assert (there / "second.keras").read_bytes() == (there / "first.keras").read_bytes()
    opened(there).sync()
    replay = opened(there).verify()
    assert (replay.compact, replay.problems) == ("right", ())


def test_the_same_call_makes_nothing_and_another_budget_does(made: Path, there: Path) -> None:
    data, folder = str(made / "train.npz"), there / "pets" / COMPACT_FOLDER
    before = modhub.load(folder).package.manifest.digest
    moment = (folder / "manifest.json").stat().st_mtime_ns
    opened(there).build(there / "again.keras", data=data, flops=0.5)
    assert (folder / "manifest.json").stat().st_mtime_ns == moment
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        # Without data those that made the one that is pinned.
        opened(there).build(there / "again.keras", flops=0.4)
    table = opened(there).locked.compact
    assert table.asked == 0.4
    assert table.digest != before


def test_a_changed_project_says_that_it_is_stale_and_never_builds_it(there: Path) -> None:
    done = CliRunner().invoke(root, ["remove", "top right", *places(there)])
    assert done.exit_code == 0, done.output
    assert "was made of the classifier that the project was before" in done.stderr
    with pytest.raises(Conflict, match="was before") as caught:
        opened(there).build(there / "other.keras")
    assert caught.value.kind == "stale-compact"
    assert "modhub build --flops 0.5" in (caught.value.hint or "")
    assert [problem.kind for problem in opened(there).verify().problems] == ["stale-compact"]
    opened(there).build(there / "whole.keras", whole=True)
    assert keras.models.load_model(there / "whole.keras", compile=False).output_shape == (None, 2)
    # What was changed back is what it was.
    opened(there).add("shapes/quadrants:top-right")
    opened(there).restrict(["top left", "top right", "bottom left"])
    opened(there).build(there / "back.keras")
    assert (there / "back.keras").read_bytes() == (there / "first.keras").read_bytes()


def test_other_content_and_none_are_refused(there: Path) -> None:
    folder = there / "pets" / COMPACT_FOLDER
    quadrant_modules().save(folder)
    with pytest.raises(IntegrityError) as caught:
        opened(there).build(there / "other.keras")
    assert caught.value.kind == "digest-changed"
    shutil.rmtree(folder)
    with pytest.raises(NotFound) as missing:
        opened(there).build(there / "other.keras")
    assert missing.value.kind == "no-compact"
    assert [problem.kind for problem in opened(there).verify().problems] == ["no-compact"]


def test_measuring_keeps_the_pin_and_losing_it_is_said(there: Path) -> None:
    before = opened(there).locked.compact
    opened(there).lock(data=str(there / "test.npz"))
    assert opened(there).locked.accuracy is not None
    assert opened(there).locked.compact == before
    lock = there / "pets" / "modhub.lock"
    lock.write_text(lock.read_text().replace("seed = 0", "seed = 1").replace("points = ", "points = 1"))
    with pytest.warns(UserWarning, match="compact network is not pinned any more"):
        opened(there).lock()


def test_what_is_pinned_is_never_lost(there: Path) -> None:
    opened(there).lock(data=str(there / "test.npz"))
    (there / "test.npz").unlink()
    with pytest.raises(NotFound):
        opened(there).build(there / "other.keras", flops=0.4)
    opened(there).build(there / "second.keras")
    assert (there / "second.keras").read_bytes() == (there / "first.keras").read_bytes()
    # As it lies between the lock's writing and the last step.
    folder = there / "pets" / COMPACT_FOLDER
    fresh = folder.rename(folder.with_name(f"{COMPACT_FOLDER}.new"))
    opened(there).build(there / "third.keras")
    assert (there / "third.keras").read_bytes() == (there / "first.keras").read_bytes()
    opened(there).build(there / "fourth.keras", flops=0.5)
    assert folder.is_dir()
    assert not fresh.exists()


def test_renamed_classes_and_data_that_made_it_are_measured_on_what_was_set_aside(there: Path) -> None:
    opened(there).rename({"top left": "fruit"})
    file = there / "pets" / "modhub.toml"
    file.write_text(file.read_text().replace('"pets"', '"con"', 1))
    train = there / "our images.npz"
    (there / "train.npz").rename(train)
    opened(there).lock(data=str(train))
    with pytest.warns(UserWarning, match="are the images that make the compact network"):
        opened(there).build(there / "other.keras", data=str(train), flops=0.4, jaccard=0.9, seed=2)
    table = opened(there).locked.compact
    assert (table.accuracy.data, table.accuracy.examples) == ("our images (set aside)", 27)
    replay = opened(there).verify()
    assert (replay.compact, replay.problems) == ("right", ())
    opened(there).rename({"fruit": "apple"})
    with pytest.raises(Conflict) as caught:
        opened(there).build(there / "other.keras")
    said = caught.value.hint or ""
    assert f"--flops 0.4 --jaccard 0.9 --seed 2 --data '{train}'" in said


def test_an_interrupted_polish_goes_on(there: Path) -> None:
    steps: list[int] = []

    def build(stop: int) -> None:
        def progress(what: str, done: int, total: int) -> None:
            if what == "polishing":
                steps.append(done)
                if done == stop:
                    raise KeyboardInterrupt

        opened(there).build(there / "other.keras", flops=0.4, polish=True, polish_steps=32, progress=progress)

    with pytest.raises(KeyboardInterrupt):
        build(stop=30)
    build(stop=0)
    assert steps == [*range(1, 31), *range(26, 33)]
    assert not (there / "pets" / "compact.polish").exists()


def test_without_images_it_says_what_is_missing(there: Path, made: Path) -> None:
    lock = there / "pets" / "modhub.lock"
    lock.unlink()
    opened(there).lock()
    with pytest.raises(UsageError, match="no images are named"):
        opened(there).build(there / "other.keras", flops=0.5)
    done = CliRunner().invoke(root, ["build", "--out", str(there / "other.keras"), "--seed", "3", *places(there)])
    assert "no images are named" in str(done.exception)
    with pytest.raises(UsageError, match="a compact network"):
        opened(there).build(there / "other.keras", flops=0.5, whole=True)


def test_the_command_prints_what_it_answers(there: Path) -> None:
    done = CliRunner().invoke(root, ["build", "--out", str(there / "second.keras"), *places(there)])
    assert done.exit_code == 0, done.output
    assert "one compact network" in done.stdout
    assert "points against the whole classifier" in done.stdout
    said = CliRunner().invoke(root, ["verify", "--json", *places(there)])
    assert json.loads(said.stdout)["compact"] == "right"


def test_a_lock_with_a_compact_network_is_read_and_written_as_it_was() -> None:
    sample = (SAMPLES / "compact.lock").read_text()
    found = read_lock(sample.encode(), what="x")
    assert found.to_text() == sample
    table: Any = found.project.compact
    assert (table.budget, table.asked, table.accuracy.examples) == ("flops", 0.5, 27)


def test_a_lock_from_before_has_none() -> None:
    assert read_lock((SAMPLES / "project.lock").read_bytes(), what="x").project.compact is None
