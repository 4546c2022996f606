"""One built network for each trunk: composites of the same origin, however they were made, run the same layers.

A network is shared while it is in use, and only with the very weights that it was built of: going by the fingerprint
alone would trust origins that were not verified.
"""

from __future__ import annotations

from threading import Lock
from weakref import WeakValueDictionary

from modhub.composition.recipe import Dtype
from modhub.engine.run.bfloat16 import ReducedNetwork
from modhub.engine.run.network import Network
from modhub.package.module import Origin

_built: WeakValueDictionary[tuple[str, Dtype], Network] = WeakValueDictionary()
_lock = Lock()


def trunk_of(origin: Origin, dtype: Dtype = "float32") -> Network:
    """The origin's trunk, computing in ``dtype``; it is shared, so its layers are not to be changed."""
    key = (origin.fingerprint, dtype)
    with _lock:
        found = _built.get(key)
        if found is None or found.weights is not origin.weights:
            make = Network if dtype == "float32" else ReducedNetwork
            found = _built[key] = make(origin.architecture, origin.weights)
    return found
