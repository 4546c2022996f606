"""A training that was killed goes on from its checkpoint to the same weights; a damaged one is not used."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.compaction.checkpoints import Checkpoint, decode_checkpoint, encode_checkpoint
from modhub.errors import IntegrityError
from modhub.project.checkpoints import FolderCheckpoints
from modhub.spec.digests import sha256
from tests.compaction.small_training import STEPS, images, trained

INPUTS = sha256(b"these")
KEPT = Checkpoint(7, 0.25, [np.arange(4, dtype=np.float32), np.ones((2, 3), np.float32)])


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_training_goes_on_with_the_same_result(tmp_path: Path) -> None:
    died = subprocess.run(
        [sys.executable, "-m", "tests.compaction.small_training", str(tmp_path)], capture_output=True, check=False
    )
    assert died.returncode == -signal.SIGKILL
    steps: list[int] = []
    resumed, done = trained(FolderCheckpoints(tmp_path), lambda step, total: steps.append(step))
    assert steps == list(range(26, STEPS + 1))
    whole, all_of_them = trained(None)
    assert done == all_of_them == STEPS
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value)
    # What is finished is not done again, and other images are another training.
    trained(FolderCheckpoints(tmp_path), lambda step, total: steps.append(step))
    assert len(steps) == STEPS - 25
    trained(
        FolderCheckpoints(tmp_path), lambda step, total: steps.append(step), steps=1, data=images().take(np.arange(30))
    )
    assert steps[-1] == 1


def test_a_training_that_is_short_of_time_goes_through_its_schedule_faster() -> None:
    clock = [30.0]

    def progress(done: int, total: int) -> None:
        clock[0] -= 1

    weights, steps = trained(None, progress, seconds_left=lambda: clock[0])
    assert 25 <= steps <= 31
    assert all(np.isfinite(value).all() for value in weights.values())
    with pytest.warns(UserWarning, match="no time was left"):
        assert trained(None, steps=5, seconds_left=lambda: 0.0)[1] == 0


def test_a_training_that_time_bounds_is_another_one(tmp_path: Path) -> None:
    kept, steps = FolderCheckpoints(tmp_path), list[int]()

    def run(minutes: float | None) -> list[int]:
        steps.clear()
        left = None if minutes is None else lambda: 1e6
        trained(kept, lambda step, total: steps.append(step), steps=2, seconds_left=left, minutes=minutes)
        return steps

    assert run(5.0) == [1, 2]
    assert run(5.0) == []
    assert run(6.0) == [1, 2]
    assert run(None) == [1, 2]


def test_a_checkpoint_is_what_was_kept(tmp_path: Path) -> None:
    kept = FolderCheckpoints(tmp_path / "new")
    assert kept.load(INPUTS) is None
    kept.save(INPUTS, KEPT)
    found = kept.load(INPUTS)
    assert found is not None
    assert (found.step, found.share) == (7, 0.25)
    for one, other in zip(found.variables, KEPT.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert kept.load(sha256(b"those")) is None


@given(st.data())
def test_a_damaged_one_is_never_used(data: st.DataObject) -> None:
    whole = encode_checkpoint(INPUTS, KEPT)
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(
        st.sampled_from(
            [whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], whole + b" ", b"[]\n"]
        )
    )
    with pytest.raises(IntegrityError):
        decode_checkpoint(damaged, INPUTS)


def test_one_of_another_training_or_format_is_ignored_with_a_word(tmp_path: Path) -> None:
    kept = FolderCheckpoints(tmp_path)
    kept.save(INPUTS, KEPT)
    (file,) = tmp_path.iterdir()
    for content, said in (
        (encode_checkpoint(sha256(b"those"), KEPT), "other images"),
        (file.read_bytes().replace(b'"format":1', b'"format":2'), "format 2"),
        (file.read_bytes()[:100], "damaged"),
    ):
        file.write_bytes(content)
        with pytest.warns(UserWarning, match=said):
            assert kept.load(INPUTS) is None
        kept.save(INPUTS, KEPT)
    assert kept.load(INPUTS) is not None


SAMPLE = Path(__file__).parent / "samples" / "format-1.checkpoint"


def test_the_first_format_is_read() -> None:
    assert SAMPLE.read_bytes() == encode_checkpoint(INPUTS, KEPT)
    assert decode_checkpoint(SAMPLE.read_bytes(), INPUTS).step == 7
