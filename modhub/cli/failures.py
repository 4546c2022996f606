"""Whatever ends a command early, as one message, one hint and one exit code.

In text: ``error: ...`` and ``hint: ...`` on stderr. With ``--json``: one JSON object on stderr, with the keys ``error``
(the stable kind), ``message``, ``hint``, and the error's own data; stdout is then empty or incomplete.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import click

from modhub.cli import interrupts
from modhub.cli.meanings import meant_option
from modhub.cli.printing import echo, json_text, printable, styled
from modhub.errors import ModhubError, StorageError, UsageError, did_you_mean, plain
from modhub.spec.url import RegistryUrl, is_url, without_secrets

_MAX_MESSAGE_CHARS: Final = 500
_COMMAND_OPTIONS: Final = ("--json", "--registry", "--cache")


def report(error: BaseException, *, as_json: bool, debug: bool, given: Sequence[str] = ()) -> int:
    """Print what happened and return the exit code. ``given``: the words of the command line, which click repeats."""
    if debug and not isinstance(error, click.ClickException):
        click.echo(without_secrets("".join(traceback.format_exception(error))), err=True, nl=False)
    failure = as_modhub_error(error, given)
    _give_up_stdout()
    if as_json:
        click.echo(json_text(failure.to_dict(), default=str), err=True)
    else:
        echo(styled("error: ", fg="red", bold=True) + printable(failure.message), err=True)
        if failure.hint:
            echo(styled("hint: ", fg="cyan", bold=True) + printable(failure.hint), err=True)
    return failure.exit_code


def as_modhub_error(error: BaseException, given: Sequence[str] = ()) -> ModhubError:
    """``error`` as one of modhub's own."""
    if isinstance(error, ModhubError):
        return error
    if isinstance(error, click.ClickException):
        return _usage(error, given)
    if isinstance(error, click.Abort) and not isinstance(error.__context__, KeyboardInterrupt):
        return ModhubError("nothing was done, because it was not confirmed.", kind="not-confirmed")
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return _interrupted()
    if isinstance(error, ImportError) and error.name and not error.name.startswith("modhub"):
        return _missing_library(error.name, error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return _unusable_path(error)
    if isinstance(error, MemoryError):
        return ModhubError(
            f"there is not enough memory{f': {plain(str(error))}' if str(error) else ''}.",
            kind="no-memory",
            hint="give smaller data or batches, or use a larger machine.",
        )
    reason = plain(without_secrets(str(error).strip())) or type(error).__name__
    return ModhubError(f"unexpected: {reason}", kind="unexpected", hint="run again with --debug to see where.")


def _interrupted() -> ModhubError:
    failure = ModhubError(interrupts.MESSAGE, kind=interrupts.KIND)
    failure.exit_code = interrupts.EXIT_CODE
    return failure


def _missing_library(name: str, error: ImportError) -> UsageError:
    package = name.partition(".")[0]
    return UsageError(
        f"this needs {package}, which cannot be imported: {plain(without_secrets(str(error)))}.",
        kind="missing-extra",
        hint=f"pip install {package}",
        package=package,
    )


def _unusable_path(error: OSError) -> StorageError:
    place = (
        plain(without_secrets(os.fsdecode(error.filename)))
        if isinstance(error.filename, (str, bytes))
        else str(error.filename)
    )
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StorageError(
        f"{place} cannot be used: {error.strerror}.",
        kind="no-space" if full else "unusable-path",
        hint="free some space on that disk." if full else "name another place, or get the right to use it.",
        path=place,
    )


def _usage(error: click.ClickException, given: Sequence[str]) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "modhub"
    see = f"see {path} --help"
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        if path == "modhub" and name in _COMMAND_OPTIONS:
            return UsageError(f"{name} is an option of the commands.", hint=f"write it behind one: modhub list {name}")
        known = [option for parameter in context.command.params for option in parameter.opts] if context else []
        meant = meant_option(known, name) or did_you_mean(name, [*known, "--help"])
        return UsageError(f"{path} has no option {name}.", hint=meant or see)
    message = error.format_message().strip()
    for word in given:
        # A URL where none belongs, or one too many.
        message = message.replace(word, RegistryUrl(word)) if is_url(word) else message
    # Click repeats what was typed, and a number may have thousands of digits.
    message = message if len(message) <= _MAX_MESSAGE_CHARS else f"{message[:_MAX_MESSAGE_CHARS]}..."
    return UsageError(message[:1].lower() + message[1:], hint=see)


def _give_up_stdout() -> None:
    """Drop what a full disk did not take: Python would fail over it once more at its exit, with a traceback."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
