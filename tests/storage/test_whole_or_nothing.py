"""A file or folder that is replaced is the old one or the new one, whatever happens, and nothing else stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from modhub.errors import StorageError
from modhub.plots.drawing import new_figure, save
from modhub.storage import files


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stopped_halfway(final):
    with files.replacing(final) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def test_a_file_in_pieces_has_its_name_when_all_of_it_is_there(tmp_path):
    final = tmp_path / "net.tar"
    final.write_bytes(b"old")
    with files.replacing(final) as file:
        file.write(b"new ")
        file.flush()
        assert final.read_bytes() == b"old"
        file.write(b"one")
    assert tree(tmp_path) == {"net.tar": b"new one"}


def test_what_raises_leaves_the_old_file_and_nothing_else(tmp_path):
    final = tmp_path / "net.tar"
    final.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        stopped_halfway(final)
    assert tree(tmp_path) == {"net.tar": b"old"}
    with pytest.raises(FileNotFoundError), files.replacing(tmp_path / "no" / "folder.tar") as file:
        file.write(b"x")


def test_a_name_without_a_folder_is_one_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with files.replacing("here.bin") as file:
        file.write(b"x")
    assert tree(tmp_path) == {"here.bin": b"x"}


def test_a_killed_process_leaves_the_old_file(tmp_path):
    final = tmp_path / "net.tar"
    final.write_bytes(b"old")
    code = (
        "import os, signal, sys\nfrom modhub.storage import files\n"
        f"with files.replacing({str(final)!r}) as file:\n"
        "    file.write(b'half'); file.flush()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ, capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    assert final.read_bytes() == b"old"
    assert [path.name[: len(files.TEMPORARY)] for path in tmp_path.iterdir() if path != final] == [files.TEMPORARY]


@pytest.mark.parametrize("stands", ["nothing", "file", "folder", "link"])
def test_a_folder_or_file_is_put_in_place(tmp_path, stands):
    final, scratch, elsewhere = tmp_path / "net", tmp_path / ".net.scratch", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"kept")
    if stands == "file":
        final.write_bytes(b"old")
        scratch.write_bytes(b"new")
    else:
        scratch.mkdir()
        (scratch / "a").write_bytes(b"new")
    if stands == "folder":
        final.mkdir()
        (final / "b").write_bytes(b"old")
    if stands == "link":
        final.symlink_to(elsewhere)
    files.put_in_place(scratch, final)
    assert tree(tmp_path) == {"net" if stands == "file" else "net/a": b"new", "elsewhere/kept": b"kept"}
    assert {path.name for path in tmp_path.iterdir()} == {"net", "elsewhere"}


def test_an_old_folder_gets_its_name_back_when_the_new_one_cannot_have_it(tmp_path):
    final = tmp_path / "net"
    final.mkdir()
    (final / "b").write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        files.put_in_place(tmp_path / "was never made", final)
    assert tree(tmp_path) == {"net/b": b"old"}


def test_a_plot_that_cannot_be_drawn_leaves_the_old_one(tmp_path):
    path = save(new_figure(2, 1), tmp_path / "plot.png")
    before = path.read_bytes()
    assert before.startswith(b"\x89PNG")
    broken = new_figure(2, 1)
    broken.text(0.5, 0.5, "$\\nonsense{$")
    with pytest.raises(ValueError, match="nonsense"):
        save(broken, path)
    assert tree(tmp_path) == {"plot.png": before}
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        save(new_figure(2, 1), tmp_path / "file" / "plot.png")
