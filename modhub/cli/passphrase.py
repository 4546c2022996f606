"""Asking for the passphrase of a private key, which is never shown, stored or taken from the command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from modhub.cli.interrupts import as_exceptions
from modhub.errors import UsageError
from modhub.settings.private_keys import load_signer

if TYPE_CHECKING:
    from modhub.signing.keys import Signer


def signer(name: str) -> Signer:
    """The user's private key ``name``, ready to sign; asks for the passphrase of a locked one."""
    return load_signer(name, ask)


def ask(name: str) -> str:
    """The passphrase of an existing key, asked at the terminal. Raises UsageError when there is none."""
    return _prompt(name, confirm=False)


def choose_passphrase(name: str) -> str:
    """A passphrase for a new key: MODHUB_KEY_PASSPHRASE, else typed twice."""
    return os.environ.get("MODHUB_KEY_PASSPHRASE") or _prompt(name, confirm=True)


def _prompt(name: str, *, confirm: bool) -> str:
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(
            f"the key {name!r} needs a passphrase, and there is no terminal to ask for it.",
            kind="passphrase-needed",
            hint="set MODHUB_KEY_PASSPHRASE.",
            key=name,
        )
    # The terminal shows again what is typed when the prompt ends by an exception.
    with as_exceptions():
        return str(click.prompt(f"passphrase of {name}", hide_input=True, confirmation_prompt=confirm, err=True))
