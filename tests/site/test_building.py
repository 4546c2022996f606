"""A site as it is written: whole, the same for the same registry, and nowhere that something else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import modhub
from modhub.errors import Conflict
from modhub.installation.registries import STARTER_FOLDER
from modhub.ops.site_places import SiteFolder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_same_registry_gives_the_same_bytes(starter_site: Path, tmp_path: Path) -> None:
    modhub.build_site(tmp_path / "again", registry=str(STARTER_FOLDER), title="Starter")
    assert contents(tmp_path / "again") == contents(starter_site)


def test_it_replaces_a_site_only_when_asked_and_nothing_else_ever(tmp_path: Path) -> None:
    out = tmp_path / "site"
    modhub.build_site(out, registry=str(STARTER_FOLDER), quick=True)
    with pytest.raises(Conflict) as refused:
        modhub.build_site(out, registry=str(STARTER_FOLDER), quick=True)
    assert refused.value.kind == "output-exists"
    marker = json.loads((out / "modhub-site.json").read_text())
    (out / "modhub-site.json").write_text(json.dumps({**marker, "files": [*marker["files"], "data/old.json"]}))
    (out / "data" / "old.json").write_text("of an older site")
    modhub.build_site(out, registry=str(STARTER_FOLDER), quick=True, force=True)
    assert not (out / "data" / "old.json").exists()
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"mine")
    with pytest.raises(Conflict) as refused:
        modhub.build_site(photos, registry=str(STARTER_FOLDER), quick=True, force=True)
    assert refused.value.kind == "not-a-site"
    assert contents(photos) == {"cat.jpg": b"mine"}


@pytest.mark.parametrize("entry", [".git/HEAD", "registry/modhub-registry.json", "CNAME", ".env", "models/me/mine.txt"])
def test_no_file_that_is_not_the_sites_is_removed_with_it(tmp_path: Path, entry: str) -> None:
    place = SiteFolder(tmp_path / "public")
    place.write([("index.html", b"old"), ("models/me/net/index.html", b"old")])
    (place.folder / ".DS_Store").write_bytes(b"")
    place.check_free(force=True)
    mine = place.folder / entry
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_bytes(b"mine")
    with pytest.raises(Conflict) as refused:
        place.check_free(force=True)
    assert (refused.value.kind, refused.value.data["entry"]) == ("not-a-site", entry)
    assert entry in str(refused.value)


def test_a_folder_with_hidden_files_alone_is_not_free(tmp_path: Path) -> None:
    place = SiteFolder(tmp_path)
    (tmp_path / "._x").write_bytes(b"")
    place.check_free(force=False)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_bytes(b"ref")
    with pytest.raises(Conflict, match=r"it has \.git/HEAD"):
        place.check_free(force=True)
