#!/usr/bin/env python3
"""Write registry_schema/*.schema.json from the pydantic models in modhub.manifest and modhub.documents.

usage: build_schemas.py

A test keeps the files equal to what this writes; run it after a change of the models.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from modhub.documents import (
    AliasRecord,
    Catalog,
    GcCandidates,
    IndexShard,
    NamespaceCatalog,
    RegistryMarker,
    RevocationRecord,
    SignatureFile,
    TombstoneRecord,
    YankRecord,
)
from modhub.manifest import Manifest

FOLDER = Path(__file__).parents[1] / "registry_schema"
MODELS: dict[str, type[BaseModel]] = {
    "release": Manifest,
    "index": IndexShard,
    "namespace-catalog": NamespaceCatalog,
    "catalog": Catalog,
    "alias-record": AliasRecord,
    "yank-record": YankRecord,
    "tombstone-record": TombstoneRecord,
    "revocation-record": RevocationRecord,
    "signature": SignatureFile,
    "registry-marker": RegistryMarker,
    "gc-candidates": GcCandidates,
}


def schemas() -> dict[str, str]:
    """File name to text. ``checksum`` stands in every file beside what the models hold (FORMAT.md)."""
    return {f"{name}.schema.json": _text(name, model) for name, model in MODELS.items()}


def _text(name: str, model: type[BaseModel]) -> str:
    schema = model.model_json_schema(mode="serialization")
    schema["properties"]["checksum"] = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
    schema["required"] = sorted([*schema["required"], "checksum"])
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"modhub:{name}:1"}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in schemas().items():
        (FOLDER / file).write_text(text)
