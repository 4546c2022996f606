"""modhub: decompose a trained Keras classifier into one module per class; publish, install and compose modules.

The public names are in ``__init__.pyi``, once, for type checkers, editors and Python alike; each is imported on its
first use, so that ``import modhub`` costs next to nothing. ``__version__`` is the installed package's.
"""

from __future__ import annotations

from collections.abc import Callable

_attached: tuple[Callable[[str], object], Callable[[], list[str]], list[str]] | None = None


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than all of this

        return version(__name__)
    find, _, names = _stub()
    return names if name == "__all__" else find(name)


def __dir__() -> list[str]:
    return _stub()[1]()


def _stub() -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """What ``__init__.pyi`` says; read when a name is asked for, because commands import packages by their own."""
    global _attached
    if _attached is None:
        import lazy_loader

        _attached = lazy_loader.attach_stub(__name__, __file__)
    return _attached
