"""A light command starts without what a light command has no use for; together these are a tenth of its time.

Importing makes objects by the ten thousand and no garbage, for which Python would look again and again. And pydantic
would read the entry points of every distribution that is installed, for plugins that no model of ours has.
"""

from __future__ import annotations

import gc
import os
from typing import Final

#: Objects made before Python first looks for garbage: more than importing makes, and no memory to speak of.
_LATE: Final = 100_000
_USUAL: Final = gc.get_threshold()


def begin() -> None:
    """Before anything is imported. Whoever wants plugins sets PYDANTIC_DISABLE_PLUGINS to nothing."""
    gc.set_threshold(_LATE, *_USUAL[1:])
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def end() -> None:
    """Before a network runs: its garbage holds arrays, and is looked for as usual."""
    gc.set_threshold(*_USUAL)
