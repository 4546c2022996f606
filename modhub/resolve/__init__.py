"""Pure: requests in, pinned modules or causes out."""

from modhub.resolve.catalog import Catalog, Pinned
from modhub.resolve.resolver import resolve, select_version

__all__ = ["Catalog", "Pinned", "resolve", "select_version"]
