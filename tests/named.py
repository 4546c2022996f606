"""Names looked up as one list of modules, for tests that do not ask which name meant which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modhub.resolve.catalog import Catalog, Pinned, all_modules
from modhub.resolve.resolver import resolve


def pins_of(names: Sequence[str], catalogs: Sequence[Catalog], aliases: Mapping[str, str]) -> list[Pinned]:
    """The modules of all names, in order."""
    return all_modules(resolve(names, catalogs, aliases))
