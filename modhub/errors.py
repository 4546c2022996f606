"""Every error that modhub raises on purpose, in one tree.

Callers branch on the class (what to do about it) or on ``kind`` (which exact thing happened; kinds are stable
across releases). The message names the thing, both values where two disagree, and the hint says what to do next.
Data stays on the exception; the command line formats it. This module imports nothing of modhub.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

#: Characters of a message, and of a hint; whatever a file, a library or a server says beyond that is left out.
MAX_MESSAGE_CHARS: Final = 999
#: Characters of text from elsewhere, inside a message.
MAX_FOREIGN_CHARS: Final = 300


def bounded(text: str, most: int = MAX_MESSAGE_CHARS) -> str:
    """``text``, of which no more than ``most`` characters: of a longer one the beginning and the end."""
    if len(text) <= most:
        return text
    gap = f" ... ({len(text) - most:,} characters left out) ... "
    tail = (most - len(gap)) // 3
    return text[: most - len(gap) - tail] + gap + text[len(text) - tail :]


class ModhubError(Exception):
    """Base of all errors.

    ``kind`` is a stable identifier, ``hint`` one imperative sentence, ``data`` plain values (JSON types) for programs.
    Message and hint are shortened in the middle where they would be longer than ``MAX_MESSAGE_CHARS``.

    >>> import modhub
    >>> try:
    ...     modhub.install("cifar10/r56:unicorn")
    ... except modhub.ModhubError as error:
    ...     print(error.kind, error.exit_code)
    no-class 3
    """

    kind: str = "error"
    exit_code: int = 1

    def __init__(self, message: str, *, kind: str | None = None, hint: str | None = None, **data: Any) -> None:
        message = bounded(message)
        super().__init__(message)
        self.message = message
        self.hint = None if hint is None else bounded(hint)
        self.data = data
        if kind is not None:
            self.kind = kind

    def __str__(self) -> str:
        return f"{self.message} Hint: {self.hint}" if self.hint else self.message

    def to_dict(self) -> dict[str, Any]:
        """The error as plain values, for ``--json``."""
        return {"error": self.kind, "message": self.message, "hint": self.hint, **self.data}


class UsageError(ModhubError):
    """The request itself is malformed: change the call."""

    kind = "usage"
    exit_code = 2


class InvalidRef(UsageError):
    """A name such as ``cifar10/r56:cat@^1`` cannot be read."""

    kind = "invalid-ref"


class InvalidData(ModhubError):
    """The images or labels cannot be used: change the data."""

    kind = "invalid-data"


class UnsupportedModel(ModhubError):
    """The network has a layer, activation, graph or head that modhub cannot decompose: change the model."""

    kind = "unsupported-model"


class NotFound(ModhubError):
    """No registry that was searched, nor the cache, has the thing."""

    kind = "not-found"
    exit_code = 3


class Conflict(ModhubError):
    """Something else already has this name: choose another name or version."""

    kind = "conflict"
    exit_code = 4


class Incompatible(ModhubError):
    """Two things that were to work together do not fit."""

    kind = "incompatible"
    exit_code = 4


class IntegrityError(ModhubError):
    """Bytes are not the bytes that were published: do not use them, fetch or repair."""

    kind = "integrity"
    exit_code = 5


class Untrusted(IntegrityError):
    """Signatures are required, and no trusted key vouches for this: ask its publisher, or trust the key."""

    kind = "unsigned"


class RegistryUnreachable(ModhubError):
    """A registry cannot be read or written at all: fix the path, the permissions or the connection."""

    kind = "registry-unreachable"
    exit_code = 6


class Refused(ModhubError):
    """A server does not take a request: it is too much, too slow, or comes at a bad time; send less, or later."""

    kind = "refused"


class StorageError(ModhubError):
    """The local disk refused a write (full, read-only): free or choose another place, then run it again."""

    kind = "storage"


def shown(text: str) -> str:
    """Foreign text as a message repeats it: in quotes, without what steers a terminal, and no more than 60 letters."""
    return repr(text) if len(text) <= 80 else f"{text[:60]!r}..."


def plain(text: str) -> str:
    """What a library says about foreign data, which it may repeat: on one line, and no more than 300 letters."""
    text = text if len(text) <= MAX_FOREIGN_CHARS else text[:MAX_FOREIGN_CHARS] + "..."
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Up to ``count`` names of ``known`` that a person who typed ``name`` may have meant, best first."""
    import difflib  # needed only after a typing error

    return difflib.get_close_matches(name, sorted(set(known)), n=count, cutoff=0.5)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The hint ``did you mean ...?`` for an unknown name, or None when nothing is near."""
    close = nearest(name, known)
    return f"did you mean {' or '.join(close)}?" if close else None
