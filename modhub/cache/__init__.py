"""The local cache: everything that was installed, content-addressed and believed only after hashing it again.

    blobs/sha256/<2 hex>/<62 hex>                                             stored bytes, as in a registry
    manifests/<release digest>/<file digest>.json                             two registries may store one content twice
    signatures/<release digest>/<key id>.json                                 as in a registry
    installed/<namespace>/<model>/<version>/<release digest>/<slug>.json      one marker a class, written last
    aliases/<name>.json                                                       aliases that led to something installed

Any number of processes may work in it at once without locks: every file is written under a temporary name and then
renamed, its content follows from its name, and each class has a marker of its own. ``compose`` reads only from here.

From the ground up: ``folder`` knows files, ``contents`` what they mean, ``usage`` who needs which, ``checking`` and
``pruning`` take care of all of them, ``Cache`` is what the rest of modhub holds, ``CacheCatalog`` what resolving asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modhub.deferred import on_first_use

if TYPE_CHECKING:
    from modhub.cache.cache import Cache, cache_of
    from modhub.cache.catalog import CacheCatalog
    from modhub.cache.checking import Checked, Damage
    from modhub.cache.contents import Installed
    from modhub.cache.pruning import Pruned
    from modhub.cache.usage import CachedRelease
else:
    __getattr__ = on_first_use(
        __name__,
        {
            "Cache": "modhub.cache.cache",
            "CacheCatalog": "modhub.cache.catalog",
            "CachedRelease": "modhub.cache.usage",
            "Checked": "modhub.cache.checking",
            "Damage": "modhub.cache.checking",
            "Installed": "modhub.cache.contents",
            "Pruned": "modhub.cache.pruning",
            "cache_of": "modhub.cache.cache",
        },
    )

__all__ = ["Cache", "CacheCatalog", "CachedRelease", "Checked", "Damage", "Installed", "Pruned", "cache_of"]
