"""modhub: decompose a trained Keras classifier into one module per class; publish, install and compose modules.

The public names are in ``__init__.pyi``, once, for type checkers, editors and Python alike; each is imported on its
first use, so that ``import modhub`` costs next to nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
