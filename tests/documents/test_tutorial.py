"""The tutorial, run as printed with the starter registry: every line that it shows is a line that is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents.sessions import RUN, Session, commands, snippets

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


def test_the_tutorial_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = Session({})
    shown = 0
    for snippet in snippets(TUTORIAL):
        if snippet.language not in RUN or snippet.excuse is not None:
            continue
        if snippet.language == "python":
            session.run(snippet)
            continue
        for command, wanted in commands(snippet):
            code, said = session.command(command)
            assert code == 0, f"{command}\n{said}"
            printed = [line.rstrip() for line in said.replace(f"{tmp_path}/", "").splitlines()]
            # A terminal has stderr's lines first where they came first; here they come last.
            missing = [line for line in wanted.splitlines() if line not in ("", "...") and line not in printed]
            assert not missing, f"{command} printed:\n{said}"
            assert "..." in wanted or len(wanted.split("\n")) - 1 >= len(printed), f"{command} also printed:\n{said}"
            shown += len(wanted.splitlines())
    assert shown > 25
    # What the last block says it gives.
    assert session.names["answer"].labels == ["apple"]
