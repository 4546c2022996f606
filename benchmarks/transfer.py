#!/usr/bin/env python3
"""How fast 100 modules are published and installed, beside copying, hashing and reading back the same bytes.

    python benchmarks/transfer.py [--rounds 9] [--only small large whole] [--short]

The yardstick uses fsspec alone: read each file, hash it, write it, read it back, hash that; on S3 with fsspec's own
concurrency (``pipe`` and ``cat`` of all files at once). It neither flushes to the disk, nor creates exclusively, nor
writes an index. Both do the same work in turn, into empty places, with open connections; a ratio is the yardstick's
median over modhub's. Three kinds of rows:

    small   the CIFAR-100 ResNet-20 release of the starter: 100 modules of 13 kB, weights of 1 MB
    large   a synthetic release: 100 modules of 1 MB, weights of 20 MB
    whole   small, by ``modhub.publish(folder)`` (which decodes every blob first) and ``modhub.install(name)``;
            on S3 both sides then connect again

S3 is moto, a process of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import fsspec
import registries
import report
from synthetic import release

import modhub
from modhub.cache.cache import Cache
from modhub.installation.install import install_pinned
from modhub.installation.registries import STARTER_FOLDER
from modhub.package.folder import Package, save_package
from modhub.registry.publication import versioned
from modhub.registry.writer import Registry
from modhub.resolve.catalog import all_modules
from modhub.resolve.resolver import resolve
from modhub.spec.layout import blob_path
from modhub.spec.manifest import Manifest
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store
from modhub.storage.verify import verified_blob

VERSION = "1.0.0"
MIB = 2**20


@dataclass
class Store:
    """Where registries of one kind are. ``files`` is the yardstick's file system, ``fresh`` names an empty place."""

    name: str
    fresh: Callable[[], str]
    files: Callable[[], Any]
    bulk: bool


@dataclass
class Row:
    """One kind of work; seconds of every round."""

    shape: str
    store: str
    work: str
    size: int
    own: list[float] = field(default_factory=list)
    yardstick: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        ratio = statistics.median(self.yardstick) / statistics.median(self.own)
        return vars(self) | {"ratio": ratio}


def small() -> Package:
    registry = Registry(open_store(str(STARTER_FOLDER)))
    manifest = registry.manifest(ModelRef("cifar100", "r20", "1.0.0"))
    return Package(
        versioned(manifest, None),
        {record.sha256: registry.blob(record) for record in manifest.blobs.values()},
    )


def synthetic(modules: int, module_bytes: int, weights_bytes: int) -> Package:
    classes = [f"class {number}" for number in range(modules)]
    manifest, stored = release(
        "bench/net", None, classes=classes, module_bytes=module_bytes, weights_bytes=weights_bytes
    )
    blobs = {
        record.sha256: verified_blob([stored[record.sha256]], record, what="a blob", hint="")
        for record in manifest.blobs.values()
    }
    return Package(manifest, blobs)


def copy(files: tuple[Any, Any], names: dict[str, str], *, bulk: tuple[bool, bool]) -> None:
    """The yardstick: everything from the first file system to the second, hashed, read back and hashed again."""
    source, target = files
    read = _cat_all if bulk[0] else _cat_each
    if any(bulk):
        data = dict(zip(names.values(), read(source, list(names)), strict=True))
        digests = {name: hashlib.sha256(content).digest() for name, content in data.items()}
        if bulk[1]:
            target.pipe(data)
        else:
            for name, content in data.items():
                _write(target, name, content)
        back = (_cat_all if bulk[1] else _cat_each)(target, list(data))
        for name, content in zip(data, back, strict=True):
            assert hashlib.sha256(content).digest() == digests[name]
        return
    for here, there in names.items():
        content = source.cat_file(here)
        digest = hashlib.sha256(content).digest()
        _write(target, there, content)
        assert hashlib.sha256(target.cat_file(there)).digest() == digest


def _write(target: Any, name: str, content: bytes) -> None:
    target.makedirs(name.rpartition("/")[0], exist_ok=True)
    target.pipe_file(name, content)


def _cat_each(files: Any, names: list[str]) -> Iterator[bytes]:
    return (files.cat_file(name) for name in names)


def _cat_all(files: Any, names: list[str]) -> Iterator[bytes]:
    found = files.cat(names)
    return (found[name.removeprefix("s3://")] for name in names)


@dataclass(frozen=True)
class Bench:
    """A package in a folder, and one store to bring it to and from."""

    shape: str
    package: Path
    manifest: Manifest
    store: Store
    scratch: Path
    numbers: Iterator[int]

    @property
    def paths(self) -> list[str]:
        return ["manifest.json", *(blob_path(record.sha256) for record in self.manifest.blobs.values())]

    @property
    def size(self) -> int:
        return sum((self.package / path).stat().st_size for path in self.paths)

    def run(self, rounds: int) -> list[Row]:
        """Both works, modhub and the yardstick in turn; the first round does not count."""
        whole = self.shape == "whole"
        rows = [Row(self.shape, self.store.name, work, self.size) for work in ("publish", "install")]
        for number in range(rounds + 1):
            url = self.store.fresh()
            registry = Registry(open_store(url))
            registry.initialise()
            files = (fsspec.filesystem("file"), self.store.files())
            taken = [
                self._timed(self._publish, registry, whole),
                self._timed(self._yard_publish, files, self.store.fresh()),
                self._timed(self._install, registry, whole),
                self._timed(self._yard_install, files, registry),
            ]
            for left in self.scratch.glob("*-*"):
                shutil.rmtree(left)
            if number:
                for row, own, yardstick in zip(rows, taken[::2], taken[1::2], strict=True):
                    row.own.append(own)
                    row.yardstick.append(yardstick)
        return rows

    def _timed(self, work: Callable[..., None], *arguments: Any) -> float:
        started = time.perf_counter()
        work(*arguments)
        return time.perf_counter() - started

    def _publish(self, registry: Registry, whole: bool) -> None:
        if whole:
            modhub.publish(self.package, version=VERSION, registry=registry.url)
            return
        blobs = {record.sha256: self.package / blob_path(record.sha256) for record in self.manifest.blobs.values()}
        assert registry.publish(versioned(self.manifest, VERSION), blobs).warnings == ()

    def _install(self, registry: Registry, whole: bool) -> None:
        cache = self.scratch / f"cache-{next(self.numbers)}"
        name = self.manifest.content.name
        if whole:
            installed = modhub.install(name, registry=registry.url, cache=cache)
        else:
            installed = install_pinned(all_modules(resolve([name], [registry], {})), [registry], Cache(cache))
        assert len(installed) == len(self.manifest.content.modules)

    def _files(self, files: tuple[Any, Any]) -> Any:
        # What connects again on modhub's side does so here.
        return self.store.files() if self.shape == "whole" else files[1]

    def _yard_publish(self, files: tuple[Any, Any], url: str) -> None:
        names = {str(self.package / path): f"{url}/{path}" for path in self.paths}
        copy((files[0], self._files(files)), names, bulk=(False, self.store.bulk))

    def _yard_install(self, files: tuple[Any, Any], registry: Registry) -> None:
        there = [f"releases/{self.manifest.content.name}/{VERSION}.json", *self.paths[1:]]
        target = self.scratch / f"copy-{next(self.numbers)}"
        names = {f"{registry.url}/{path}": str(target / path) for path in there}
        copy((self._files(files), files[0]), names, bulk=(self.store.bulk, False))


def stores(scratch: Path, s3: Any, numbers: Iterator[int]) -> list[Store]:
    def connected() -> Any:
        return fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)

    return [
        Store("folder", lambda: str(scratch / f"registry-{next(numbers)}"), lambda: fsspec.filesystem("file"), False),
        Store("S3", lambda: f"s3://{s3.bucket(f'bench-{next(numbers)}')}/registry", connected, True),
    ]


def measured(packages: dict[str, Callable[[], Package]], rounds: int) -> Iterator[Row]:
    numbers = itertools.count()
    for shape, make in packages.items():
        package = make()
        with registries.own_home(), registries.folder() as scratch, registries.s3() as s3:
            save_package(package, scratch / "package")
            for store in stores(scratch, s3, numbers):
                bench = Bench(shape, scratch / "package", package.manifest, store, scratch, numbers)
                yield from bench.run(rounds)


PACKAGES: dict[str, Callable[[], Package]] = {
    "small": small,
    "large": lambda: synthetic(100, MIB, 20 * MIB),
    "whole": small,
}
SHORT: dict[str, Callable[[], Package]] = {"small": lambda: synthetic(10, 13_000, 100_000)}


def main() -> None:
    arguments = registries.parser(__doc__ or "")
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--only", nargs="+", choices=tuple(PACKAGES), default=tuple(PACKAGES))
    options = arguments.parse_args()
    packages = SHORT if options.short else {name: PACKAGES[name] for name in options.only}
    figures = []
    for row in measured(packages, 2 if options.short else options.rounds):
        figures.append(row.figures())
        print(figures[-1], file=sys.stderr)
    if not options.short:
        common.keep(options.out, "transfer", figures)
    print(report.transfer(figures))


if __name__ == "__main__":
    main()
