"""Publishes and installs once when it is imported: models of files are built at their first use, in each process anew.

``crashing`` imports it into the process that all its processes are forked from.
"""

from __future__ import annotations

import tempfile

from named import pins_of
from synthetic import release

from modhub.cache.cache import Cache
from modhub.installation.install import install_pinned
from modhub.registry.writer import Registry
from modhub.storage.urls import open_store

with tempfile.TemporaryDirectory() as folder:
    registry = Registry(open_store("memory://warmed"))
    registry.publish(*release())
    registry.set_alias("n", "me/net")
    install_pinned(pins_of(["n:cat"], [registry], {}), [registry], Cache(folder))
