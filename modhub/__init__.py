"""modhub: decompose a trained Keras classifier into one module per class; publish, install and compose modules.

The public names are in ``__init__.pyi``, once, for type checkers, editors and Python alike; each is imported on its
first use, so that ``import modhub`` costs next to nothing. ``__version__`` is the installed package's.
"""

from __future__ import annotations

import lazy_loader

_find, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than all of this

        return version(__name__)
    return _find(name)
