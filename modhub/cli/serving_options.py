"""The options of ``modhub serve`` beside those of a classifier: where it listens, whom it answers, its bounds."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from modhub.errors import UsageError
from modhub.limits import KIB, MIB
from modhub.serving.bounds import ServingLimits
from modhub.serving.given import checked_token

#: Where the token is looked for: an argument would stand in every list of processes.
TOKEN_VARIABLE: Final = "MODHUB_SERVE_TOKEN"


@dataclass(frozen=True)
class ServingOptions:
    """Where it listens, whom it answers, and how much it takes."""

    host: str
    port: int
    name: str | None
    allow_host: tuple[str, ...]
    token: str | None
    limits: ServingLimits


def serving_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a ``ServingOptions``, given to the command as ``serving``."""

    @functools.wraps(command)
    def with_serving(**values: Any) -> None:
        given = {str(option.name): values.pop(str(option.name)) for option in _OPTIONS}
        place = {name: given.pop(name) for name in ("host", "port", "name", "allow_host")}
        token = token_of(given.pop("token_file"))
        command(serving=ServingOptions(**place, token=token, limits=_limits(given)), **values)

    # Where click's own decorators collect options, last first; a decorator makes new ones from declarations only.
    collected: list[click.Parameter] = getattr(command, "__click_params__", [])
    with_serving.__click_params__ = [*collected, *reversed(_OPTIONS)]  # type: ignore[attr-defined]
    return with_serving


def token_of(file: Path | None) -> str | None:
    """The token in ``file``, else in the environment; None where there is none. Raises UsageError."""
    if file is None:
        text = os.environ.get(TOKEN_VARIABLE)
        return checked_token(text) if text else None
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return checked_token(opened.read(4 * KIB).strip())
    except OSError as error:
        raise UsageError(
            f"the token's file {file} cannot be read: {error.strerror or error}.",
            kind="bad-token",
            hint=f"name a file that you may read, or set {TOKEN_VARIABLE}.",
            path=str(file),
        ) from error


def _limits(given: dict[str, Any]) -> ServingLimits:
    """``ServingLimits`` of options, which have units that people like: MiB, megapixels, milliseconds."""
    usual = ServingLimits()
    body = int(given["max_body"] * MIB)
    return replace(
        usual,
        body=body,
        json_body=min(usual.json_body, body),
        buffered=max(usual.buffered, 2 * body),
        pixels=int(given["max_pixels"] * 1_000_000),
        images=given["max_images"],
        requests=given["max_requests"],
        batch=given["batch_size"],
        gather=given["max_wait"] / 1000,
        answering=given["timeout"],
    )


def _positive(most: float) -> click.FloatRange:
    return click.FloatRange(min=0, min_open=True, max=most)


_USUAL: Final = ServingLimits()
_OPTIONS: Sequence[click.Option] = (
    click.Option(
        ["--port"],
        type=click.IntRange(0, 65_535),
        default=8000,
        show_default=True,
        metavar="N",
        help="Listen here; 0 takes a free one, which is printed.",
    ),
    click.Option(
        ["--host"],
        default="127.0.0.1",
        show_default=True,
        metavar="ADDRESS",
        help="Listen on this address: this machine alone by default, 0.0.0.0 for all that reach it.",
    ),
    click.Option(
        ["--name"],
        metavar="TEXT",
        help="What the classifier is called under /v2/models.  [default: the project's or the file's name, else "
        "classifier]",
    ),
    click.Option(
        ["--token-file"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"Answer only those that send the token in this file.  [env: {TOKEN_VARIABLE}, the token itself]",
    ),
    click.Option(
        ["--allow-host"],
        multiple=True,
        metavar="NAME",
        help="On loopback: answer under this name too, where a proxy hands it on; repeatable.",
    ),
    click.Option(
        ["--batch-size"],
        type=click.IntRange(1, 4096),
        default=_USUAL.batch,
        show_default=True,
        metavar="N",
        help="Images that are classified together at most.",
    ),
    click.Option(
        ["--max-wait"],
        type=click.FloatRange(0, 10_000),
        default=1000 * _USUAL.gather,
        show_default=True,
        metavar="MS",
        help="How long, in milliseconds, a request waits for others to be classified with.",
    ),
    click.Option(
        ["--max-body"],
        type=_positive(1024),
        default=_USUAL.body / MIB,
        show_default=True,
        metavar="MIB",
        help="MiB of one request.",
    ),
    click.Option(
        ["--max-pixels"],
        type=_positive(1000),
        default=_USUAL.pixels / 1_000_000,
        show_default=True,
        metavar="MILLIONS",
        help="Million pixels of one picture, as it is sent.",
    ),
    click.Option(
        ["--max-images"],
        type=click.IntRange(1, 10_000),
        default=_USUAL.images,
        show_default=True,
        metavar="N",
        help="Images in one request.",
    ),
    click.Option(
        ["--max-requests"],
        type=click.IntRange(1, 10_000),
        default=_USUAL.requests,
        show_default=True,
        metavar="N",
        help="Requests under way at once; what is beyond gets 429.",
    ),
    click.Option(
        ["--timeout"],
        type=_positive(3600),
        default=_USUAL.answering,
        show_default=True,
        metavar="SECONDS",
        help="Seconds until a request has its answer; what is beyond gets 504.",
    ),
)
