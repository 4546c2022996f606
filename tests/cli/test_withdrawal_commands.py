"""What ``yank``, ``lock``, ``alias log`` and ``install --locked`` print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.registry.writer import Registry
from modhub.storage.urls import open_store
from tests.cli.running import Result
from tests.synthetic import release

Run = Callable[..., Result]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(open_store(str(tmp_path / "registry")))
    registry.publish(*release())
    registry.publish(*release(version="1.1.0", seed=1))
    return registry


def test_yank_and_undo(run: Run, registry: Registry) -> None:
    at = ("--registry", registry.url)
    done = run("yank", "me/net@1.1.0", "--reason", "answers wolf", *at)
    assert (done.code, done.out) == (0, "yanked me/net@1.1.0: answers wolf\n")
    assert run("yank", "me/net@1.1.0", "--reason", "answers wolf", *at).out == "me/net@1.1.0 was yanked already\n"
    assert run("yank", "me/net@1.1.0", "--undo", "--reason", "fine", *at).out == "me/net@1.1.0 is found again\n"
    assert run("yank", "me/net@1.1.0", "--undo", "--reason", "fine", *at).out == "me/net@1.1.0 was not yanked\n"
    document = run("yank", "me/net@1.0.0", "--reason", "old", *at, "--json").document
    assert document == {"release": "me/net@1.0.0", "yanked": True, "reason": "old", "changed": True}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("me/net@1.1.0",), 2, "Missing option '--reason'"),
        (("me/net", "--reason", "x"), 2, "'me/net' is not a release's name."),
        (("me/net@9.9.9", "--reason", "x"), 3, "has no release me/net@9.9.9"),
        (("me/net@1.1.0", "--reason", " "), 2, "the reason is empty"),
        (("me/net@1.1.0", "--reason", "x", "--sign", "nobody"), 3, "nobody"),
    ],
)
def test_yank_with_bad_arguments(
    run: Run, registry: Registry, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run("yank", *arguments, "--registry", registry.url)
    assert (done.code, done.out) == (code, "")
    assert message.lower() in done.err.lower()
    assert "Traceback" not in done.err


def test_an_exact_pin_of_what_was_yanked_installs_with_a_warning(run: Run, registry: Registry) -> None:
    at = ("--registry", registry.url)
    run("yank", "me/net@1.1.0", "--reason", "answers wolf", *at)
    done = run("install", "me/net:cat@1.1.0", *at)
    assert (done.code, "warning: me/net@1.1.0 is yanked: answers wolf\n" in done.err) == (0, True)
    assert "me/net@1.0.0" in run("install", "me/net:cat", *at).out
    everything = ("yank", "me/net@1.0.0", "--reason", "old", *at)
    assert run(*everything).code == 0
    refused = run("install", "me/net:cat@^1", *at)
    assert (refused.code, refused.err.splitlines()[0]) == (
        3, "error: me/net@1.1.0 is yanked, and so is 1 older one: answers wolf",
    )  # fmt: skip
    for name in ("me/net", "me/net:cat", "me/net@^1", "me/net:cat@1.1.0"):
        shown = run("info", name, *at)
        assert (shown.code, "warning: me/net@1.1.0 is yanked: answers wolf" in shown.err) == (0, True), name
    assert run("info", "me/net", *at, "--json").document["yanked"] == ["me/net@1.1.0 is yanked: answers wolf"]
    differing = run("diff", "me/net@1.0.0", "me/net@^1", *at)
    for text in ("me/net@1.0.0 is yanked: old", "me/net@1.1.0 is yanked: answers wolf"):
        assert f"warning: {text}\n" in differing.err


def test_a_class_is_yanked_alone(run: Run, registry: Registry) -> None:
    at = ("--registry", registry.url)
    done = run("yank", "me/net:potter's wheel@1.1.0", "--reason", "is a bowl", *at)
    assert (done.code, done.out) == (0, "yanked me/net:potter's wheel@1.1.0: is a bowl\n")
    again = run("yank", "me/net:potters-wheel@1.1.0", "--reason", "is a bowl", *at)
    assert again.out == "me/net:potters-wheel@1.1.0 was yanked already\n"
    assert "me/net@1.0.0" in run("install", "me/net:potters-wheel", *at).out
    assert "me/net@1.1.0" in run("install", "me/net:cat", *at).out
    whole = run("install", "me/net", *at)
    assert "warning: left out: me/net:potters-wheel@1.1.0 is yanked: is a bowl" in whole.err
    assert run("yank", "me/net:bird@1.1.0", "--reason", "none", *at).code == 3
    assert run("yank", "me/net:cat@^1", "--reason", "none", *at).code == 2
    assert run("yank", "me/net:potters-wheel@1.1.0", "--undo", "--reason", "it was the light", *at).code == 0
    assert "left out" not in run("install", "me/net", *at).err


def test_lock_and_install_from_it(run: Run, registry: Registry, tmp_path: Path) -> None:
    done = run("lock", "me/net:cat", "me/net:dog@1.0.0", "--registry", registry.url)
    assert [line.split()[0] for line in done.out.splitlines()] == ["me/net:cat@1.1.0", "me/net:dog@1.0.0"]
    assert done.err == "wrote modhub.lock\n"
    assert (tmp_path / "modhub.lock").read_text().startswith("# Written by modhub.")
    run("yank", "me/net@1.1.0", "--reason", "answers wolf", "--registry", registry.url)
    done = run("install", "--locked", "modhub.lock", "--registry", registry.url)
    assert done.code == 0
    assert "warning: me/net@1.1.0 is yanked, but locked: answers wolf" in done.err
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == ["me/net@1.1.0", "me/net@1.0.0"]
    document = run("lock", "me/net:dog", "--out", "dog.lock", "--registry", registry.url, "--json").document
    assert document["lock"] == "dog.lock"
    assert [module["ref"] for module in document["modules"]] == ["me/net:dog@1.0.0"]


def test_install_wants_names_or_a_lockfile_and_not_both(run: Run, registry: Registry) -> None:
    none = run("install", "--registry", registry.url)
    assert (none.code, "name modules, or give a lockfile" in none.err) == (2, True)
    run("lock", "me/net:cat", "--registry", registry.url)
    both = run("install", "me/net:cat", "--locked", "modhub.lock", "--registry", registry.url)
    assert (both.code, "either names or a lockfile" in both.err) == (2, True)


def test_a_lock_changed_by_hand(run: Run, registry: Registry, tmp_path: Path) -> None:
    run("lock", "me/net:cat", "--registry", registry.url)
    file = tmp_path / "modhub.lock"
    file.write_text(file.read_text().replace("1.1.0", "1.0.0"))
    done = run("install", "--locked", "modhub.lock", "--registry", registry.url)
    assert done.code == 5
    assert done.err == (
        "error: the lockfile modhub.lock was changed by hand: its checksum does not match.\n"
        "hint: lock again: modhub lock REF... --out FILE\n"
    )


def test_install_offline(run: Run, registry: Registry) -> None:
    run("install", "me/net:cat", "--registry", registry.url)
    assert run("install", "me/net:cat", "--offline").code == 0
    done = run("install", "me/net:dog", "--offline")
    assert done.code == 3
    assert "me/net@1.1.0 has no class 'dog', and only the cache was searched, offline." in done.err


def test_the_history_of_an_alias(run: Run, registry: Registry) -> None:
    at = ("--registry", registry.url)
    for target in ("me/net", "me/other"):
        run("alias", "set", "n", target, *at)
    run("alias", "remove", "n", *at)
    rows = [line.split() for line in run("alias", "log", "n", *at).out.splitlines()]
    assert [(row[0], " ".join(row[2:])) for row in rows[1:]] == [
        ("1", "me/net"), ("2", "me/other"), ("3", "(taken back)"),
    ]  # fmt: skip
    history = run("alias", "log", "n", *at, "--json").document["history"]
    assert [(entry["number"], entry["target"]) for entry in history] == [(1, "me/net"), (2, "me/other"), (3, None)]
    unknown = run("alias", "log", "m", *at)
    assert (unknown.code, "no registry has a history of the alias 'm'" in unknown.err) == (3, True)


def test_signed_things_are_installed_where_signatures_are_required(run: Run, registry: Registry) -> None:
    at = ("--registry", registry.url)
    public = run("key", "new", "alice", "--json").document["public"]
    assert run("key", "trust", public, "--namespace", "me").code == 0
    refused = run("install", "me/net:cat", "--require-signature", *at)
    assert refused.code == 5
    assert "the release me/net@1.1.0 is not signed by any key trusted for the namespace 'me'" in refused.err
    signer_options = ("--sign", "alice")
    run("alias", "set", "n", "me/net", *signer_options, *at)
    run("yank", "me/net@1.1.0", "--reason", "unsigned", *signer_options, *at)
    Registry(open_store(registry.url)).publish(*release(), signer=_alice())
    assert run("install", "n:cat", "--require-signature", *at).code == 0


def _alice():  # type: ignore[no-untyped-def]
    from modhub.settings.private_keys import load_signer

    return load_signer("alice")
