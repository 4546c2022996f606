"""--format: the same rows as a table, JSON, JSON lines and CSV; and what is refused before any network is loaded."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import modhub
from tests.cli import origin
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def line(workshop: Workshop) -> tuple[str, ...]:
    return ("predict", workshop["net.modules"], "--images", workshop["test.npz"])


def test_predictions(run: Run, workshop: Workshop, line: tuple[str, ...]) -> None:
    document = run(*line, "--json").document["images"]
    assert run(*line, "--format", "json").document["images"] == document
    lines = [json.loads(text) for text in run(*line, "--format", "jsonl").out.splitlines()]
    assert lines == document
    rows = read_csv(run(*line, "--format", "csv").out)
    assert [(row["image"], row["label"]) for row in rows] == [(each["image"], each["label"]) for each in document]
    assert [float(row["probability"]) for row in rows] == [each["top"][0]["probability"] for each in document]
    assert {row["positive"] for row in rows} <= {"true", "false"}
    # The columns are those of Python's own.
    x, _ = origin.images(6, 2)
    text = str(modhub.compose(workshop["net.modules"]).predict(x).to_csv())
    assert {"image", *text.splitlines()[0].split(",")} == rows[0].keys()


def test_several_ranks_and_rejection(run: Run, line: tuple[str, ...]) -> None:
    rows = read_csv(run(*line, "--top", 2, "--format", "csv", "--reject").out)
    document = run(*line, "--top", 2, "--json", "--reject").document["images"]
    assert [row["label 2"] for row in rows] == [each["top"][1]["label"] for each in document]
    assert [row["label"] for row in rows] == [each["label"] for each in document]


def test_hits_and_installed_modules(run: Run, workshop: Workshop) -> None:
    at = ("--registry", workshop.registry)
    run("install", "me/net:potters-wheel", *at)
    (hit,) = run("search", "me/net", *at, "--json").document["hits"]
    assert json.loads(run("search", "me/net", *at, "--format", "jsonl").out) == hit
    (row,) = read_csv(run("search", "me/net", *at, "--format", "csv").out)
    assert (row["ref"], row["input_shape"], row["classes"]) == ("me/net", "12 12 1", "cat dog potter's wheel")
    assert row.keys() == hit.keys()
    assert read_csv(run("list", "--format", "csv").out)[0]["class"] == "potter's wheel"
    assert run("list", "--format", "jsonl", "--cache", "nowhere").out == ""
    assert run("list", "--format", "csv", "--cache", "nowhere").out == "ref,class,digest,registry\n"
    assert len(run("list", "--available", *at, "--format", "csv").out.splitlines()) > 1


def test_two_formats_exclude_each_other(run: Run) -> None:
    assert run("list", "--json", "--format", "csv").code == 2


@pytest.mark.parametrize("fit", ["none", "resize"])
def test_images_of_another_size_are_refused_before_a_network_is_loaded(
    workshop: Workshop, tmp_path: Path, fit: str
) -> None:
    """Floats are never fitted, so both ways refuse them; in an interpreter of their own, where keras would be seen."""
    np.savez(tmp_path / "large.npz", x=np.zeros((2, 20, 20, 1), "float32"))
    arguments = ["predict", workshop["net.modules"], "--images", str(tmp_path / "large.npz"), "--fit", fit]
    code = (
        f"import sys; from modhub.cli import main; code = main({arguments!r}); "
        "sys.exit(99 if {'keras', 'tensorflow'} & set(sys.modules) else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode not in (0, 99), done.stdout) == (True, ""), done.stderr
    assert "20" in done.stderr
    assert "12x12" in done.stderr
