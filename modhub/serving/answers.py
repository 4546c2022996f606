"""Errors as answers over HTTP: one table of which status each is, and the one form in which they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modhub.errors import (
    Conflict,
    Incompatible,
    IntegrityError,
    InvalidData,
    ModhubError,
    NotFound,
    Refused,
    RegistryUnreachable,
    UnsupportedModel,
    UsageError,
)
from modhub.serving.library import JSONResponse, Request, Response

#: By kind, where the class of an error does not say it.
_BY_KIND: Final = {
    "too-large": 413,
    "too-many-images": 413,
    "slow-client": 408,
    "busy": 429,
    "late": 504,
    "stopping": 503,
    "no-token": 401,
    "unknown-host": 421,
    "bad-method": 405,
    "bad-media-type": 415,
}
_BY_CLASS: Final[Sequence[tuple[type[ModhubError], int]]] = (
    (NotFound, 404),
    (UsageError, 400),
    (InvalidData, 400),
    (Incompatible, 400),
    (Conflict, 409),
    (RegistryUnreachable, 502),
    (UnsupportedModel, 500),
    (IntegrityError, 500),
)


def status_of(error: ModhubError) -> int:
    """The HTTP status of an error; 500 for what no request is to blame for."""
    found = _BY_KIND.get(error.kind)
    if found is not None:
        return found
    return next((status for kind, status in _BY_CLASS if isinstance(error, kind)), 500)


def busy(message: str, *, retry_after: int) -> Refused:
    """The error for when as much as the server can do is waiting already; it may take more after so many seconds."""
    return Refused(message, kind="busy", hint=f"ask again in {retry_after} s.", retry_after=retry_after)


def late(message: str) -> Refused:
    """The error for what took longer than anybody waits for an answer."""
    return Refused(message, kind="late", hint="send fewer images at once, or ask when less is asked.")


def error_answer(error: ModhubError) -> JSONResponse:
    """The error as JSON: ``error`` is what happened, ``kind`` the stable name of it, ``hint`` what to do.

    ``error`` is text, as the Open Inference Protocol has it. Whoever is refused before the whole request was read has
    to connect anew.
    """
    status = status_of(error)
    headers = {"connection": "close"} if status in (408, 413) else {}
    if "retry_after" in error.data:
        headers["retry-after"] = str(error.data["retry_after"])
    body = {"error": error.message, "kind": error.kind, "hint": error.hint}
    return JSONResponse(body, status, headers)


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """``error_answer`` as Starlette's ``exception_handlers`` want it."""
    if not isinstance(error, ModhubError):
        raise error
    return error_answer(error)


async def answer_nobody(request: Request, error: Exception) -> Response:
    """For a client that left before its request was whole; nobody reads it."""
    return Response(status_code=400)
