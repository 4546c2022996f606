"""Bytes only: stores, and the releases, aliases and index that a registry keeps in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modhub.deferred import on_first_use

if TYPE_CHECKING:
    from modhub.registry.publication import Published, versioned
    from modhub.registry.reading import RegistryReader, SearchEntry
    from modhub.registry.registry import Registry
    from modhub.registry.urls import open_store
else:
    __getattr__ = on_first_use(
        __name__,
        {
            "Published": "modhub.registry.publication",
            "Registry": "modhub.registry.registry",
            "RegistryReader": "modhub.registry.reading",
            "SearchEntry": "modhub.registry.reading",
            "open_store": "modhub.registry.urls",
            "versioned": "modhub.registry.publication",
        },
    )

__all__ = ["Published", "Registry", "RegistryReader", "SearchEntry", "open_store", "versioned"]
