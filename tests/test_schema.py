"""registry_schema/ says what the models say, and what modhub writes follows it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from modhub.installation.registries import STARTER_FOLDER
from scripts.build_schemas import FOLDER, schemas
from tests.thinning import spread

PLACES = {
    "release": "releases/*/*/*.json",
    "index": "index/*/*.json",
    "alias-record": "records/alias/*/*.json",
    "registry-marker": "modhub-registry.json",
}


def test_files_equal_the_models() -> None:
    on_disk = {file.name: file.read_text() for file in FOLDER.glob("*.schema.json")}
    assert on_disk == schemas(), "run: python scripts/build_schemas.py"


@pytest.mark.parametrize("name", PLACES)
def test_the_starter_registry_follows_the_schemas(name: str) -> None:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    files = sorted(Path(STARTER_FOLDER).glob(PLACES[name]))
    assert files
    for file in spread(files, 5):
        jsonschema.validate(json.loads(file.read_text()), schema, jsonschema.Draft202012Validator)


def test_a_schema_refuses_what_lacks_its_checksum() -> None:
    schema = json.loads((FOLDER / "release.schema.json").read_text())
    value = json.loads(next(Path(STARTER_FOLDER).glob(PLACES["release"])).read_text())
    del value["checksum"]
    with pytest.raises(jsonschema.ValidationError, match="checksum"):
        jsonschema.validate(value, schema)
