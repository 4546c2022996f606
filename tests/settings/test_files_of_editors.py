"""Files that people own: read however their editor wrote them, and rewritten for the same readers as before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from modhub.cli.data_options import class_names_option
from modhub.errors import StorageError, UsageError
from modhub.installation.lockfile import Lock, read_lock
from modhub.project.folder import read_state, write_state
from modhub.project.manifest import read_project
from modhub.resolve.catalog import Pinned
from modhub.settings.config import load_config, write_alias
from modhub.spec.refs import ModuleRef
from modhub.spec.text import bytes_like, text_of
from modhub.storage import files

EDITORS = {
    "plain": lambda text: text.encode(),
    "no final newline": lambda text: text.rstrip("\n").encode(),
    "Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "with a mark": lambda text: text.encode("utf-8-sig"),
    "Notepad": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "Notepad, Unicode": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "big-endian": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
}
PROJECT = '[project]\nname = "pets"\n\n[classes]\n# mine\n"café" = "me/net:cafe"\ndog = "me/net:dog"\n'
CONFIG = '# mine\nregistries = ["./été"]\n\n[aliases]\nc10 = "cifar10/r56"\n'


@pytest.fixture(params=EDITORS)
def editor(request):
    return EDITORS[request.param]


def test_a_project_file_is_read_and_rewritten_as_its_editor_wrote_it(tmp_path: Path, editor) -> None:
    data = editor(PROJECT)
    assert list(read_project(data).classes) == ["café", "dog"]
    path = tmp_path / "modhub.toml"
    path.write_bytes(data)
    state = read_state(tmp_path)
    write_state(state, tmp_path, state.text, None)
    assert path.read_bytes() == data
    write_state(state, tmp_path, state.text.replace("dog", "cat"), None)
    assert path.read_bytes() == editor(PROJECT.replace("dog", "cat"))


def test_a_lockfile_is_read(editor) -> None:
    pin = Pinned(ModuleRef("me", "net", "cafe", "1.0.0"), "café", "sha256:" + "0" * 64, "https://modules.example")
    text = Lock.of([pin]).to_text()
    assert read_lock(editor(text), what="it").to_text() == text


def test_a_configuration_is_read_and_rewritten_as_its_editor_wrote_it(tmp_path: Path, editor) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(editor(CONFIG))
    assert load_config(path).registries == ("./été",)
    write_alias("r20", "cifar10/r20", path)
    written = path.read_bytes()
    assert load_config(path).aliases == {"c10": "cifar10/r56", "r20": "cifar10/r20"}
    assert written == bytes_like(text_of(written), editor(CONFIG))
    assert text_of(written).startswith("# mine\n")


def test_a_list_of_classes_is_read(tmp_path: Path, editor) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(editor("café\ndog, big\n\n-cat\n"))
    assert class_names_option(str(path)) == ["café", "dog, big", "-cat"]


def test_what_is_no_text_says_so(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(UsageError, match="cannot be read"):
        class_names_option(str(path))
    path.write_bytes(b"registries = []\n# caf\xe9\n")
    with pytest.raises(UsageError, match="line 2: it is not UTF-8 text"):
        load_config(path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o644, 0o666, 0o200])
def test_a_file_keeps_its_permissions(tmp_path: Path, umask: int, permissions: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(permissions)
    files.overwrite(path, b"new", durable=True)
    assert (path.read_bytes(), mode(path)) == (b"new", permissions)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_new_file_follows_the_umask_unless_it_is_private(tmp_path: Path, umask: int) -> None:
    files.overwrite(tmp_path / "open", b"", durable=False)
    files.overwrite(tmp_path / "closed", b"", durable=False, private=True)
    assert (mode(tmp_path / "open"), mode(tmp_path / "closed")) == (0o666 & ~umask, 0o600 & ~umask)


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give files away")
def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 4321, 8765)
    files.overwrite(path, b"new", durable=True)
    assert (path.stat().st_uid, path.stat().st_gid) == (4321, 8765)


def test_a_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles" / "config.toml", tmp_path / "config.toml"
    real.parent.mkdir()
    real.write_text(CONFIG)
    real.chmod(0o640)
    link.symlink_to(real)
    write_alias("r20", "cifar10/r20", link)
    assert link.is_symlink()
    assert "r20" in real.read_text()
    assert mode(real) == 0o640


def test_a_read_only_file_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    path.chmod(0o444)
    with pytest.raises(StorageError, match="cannot be written: it is read-only"):
        write_alias("r20", "cifar10/r20", path)
    assert (path.read_text(), mode(path)) == (CONFIG, 0o444)
    project = tmp_path / "modhub.toml"
    project.write_text(PROJECT)
    project.chmod(0o400)
    state = read_state(tmp_path)
    with pytest.raises(StorageError, match="cannot be written: it is read-only"):
        write_state(state, tmp_path, state.text.replace("dog", "cat"), None)
    assert project.read_text() == PROJECT


def test_a_new_configuration_and_its_folder_are_the_owners_alone(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "a" / "modhub" / "config.toml"
    write_alias("r20", "cifar10/r20", path)
    assert (mode(path) & 0o077, mode(path.parent)) == (0, 0o700)


def test_a_folder_that_exists_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "modhub").mkdir(mode=0o755)
    (tmp_path / "modhub").chmod(0o755)
    write_alias("r20", "cifar10/r20", tmp_path / "modhub" / "config.toml")
    assert mode(tmp_path / "modhub") == 0o755


def test_a_new_project_file_with_a_password_is_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_state(None, tmp_path, PROJECT, None)
        assert mode(tmp_path / "modhub.toml") == 0o644
        (tmp_path / "modhub.toml").unlink()
        url = 'registries = ["https://me:secret@modules.example/reg"]'
        write_state(None, tmp_path, PROJECT.replace("[classes]", f"{url}\n\n[classes]"), None)
        assert mode(tmp_path / "modhub.toml") == 0o600
    finally:
        os.umask(before)
