"""Which texts mean a folder of modules: decided without ever failing in another way than by an error of modhub's."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.errors import NotFound, UsageError
from modhub.spec.folder_refs import MANIFEST_FILE, FolderRef, folder_ref, path_ref, refuse_folders


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("net.modules", "me/net", "pets", "a:b.modules", "one/two/three", "Upper"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / MANIFEST_FILE).write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "folder", "cls"),
    [
        ("net.modules", "net.modules", None),
        ("net.modules:cat", "net.modules", "cat"),
        ("./me/net:potter's wheel", "me/net", "potter's wheel"),
        ("pets/", "pets", None),
        ("a:b.modules", "a:b.modules", None),
        ("a:b.modules:c:d", "a:b.modules", "c:d"),
        ("one/two/three:x", "one/two/three", "x"),
        ("Upper", "Upper", None),
    ],
)
@pytest.mark.usefixtures("here")
def test_folders_and_classes(text: str, folder: str, cls: str | None) -> None:
    assert folder_ref(text) == FolderRef(Path(folder), cls)
    with pytest.raises(UsageError, match="modhub publish"):
        refuse_folders([text])


@pytest.mark.usefixtures("here")
def test_names_stay_names() -> None:
    for text in ("cifar10/r56", "c10:cat", "me/net@^1", "pets:cat@1.0.0", "net.module", "", " ", "x" * 5000, "a\0b"):
        assert folder_ref(text) is None
        refuse_folders([text])
    for text in ("me/net", "pets:cat"):
        refuse_folders([text])
        with pytest.raises(UsageError, match="could also be the name of a model"):
            folder_ref(text)
    assert folder_ref(path_ref(Path("me/net"))) == FolderRef(Path("me/net"))


def test_a_project_looks_from_its_own_folder_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here / "one")
    refuse_folders(["net.modules"])
    with pytest.raises(UsageError):
        refuse_folders(["net.modules:cat"], within=here)


@given(st.text())
def test_no_text_fails_otherwise(text: str) -> None:
    with contextlib.suppress(NotFound, UsageError):
        assert folder_ref(text) is None
