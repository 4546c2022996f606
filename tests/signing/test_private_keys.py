"""Private keys on disk: readable by their owner only, whole or not there, never overwritten."""

from __future__ import annotations

import os
import re
import stat
import warnings
from pathlib import Path

import platformdirs
import pytest
from crashing import as_nobody, crashes, in_process, race, with_full_disk

from modhub.errors import Conflict, InvalidRef, NotFound, StorageError, UsageError
from modhub.settings.private_keys import create_key, key_path, keys_folder, load_private_key, load_signer, own_keys
from modhub.settings.trusted_keys import revoke_trusted, trust_key
from modhub.signing.keys import write_private_key
from tests.signing.signers import RELEASE, signer


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def made_in(folder: str, name: str) -> str:
    """Make a key, in a process of its own; what came of it."""
    os.environ["MODHUB_KEYS"] = folder
    try:
        return create_key(name).id
    except Conflict as error:
        return error.kind


def test_a_key_is_kept_and_found_again() -> None:
    made = create_key("mine")
    assert load_private_key("mine") == made
    assert load_private_key("mine").sign(RELEASE) == made.sign(RELEASE)
    assert made.public.verifies(RELEASE, b"") is False
    (own,) = own_keys()
    assert (own.name, own.public, own.path) == ("mine", made.public, key_path("mine"))


def test_where_keys_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert keys_folder() == platformdirs.user_config_path("modhub", appauthor=False) / "keys"
    assert own_keys() == []
    monkeypatch.setenv("MODHUB_CONFIG", str(tmp_path / "project" / "modhub.toml"))
    assert keys_folder() == platformdirs.user_config_path("modhub", appauthor=False) / "keys"
    monkeypatch.setenv("MODHUB_KEYS", str(tmp_path / "stick"))
    create_key("mine")
    assert [path.name for path in (tmp_path / "stick").iterdir()] == ["mine.pem"]


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_only_its_owner_can_read_a_key(umask: int) -> None:
    before = os.umask(umask)
    try:
        create_key("mine")
    finally:
        os.umask(before)
    assert mode(key_path("mine")) == 0o600
    assert mode(keys_folder()) == 0o700


def test_a_key_is_never_overwritten() -> None:
    create_key("mine")
    data = key_path("mine").read_bytes()
    with pytest.raises(Conflict) as caught:
        create_key("mine")
    assert str(caught.value) == (
        f"there is a key 'mine' already: {key_path('mine')}. Hint: choose another name; keys are never overwritten."
    )
    assert (caught.value.kind, caught.value.exit_code) == ("key-exists", 4)
    assert key_path("mine").read_bytes() == data
    key_path("dangling").symlink_to("nowhere")
    with pytest.raises(Conflict):
        create_key("dangling")
    assert sorted(path.name for path in keys_folder().iterdir()) == ["dangling.pem", "mine.pem"]


def test_one_of_many_processes_makes_the_key(tmp_path: Path) -> None:
    answers = race(made_in, [(str(tmp_path / "keys"), "mine")] * 8)
    assert answers.count("key-exists") == 7
    (winner,) = set(answers) - {"key-exists"}
    _, found = in_process(_id_in, str(tmp_path / "keys"), "mine")
    assert found == winner


def _id_in(folder: str, name: str) -> str:
    os.environ["MODHUB_KEYS"] = folder
    return load_private_key(name).id


def test_a_killed_process_leaves_a_whole_key_or_none(tmp_path: Path) -> None:
    steps = 0
    for step in crashes("kill", tmp_path, made_in, str(tmp_path / "keys"), "mine"):
        steps = step
        left = tmp_path / "keys" / "mine.pem"
        if left.exists():
            assert re.fullmatch(r"[0-9a-f]{64}", in_process(_id_in, str(tmp_path / "keys"), "mine")[1])
            left.unlink()
    # With the folder already there: open, link, remove.
    assert steps >= 3


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    code, (name, kind, message) = with_full_disk(50, False, made_in, str(tmp_path / "keys"), "mine")
    assert (code, name, kind) == (0, "StorageError", "storage")
    assert message == (
        f"the key {tmp_path}/keys/mine.pem cannot be written: File too large. Hint: free the disk or get the right to "
        "write there, or set MODHUB_KEYS to another folder."
    )
    assert list((tmp_path / "keys").iterdir()) == []


def test_a_file_in_the_way_of_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MODHUB_KEYS", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"mine\.pem cannot be written"):
        create_key("mine")
    with pytest.raises(UsageError, match=r"mine\.pem cannot be read: Not a directory"):
        load_private_key("mine")


@pytest.mark.parametrize("name", ["../mine", "a/b", ".mine", "Mine", "", "mine\n"])
def test_names_stay_in_the_folder(name: str) -> None:
    with pytest.raises(InvalidRef, match=r"the key .* is not a valid name"):
        create_key(name)
    with pytest.raises(InvalidRef):
        load_private_key(name)


# Reading


def test_a_key_that_is_not_there() -> None:
    with pytest.raises(NotFound) as caught:
        load_private_key("mine")
    assert str(caught.value) == f"there is no private key 'mine' in {keys_folder()}. Hint: make it: modhub key new mine"
    assert caught.value.kind == "no-key"
    create_key("mina")
    with pytest.raises(NotFound, match=r"Hint: did you mean mina\?"):
        load_private_key("mine")


@pytest.mark.parametrize("how", ["folder", "pipe", "large"])
def test_what_is_no_file_is_no_key(how: str) -> None:
    create_key("other")
    path = key_path("mine")
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "large": lambda: path.write_bytes(b"x" * 70_000)}[how]()
    with pytest.raises(UsageError) as caught:
        load_private_key("mine")
    assert str(caught.value) == f"{path} is no private key: it is no file, or too large. Hint: move it away."
    assert [(key.name, key.public is None) for key in own_keys()] == [("mine", True), ("other", False)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user for this")
def test_a_key_of_another_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    in_process(made_in, str(tmp_path / "keys"), "mine")
    # The folder itself would hide the file from others.
    (tmp_path / "keys").chmod(0o755)
    _, (name, kind, message) = as_nobody(_id_in, str(tmp_path / "keys"), "mine")
    assert (name, kind) == ("UsageError", "bad-key")
    assert message.endswith("cannot be read: Permission denied. Hint: get the right to read it, or use another key.")


def test_a_key_that_others_can_read_warns() -> None:
    create_key("mine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_private_key("mine")
    key_path("mine").chmod(0o640)
    with pytest.warns(UserWarning, match=r"others can read the private key .*mine\.pem \(mode 0640\): chmod 600 "):
        load_private_key("mine")


def test_a_damaged_key_is_listed_and_not_used() -> None:
    create_key("mine")
    key_path("mine").write_bytes(b"")
    assert [key.public for key in own_keys()] == [None]
    with pytest.raises(
        UsageError, match=r"the key .*/mine\.pem cannot be used: it is no private key in PKCS8 PEM form"
    ):
        load_private_key("mine")


def test_other_files_in_the_folder_are_left_alone() -> None:
    create_key("mine")
    (keys_folder() / "notes.txt").write_text("")
    (keys_folder() / "Not A Key.pem").write_text("")
    assert [key.name for key in own_keys()] == ["mine"]


def test_a_key_that_another_program_made() -> None:
    create_key("mine")
    pem = write_private_key(signer("team"), None).partition(b"\n")[2]
    key_path("theirs").write_bytes(pem)
    key_path("theirs").chmod(0o600)
    assert [key.public for key in own_keys()] == [load_private_key("mine").public, signer("team").public]


# Passphrases


def test_a_locked_key_is_opened_by_the_environment_or_by_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    made = create_key("mine", "right")
    assert b"ENCRYPTED" in key_path("mine").read_bytes()
    assert own_keys()[0].public == made.public
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        return "right"

    assert load_private_key("mine", ask) == made
    assert asked == ["mine"]
    with pytest.raises(UsageError) as caught:
        load_private_key("mine")
    assert str(caught.value) == (
        "the key 'mine' is locked with a passphrase. Hint: set MODHUB_KEY_PASSPHRASE, or run the command in a terminal."
    )
    assert caught.value.kind == "passphrase-needed"
    monkeypatch.setenv("MODHUB_KEY_PASSPHRASE", "right")
    assert load_private_key("mine") == made
    monkeypatch.setenv("MODHUB_KEY_PASSPHRASE", "wrong")
    with pytest.raises(UsageError, match=r"the passphrase does not open the key .*mine\.pem"):
        load_private_key("mine", ask)


@pytest.mark.parametrize(("passphrase", "characters"), [("", 0), ("x" * 1001, 1001), ("é" * 501, 501)])
def test_an_unusable_passphrase(passphrase: str, characters: int) -> None:
    with pytest.raises(UsageError) as caught:
        create_key("mine", passphrase)
    assert str(caught.value) == (
        f"the passphrase has {characters} characters; it must have 1 to 1000 bytes. Hint: choose another."
    )
    assert not key_path("mine").exists()
    assert create_key("mine", "é" * 500) == load_private_key("mine", lambda name: "é" * 500)


# Signing


def test_a_revoked_key_signs_nothing_new() -> None:
    made = create_key("mine")
    assert load_signer("mine") == made
    revoke_trusted(trust_key("mine", ["me"]), "lost.")
    with pytest.raises(Conflict) as caught:
        load_signer("mine")
    assert str(caught.value) == (
        f"the key 'mine' ({made.id[:16]}) was revoked: lost. Hint: sign with another key: modhub key new NAME"
    )
    assert caught.value.kind == "revoked-key"
    assert load_private_key("mine") == made
