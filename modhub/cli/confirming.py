"""What cannot be undone is asked for at a terminal, and needs ``--yes`` where there is none."""

from __future__ import annotations

import sys

import click

from modhub.errors import UsageError


def confirm(doing: str, question: str) -> None:
    """Go on only when a person says yes. Raises UsageError, kind ``not-confirmed``, where nobody can be asked."""
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(
            f"{doing} cannot be undone, and there is no terminal to ask at.",
            kind="not-confirmed",
            hint="run it again with --yes.",
        )
    click.confirm(question, abort=True, err=True)
