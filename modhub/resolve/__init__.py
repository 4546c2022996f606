"""Pure: requests in, pinned modules or causes out."""

from modhub.resolve.catalog import Catalog, Pinned
from modhub.resolve.lockfile import Lock, read_lock
from modhub.resolve.resolver import resolve

__all__ = ["Catalog", "Lock", "Pinned", "read_lock", "resolve"]
