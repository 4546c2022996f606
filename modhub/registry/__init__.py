"""Bytes only: stores, and the releases, aliases and index that a registry keeps in one."""

from modhub.registry.publication import Published, versioned
from modhub.registry.reading import SearchEntry
from modhub.registry.registry import Registry
from modhub.registry.urls import open_store

__all__ = ["Published", "Registry", "SearchEntry", "open_store", "versioned"]
