#!/usr/bin/env python3
"""What the web site of a registry of 10,000 modules takes to build and to load, and how fast its search answers.

    python benchmarks/site.py [--short]

``build``: 1,000 releases of ten modules each, in a folder. Their network and masks are those of the starter registry's
cifar10/r20, so that every mask is read, decoded and compared as a real one; names, classes and figures differ.
Processor and wall seconds of ``modhub site build`` in a process of its own, with masks and with ``--quick``.

``search``: the search files of 10,000 releases of ten modules (100,000 modules), without pages of their own: bytes as
stored and gzipped, and what a visitor loads before the first answer.

``first_answer``, where playwright and a Chromium are there, in both sites, of 1,000 and of 10,000 releases: how long
after the page's load event the first answer stands, for a query in the address; and how long after it was typed, for a
query that needs a single file of modules and for one that needs them all. Beside them, since what is done before the
load event is waited for too, the time since the visitor went to the address, and until what was typed is drawn. Other
work on the machine lengthens all of them, so its load is told.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import registries

from modhub.composition.fitting import contract_key, fitting_tables
from modhub.installation.registries import STARTER_FOLDER
from modhub.registry.reader import RegistryReader
from modhub.registry.writer import Registry
from modhub.site import paths
from modhub.site.content import ShownModel, ShownRelease
from modhub.site.front_pages import SiteSummary, front_files
from modhub.site.shell import SiteShell, asset_files, asset_folder
from modhub.spec.layout import blob_path, release_path
from modhub.spec.manifest import Content, Manifest, Metric, digest_of, write_manifest
from modhub.spec.refs import ModelRef, slug_of
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store

TEMPLATE = ModelRef("cifar10", "r20", "1.1.0")
#: What classes are called: the starter's hundred, plain and of ten kinds.
KINDS = ("", "young ", "old ", "red ", "small ", "wild ", "toy ", "painted ", "distant ", "wet ")
SIZES = (32, 64, 96, 128, 224)


@dataclass(frozen=True)
class Shape:
    """How many models there are, each of one release of ten classes."""

    models: int

    def refs(self) -> Iterator[ModelRef]:
        for number in range(self.models):
            yield ModelRef(f"team-{number // 100:03d}", f"net-{number % 100:02d}", "1.0.0")


def vocabulary() -> list[str]:
    starter = RegistryReader(LocalStore(STARTER_FOLDER, writable=False))
    names = starter.manifest(ModelRef("cifar100", "r20", "1.1.0")).content.origin.classes
    return [f"{kind}{name}" for kind in KINDS for name in names]


def made_release(template: Manifest, ref: ModelRef, words: Sequence[str], *, size: int | None = None) -> Manifest:
    """``template`` under another name, with classes drawn from ``words`` and figures of its own."""
    dice = random.Random(str(ref))
    plain = dice.sample(words[: len(words) // len(KINDS)], 5)
    classes = [*plain, *dice.sample(words[len(words) // len(KINDS) :], 5)]
    modules = tuple(
        module.model_copy(
            update={
                "name": name,
                "slug": slug_of(name),
                "metrics": tuple(measured(dice, metric) for metric in module.metrics),
            }
        )
        for module, name in zip(template.content.modules, classes, strict=True)
    )
    origin = template.content.origin.model_copy(update={"classes": tuple(classes)})
    changes: dict[str, Any] = {"namespace": ref.namespace, "model": ref.model, "version": ref.version}
    content: Content = template.content.model_copy(update=changes | {"origin": origin, "modules": modules})
    if size is not None:
        contract = content.contract.model_copy(update={"height": size, "width": size})
        content = content.model_copy(update={"contract": contract})
    return template.model_copy(update={"content": content, "digest": digest_of(content)})


def measured(dice: random.Random, metric: Metric) -> Metric:
    return metric.model_copy(update={"vote_recall": dice.uniform(0.4, 1), "vote_precision": dice.uniform(0.4, 1)})


def build_registry(root: Path, shape: Shape) -> None:
    """A registry whose releases all share the template's blobs, each with a manifest of its own."""
    starter = RegistryReader(LocalStore(STARTER_FOLDER, writable=False))
    template, words = starter.manifest(TEMPLATE), vocabulary()
    Registry(open_store(str(root))).initialise()
    for record in template.blobs.values():
        _write(root / blob_path(record.sha256), starter.blob(record).stored)
    for ref in shape.refs():
        _write(root / release_path(ref), write_manifest(made_release(template, ref, words)))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def built(root: Path, out: Path, *options: str) -> dict[str, Any]:
    """Seconds and bytes of one build in a process of its own."""
    command = [sys.executable, "-m", "modhub", "site", "build", "--registry", str(root), "--out", str(out), *options]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    files = [file for file in out.rglob("*") if file.is_file()]
    return {
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_seconds": wall,
        "peak_mib": after.ru_maxrss / 1024,
        "files": len(files),
        "mib": sum(file.stat().st_size for file in files) / 2**20,
    }


def page_weights(out: Path) -> dict[str, int]:
    """Gzipped bytes of the heaviest page of each kind, with the style sheet, scripts and data that it loads."""
    shared = sum(zipped(file) for file in (out / asset_folder()).iterdir())
    (data,) = (out / "data").iterdir()
    index = zipped(data / "releases.json") + zipped(data / "classes.json")
    kinds = {"release": "models/*/*/versions/*.html", "module": "models/*/*/modules/*.html"}
    weights = {name: shared + max(map(zipped, out.glob(pattern))) for name, pattern in kinds.items()}
    weights["search"] = shared + zipped(out / paths.HOME) + index
    weights["composer"] = shared + zipped(out / paths.COMPOSER) + index + zipped(data / "fitting.json")
    return weights | {"namespace": shared + max(map(zipped, out.glob("namespaces/*.html")))}


def zipped(file: Path) -> int:
    return len(gzip.compress(file.read_bytes(), 6, mtime=0))


def write_search(out: Path, shape: Shape) -> dict[str, Any]:
    """The front pages and search files of many releases; bytes of the files, as stored and gzipped."""
    template, words = RegistryReader(LocalStore(STARTER_FOLDER, writable=False)).manifest(TEMPLATE), vocabulary()
    summary, started = SiteSummary(), time.process_time()
    for number, ref in enumerate(shape.refs()):
        release = ShownRelease(made_release(template, ref, words, size=SIZES[number % len(SIZES)]), "^1.0.0")
        model = ShownModel(ref.name, "team", (release,), release)
        summary.add(model, contract_key(release.content.contract))
    tables = fitting_tables(summary.columns.contracts).to_dict()
    for path, data in front_files(SiteShell("team", "modhub"), summary, tables):
        _write(out / path, data)
    for name, data in asset_files().items():
        _write(out / asset_folder() / name, data)
    (folder,) = (out / "data").iterdir()
    names = sorted(folder.iterdir())
    shards = [zipped(file) for file in names if file.name.startswith("modules-")]
    return {
        "releases": shape.models,
        "modules": summary.columns.modules,
        "processor_seconds": time.process_time() - started,
        "stored_bytes": {file.name: file.stat().st_size for file in names if not file.name.startswith("modules-")},
        "gzipped_bytes": {file.name: zipped(file) for file in names if not file.name.startswith("modules-")},
        "shards": len(shards),
        "largest_shard_gzipped": max(shards),
        "page_gzipped": page_weight_of_search(out),
    }


def page_weight_of_search(out: Path) -> int:
    (data,) = (out / "data").iterdir()
    first = [out / paths.HOME, *(out / asset_folder()).iterdir(), data / "releases.json", data / "classes.json"]
    return sum(map(zipped, first))


#: Queries that are typed. The classes of the second are in all files: *red* comes before a hundred names.
TYPED = {"typed": "apple 32x32x3", "typed_in_all_files": "red 32x32x3"}


def answers(site: Path, rounds: int) -> dict[str, dict[str, float]] | None:
    """Milliseconds of the first answer in a browser that knows nothing of the site; None where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    found: dict[str, list[float]] = {}
    with registries.http_server(site) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])

        def measured_in_page(query: str, script: str, given: str) -> list[float]:
            page = browser.new_page()
            page.goto(f"{url}/{paths.HOME}{query}")
            page.evaluate(_ANSWERED)
            times: list[float] = page.evaluate(script, given)
            page.close()
            return times

        for _ in range(rounds):
            after_load, in_all = measured_in_page("?q=apple&sort=recall", _IN_ADDRESS, "")
            found.setdefault("address", []).append(after_load)
            found.setdefault("address_since_navigation", []).append(in_all)
            for way, query in TYPED.items():
                stands, drawn = measured_in_page("", _TYPED, query)
                found.setdefault(way, []).append(stands)
                found.setdefault(f"{way}_until_drawn", []).append(drawn)
        browser.close()
    return {way: {"median_ms": statistics.median(times), "most_ms": max(times)} for way, times in found.items()}


#: A promise and no expression to wait for, which would be evaluated in the page, and the pages allow none.
_ANSWERED = """() => new Promise((done) => {
    const look = () => performance.getEntriesByName('first-answer').length ? done() : setTimeout(look, 5);
    look();
})"""
_IN_ADDRESS = """() => {
    const answer = performance.getEntriesByName('first-answer')[0].startTime;
    return [answer - performance.getEntriesByType('navigation')[0].loadEventEnd, answer];
}"""
_TYPED = """(query) => new Promise((done) => {
    const input = document.getElementById('q'), started = performance.now(), [word] = query.split(' ');
    new MutationObserver(() => {
        if (!document.querySelector('#results bdi')?.textContent.includes(word)) return;
        const stands = performance.now() - started;
        requestAnimationFrame(() => setTimeout(() => done([stands, performance.now() - started])));
    }).observe(document.getElementById('results'), {childList: true});
    input.value = query;
    input.dispatchEvent(new Event('input', {bubbles: true}));
})"""


def main() -> None:
    options = registries.parser(__doc__ or "").parse_args()
    figures: dict[str, Any] = {}
    with registries.own_home(), registries.folder() as scratch:
        root = scratch / "team"
        build_registry(root, Shape(20 if options.short else 1000))
        figures["build"] = {
            "with masks": built(root, scratch / "site"),
            "quick": built(root, scratch / "quick", "--quick"),
        }
        figures["page_gzipped_bytes"] = page_weights(scratch / "site")
        print(json.dumps(figures, indent=1), flush=True)
        figures["search"] = write_search(scratch / "search", Shape(200 if options.short else 10_000))
        print(json.dumps(figures["search"], indent=1), flush=True)
        sites = {"1,000 releases": scratch / "site", "10,000 releases": scratch / "search"}
        figures["load_average_of_a_minute"] = os.getloadavg()[0]
        figures["first_answer"] = {name: answers(site, 1 if options.short else 9) for name, site in sites.items()}
    if not options.short:
        common.keep(options.out, "site", figures)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
