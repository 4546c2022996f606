"""Weights in memory: one copy of a network's, however many modules, composites and projects use it.

Known by the digest of the decoded bytes, which is what makes two networks' weights equal. Nothing is held alive by
being known here: weights go with the last origin that has them. The arrays cannot be written to, because what one
composite changed would change every other.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from modhub.package.module import Weights


class _Held(dict[str, NDArray[np.float32]]):
    """A dictionary that a weak reference can point to."""


_held: WeakValueDictionary[str, _Held] = WeakValueDictionary()
_lock = Lock()


def shared_weights(digest: str, decode: Callable[[], Weights], *, always: bool = False) -> Weights:
    """The weights whose decoded bytes have this digest: those in memory, else what ``decode`` gives of verified bytes.

    ``decode`` runs once however many modules ask one after the other; of two threads at once one result is kept.
    ``always`` runs it even so, where it is these very bytes that have to be right.
    """
    found = _held.get(digest)
    if found is not None and not always:
        return found
    made = _Held(decode())
    for array in made.values():
        array.setflags(write=False)
    with _lock:
        return _held.setdefault(digest, made)
