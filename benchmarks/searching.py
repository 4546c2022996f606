#!/usr/bin/env python3
"""What searching 10,000 releases takes, with each of its filters, where all have cards and signatures.

    python benchmarks/searching.py [--short]

10,000 models of one version in a hundred namespaces, in a folder and behind a web server. Licences, keywords and
descriptions differ; half are signed by a key that is searched for. Warm, in one process; processor seconds, since a
server of another process answers. ``bare`` are the same releases without cards and signatures.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import registries
import scale
from synthetic import release

from modhub import search
from modhub.registry.index import entry_of
from modhub.registry.writer import Registry
from modhub.settings.private_keys import create_key
from modhub.signing.keys import Signer
from modhub.signing.statements import Statement
from modhub.spec.digests import sha256
from modhub.spec.layout import CATALOG, catalog_path, release_path, signature_path
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import (
    CATALOG_FORMAT,
    CatalogEntry,
    IndexEntry,
    NamespaceCatalog,
    SearchCatalog,
    write_document,
)
from modhub.storage.urls import open_store

LICENSES = ("MIT", "Apache-2.0", "GPL-3.0-only", "CC-BY-4.0", "MIT OR Apache-2.0", "LicenseRef-ours", None)
FILTERS: dict[str, dict[str, Any]] = {
    "word": {"query": scale.WORD},
    "class": {"cls": scale.WORD},
    "license": {"license": ["MIT", "Apache-2.0"]},
    "keyword": {"keyword": "kind-3"},
    "accuracy, size, input": {"min_accuracy": 0.8, "max_size": 10**7, "input_shape": (4, 4)},
}


def build(root: Path, shape: scale.Shape, signer: Signer | None) -> None:
    """What searching reads of a registry of this shape: names of releases, catalogs, and signatures where there is a
    signer. No manifest is read for it, so none is written."""
    Registry(open_store(str(root))).initialise()
    templates = [entry_of(release(classes=words)[0]) for words in scale.VOCABULARIES]
    for number in range(shape.namespaces):
        namespace, models = f"team-{number:03d}", []
        for model in range(shape.models):
            ref = ModelRef(namespace, f"net-{model:03d}", "1.0.0")
            entry = entry_with_card(templates[model % len(templates)], ref, number * shape.models + model, signer)
            models.append(CatalogEntry(model=ref.model, release=entry))
            _write(root / release_path(ref), b"")
            if entry.signers and signer is not None:
                signature = signer.sign(Statement("release", str(ref), entry.digest))
                _write(root / signature_path(entry.digest, signer.id), write_document(signature))
        catalog = NamespaceCatalog(format=CATALOG_FORMAT, namespace=namespace, models=tuple(models))
        _write(root / catalog_path(namespace), write_document(catalog))
    names = tuple(f"team-{number:03d}" for number in range(shape.namespaces))
    _write(root / CATALOG, write_document(SearchCatalog(format=CATALOG_FORMAT, namespaces=names, aliases=())))


def entry_with_card(template: IndexEntry, ref: ModelRef, number: int, signer: Signer | None) -> IndexEntry:
    """The index's entry of one release; every second is signed."""
    fields: dict[str, Any] = {"version": ref.version, "digest": sha256(str(ref).encode())}
    if signer is not None:
        fields |= {
            "license": LICENSES[number % len(LICENSES)],
            "keywords": ("images", f"kind-{number % 50}"),
            "description": f"Network {number}, which tells ten kinds of things apart.",
            "signers": (signer.id,) if number % 2 else (),
        }
    return template.model_copy(update=fields)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def measured(url: str, filters: dict[str, dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Median processor seconds of each filter, and how many hits there were in this registry."""
    rows = {}
    for name, chosen in filters.items():
        seconds, hits = [], 0
        for _ in range(rounds + 1):
            started = time.process_time()
            found = search(chosen.get("query", ""), registry=url, **{k: v for k, v in chosen.items() if k != "query"})
            seconds.append(time.process_time() - started)
            hits = sum(hit.registry == url for hit in found)
        rows[name] = {"seconds": statistics.median(seconds[1:]), "hits": hits}
    return rows


def main() -> None:
    options = registries.parser(__doc__ or "").parse_args()
    shape = scale.Shape(5, 10, 1) if options.short else scale.Shape(100, 100, 1)
    rounds = 1 if options.short else 5
    figures: dict[str, Any] = {"releases": len(shape), "processor_seconds": {}}
    with registries.own_home(), registries.folder() as scratch:
        signer = create_key("team")
        signed = FILTERS | {
            "signer, of half": {"signer": str(signer.public)},
            "signer, the first 20": {"signer": str(signer.public), "limit": 20},
        }
        for what, chosen, key in (("bare", {"word": FILTERS["word"]}, None), ("cards and signatures", signed, signer)):
            root = scratch / what.replace(" ", "-")
            build(root, shape, key)
            figures["processor_seconds"][f"{what}, folder"] = measured(str(root), chosen, rounds)
            with registries.http_server(root) as url:
                figures["processor_seconds"][f"{what}, http"] = measured(url, chosen, rounds)
    if not options.short:
        common.keep(options.out, "searching", figures)
    rows = [
        (where, name, f"{row['seconds']:.2f}", str(row["hits"]))
        for where, found in figures["processor_seconds"].items()
        for name, row in found.items()
    ]
    print(common.markdown(("registry", "filter", "processor s", "hits"), rows))


if __name__ == "__main__":
    main()
