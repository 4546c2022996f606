"""What people call a served classifier and whom it answers, checked; without the libraries that serve it."""

from __future__ import annotations

from typing import Final

from modhub.errors import UsageError, shown

#: What a classifier is called in URLs where nobody says otherwise.
USUAL_NAME: Final = "classifier"
_LEAST_TOKEN: Final = 16


def checked_name(name: str) -> str:
    """A name that fits into a path of a URL as it is. Raises UsageError."""
    if not name or len(name) > 100 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name):
        raise UsageError(
            f"{shown(name)} cannot be the name of a served classifier.",
            kind="bad-name",
            hint="use letters, digits, dots, dashes and underscores: --name pets.",
        )
    return name


def checked_token(token: str) -> str:
    """A token that a header can carry and nobody guesses. Raises UsageError, kind ``bad-token``, without it."""
    if len(token) < _LEAST_TOKEN or not all(c.isascii() and c.isprintable() and c != " " for c in token):
        raise UsageError(
            f"the token has {len(token)} characters, or some that no header carries.",
            kind="bad-token",
            hint=f"use at least {_LEAST_TOKEN} letters and digits: openssl rand -hex 32",
        )
    return token
