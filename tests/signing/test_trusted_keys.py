"""Trusted keys in the configuration: read with the line of every mistake, written without losing a comment."""

from __future__ import annotations

from pathlib import Path

import pytest

from modhub.errors import Conflict, NotFound, UsageError
from modhub.settings.config import edit_config, load_config, load_trust
from modhub.settings.private_keys import create_key, key_path
from modhub.settings.trusted_keys import find_key, known_keys, revoke_trusted, trust_key
from modhub.signing.keys import write_private_key
from tests.signing.signers import signer, trusted

TEAM, OTHER = str(signer("team").public), str(signer("other").public)
TEAM_ID, OTHER_ID = signer("team").id, signer("other").id


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "modhub.toml"
    monkeypatch.setenv("MODHUB_CONFIG", str(path))
    return path


def table(key: str = TEAM, name: str = "team", namespaces: str = '["a"]', more: str = "") -> str:
    return f'[[trust]]\nkey = "{key}"\nname = "{name}"\nnamespaces = {namespaces}\n{more}'


# Reading


def test_by_default_nobody_is_trusted_and_nothing_required() -> None:
    trust = load_trust(load_config())
    assert (trust.keys, trust.required) == ((), False)


def test_trusted_keys_are_read(file: Path) -> None:
    file.write_text(
        "require_signature = true\n" + table(more='revoked = "lost"\n') + table(OTHER, "other", '["*", "b"]')
    )
    trust = load_trust(load_config())
    assert trust.keys == (trusted("team", "a", revoked="lost"), trusted("other", "*", "b"))
    assert trust.required
    assert not load_trust(load_config(), required=False).required


@pytest.mark.parametrize(("setting", "environment", "required"), [
    ("", None, False), ("", "", False), ("", "1", True), ("", "0", False),
    ("require_signature = true", None, True), ("require_signature = true", "", True),
    ("require_signature = true", "0", False), ("require_signature = false", "1", True),
])  # fmt: skip
def test_the_environment_says_whether_signatures_are_required(
    file: Path, monkeypatch: pytest.MonkeyPatch, setting: str, environment: str | None, required: bool
) -> None:
    file.write_text(setting)
    if environment is not None:
        monkeypatch.setenv("MODHUB_REQUIRE_SIGNATURE", environment)
    assert load_trust(load_config()).required is required
    assert load_trust(load_config(), required=True).required


@pytest.mark.parametrize("value", ["yes", "true", "2", " 1"])
def test_an_environment_that_says_neither_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MODHUB_REQUIRE_SIGNATURE", value)
    with pytest.raises(UsageError) as caught:
        load_trust(load_config())
    assert str(caught.value) == f"MODHUB_REQUIRE_SIGNATURE is {value!r}. Hint: set it to 1 or 0, or unset it."
    assert caught.value.kind == "bad-config"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('require_signature = "yes"\n', 1, "require_signature: Input should be a valid boolean"),
        ("\nrequire_signature = 1\n", 2, "require_signature: Input should be a valid boolean"),
        ("require_signatures = true\n", 1, "did you mean require_signature or"),
        ('[aliases]\nkey = "a/b"\n' + table("ed25519:x"), 4, "trust.0.key: 'ed25519:x' is not a public key"),
        (table() + "\n" + table(OTHER, "Other"), 8, "trust.1.name: the key 'Other' is not a valid name"),
        (table() + table(OTHER, "other", "[]"), 8, "trust.1.namespaces: Tuple should have at least 1 item"),
        (table() + table(OTHER, "other", '["b", "B"]'), 8, "trust.1.namespaces: the namespace 'B' is not a valid name"),
        (table(namespaces='[\n  "a",\n  3,\n]'), 4, "trust.0.namespaces.1: Input should be a valid string"),
        (table(namespaces='"a"'), 4, "trust.0.namespaces: Input should be a valid tuple"),
        (table(more="revoked = true\n"), 5, "trust.0.revoked: Input should be a valid string"),
        (table(more='namespace = "b"\n'), 5, "trust.0.namespace: Extra inputs are not permitted"),
        (
            f'\n[[trust]]\nkey = "{TEAM}"\nnamespaces = ["a"]\n[aliases]\nname = "a/b"\n',
            2,
            "trust.0.name: Field required",
        ),
        (table() + table(TEAM, "other"), 6, f"trust.1.key: another trusted key, 'team' ({TEAM_ID[:16]}), has it too"),
        (table() + table(OTHER, "team"), 7, f"trust.1.name: another trusted key, 'team' ({TEAM_ID[:16]}), has it too"),
        ('# x\ntrust = "everybody"\n', 2, "trust: Input should be a valid tuple"),
        (f'\ntrust = [{{key = "{TEAM}", name = "team", namespaces = []}}]\n', 2, "trust.0.namespaces: Tuple should"),
        ("[trust]\n", 1, "trust: Input should be a valid tuple"),
    ],
)
def test_a_mistake_is_named_with_its_line(file: Path, text: str, line: int, says: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config()
    assert f"the configuration {file}, line {line}: " in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.kind == "bad-config"


# Writing


def test_the_first_trusted_key_makes_the_file(file: Path) -> None:
    assert trust_key(TEAM, ["a"], name="team") == trusted("team", "a")
    assert file.read_text() == table()
    trust_key(OTHER, ["*"])
    assert file.read_text() == table() + "\n" + table(OTHER, f"key-{OTHER_ID[:8]}", '["*"]')


COMMENTED = f"""\
# mine
require_signature = true # always

[[trust]] # the team
key = "{TEAM}"   # by phone
name = "team"
namespaces = [ # all of theirs
  "a", # first
]  # more to come

# short names
[aliases]
c10 = "cifar10/r56"
"""


def test_writing_keeps_comments_and_order(file: Path) -> None:
    file.write_text(COMMENTED)
    assert trust_key("team", ["b", "a"]) == trusted("team", "a", "b")
    assert file.read_text() == COMMENTED.replace('  "a", # first\n', '  "a", # first\n  "b",\n')
    revoke_trusted(load_config().trust[0], 'so "sad"')
    revoked = COMMENTED.replace('  "a", # first\n', '  "a", # first\n  "b",\n').replace(
        "]  # more to come\n", ']  # more to come\nrevoked = "so \\"sad\\""\n'
    )
    assert file.read_text() == revoked
    trust_key(OTHER, ["a"], name="other")
    assert file.read_text() == revoked.replace("\n# short", "\n" + table(OTHER, "other") + "\n# short")


def test_a_list_of_tables_in_one_line_stays_one(file: Path) -> None:
    file.write_text(f'trust = [{{key = "{TEAM}", name = "team", namespaces = ["a"]}}] # short\n')
    trust_key(OTHER, ["b"], name="other")
    revoke_trusted(load_config().trust[0], "lost")
    assert load_config().trust == (trusted("team", "a", revoked="lost"), trusted("other", "b"))
    assert file.read_text().startswith("trust = [{key = ")
    assert file.read_text().endswith(" # short\n")


def test_trusting_again_adds_namespaces_and_may_rename(file: Path) -> None:
    trust_key(TEAM, ["a"], name="team")
    trust_key(TEAM, ["b", "a", "b"])
    before = file.stat().st_mtime_ns, file.read_text()
    trust_key(TEAM, ["b"])
    assert (file.stat().st_mtime_ns, file.read_text()) == before
    assert trust_key(TEAM, ["c"], name="crew").name == "crew"
    assert load_config().trust == (trusted("team", "a", "b", "c").model_copy(update={"name": "crew"}),)


def test_a_revoked_key_is_not_trusted_again(file: Path) -> None:
    revoke_trusted(trust_key(TEAM, ["a"], name="team"), "stolen.")
    assert revoke_trusted(load_config().trust[0], "another reason").revoked == "stolen."
    with pytest.raises(Conflict) as caught:
        trust_key(TEAM, ["b"])
    assert str(caught.value) == (
        f"the key 'team' ({TEAM_ID[:16]}) was revoked: stolen. Hint: trust another one. If revoking it was a mistake, "
        f"take its [[trust]] table out of {file}."
    )
    assert caught.value.kind == "revoked-key"
    assert load_config().trust == (trusted("team", "a", revoked="stolen."),)


def test_two_keys_of_one_name_are_refused(file: Path) -> None:
    trust_key(TEAM, ["a"], name="team")
    with pytest.raises(Conflict) as caught:
        trust_key(OTHER, ["a"], name="team")
    assert str(caught.value) == (
        f"another trusted key is called 'team': {TEAM}. Hint: call this one something else: --name NAME."
    )
    assert caught.value.kind == "key-name-taken"


@pytest.mark.parametrize(
    ("namespaces", "name", "says"),
    [
        (["A"], None, "the namespace 'A' is not a valid name."),
        (["a", "../b"], None, "the namespace '../b' is not a valid name."),
        ([], None, "namespaces: Tuple should have at least 1 item after validation, not 0."),
        (["a"], "A", "the key 'A' is not a valid name."),
    ],
)
def test_nothing_is_written_that_could_not_be_read(
    file: Path, namespaces: list[str], name: str | None, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        trust_key(TEAM, namespaces, name=name)
    assert str(caught.value) == f"{says} Hint: see modhub key trust --help."
    assert not file.exists()
    file.write_text("broken = [")
    with pytest.raises(UsageError, match="line 1"):
        trust_key(TEAM, ["a"])
    assert file.read_text() == "broken = ["


@pytest.mark.parametrize(("reason", "says"), [(" ", "the reason is empty"), ("x" * 1001, "has 1001 characters")])
def test_a_reason_must_say_something(reason: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        revoke_trusted(trust_key(TEAM, ["a"]), reason)
    assert load_config().trust[0].revoked is None


def test_a_change_that_could_not_be_read_again_is_not_written(file: Path) -> None:
    file.write_text(table())
    with pytest.raises(UsageError, match=r"line 4: trust\.0\.namespaces: Tuple should have at least 1 item"):
        edit_config(lambda document: document["trust"][0]["namespaces"].clear())  # type: ignore[index, union-attr]
    assert file.read_text() == table()


# Finding


def test_known_keys_are_own_ones_and_trusted_ones() -> None:
    mine, locked = create_key("mine"), create_key("locked", "secret")
    trust_key(TEAM, ["a"], name="team")
    trust_key("mine", ["me"], name="laptop")
    own_locked, own_mine, theirs = known_keys()
    assert (own_locked.names, own_locked.public, own_locked.trusted) == (["locked"], locked.public, None)
    assert (own_mine.names, own_mine.public) == (["mine", "laptop"], mine.public)
    assert (theirs.names, theirs.own, str(theirs.public)) == (["team"], None, TEAM)
    for text in ("mine", "laptop", str(mine.public), mine.id, mine.id[:8]):
        assert find_key(text) == own_mine


@pytest.mark.parametrize("text", ["tame", TEAM_ID[:7], TEAM_ID + "0", TEAM_ID[:9].upper(), OTHER, OTHER_ID])
def test_an_unknown_key(text: str) -> None:
    trust_key(TEAM, ["a"], name="team")
    with pytest.raises(NotFound) as caught:
        find_key(text)
    called = OTHER_ID if text == OTHER else text
    assert f"no key of yours, and none that you trust, is called {called!r}. Hint: " in str(caught.value)
    assert ("did you mean team?" in str(caught.value)) is (text == "tame")
    assert caught.value.kind == "no-key"


def test_a_name_of_two_keys_is_not_guessed() -> None:
    mine = create_key("team")
    trust_key(TEAM, ["a"], name="team")
    with pytest.raises(UsageError) as caught:
        find_key("team")
    assert str(caught.value) == (
        f"'team' stands for 2 keys: {mine.id}, {TEAM_ID}. Hint: give the first digits of its id instead, as many as it "
        "takes."
    )
    assert caught.value.kind == "ambiguous-key"
    assert find_key(TEAM_ID[:8]).own is None


def test_a_locked_file_of_another_program_is_trusted_once_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    create_key("mine")
    key_path("theirs").write_bytes(write_private_key(signer("team"), "secret").partition(b"\n")[2])
    key_path("theirs").chmod(0o600)
    assert find_key("theirs").public is None
    with pytest.raises(UsageError, match="the key 'theirs' is locked with a passphrase"):
        trust_key("theirs", ["a"])
    monkeypatch.setenv("MODHUB_KEY_PASSPHRASE", "secret")
    assert trust_key("theirs", ["a"]).key == TEAM
