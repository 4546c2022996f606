"""Selections that packages bring: found by their entry points, and refused by name where they are not or are broken."""

from __future__ import annotations

import importlib
import sys
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import modhub
from modhub.cli.root import root
from modhub.compaction.selecting import blocks_only
from modhub.compaction.selections import selection_named
from modhub.errors import UsageError
from tests.small_origins import quadrant_modules, quadrants

CODE = """
import numpy as np

from modhub.compaction.cutting import Structure

NUMBER = 3


def first_channels(statistics, goal):
    kept = {group.name: np.arange(len(group)) < 1 for group in statistics.thinnable}
    return [Structure(frozenset(), kept)]
"""


def installed(folder: Path, entries: str, name: str = "acme-selections") -> None:
    """A package as pip leaves it: its code, and what it says of itself."""
    (folder / "acme_selections.py").write_text(CODE)
    about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[modhub.selections]\n{textwrap.dedent(entries)}")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    yield folder
    sys.modules.pop("acme_selections", None)
    importlib.invalidate_caches()


def test_the_command_finds_a_selection_of_a_package_and_records_it(packages: Path, tmp_path: Path) -> None:
    installed(packages, "acme/first = acme_selections:first_channels")
    data = quadrants(each=40)
    np.savez(tmp_path / "data.npz", x=data.x, y=data.y, classes=np.array(data.classes))
    quadrant_modules().save(tmp_path / "whole.modules")
    arguments = ["compact", str(tmp_path / "whole.modules"), "--data", str(tmp_path / "data.npz"), "--as", "me/small"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        out = tmp_path / "small.modules"
        done = CliRunner().invoke(root, [*arguments, "--select", "acme/first", "--flops", "0.9", "--out", str(out)])
    assert done.exit_code == 0, done.output
    compacted = modhub.load(out).compacted
    assert compacted is not None
    assert compacted.select == "acme/first"
    assert compacted.flops < 0.9


def test_an_unknown_name_is_refused_with_those_that_there_are(packages: Path) -> None:
    installed(packages, "acme/first = acme_selections:first_channels")
    with pytest.raises(
        UsageError, match=r"there are never, blocks, channels, blocks\+channels, acme/first\."
    ) as caught:
        selection_named("acme/fist")
    assert caught.value.kind == "unknown-selection"
    assert "acme/first" in str(caught.value.hint)
    assert selection_named("blocks") is blocks_only
    done = CliRunner().invoke(root, ["compact", "x", "--data", "y", "--as", "me/z", "--select", "blockz"])
    assert "there is no selection 'blockz'; there are never, blocks" in str(done.exception)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("acme/first = acme_selections:missing", "cannot be imported"),
        ("acme/first = acme_nothing:first_channels", "cannot be imported: No module named 'acme_nothing'"),
        ("acme/first = acme_selections:NUMBER", "is no function"),
        ("blocks = acme_selections:first_channels", "is not called package/name"),
    ],
)
def test_a_broken_package_is_named(packages: Path, entry: str, said: str) -> None:
    installed(packages, entry)
    with pytest.raises(UsageError, match=said) as caught:
        selection_named("acme/first")
    assert caught.value.kind == "bad-selection-package"
    assert "acme-selections" in str(caught.value)


def test_two_packages_with_one_name_are_refused(packages: Path) -> None:
    installed(packages, "acme/first = acme_selections:first_channels")
    installed(packages, "acme/first = acme_selections:second", "other-selections")
    with pytest.raises(UsageError, match="two packages provide the selection 'acme/first'"):
        selection_named("acme/first")
