#!/usr/bin/env python3
"""Write registry_schema/*.schema.json from modhub's pydantic models of everything that it keeps in files.

usage: build_schemas.py

A test keeps the files equal to what this writes; run it after a change of the models.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from modhub.installation.classifier_file import KeptClassifier
from modhub.installation.lockfile import LockDocument
from modhub.project.manifest import ProjectFile
from modhub.spec.advisories import AdvisoryRecord, DeprecationRecord, Notices
from modhub.spec.manifest import Manifest
from modhub.spec.registry_files import (
    AliasRecord,
    ClassYankRecord,
    GcCandidates,
    IndexShard,
    ModelSignatureFile,
    NamespaceCatalog,
    RegistryMarker,
    RevocationRecord,
    SearchCatalog,
    SignatureFile,
    TombstoneRecord,
    YankRecord,
)

FOLDER = Path(__file__).parents[1] / "registry_schema"
MODELS: dict[str, type[BaseModel]] = {
    "release": Manifest,
    "index": IndexShard,
    "namespace-catalog": NamespaceCatalog,
    "catalog": SearchCatalog,
    "alias-record": AliasRecord,
    "yank-record": YankRecord,
    "class-yank-record": ClassYankRecord,
    "advisory-record": AdvisoryRecord,
    "deprecation-record": DeprecationRecord,
    "notices": Notices,
    "tombstone-record": TombstoneRecord,
    "revocation-record": RevocationRecord,
    "signature": SignatureFile,
    "model-signature": ModelSignatureFile,
    "registry-marker": RegistryMarker,
    "gc-candidates": GcCandidates,
    "classifier": KeptClassifier,
}
#: TOML files, in which whatever has a default may be left out.
TOML_MODELS: dict[str, type[BaseModel]] = {"lockfile": LockDocument, "project-file": ProjectFile}
#: What people write has no checksum; every other file has (FORMAT.md).
BY_HAND = {"project-file"}


def schemas() -> dict[str, str]:
    """File name to text."""
    return {f"{name}.schema.json": _text(name, model) for name, model in (MODELS | TOML_MODELS).items()}


def _text(name: str, model: type[BaseModel]) -> str:
    schema = model.model_json_schema(mode="validation" if name in TOML_MODELS else "serialization")
    if name not in BY_HAND:
        schema["properties"]["checksum"] = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
        schema["required"] = sorted([*schema["required"], "checksum"])
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"modhub:{name}:1"}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in schemas().items():
        (FOLDER / file).write_text(text)
