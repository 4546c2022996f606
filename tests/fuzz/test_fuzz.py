"""The short version of ``benchmarks/fuzz.py``, some cases of every kind; and that the fuzzer finds what it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import fuzz_cards
import fuzz_kinds
import fuzz_planted
import fuzz_registries
import fuzz_releases
import fuzz_samples as samples
import fuzz_strategies
import pytest
from fuzz_kinds import Kind
from fuzz_running import Tally, Task, cases, load_case, read_once, run_task

from modhub.package.decomposition import decomposition_from
from tests import thinning

KINDS: list[Kind] = [*fuzz_kinds.KINDS, *fuzz_cards.KINDS, *fuzz_releases.KINDS, *fuzz_registries.KINDS]
BY_NAME = {kind.name: kind for kind in KINDS}
PLANTED = {kind.name: kind for kind in fuzz_planted.KINDS}
ROOT = Path(__file__).resolve().parents[2]


def judged(tally: Tally) -> None:
    assert not tally.failures, "\n".join(f"{each.why}\n{each.trace}" for each in tally.failures)


@pytest.mark.parametrize("name", BY_NAME)
def test_spoilt_input_is_read_or_refused_in_words(name):
    kind, tally = BY_NAME[name], Tally(name)
    most = 10 if thinning.ALL else 3
    for case in cases(kind, round(most + most * kind.share), seed=1):
        read_once(kind, case, tally, most_seconds=float("inf"))
    judged(tally)


@pytest.mark.parametrize("name", fuzz_strategies.strategies())
def test_generated_input_is_read_or_refused_in_words(name):
    tally = Tally(name)
    fuzz_strategies.run(
        name,
        25 if thinning.ALL else 10,
        1,
        lambda case: read_once(BY_NAME[name], case, tally, most_seconds=float("inf")),
    )
    judged(tally)


def test_what_the_fuzzer_starts_from_is_accepted():
    """Else everything would be refused at the door."""
    package = samples.package()
    made = decomposition_from(package.manifest, lambda digest, record: package.blobs[record.sha256])
    assert [module.slug for module in made.modules] == ["cat", "potters-wheel", "creme-brulee"]
    for model, data in samples.documents().items():
        assert BY_NAME[model.__name__].read({"file": data})
    files = samples.registry_files()
    for name in ("registries", "registries that cannot list", "signed registries", "mirrors", "installations"):
        assert BY_NAME[name].read(files), name
    assert BY_NAME["locks"].read({"file": samples.lock()})
    assert BY_NAME["cards"].read({"file": fuzz_cards.README})
    assert BY_NAME["licences"].read({"text": b"mit or isc"})
    assert BY_NAME["bundles"].read({"file": fuzz_cards.bundle()})
    assert BY_NAME["config"].read({"file": samples.CONFIG})
    assert BY_NAME["signatures"].read({"file": samples.signature_of(samples.STATEMENT)})
    assert BY_NAME["private keys"].read({"file": samples.private_key()})
    assert BY_NAME["private keys"].read({"file": samples.LOCKED_KEY})


def test_the_same_seed_gives_the_same_cases():
    for kind in KINDS:
        assert list(cases(kind, 3, seed=5)) == list(cases(kind, 3, seed=5)), kind.name
    kind = BY_NAME["manifests"]
    assert list(cases(kind, 3, seed=5)) != list(cases(kind, 3, seed=6))


# The fuzzer itself


def planted(name, count=20, **options):
    return run_task(Task("fuzz_planted", name, "mutated", count, seed=0), **options)


def test_sound_readers_pass():
    tally = planted("sound")
    assert (tally.cases, tally.failed, tally.failures) == (20, 0, [])
    assert tally.accepted + tally.refused == 20
    assert tally.accepted
    assert tally.refused


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("raises", "KeyError: 'checksum'"),
        ("leaks", "IntegrityError: outside of attempt()"),
        ("steers the terminal", r"WrongAnswer: a message with '\x1b'"),
        ("talks", "WrongAnswer: a message of 10000 characters"),
        ("allocates", "MemoryError"),
    ],
)
def test_a_wrong_answer_is_found_and_kept(name, why, tmp_path):
    tally = planted(name)
    assert tally.failed
    assert why in tally.failures[0].why
    tally.failures[0].save(tmp_path / "case.json")
    kind, case = load_case(tmp_path / "case.json")
    assert kind == name
    again = Tally(name)
    if name != "allocates":
        read_once(PLANTED[kind], case, again)
        assert again.failures[0].why == tally.failures[0].why


def test_a_slow_reader_is_found():
    tally = Tally("sound")
    read_once(PLANTED["sound"], {"file": b"\0"}, tally, most_seconds=0.0)
    assert "it takes 0.0 s of processor time" in tally.failures[0].why


def test_a_reader_that_kills_its_process_is_found_with_the_case():
    tally = planted("dies")
    assert f"its process died: exit status {-signal.SIGKILL}" in tally.failures[0].why
    assert tally.failures[0].case["file"][0] >= 128


def test_a_reader_that_hangs_is_found_with_the_case():
    tally = planted("hangs", patience=2.0)
    assert "it hangs" in tally.failures[0].why
    assert len(tally.failures[0].case["file"]) == 3


def run_program(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "fuzz.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_the_program_reports_every_kind_and_holds_it_to_its_memory(tmp_path):
    done = run_program("--cases", "20", "--only", "locks", "--only", "blobs", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = [[cell.strip() for cell in line.split("|")] for line in done.stdout.splitlines() if line.startswith("|")]
    assert [line[1] for line in lines] == ["kind", "---", "locks", "blobs", "all"]
    assert (tmp_path / "fuzz.json").is_file()


def test_the_program_keeps_what_failed_and_plays_it_again(tmp_path):
    done = run_program("--cases", "20", "--module", "fuzz_planted", "--only", "raises", "--out", str(tmp_path))
    assert done.returncode == 1
    assert "KeyError: 'checksum'" in done.stdout
    kept = sorted(tmp_path.glob("fuzz-failure-*.json"))
    assert kept
    again = run_program("--module", "fuzz_planted", "--replay", str(kept[0]))
    assert again.returncode == 1
    assert "Traceback" in again.stdout
    assert "KeyError: 'checksum'" in again.stdout
