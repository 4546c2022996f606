"""What a URL looks like where people read it: without the password or key that it may hold."""

from __future__ import annotations

import re


def without_password(url: str) -> str:
    """``url``, or a text with URLs in it, with passwords left out."""
    return re.sub(r"//([^/@:\s]*):[^/@\s]*@", r"//\1:***@", url)
