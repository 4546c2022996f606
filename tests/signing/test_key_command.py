"""``modhub key`` as people and programs meet it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from modhub.registry.writer import Registry
from modhub.settings.config import load_config
from modhub.settings.private_keys import create_key, key_path, load_private_key
from modhub.storage.urls import open_store
from tests.cli.running import Result, plain_environment
from tests.signing.signers import signer, trusted

Run = Callable[..., Result]
TEAM, TEAM_ID = str(signer("team").public), signer("team").id


def process(*arguments: str, **environment: str) -> Result:
    """Run a command as a process of its own, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "modhub", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=plain_environment() | environment,
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def typed(*arguments: str, answers: str) -> tuple[int, str, str]:
    """Run a command in a terminal, type ``answers``, and give what it printed: exit code, stdout, the terminal."""
    terminal, inside = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "modhub", *arguments],
        stdin=inside,
        stdout=subprocess.PIPE,
        stderr=inside,
        env=plain_environment(),
        start_new_session=True,
    )
    os.close(inside)
    shown = b""
    for answer in answers.splitlines():
        # Only what asks is answered: typing ahead would be shown before the echo is off.
        while not shown.endswith(b": "):
            shown += os.read(terminal, 1000)
        os.write(terminal, answer.encode() + b"\n")
        shown += b"\n"
    out, _ = running.communicate(timeout=60)
    try:
        while more := os.read(terminal, 1000):
            shown += more
    except OSError:  # Linux says so when the other end is closed.
        pass
    os.close(terminal)
    return running.returncode, out.decode(), shown.decode()


def test_new_says_what_others_run(run: Run) -> None:
    result = run("key", "new", "team-ci")
    made = load_private_key("team-ci")
    path = "~/xdg_config_home/modhub/keys/team-ci.pem"
    assert (result.code, result.out) == (
        0, f"made the key team-ci, in {path}\n  public key  {made.public}\n  id          {made.id}\n",
    )  # fmt: skip
    assert result.err == (
        "anyone who should trust it, for the namespaces that you publish in, runs:\n"
        f"  modhub key trust {made.public} --name team-ci --namespace NAMESPACE\n"
    )
    assert run(*result.err.splitlines()[1].split()[1:-1], "team").code == 0
    assert load_config().trust[0].namespaces == ("team",)


def test_new_as_a_document(run: Run) -> None:
    document = run("key", "new", "mine", "--json").document
    made = load_private_key("mine")
    assert document == {
        "name": "mine", "id": made.id, "public": str(made.public), "path": str(key_path("mine")), "locked": False,
    }  # fmt: skip


def test_new_never_overwrites() -> None:
    assert process("key", "new", "mine").code == 0
    again = process("key", "new", "mine")
    assert (again.code, again.out) == (4, "")
    assert again.err == (
        f"error: there is a key 'mine' already: {key_path('mine')}.\n"
        "hint: choose another name; keys are never overwritten.\n"
    )


def test_a_passphrase_is_typed_twice_and_never_shown() -> None:
    code, out, shown = typed("key", "new", "mine", "--passphrase", answers="correct horse\ncorrect horse\n")
    assert (code, out.splitlines()[0]) == (0, "made the key mine, in ~/xdg_config_home/modhub/keys/mine.pem")
    assert "passphrase of mine: " in shown
    assert "correct" not in shown
    assert b"ENCRYPTED" in key_path("mine").read_bytes()
    assert str(load_private_key("mine", lambda name: "correct horse").public) in out


def test_a_passphrase_is_asked_for_when_the_key_is_needed(tmp_path: Path) -> None:
    create_key("mine", "secret")
    registry = str(tmp_path / "registry")
    code, out, shown = typed(
        "key", "revoke", "mine", "--reason", "lost", "--registry", registry, answers="secret\n"
    )  # fmt: skip
    assert (code, out, "passphrase of mine: " in shown) == (0, f"said so in {registry}\n", True)
    code, out, shown = typed("key", "revoke", "mine", "--reason", "lost", "--registry", registry, answers="typo\n")
    assert (code, out) == (2, "")
    assert "the passphrase does not open the key" in shown


def test_without_a_terminal_the_environment_gives_the_passphrase(tmp_path: Path) -> None:
    asked = process("key", "new", "mine", "--passphrase")
    assert (asked.code, asked.err) == (
        2,
        "error: the key 'mine' needs a passphrase, and there is no terminal to ask for it.\n"
        "hint: set MODHUB_KEY_PASSPHRASE.\n",
    )
    assert not key_path("mine").exists()
    assert process("key", "new", "mine", "--passphrase", MODHUB_KEY_PASSPHRASE="secret").code == 0
    assert b"ENCRYPTED" in key_path("mine").read_bytes()
    revoke = ("key", "revoke", "mine", "--reason", "lost", "--registry", str(tmp_path / "registry"))
    assert "there is no terminal to ask for it" in process(*revoke).err
    assert process(*revoke, MODHUB_KEY_PASSPHRASE="secret").code == 0


def test_list(run: Run) -> None:
    assert run("key", "list").err == "there are no keys. Make one: modhub key new NAME\n"
    assert run("key", "list", "--json").document == {"keys": []}
    mine = create_key("mine")
    create_key("broken")
    key_path("broken").write_text("")
    run("key", "trust", TEAM, "--name", "team", "--namespace", "a", "--namespace", "b")
    run("key", "trust", "mine", "--name", "laptop", "--namespace", "*")
    run("key", "revoke", "team", "--reason", "they said so")
    result = run("key", "list")
    assert [re.split(r"  +", line) for line in result.out.splitlines()] == [
        ["key", "id", "yours", "trusted for", "state"],
        ["broken", "-", "yes", "-", "locked or damaged"],
        ["mine = laptop", mine.id[:16], "yes", "*", "trusted"],
        ["team", TEAM_ID[:16], "no", "a, b", "revoked: they said so"],
    ]
    assert run("key", "list", "--json").document["keys"][1:] == [
        {
            "names": ["mine", "laptop"], "id": mine.id, "public": str(mine.public), "path": str(key_path("mine")),
            "namespaces": ["*"], "revoked": None,
        },
        {
            "names": ["team"], "id": TEAM_ID, "public": TEAM, "path": None, "namespaces": ["a", "b"],
            "revoked": "they said so",
        },
    ]  # fmt: skip


def test_listing_needs_no_library() -> None:
    """Not even for an own key: its file tells the public half."""
    create_key("mine")
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from modhub.cli import main\n"
        "for line in ('key list', 'key trust mine --namespace me', 'key new other'):\n"
        "    code = main(line.split())\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "mine  " in done.stdout
    assert "is trusted for me" in done.stdout
    assert done.stderr == (
        "error: keys and signatures need the library cryptography, which is not installed.\n"
        "hint: pip install 'modhub[sign]'\n"
    )


def test_trust(run: Run) -> None:
    result = run("key", "trust", TEAM, "--namespace", "a", "--name", "team")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"the key 'team' ({TEAM_ID[:16]}) is trusted for a, in {load_config().path}\n".replace(
        str(Path.home()), "~"
    )
    assert "is trusted for a, b, in" in run("key", "trust", TEAM_ID[:8], "--namespace", "b").out
    assert "is trusted for every namespace, in" in run("key", "trust", "team", "--namespace", "*").out
    assert run("key", "trust", "team", "--namespace", "c", "--json").document["namespaces"] == ["a", "b", "*", "c"]
    assert load_config().trust == (trusted("team", "a", "b", "*", "c"),)


def test_trust_needs_a_namespace_and_a_key(run: Run) -> None:
    result = run("key", "trust", TEAM)
    assert (result.code, "missing option '--namespace'" in result.err) == (2, True)
    result = run("key", "trust", TEAM[:-1], "--namespace", "a")
    assert (result.code, "is not a public key" in result.err) == (2, True)
    result = run("key", "trust", "nobody", "--namespace", "a", "--json")
    assert (result.code, '"error": "no-key"' in result.err) == (3, True)
    assert not load_config().path.exists()


def test_revoke_here(run: Run) -> None:
    run("key", "trust", TEAM, "--namespace", "a", "--name", "team")
    result = run("key", "revoke", "team", "--reason", "stolen")
    assert (result.code, result.out, result.err) == (
        0,
        f"the key 'team' ({TEAM_ID[:16]}) is revoked here: stolen\n",
        "",
    )
    assert load_config().trust == (trusted("team", "a", revoked="stolen"),)
    assert run("key", "revoke", TEAM, "--reason", "again", "--json").document == {
        "names": ["team"], "id": TEAM_ID, "revoked": "stolen", "registry": None, "told": False,
    }  # fmt: skip


def test_revoke_everywhere(run: Run, tmp_path: Path) -> None:
    mine = create_key("mine")
    run("key", "trust", "mine", "--namespace", "me")
    registry = Registry(open_store(str(tmp_path / "registry")))
    revoke = ("key", "revoke", "mine", "--reason", "stolen", "--registry", registry.url)
    assert run(*revoke).out == (f"the key 'mine' ({mine.id[:16]}) is revoked here: stolen\nsaid so in {registry.url}\n")
    assert registry.revocation(load_config().trust[0]) == "stolen"
    assert f"{registry.url} says so already" in run(*revoke).out
    assert run(*revoke, "--json").document["told"] is False


def test_what_cannot_be_revoked_changes_nothing(run: Run, tmp_path: Path) -> None:
    create_key("mine")
    run("key", "trust", TEAM, "--namespace", "a", "--name", "team")
    nothing = run("key", "revoke", "mine", "--reason", "x")
    assert (nothing.code, nothing.err) == (
        2,
        "error: you do not trust the key 'mine', so there is nothing to revoke here.\n"
        "hint: publish that: --registry URL.\n",
    )
    theirs = run("key", "revoke", "team", "--reason", "x", "--registry", tmp_path / "registry")
    assert (theirs.code, theirs.err) == (
        2,
        "error: only the key 'team' itself can say in a registry that it is revoked, and its private half is not here."
        "\n"
        "hint: leave out --registry to stop believing it yourself.\n",
    )
    assert run("key", "revoke", "nobody", "--reason", "x").code == 3
    assert run("key", "revoke", "team", "--reason", " ").code == 2
    assert load_config().trust == (trusted("team", "a"),)
    assert not (tmp_path / "registry").exists()


def test_a_key_that_others_can_read_is_a_warning_in_one_line(run: Run) -> None:
    create_key("mine")
    key_path("mine").chmod(0o644)
    result = run("key", "list")
    assert (result.code, result.err) == (
        0, f"warning: others can read the private key {key_path('mine')} (mode 0644): chmod 600 {key_path('mine')}\n",
    )  # fmt: skip
