"""TOML from anywhere, refused before Python's reader would take gigabytes or minutes for it.

tomllib's memory grows with the square of a dotted name's length and with every value; counting signs outside texts is
cheap and bounds both. Texts over several lines are refused, so that names and texts can be told apart without a reader.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

from modhub.limits import MAX_LOCK_BYTES, MAX_LOCK_DOTS, MAX_LOCK_FIELDS, MAX_LOCK_LINES

#: A text on one line (the start of one over several lines is none), or a comment: what has no names in it.
_SILENT: Final = re.compile(r"""\"(?!\"\")(?:[^\"\\\n]|\\.)*\"|'(?!'')[^'\n]*'|\#[^\n]*""")


class TooCostly(Exception):
    """It may be TOML, but is larger than any file of its kind. The text is the reason."""


def load_toml(data: bytes, *, kind: str) -> dict[str, Any]:
    """Untrusted bytes as TOML values; ``kind`` is what messages call such a file, for example ``a lockfile``.

    Raises TooCostly, and ValueError, tomllib.TOMLDecodeError among them, for what is not TOML.
    """
    if len(data) > MAX_LOCK_BYTES:
        raise TooCostly(f"it has {len(data)} bytes, and {kind} has at most {MAX_LOCK_BYTES}")
    text = data.decode("utf-8")
    _check_cheap(text, kind)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _check_cheap(text: str, kind: str) -> None:
    bare = _SILENT.sub("_", text)
    # From there on, nobody but a whole TOML reader could tell names from texts.
    if '"' in bare or "'" in bare:
        raise TooCostly("it has a text that does not end on its line")
    counts = (
        (bare.count("\n"), MAX_LOCK_LINES, "lines"),
        (sum(map(bare.count, "=,[{")), MAX_LOCK_FIELDS, "fields"),
        (bare.count("."), MAX_LOCK_DOTS, "dots outside texts"),
    )
    for count, limit, name in counts:
        if count > limit:
            raise TooCostly(f"it has {count} {name}, and {kind} has at most {limit}")
