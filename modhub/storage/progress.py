"""How long transfers say how far they are."""

from __future__ import annotations

from collections.abc import Callable

#: Called with what is being done, the bytes done and the bytes in all.
Progress = Callable[[str, int, int], None]
