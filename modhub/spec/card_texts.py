"""The texts that cards are made of, by their letters and lengths; apart from cards, because the index has them too."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from modhub.limits import MAX_KEYWORD_CHARS, MAX_LICENSE_CHARS, MAX_PARAGRAPH_CHARS, MAX_URL_CHARS

#: An SPDX expression by its letters; whether it is one is checked where it is given, and asked where it is used.
LicenseText = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9.+() :-]+$", min_length=1, max_length=MAX_LICENSE_CHARS)
]
WebUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\x00-\x1f\x7f-\x9f]+$", max_length=MAX_URL_CHARS)]
#: Text over several lines, without other control characters.
Paragraphs = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$", min_length=1, max_length=MAX_PARAGRAPH_CHARS)
]
Keyword = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", min_length=1, max_length=MAX_KEYWORD_CHARS)
]
