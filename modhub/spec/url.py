"""A registry's URL as a value that shows no secret: whatever prints, stores or compares it gets the masked text.

Passwords and tokens get into URLs in more ways than URLs allow: unquoted, with ``/``, ``@`` or blanks in them, as a
name without a password, in queries, behind a mistyped protocol. So what is shown does not follow the grammar of URLs
but leaves out everything that could be a secret; only ``address`` has it all, for the clients that connect.
"""

from __future__ import annotations

import re
from typing import Final

#: What replaces anything that may be a secret.
HIDDEN: Final = "***"

#: What may be a protocol. Possessive, since a long word that is none would be read again from each of its letters.
_WORD: Final = "[A-Za-z][A-Za-z0-9+.-]*+"
#: Everything up to where a host, or the name before it, begins. With one slash or none only where the protocol is
#: known: ``C:/modules`` is a folder.
_START: Final = re.compile(
    rf"(?P<start>(?:[^A-Za-z]|{_WORD}(?!://))*+(?P<protocol>{_WORD})://|//"
    r"|\s*(?P<known>https?|s3a?|gs|gcs|az|abfs|sftp|ftp|ssh)(?::/{0,3}|//))(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)
_MISTYPED: Final = re.compile(r"\s*(https?|s3a?|gs|gcs|az|abfs|sftp|ftp|ssh|file|memory)(:|//)", re.IGNORECASE)
_PORT: Final = re.compile(r"[0-9]{1,5}(?=[/\s'\"),;:\]?#]|\Z)")
#: In a text, one URL: up to the next one, a quote or the end of the line.
_IN_TEXT: Final = re.compile(rf"({_WORD})(?:://((?:[^A-Za-z'\"\n]|{_WORD}(?!://))*+))?")
_QUERY_IN_TEXT: Final = re.compile(r"[?#][^\s'\"<>()=]*+(=[^\s'\"<>()]*+)?")


class RegistryUrl(str):
    """Where a registry is, as people, files and messages may see it. ``address`` is what was given, for connecting.

    >>> url = RegistryUrl("https://me:s3cret@host/modules?sig=abc")
    >>> str(url)
    'https://***@host/modules?***'
    >>> url.address
    'https://me:s3cret@host/modules?sig=abc'
    """

    address: str

    def __new__(cls, text: str) -> RegistryUrl:
        if isinstance(text, RegistryUrl):
            return text
        url = super().__new__(cls, _shown(text))
        url.address = text
        return url

    def __reduce__(self) -> tuple[type[RegistryUrl], tuple[str]]:
        return RegistryUrl, (self.address,)


def is_url(text: str) -> bool:
    """Whether a registry's name is meant as a URL and not as a path, also with a slash too few."""
    return "://" in text or _MISTYPED.match(text) is not None


def without_secrets(text: str) -> str:
    """A text from elsewhere, which may repeat URLs, without the passwords and tokens in them."""

    def shown(found: re.Match[str]) -> str:
        protocol, rest = found.groups()
        if rest is None:
            return found[0]
        token = rest.split(maxsplit=1)[0] if rest.strip() and not rest[0].isspace() else ""
        if "@" in token:
            return f"{_shown(f'{protocol}://{token}')}{rest[len(token) :]}"
        name, colon, after = rest.partition(":")
        if colon and not re.search(r"[/@\s]", name):
            if _PORT.match(after):
                return found[0]
            return f"{protocol}://" + _without_name(rest, protocol)
        host = re.match(r"[^/\s]*", rest)
        end = host.end() if host else 0
        return f"{protocol}://{_without_name(rest[:end], protocol)}{rest[end:]}"

    def without_values(found: re.Match[str]) -> str:
        return f"?{HIDDEN}" if found[1] else found[0]

    return _QUERY_IN_TEXT.sub(without_values, _IN_TEXT.sub(shown, text))


def holds_secrets(data: bytes) -> bool:
    """Whether a text file has a URL in it with what could be a password or a token."""
    text = data.decode("utf-8", "replace")
    return without_secrets(text) != text


def is_ambiguous(rest: str) -> bool:
    """Whether an ``@`` behind ``https://`` may end a password with a ``/`` in it as well as be part of a path."""
    host, _, path = rest.partition("/")
    return ":" in host and "@" in path


def _shown(url: str) -> str:
    match = _START.match(url)
    protocol = ((match["protocol"] or match["known"] or "") if match else "").lower()
    if match is None or protocol in ("file", "memory"):
        # A path: whatever is in it is its name.
        return url
    start, rest = match["start"], match["rest"]
    query = re.search(r"[?#]", rest)
    if query is None:
        return start + _without_name(rest, protocol)
    if "@" in rest[query.end() :]:
        # Of a password or of a query: nobody knows.
        return start + HIDDEN
    tail = HIDDEN if query.end() < len(rest) else ""
    return f"{start}{_without_name(rest[: query.start()], protocol)}{query[0]}{tail}"


def _without_name(rest: str, protocol: str) -> str:
    """``me:password@host/x`` without the password, and for web servers without the name, which may be a token."""
    host, slash, path = rest.partition("/")
    name, colon, after = host.partition(":")
    web = protocol in ("http", "https")
    if "@" not in rest:
        # A colon that no port follows: perhaps the first half of a password.
        return f"{name}:{HIDDEN}" if colon and not _PORT.match(after) else rest
    user, at, place = host.rpartition("@")
    if ":" in user or is_ambiguous(rest):
        return f"{HIDDEN if web else f'{name}:{HIDDEN}'}@{rest.rpartition('@')[2]}"
    return f"{HIDDEN}@{place}{slash}{path}" if at and web else rest
