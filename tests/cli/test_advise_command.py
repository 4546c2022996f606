"""What ``advise`` and ``deprecate`` print, and how they refuse what makes no sense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.limits import MAX_ADVISORY_REFERENCES
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


def test_advise_change_and_withdraw(run: Run, registry: Registry, tmp_path: Path) -> None:
    at = ("--registry", registry.url)
    (tmp_path / "report.html").write_text("<b>wolf</b>")
    given = ("me/net:cat@^1", "me/net:potter's wheel@^1", "--reason", "answers wolf", "--severity", "high")
    more = ("--instead", "other/net:cat", "--evidence", "report.html", "--reference", "https://example.org/why")
    done = run("advise", *given, *more, *at)
    advisory = done.out.split()[1]
    assert (done.code, done.out) == (
        0,
        f"published {advisory}\n"
        "  me/net:cat,potters-wheel  from 1.0.0 before 2.0.0\n"
        "  high: answers wolf\n"
        "  use other/net:cat instead\n",
    )
    assert run("advise", *given, *more, *at).out.startswith(f"{advisory} says so already\n")
    changed = run("advise", "--change", advisory, "--fixed-in", "1.1.0", *at)
    assert changed.out.startswith(f"changed {advisory}\n  me/net:cat,potters-wheel  from 1.0.0 before 1.1.0\n")
    document = run("advise", "--withdraw", advisory, *at, "--json").document
    assert (document["changed"], document["advisory"]["withdrawn"] is None) == (True, False)
    assert run("advise", "--withdraw", advisory, *at).out.startswith(f"{advisory} says so already\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "name modules, or give --change ID or --withdraw ID"),
        (("me/net:cat",), 2, "missing option '--reason'"),
        (("me/net:cat", "you/net:cat", "--reason", "x"), 2, "modules of one namespace"),
        (("net:cat", "--reason", "x"), 2, "modules of one namespace"),
        (("me/net:cat@>1.0.0", "--reason", "x"), 2, "cannot be the range of an advisory"),
        (("me/net:cat", "--reason", "x", "--severity", "awful"), 2, "invalid value for '--severity'"),
        (("me/net:cat", "--reason", "x", "--fixed-in", "soon"), 2, "'soon' is not a version"),
        (("me/net:cat", "--reason", "x" * 2000), 2, "the reason has 2000 characters"),
        (("me/net:cat", "--reason", "x", "--reference", "javascript:x"), 2, "is no web address"),
        (("me/net:cat", "--reason", "x", "--evidence", "nowhere"), 3, "cannot be read"),
        (("me/net:cat", "--reason", "x", "--instead", "net"), 2, "is an alias or a namespace"),
        (("me/net:kat", "--reason", "x"), 3, "has a class 'kat'"),
        (("me/net:!!!", "--reason", "x"), 2, "cannot be written"),
        (("--withdraw", "modhub-aaaa-aaaa-aaaa"), 3, "has no advisory"),
        (("--withdraw", "modhub-aaaa-aaaa-aaaa", "--reason", "x"), 2, "--withdraw takes no --reason"),
        (("--change", "modhub-aaaa-aaaa-aaaa", "--evidence", "x"), 2, "--change takes no --evidence"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, registry: Registry, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run("advise", *arguments, "--registry", registry.url)
    assert (done.code, done.out) == (code, "")
    assert message.lower() in done.err.lower()
    assert registry.store.list("records") == []


def test_too_much_is_refused(run: Run, registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    said = ("advise", "me/net:cat", "--reason", "x", "--registry", registry.url)
    assert "has 0 bytes" in run(*said, "--evidence", "empty").err
    links = [text for number in range(MAX_ADVISORY_REFERENCES + 1) for text in ("--reference", f"https://a.b/{number}")]
    assert "cannot be written: references" in run(*said, *links).err
    assert registry.store.list("records") == []


def test_deprecate_and_undo(run: Run, registry: Registry) -> None:
    at = ("--registry", registry.url)
    done = run("deprecate", "me/net", "few images", "--use", "other/net", *at)
    assert (done.code, done.out) == (0, "deprecated me/net: few images; use other/net\n")
    assert run("deprecate", "me/net", "few images", "--use", "other/net", *at).out == (
        "me/net was deprecated so already\n"
    )
    installed = run("install", "me/net:cat", *at)
    assert (installed.code, "warning: me/net is deprecated: few images; use other/net instead" in installed.err) == (
        0, True,
    )  # fmt: skip
    assert run("deprecate", "me/net", "well again", "--undo", *at).out == "me/net is deprecated no more\n"
    assert "deprecated" not in run("install", "me/net:cat", *at).err
    assert run("deprecate", "me/nut", "x", *at).code == 3
