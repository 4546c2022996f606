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
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.settings.private_keys import create_key
from modhub.signing.keys import Signer
from modhub.signing.statements import Statement
from modhub.spec.card import Card
from modhub.spec.layout import release_path, signature_path
from modhub.spec.manifest import write_manifest
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import write_document
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
    """A registry of this shape, with cards and signatures where there is a signer."""
    Registry(open_store(str(root))).initialise()
    templates = [release(classes=words)[0] for words in scale.VOCABULARIES]
    for number in range(len(shape)):
        ref = ModelRef(f"team-{number // shape.models:03d}", f"net-{number % shape.models:03d}", "1.0.0")
        template = templates[number % len(templates)]
        if signer is not None:
            card = Card(
                license=LICENSES[number % len(LICENSES)],
                keywords=("images", f"kind-{number % 50}"),
                description=f"Network {number}, which tells ten kinds of things apart.",
            )
            template = template.model_copy(update={"content": template.content.model_copy(update={"card": card})})
        manifest = scale.renamed(template, ref)
        _write(root / release_path(ref), write_manifest(manifest))
        if signer is not None and number % 2:
            signature = signer.sign(Statement("release", str(ref), manifest.digest))
            _write(root / signature_path(manifest.digest, signer.id), write_document(signature))
    problems = reindex(Registry(open_store(str(root))))
    assert not problems, problems


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
        signed = FILTERS | {"signer, of half": {"signer": str(signer.public)}}
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
