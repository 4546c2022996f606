"""Classifiers and registries over HTTP, with Starlette and uvicorn: ``modhub serve``, ``modhub.serve``.

``modhub.serving.app`` makes the ASGI application of a classifier, for other servers and to be mounted. Needs the extra
``modhub[serve]``; what is imported of those libraries is in ``library``.
"""

from importlib import import_module


def __getattr__(name: str) -> object:
    # What it needs is loaded when it is asked for, since the command line imports this package by its parts.
    if name == "app":
        return import_module("modhub.serving.application").app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
