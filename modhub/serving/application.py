"""The ASGI application of a classifier: its routes, behind what guards them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from modhub.data.given import Fit
from modhub.errors import ModhubError
from modhub.serving.answers import answer_error, answer_nobody
from modhub.serving.bounds import ServingLimits
from modhub.serving.description import openapi, openapi_page
from modhub.serving.given import USUAL_NAME, checked_token
from modhub.serving.guard import BoundedBody, KnownHosts, WithHeaders, WithToken
from modhub.serving.library import (
    ASGIApp,
    ClientDisconnect,
    HTTPException,
    JSONResponse,
    RedirectResponse,
    Request,
    Response,
    Route,
    Starlette,
)
from modhub.serving.prediction import predict
from modhub.serving.protocol import PROTOCOL_ROUTES
from modhub.serving.service import PictureWay, Service, warm_service

if TYPE_CHECKING:
    from modhub.composition.composite import Composite

#: What answers without a token: orchestrators that ask for them have none.
OPEN_PATHS: Final = ("/v2/health/live", "/v2/health/ready")


def app(
    classifier: Composite,
    *,
    name: str = USUAL_NAME,
    fit: Fit | None = None,
    background: str = "white",
    token: str | None = None,
    hosts: Collection[str] = (),
    limits: ServingLimits | None = None,
) -> ASGIApp:
    """An ASGI application that answers for ``classifier``, for any ASGI server, or mounted below another application.

    ``POST /predict`` takes pictures (multipart, raw, JSON); ``/v2`` is the Open Inference Protocol, which knows the
    classifier by its ``name``; ``/metrics`` is for Prometheus, ``/docs`` and ``/openapi.json`` describe it all.
    Pictures are fitted as by ``modhub predict``: ``fit`` is resize, unless the classifier takes arrays; ``background``
    is what transparent ones are composed on. With ``token``, clients send ``Authorization: Bearer TOKEN`` for all but
    health. ``hosts``: the names under which it may be asked, by default any. The networks are built and compiled here,
    once; requests that come at once are classified together. Mounted, the other application has to run its lifespan.

    Raises UsageError: ``bad-name``, ``bad-token``, ``bad-fit``, and ``missing-extra`` without ``modhub[serve]``.

    >>> import modhub
    >>> from modhub.serving import app
    >>> from modhub.serving.hosting import hosted
    >>> pets = modhub.compose(["cifar10/r20:cat", "cifar10/r20:dog"])
    >>> with hosted(app(pets, name="pets")) as server:
    ...     import requests
    ...     requests.get(f"{server.url}/v2/models/pets").json()["modhub"]["classes"]
    ['cat', 'dog']
    """
    service = warm_service(classifier, name, limits or ServingLimits(), PictureWay(fit, background))
    return application(service, token=token, hosts=hosts)


def application(service: Service, *, token: str | None = None, hosts: Collection[str] = ()) -> ASGIApp:
    """The same of a ``Service``, whose threads start and end with the application. Raises UsageError, ``bad-token``."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.stop()

    inner = Starlette(
        routes=[
            Route("/", start),
            Route("/predict", predict, methods=["POST"]),
            *PROTOCOL_ROUTES,
            Route("/metrics", metrics),
            Route("/openapi.json", openapi_json),
            Route("/docs", docs),
        ],
        exception_handlers={
            ModhubError: answer_error,
            HTTPException: not_answered,
            ClientDisconnect: answer_nobody,
            Exception: failed,
        },
        lifespan=lifespan,
    )
    inner.state.service = service
    inner.state.version = version("modhub")
    guarded: ASGIApp = service.counting_bytes(inner)
    guarded = BoundedBody(guarded, service.limits.body, service.limits.reading)
    if token is not None:
        guarded = WithToken(guarded, checked_token(token), OPEN_PATHS)
    if hosts:
        guarded = KnownHosts(guarded, hosts)
    return service.metrics.measured(WithHeaders(guarded))


async def start(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")


async def metrics(request: Request) -> Response:
    service: Service = request.app.state.service
    return service.metrics.answer()


async def openapi_json(request: Request) -> JSONResponse:
    service: Service = request.app.state.service
    return JSONResponse(openapi(service.classifier, service.limits, request.app.state.version))


async def docs(request: Request) -> Response:
    service: Service = request.app.state.service
    return openapi_page(openapi(service.classifier, service.limits, request.app.state.version))


async def not_answered(request: Request, error: Exception) -> Response:
    """Paths and methods that there are not, as JSON like every other error."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    kind, text = {
        404: ("no-path", "there is nothing at this path."),
        405: ("bad-method", f"{request.method} is not for this path."),
    }.get(status, ("bad-request", str(getattr(error, "detail", "the request cannot be answered."))))
    return JSONResponse({"error": text, "kind": kind, "hint": "see /docs."}, status, headers)


async def failed(request: Request, error: Exception) -> Response:
    """What nobody expected: the log has all of it, the client nothing."""
    body = {"error": "the server failed; its log says why.", "kind": "error", "hint": None}
    return JSONResponse(body, 500)
