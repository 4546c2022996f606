"""What tests of the cache do with one: install, make old, damage, look."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from named import pins_of

from modhub.cache.cache import Cache
from modhub.cache.catalog import CacheCatalog
from modhub.installation.install import install_pinned
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path
from modhub.storage.urls import open_store

HOUR = 3600


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.out)


def get(names, registries, cache, progress=None):
    registries = [registries] if isinstance(registries, Registry) else registries
    return install_pinned(pins_of(names, [*registries, CacheCatalog(cache)], {}), registries, cache, progress)


def get_from(url, root, names):
    """``get`` for another process."""
    return [str(result.ref) for result in get(names, Registry(open_store(url)), Cache(root))]


def blob_file(cache, record):
    return cache.root / blob_path(record.sha256)


def make_older(root, seconds, pattern="*"):
    """Let every file below ``root`` that matches have been touched so much longer ago."""
    for path in Path(root).rglob(pattern):
        if path.is_file():
            found = path.stat()
            os.utime(path, (found.st_atime - seconds, found.st_mtime - seconds))


def files_of(cache):
    """All files, also hidden ones, with their bytes."""
    return {
        path.relative_to(cache.root).as_posix(): path.read_bytes()
        for path in sorted(cache.root.rglob("*"))
        if path.is_file()
    }


def whole_modules(cache):
    """The names of the installed modules, each of which must be usable from the cache alone."""
    names = []
    for installed in cache.installed():
        pins = pins_of([str(installed.ref)], [CacheCatalog(cache)], {})
        assert [result.ref for result in install_pinned(pins, [], cache)] == [installed.ref]
        manifest = cache.manifest(installed.digest)
        module = next(module for module in manifest.content.modules if module.slug == installed.ref.cls)
        for key in (manifest.content.origin.weights, module.blob):
            assert len(cache.blob(manifest.blobs[key]).stored) == manifest.blobs[key].size
        names.append(str(installed.ref))
    return names
