"""Whether a request comes from a page of this very server, and from nobody who made a browser send it.

Three things stand in the way of another site's page: the name it asks under (``guard.KnownHosts``), what its browser
says about where the request comes from, and a token of this session that only our own pages can read.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Final

from modhub.errors import UsageError

#: The header with the token. A page of another origin may not send one that is not usual, unless a server allows it.
TOKEN_HEADER: Final = "x-modhub-token"


def new_token() -> str:
    """A token for one session."""
    return secrets.token_urlsafe(32)


def check_same_origin(headers: Mapping[str, str]) -> None:
    """Raise UsageError, kind ``foreign-page``, for a request that a browser sends for a page from elsewhere.

    Browsers say so in ``Sec-Fetch-Site`` or ``Origin``; what says neither is none, and has to have the token.
    """
    site = headers.get("sec-fetch-site", "same-origin")
    origin = headers.get("origin")
    if site not in ("same-origin", "none") or origin not in (None, f"http://{headers.get('host', '')}"):
        raise UsageError(
            "this was asked by a page of another site, which this server does not answer.",
            kind="foreign-page",
            hint="open the address that modhub ui printed.",
        )


def check_token(headers: Mapping[str, str], token: str) -> None:
    """Raise UsageError, kind ``no-token``, for a request without this session's token."""
    if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), token.encode()):
        raise UsageError("the page was loaded before this server started.", kind="no-token", hint="reload the page.")
