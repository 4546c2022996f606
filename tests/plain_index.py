"""What a web server's readers need of a registry's index, checked by a reader that shares no code with modhub.

It parses the stored files as JSON and holds the index to the releases, tombstones and yanks beside it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def files_of(root: Path) -> dict[str, bytes]:
    """All files below a registry's folder by their paths, without those still being written."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def index_errors(files: Mapping[str, bytes]) -> list[str]:
    """Where the index says anything else than the releases do; versions must be plain ``1.2.3``."""
    documents = {path: json.loads(data) for path, data in files.items() if path.endswith(".json")}
    shards: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for path, manifest in documents.items():
        if path.startswith("releases/"):
            _, namespace, model, file = path.split("/")
            version = file.removesuffix(".json")
            gone, yanked = (_last(documents, kind, f"{namespace}/{model}/{version}") for kind in ("tombstone", "yank"))
            shard = shards[f"{namespace}/{model}"]
            if gone is None:
                reason = yanked["reason"] if yanked and yanked["yanked"] else None
                shard[version] = {"digest": manifest["digest"], "yanked": reason}
    errors = []
    for name, expected in shards.items():
        stored = documents.get(f"index/{name}.json", {}).get("releases")
        found = None if stored is None else {entry["version"]: entry for entry in stored}
        if found is None:
            errors.append(f"{name} has no shard")
        elif {v: {key: e.get(key) for key in ("digest", "yanked")} for v, e in found.items()} != expected:
            errors.append(f"{name}: {sorted(found)} instead of {sorted(expected)}")
    newest: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, expected in shards.items():
        namespace, model = name.split("/")
        usable = [version for version, entry in expected.items() if entry["yanked"] is None]
        newest[namespace] |= {model: max(usable, key=_order)} if usable else {}
    for namespace, models in newest.items():
        stored = documents.get(f"catalog/{namespace}.json", {}).get("models")
        if stored is None or {entry["model"]: entry["release"]["version"] for entry in stored} != models:
            errors.append(f"the catalog of {namespace}: {stored} instead of {models}")
    aliases = sorted({path.split("/")[2] for path in documents if path.startswith("records/alias/")})
    catalog = documents.get("catalog.json", {})
    if catalog.get("namespaces") != sorted(newest) or catalog.get("aliases") != aliases:
        errors.append(f"the catalog: {catalog} instead of {sorted(newest)} and {aliases}")
    derived = {f"index/{name}.json" for name in shards} | {f"catalog/{namespace}.json" for namespace in newest}
    stray = {path for path in documents if path.startswith(("index/", "catalog/"))} - derived
    return errors + [f"{path} is about nothing" for path in sorted(stray)]


def _last(documents: Mapping[str, Any], kind: str, name: str) -> Any:
    entries = sorted(path for path in documents if path.startswith(f"records/{kind}/{name}/"))
    return documents[entries[-1]] if entries else None


def _order(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
