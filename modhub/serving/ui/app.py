"""The application behind ``modhub ui``: pages of a registry, and what they ask to be computed.

    GET  /...                              pages and their files, of the registry as it is now
    GET  /api/session                      the token of this session, for pages of this server alone
    POST /api/classifiers                  JSON: compose; the plan, or what there is to fetch first
    POST /api/classifiers/{id}/answer      the bytes of a photo: vote, probabilities, margins
    POST /api/classifiers/{id}/explanation the same photo: where each module sees its class

Nothing of a photo is written anywhere. Networks run one at a time, in a thread of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from posixpath import splitext
from typing import TYPE_CHECKING, Any, Final, Protocol

from modhub.errors import ModhubError
from modhub.limits import KIB, MAX_SENT_BYTES
from modhub.serving.answers import answer_error, answer_nobody, error_answer, status_of
from modhub.serving.guard import SECURITY_HEADERS, BoundedBody, KnownHosts, WithHeaders, body_too_large
from modhub.serving.hosting import LOOPBACK_NAMES
from modhub.serving.library import ASGIApp, ClientDisconnect, JSONResponse, Request, Response, Route, Starlette
from modhub.serving.ui.asked import asked_classifier
from modhub.serving.ui.classifiers import ComposedClassifiers, warnings_into
from modhub.serving.ui.photos import PhotoOptions, answer_to, maps_of, photo_of
from modhub.serving.ui.same_origin import check_same_origin, check_token, new_token
from modhub.serving.ui.work import OneAtATime

if TYPE_CHECKING:
    from modhub.composition.composite import Composite
    from modhub.serving.ui.photos import Photo

#: Bytes of a request that describes a classifier: 1,000 modules with labels take 0.2 MiB.
MAX_ASKED_BYTES: Final = 512 * KIB
#: Seconds that sending a request may take.
_SECONDS_TO_SEND: Final = 60
_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_HOME: Final = "index.html"


@cache
def own_files() -> Mapping[str, bytes]:
    """What is added to the scripts and styles of the pages, by name."""
    return {file.name: file.read_bytes() for file in (Path(__file__).parent / "assets").iterdir()}


class LivePages(Protocol):
    """The files of a site, made when they are asked for.

    ``policy`` is the Content-Security-Policy that they keep, ``assets`` the folder of their scripts and styles.
    """

    policy: str
    assets: str

    def file(self, path: str, *, look_again: bool) -> bytes | None:
        """The file at ``path``, None where there is none. ``look_again``: something new may have been published."""

    def missing(self, path: str) -> bytes:
        """The page for a path at which there is nothing."""

    def failed(self, path: str, error: ModhubError) -> bytes:
        """The page that says why what is at a path cannot be shown."""


class BrowserApp:
    """``pages`` with an interface beside them that composes ``classifiers``. ``app`` is what a server runs.

    ``load_engine`` imports what runs networks, once, when the first classifier was composed: that takes seconds. It
    raises UsageError where there is none.
    """

    def __init__(
        self, pages: LivePages, classifiers: ComposedClassifiers, *, load_engine: Callable[[], None] | None = None
    ) -> None:
        self._pages = pages
        self._classifiers = classifiers
        self._load_engine = load_engine
        self._token = new_token()
        self._work = OneAtATime()
        self._reading = OneAtATime(most=64)
        self.app = self._guarded()

    @property
    def is_busy(self) -> bool:
        """Whether a network is loaded or run, or a registry read."""
        return self._work.is_working or self._reading.is_working

    def _guarded(self) -> ASGIApp:
        routes = [
            Route("/api/session", self._session),
            Route("/api/classifiers", self._compose, methods=["POST"]),
            Route("/api/classifiers/{id}/answer", partial(self._about_photo, answer_to), methods=["POST"]),
            Route("/api/classifiers/{id}/explanation", partial(self._about_photo, maps_of), methods=["POST"]),
            Route("/{path:path}", self._page),
        ]
        handlers: Any = {ModhubError: answer_error, ClientDisconnect: answer_nobody, Exception: _answer_unexpected}
        inner: ASGIApp = Starlette(routes=routes, exception_handlers=handlers)
        policy = {"content-security-policy": f"{self._pages.policy}; frame-ancestors 'none'"}
        bounded = BoundedBody(inner, MAX_SENT_BYTES, _SECONDS_TO_SEND)
        return WithHeaders(KnownHosts(bounded, LOOPBACK_NAMES), {**SECURITY_HEADERS, **policy})

    async def _page(self, request: Request) -> Response:
        path = request.path_params["path"]
        if not path or path.endswith("/"):
            path += _HOME
        found, status = await self._reading(partial(self._found, path))
        return Response(found, status, {"content-type": _TYPES.get(splitext(path)[1], _TYPES[".html"])})

    def _found(self, path: str) -> tuple[bytes, int]:
        folder, _, name = path.rpartition("/")
        if folder == self._pages.assets and name in own_files():
            return own_files()[name], 200
        try:
            found = self._pages.file(path, look_again=path.endswith(".html"))
        except ModhubError as error:
            return self._pages.failed(path, error), status_of(error)
        return (self._pages.missing(path), 404) if found is None else (found, 200)

    async def _session(self, request: Request) -> Response:
        check_same_origin(request.headers)
        return JSONResponse({"token": self._token, "max_bytes": MAX_SENT_BYTES})

    async def _compose(self, request: Request) -> Response:
        self._check(request)
        asked = asked_classifier(await _body(request, MAX_ASKED_BYTES))
        made = await self._work(partial(self._classifiers.composed, asked))
        self._work.later(self._prepare)
        return JSONResponse(made.to_dict())

    async def _about_photo(self, tell: Callable[[Composite, Photo], dict[str, Any]], request: Request) -> Response:
        self._check(request)
        options = PhotoOptions.of(request.query_params)
        data = await request.body()

        def told() -> dict[str, Any]:
            kept = self._classifiers.kept(request.path_params["id"])
            photo = photo_of(data, kept.composite.plan, options)
            self._prepare()
            # What registries say against modules is warned of when their networks are built.
            with warnings_into(kept.said):
                answered = tell(kept.composite, photo)
            return answered | {"said": kept.said}

        return JSONResponse(await self._work(told))

    def _prepare(self) -> None:
        """For the thread that runs networks."""
        if self._load_engine is not None:
            self._load_engine()
            self._load_engine = None

    def _check(self, request: Request) -> None:
        check_same_origin(request.headers)
        check_token(request.headers, self._token)


async def _body(request: Request, most: int) -> bytes:
    data = await request.body()
    if len(data) > most:
        raise body_too_large(most)
    return data


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    """What nobody foresaw, as a message: a page shows no traceback."""
    return error_answer(ModhubError(f"unexpected: {type(error).__name__}.", kind="unexpected"))
