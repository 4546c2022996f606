"""All that modhub uses of Starlette, uvicorn and what they need. Importing this module needs the extra ``serve``."""

from modhub.errors import UsageError

try:
    import prometheus_client
    import python_multipart  # noqa: F401 - Starlette reads forms with it, and fails only when one is sent
    import uvicorn
    from starlette.applications import Starlette
    from starlette.datastructures import UploadFile
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError as missing:
    raise UsageError(
        f"serving over HTTP needs the library {missing.name}, which is not installed.",
        kind="missing-extra",
        hint="pip install 'modhub[serve]'",
        extra="serve",
    ) from missing

__all__ = [
    "ASGIApp",
    "ClientDisconnect",
    "HTMLResponse",
    "HTTPException",
    "HttpToolsProtocol",
    "JSONResponse",
    "Message",
    "Receive",
    "RedirectResponse",
    "Request",
    "Response",
    "Route",
    "Scope",
    "Send",
    "Starlette",
    "UploadFile",
    "prometheus_client",
    "uvicorn",
]
