"""A site as it is written: whole, the same for the same registry, and nowhere that something else is."""

from __future__ import annotations

from pathlib import Path

import pytest

import modhub
from modhub.errors import Conflict
from modhub.installation.registries import STARTER_FOLDER


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_same_registry_gives_the_same_bytes(starter_site: Path, tmp_path: Path) -> None:
    modhub.build_site(tmp_path / "again", registry=str(STARTER_FOLDER), title="Starter")
    assert contents(tmp_path / "again") == contents(starter_site)


def test_it_replaces_a_site_only_when_asked_and_nothing_else_ever(tmp_path: Path) -> None:
    out = tmp_path / "site"
    modhub.build_site(out, registry=str(STARTER_FOLDER), quick=True)
    (out / "left-over.html").write_text("of an older site")
    with pytest.raises(Conflict) as refused:
        modhub.build_site(out, registry=str(STARTER_FOLDER), quick=True)
    assert refused.value.kind == "output-exists"
    modhub.build_site(out, registry=str(STARTER_FOLDER), quick=True, force=True)
    assert not (out / "left-over.html").exists()
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"mine")
    with pytest.raises(Conflict) as refused:
        modhub.build_site(photos, registry=str(STARTER_FOLDER), quick=True, force=True)
    assert refused.value.kind == "not-a-site"
    assert contents(photos) == {"cat.jpg": b"mine"}
