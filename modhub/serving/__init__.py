"""Classifiers and registries over HTTP, with Starlette and uvicorn: ``modhub serve``.

Needs the extra ``modhub[serve]``; what it imports of those libraries is in ``library``.
"""
