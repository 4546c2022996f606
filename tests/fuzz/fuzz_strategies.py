"""The same readers on what hypothesis thinks of: files made from their schemas, mostly right; any JSON; any text.

Digests and names come from a few, so that what one field says of another is often true.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import fuzz_kinds
import fuzz_releases
import fuzz_samples as samples
import hypothesis
from fuzz_kinds import Case, Kind
from fuzz_mutators import ODD_TEXTS, sealed, to_json
from hypothesis import strategies as st
from pydantic import BaseModel

from modhub.spec.digests import DIGEST_PATTERN
from modhub.spec.manifest import Manifest, write_manifest
from modhub.spec.refs import MODEL_NAME_PATTERN, NAME_PATTERN, VERSION_PATTERN

_TEXTS = st.text(st.characters(exclude_categories=[]), max_size=12) | st.sampled_from(ODD_TEXTS[:40])
_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**60), 10**60)
    | st.floats()
    | _TEXTS
    | st.sampled_from([2**31, 2**63, 2**64, 65_536, 65_537, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
#: One in so many values is anything at all.
_ODDS = 25
#: What a pattern of ours may match, from a few.
_MATCHING = {
    DIGEST_PATTERN: ["sha256:" + digit * 64 for digit in "01a"],
    NAME_PATTERN: ["me", "net", "a.b-c_d", "0"],
    MODEL_NAME_PATTERN: ["me/net", "you/other"],
    VERSION_PATTERN: ["1.0.0", "1.1.0", "2.0.0-rc.1", "1.0.0+b.7"],
}


def from_schema(schema: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that mostly follow a JSON schema, of the subset in which pydantic writes ours."""
    right = _right(schema, definitions)
    return st.integers(1, _ODDS).flatmap(lambda number: _ANYTHING if number == _ODDS else right)


def _right(schema: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    def inner(part: dict[str, Any]) -> st.SearchStrategy[Any]:
        return from_schema(part, definitions)

    if "$ref" in schema:
        return _right(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return st.one_of(*map(inner, schema[several]))
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "object":
            return _objects(schema, inner)
        case "array" if "prefixItems" in schema:
            return st.tuples(*map(inner, schema["prefixItems"])).map(list)
        case "array":
            least = schema.get("minItems", 0)
            most = min(schema.get("maxItems", least + 3), least + 3)
            return st.lists(inner(schema.get("items", {})), min_size=least, max_size=most)
        case "string" if "pattern" in schema:
            known = _MATCHING.get(schema["pattern"])
            return st.sampled_from(known) if known else st.from_regex(schema["pattern"], fullmatch=True)
        case "string":
            return st.text(min_size=schema.get("minLength", 0), max_size=12)
        case "integer":
            return st.integers(schema.get("minimum", -5), min(schema.get("maximum", 20), 20))
        case "number":
            return st.floats(schema.get("minimum", -10), schema.get("maximum", 300), exclude_min=False) | st.just(1)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            return _ANYTHING


def _objects(
    schema: dict[str, Any], inner: Callable[[dict[str, Any]], st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    if not properties:
        keys = inner(schema.get("propertyNames", {"type": "string"})).filter(lambda key: isinstance(key, str))
        values = schema.get("additionalProperties", {})
        return st.dictionaries(keys, inner(values if isinstance(values, dict) else {}), max_size=3)
    fixed = {name: inner(part) for name, part in properties.items() if name in required}
    other = {name: inner(part) for name, part in properties.items() if name not in required}
    return st.fixed_dictionaries(fixed, optional={**other, "later": _ANYTHING})


def _files(model: type[BaseModel], *, digest_of: str | None = None) -> st.SearchStrategy[Case]:
    schema = model.model_json_schema()
    values = _right(schema, schema.get("$defs", {}))

    def as_file(value: dict[str, Any]) -> Case:
        # Else nearly none would be of a format that is read.
        value = value | {"format": 1 if value.get("format") in range(-5, 20) else value.get("format")}
        return {"file": sealed(value, digest_of=digest_of)}

    return values.map(as_file)


@st.composite
def _changed_manifests(draw: st.DrawFn) -> Case:
    """A valid manifest with anything in a few places."""
    value = json.loads(write_manifest(samples.manifest()))
    for _ in range(draw(st.integers(1, 3))):
        holder: Any = value
        while True:
            keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
            key = draw(st.sampled_from(keys))
            if not isinstance(holder[key], (dict, list)) or not holder[key] or draw(st.integers(0, 4)) == 0:
                break
            holder = holder[key]
        holder[key] = draw(_ANYTHING)
    return {"file": sealed(value, digest_of="content")}


def _as_texts(*names: str) -> st.SearchStrategy[Case]:
    texts = st.text(st.characters(exclude_categories=[]), max_size=40) | st.text("ab10/.-_:@^~<>=,*", max_size=12)
    encoded = texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    return st.fixed_dictionaries(dict.fromkeys(names, encoded))


def _any_json() -> st.SearchStrategy[Case]:
    return _ANYTHING.map(lambda value: {"file": to_json(value)}) | st.binary(max_size=200).map(
        lambda data: {"file": data}
    )


@cache
def strategies() -> dict[str, st.SearchStrategy[Case]]:
    """What hypothesis makes cases of, by the name of the kind that reads them."""
    found = {model.__name__: _files(model) for model in samples.documents()}
    found["manifests"] = _changed_manifests() | _files(Manifest, digest_of="content") | _any_json()
    found["names"] = _as_texts("text")
    found["paths"] = _as_texts("text", "a", "b", "c")
    found["urls"] = _as_texts("text")
    found["public keys"] = _as_texts("text")
    found["locks"] = st.binary(max_size=200).map(lambda data: {"file": data})
    found["weights"] = found["masks and heads"] = st.binary(max_size=300).map(lambda data: {"file": data})
    return found


def kinds() -> list[Kind]:
    return [kind for kind in (*fuzz_kinds.KINDS, *fuzz_releases.KINDS) if kind.name in strategies()]


def run(name: str, count: int, seed: int, read: Callable[[Case], None]) -> None:
    """Give ``read``, which raises nothing, so many cases of a kind."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies()[name])
    def each(case: Case) -> None:
        read(case)

    each()
