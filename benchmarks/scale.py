#!/usr/bin/env python3
"""Whether names resolve as fast among 10,000 releases as among 10, and how long searching takes; a folder, and HTTP.

    python benchmarks/scale.py [--short]

Three shapes of 10,000 releases: 1,000 models of ten versions in a hundred namespaces; 10,000 models of one version; one
model of 10,000 versions, the worst for resolving. Each is compared with ten releases with as many versions a model (the
last: ten versions). Releases are synthetic, ten classes each; their manifests are written as files, their index by
``reindex``. Resolving is timed small and large in turn, on one open registry; searching warm, in one process, and as a
whole command, in turn with the same command on the ten releases.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import registries
import report
from synthetic import release

from modhub import search
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.resolve.catalog import all_modules
from modhub.resolve.resolver import resolve
from modhub.spec.layout import blob_path, release_path
from modhub.spec.manifest import Manifest, digest_of, write_manifest
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store

ALIAS = "short"
WORD = "cat"
#: Ten classes a model; every tenth model has the one that is searched for.
VOCABULARIES = [
    [f"{letter}{number}" for number in range(9)] + [WORD if letter == "a" else letter] for letter in "abcdefghij"
]


@dataclass(frozen=True)
class Shape:
    """Releases of a registry: namespaces, models in each, versions of each model."""

    namespaces: int
    models: int
    versions: int

    def __str__(self) -> str:
        return f"{self.namespaces} x {self.models} x {self.versions}"

    def __len__(self) -> int:
        return self.namespaces * self.models * self.versions

    @property
    def middle(self) -> str:
        """The name of a model that is neither first nor last."""
        return f"team-{self.namespaces // 2:03d}/net-{self.models // 2:03d}"


SHAPES = {
    Shape(100, 10, 10): Shape(1, 1, 10),
    Shape(100, 100, 1): Shape(1, 10, 1),
    Shape(1, 1, 10_000): Shape(1, 1, 10),
}
SHORT_SHAPES = {Shape(10, 5, 4): Shape(1, 1, 4)}


def build(root: Path, shape: Shape) -> None:
    """A registry of this shape. All releases share the few blobs of one."""
    registry = Registry(open_store(str(root)))
    registry.initialise()
    templates = [release(classes=words) for words in VOCABULARIES]
    for _, blobs in templates:
        for digest, data in blobs.items():
            _write(root / blob_path(digest), data)
    number = 0
    for namespace in range(shape.namespaces):
        for model in range(shape.models):
            template = templates[number % len(templates)][0]
            number += 1
            for version in range(shape.versions):
                ref = ModelRef(f"team-{namespace:03d}", f"net-{model:03d}", f"1.{version}.0")
                _write(root / release_path(ref), write_manifest(renamed(template, ref)))
    problems = reindex(registry)
    assert not problems, problems
    registry.set_alias(ALIAS, shape.middle)


def renamed(manifest: Manifest, ref: ModelRef) -> Manifest:
    named = {"namespace": ref.namespace, "model": ref.model, "version": ref.version}
    content = manifest.content.model_copy(update=named)
    return manifest.model_copy(update={"content": content, "digest": digest_of(content)})


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def resolving(urls: tuple[str, str], names: tuple[str, str], rounds: int) -> dict[str, Any]:
    """Medians in seconds of resolving one name in a small and a large registry, and of what they come to."""
    places = [Registry(open_store(url)) for url in urls]
    for place, name in zip(places, names, strict=True):
        (pin,) = all_modules(resolve([name], [place], {}))
        assert pin.ref.version == place.versions(pin.ref.namespace, pin.ref.model)[-1]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for place, name, taken in zip(places, names, seconds, strict=True):
            taken.append(_timed(lambda place=place, name=name: resolve([name], [place], {})))
    small, large = map(statistics.median, seconds)
    return {"small": small, "large": large, "ratio": large / small}


def searching(shape: Shape, urls: tuple[str, str], rounds: int) -> dict[str, Any]:
    """Seconds of searching the larger: at first and warm in this process, and as a command beside the smaller."""
    first = _timed(lambda: search(WORD, registry=urls[1]))
    warm = statistics.median(_timed(lambda: search(WORD, registry=urls[1])) for _ in range(rounds))
    hits = [hit for hit in search(WORD, registry=urls[1]) if hit.registry == urls[1]]
    models = shape.namespaces * shape.models
    assert len(hits) == -(-models // len(VOCABULARIES)), len(hits)
    commands: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for url, found in zip(urls, commands, strict=True):
            found.append(_timed(lambda url=url: _search_command(url)))
    small, large = map(statistics.median, commands)
    return {"hits": len(hits), "first": first, "warm": warm, "command": large, "command_of_10": small}


def _search_command(url: str) -> None:
    command = [sys.executable, "-m", "modhub", "search", WORD, "--registry", url]
    subprocess.run(command, check=True, capture_output=True)


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measured(shapes: dict[Shape, Shape], rounds: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of figures, each with the table that it belongs to."""
    for large, small in shapes.items():
        with ExitStack() as stack:
            stack.enter_context(registries.own_home())
            roots = (stack.enter_context(registries.folder()), stack.enter_context(registries.folder()))
            started = time.perf_counter()
            build(roots[0], small)
            build(roots[1], large)
            print(f"{large}: built in {time.perf_counter() - started:.0f} s", file=sys.stderr)
            where = {
                "folder": tuple(str(root) for root in roots),
                "HTTP": tuple(stack.enter_context(registries.http_server(root)) for root in roots),
            }
            for store, urls in where.items():
                common_fields = {"shape": str(large), "beside": str(small), "store": store}
                for what, names in {
                    "name": (f"{small.middle}:{_class_of(small)}", f"{large.middle}:{_class_of(large)}"),
                    "alias": (f"{ALIAS}:{_class_of(small)}", f"{ALIAS}:{_class_of(large)}"),
                }.items():
                    yield "resolving", common_fields | {"name": what} | resolving(urls, names, rounds)
                yield "searching", common_fields | searching(large, urls, max(1, rounds // 10))


def _class_of(shape: Shape) -> str:
    number = shape.namespaces // 2 * shape.models + shape.models // 2
    return VOCABULARIES[number % len(VOCABULARIES)][3]


def main() -> None:
    options = registries.parser(__doc__ or "").parse_args()
    figures: dict[str, list[dict[str, Any]]] = {"resolving": [], "searching": []}
    for table, row in measured(*((SHORT_SHAPES, 11) if options.short else (SHAPES, 71))):
        print(table, row, file=sys.stderr)
        figures[table].append(row)
    if not options.short:
        common.keep(options.out, "scale", figures)
    print(report.scale(figures))


if __name__ == "__main__":
    main()
