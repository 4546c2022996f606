"""Manifests on disk: what is written comes back, unknown fields included, and nothing else is ever accepted."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic import release

from modhub.errors import Incompatible, IntegrityError
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.manifest import Manifest, digest_of, read_manifest, write_manifest
from modhub.spec.registry_files import AliasRecord, IndexShard, RegistryMarker, read_document, write_document

MANIFEST, _ = release()
DATA = write_manifest(MANIFEST)


def refitted(change):
    """The bytes of a manifest that was changed and then given right digests, as only its author could."""
    value = json.loads(DATA)
    value.pop("checksum")
    change(value)
    value["digest"] = sha256(canonical_json(value["content"]))
    return canonical_json(value | {"checksum": sha256(canonical_json(value))})


def test_a_manifest_comes_back():
    assert read_manifest(DATA, what="x") == MANIFEST
    assert write_manifest(read_manifest(DATA, what="x")) == DATA
    assert MANIFEST.digest == digest_of(MANIFEST.content)


def test_a_release_from_before_fused_agreements_were_recorded():
    data = (Path(__file__).parent / "samples" / "release-before-fused.json").read_bytes()
    manifest = read_manifest(data, what="sample")
    assert manifest.digest == "sha256:f2fc479ffde5aa2f572667ec3ad25db18ee978b9de3c4a6988717ce391c25742"
    assert manifest.content.fused is None
    assert manifest.content.origin.vote is None
    assert write_manifest(manifest) == data


def test_a_compact_release_from_before_it_said_what_could_not_be_thinned():
    data = (Path(__file__).parent / "samples" / "release-compacted.json").read_bytes()
    manifest = read_manifest(data, what="sample")
    found = manifest.content.compacted
    assert found is not None
    assert (found.flops, found.unthinned, found.of[0].modules) == (0.49, (), ())
    assert write_manifest(manifest) == data


@pytest.mark.parametrize("version", [None, "1.0.0", "2.0.0-rc.1+x"])
@pytest.mark.parametrize("classes", [["a", "b"], ["a 日本", "b"], ["x" * 100 + "é" * 400, "u\U0001f600"]])
def test_every_kind_of_release_comes_back(version, classes):
    manifest, _ = release(version=version, classes=classes)
    assert read_manifest(write_manifest(manifest), what="x") == manifest


def test_the_same_release_is_the_same_bytes():
    assert write_manifest(release()[0]) == DATA
    assert digest_of(release(stored_seed=1)[0].content) == MANIFEST.digest
    assert digest_of(release(seed=1)[0].content) != MANIFEST.digest


def test_provenance_and_storage_are_no_part_of_the_identity():
    other = release(stored_seed=1)[0]
    assert other.blobs != MANIFEST.blobs
    assert other.digest == MANIFEST.digest


def test_unknown_fields_survive_everywhere():
    def extend(value):
        value["later"] = [1, {"x": None}]
        value["content"]["licence"] = "MIT"
        value["content"]["origin"]["dataset"]["language"] = "de"
        value["content"]["modules"][0]["quality"] = 0.5
        value["content"]["modules"][0]["stages"]["pruned"] = [1]
        next(iter(value["blobs"].values()))["compression"] = "zstd"
        value["provenance"]["energy_kwh"] = 0.1

    data = refitted(extend)
    manifest = read_manifest(data, what="x")
    assert write_manifest(manifest) == data
    assert write_manifest(manifest.model_copy(update={"provenance": manifest.provenance})) == data
    assert digest_of(manifest.content) == manifest.digest


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
@example(DATA.index(b'"format":') + 9, ord("1") ^ ord("2"))
@example(0, 1)
@example(len(DATA) - 1, 255)
def test_no_changed_byte_is_accepted(position, flip):
    changed = bytearray(DATA)
    changed[position] ^= flip
    with pytest.raises((IntegrityError, Incompatible)) as caught:
        read_manifest(bytes(changed), what="the manifest x")
    assert "the manifest x" in str(caught.value)


def test_no_single_byte_at_any_position_is_accepted():
    """Every position once, not only those that hypothesis thinks of."""
    chance = random.Random(0)
    for position in range(len(DATA)):
        changed = bytearray(DATA)
        changed[position] ^= chance.randrange(1, 256)
        with pytest.raises((IntegrityError, Incompatible)):
            read_manifest(bytes(changed), what="x")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(DATA)), st.integers(0, len(DATA)), st.binary(max_size=20))
def test_no_deletion_or_insertion_is_accepted(start, stop, between):
    changed = DATA[:start] + between + DATA[stop:]
    if changed == DATA:
        return
    with pytest.raises((IntegrityError, Incompatible)):
        read_manifest(changed, what="x")


@pytest.mark.parametrize(
    "text",
    [json.dumps(json.loads(DATA)), json.dumps(json.loads(DATA), indent=1), DATA.decode() + "\n", " " + DATA.decode()],
)
def test_equal_values_in_other_bytes_are_refused(text):
    with pytest.raises(IntegrityError, match="checksum does not match"):
        read_manifest(text.encode(), what="x")


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "1", '"x"', "{}", *(f'{{"format":{n}}}' for n in ('"1"', "1.0", "true", "0", "-1", "1"))]
)
def test_other_json_is_no_manifest(text):
    with pytest.raises(IntegrityError):
        read_manifest(text.encode(), what="x")


@pytest.mark.parametrize("number", [0, -1, True, 1.0, "1", None])
def test_a_format_that_never_was_is_refused(number):
    with pytest.raises(IntegrityError, match="it names no format"):
        read_manifest(refitted(_set("format", number)), what="x")


def test_a_newer_format_is_refused_before_anything_else_is_looked_at():
    with pytest.raises(Incompatible) as caught:
        read_manifest(b'{"format":4,"whatever":"it looks like then"}', what="the manifest x")
    assert caught.value.kind == "newer-format"
    assert (caught.value.data["format"], caught.value.data["newest"]) == (4, 3)
    assert str(caught.value) == (
        "the manifest x has format 4; this version of modhub reads up to format 3. "
        "Hint: upgrade modhub: pip install --upgrade modhub."
    )


def _set(*path_and_value):
    *path, last, new = path_and_value

    def change(value):
        for step in path:
            value = value[step]
        value[last] = new(value[last]) if callable(new) else new

    return change


HOSTILE = {
    "a traversal as namespace": _set("content", "namespace", "../../etc"),
    "a traversal as model": _set("content", "model", "a/b"),
    "upper case": _set("content", "namespace", "Me"),
    "a Cyrillic letter": _set("content", "namespace", "mе"),  # noqa: RUF001
    "a name with a line end": _set("content", "namespace", "me\n"),
    "a long name": _set("content", "model", "a" * 101),
    "no version": _set("content", "version", "one"),
    "a digest that is a path": _set("content", "origin", "weights", "sha256:../../../etc/passwd"),
    "a blob that the table lacks": _set("content", "modules", 0, "blob", sha256(b"nowhere")),
    "a negative size": _set("blobs", lambda table: {key: value | {"size": -1} for key, value in table.items()}),
    "a size beyond the limit": _set(
        "blobs", lambda table: {key: value | {"size": 2**40} for key, value in table.items()}
    ),
    "a stored digest that is a path": _set(
        "blobs", lambda table: {key: value | {"sha256": "sha256:/" + "a" * 63} for key, value in table.items()}
    ),
    "two modules with one slug": _set("content", "modules", 1, "slug", "cat"),
    "two modules with one index": _set("content", "modules", 1, "index", 0),
    "a module of no class": _set("content", "modules", 1, "index", 3),
    "a huge index": _set("content", "modules", 1, "index", 2**62),
    "a huge fraction": _set("content", "modules", 1, "jaccard", 2**62),
    "a huge count": _set("content", "modules", 1, "concerned", 2**53),
    "text for a number": _set("content", "modules", 1, "threshold", "x" * 10_000),
    "no modules": _set("content", "modules", []),
    "one class": _set("content", "origin", "classes", ["cat"]),
    "counts for other sites": _set("content", "modules", 0, "stages", "kept", [1, 2]),
    "a Lambda layer": _set("content", "origin", "architecture", "layers", "relu", {"kind": "lambda", "code": "x"}),
    "a layer with an unknown field": _set(
        "content", "origin", "architecture", "layers", "relu", {"kind": "relu", "negative_slope": 0.1}
    ),
    "a layer of terabytes": _set("content", "origin", "architecture", "layers", "convolution", "filters", 10**9),
    "an object for a list": _set("content", "sites", {"0": 1}),
    "null content": _set("content", None),
    "an empty value range": _set("content", "contract", "value_range", [5, 5]),
    "three means for one channel": _set("content", "contract", "mean", [1, 2, 3]),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_well_signed_manifest_with_wrong_claims_is_refused(change):
    with pytest.raises(IntegrityError) as caught:
        read_manifest(refitted(change), what="the manifest x")
    assert caught.value.kind == "bad-schema"
    assert str(caught.value).startswith("the manifest x does not follow the format: ")
    assert len(str(caught.value)) < 600


def test_a_digest_that_is_not_the_contents_is_refused():
    value = json.loads(DATA)
    value.pop("checksum")
    value["digest"] = sha256(b"another")
    data = canonical_json(value | {"checksum": sha256(canonical_json(value))})
    with pytest.raises(IntegrityError) as caught:
        read_manifest(data, what="x")
    assert caught.value.kind == "bad-digest"
    assert sha256(b"another") in str(caught.value)
    assert MANIFEST.digest in str(caught.value)


def test_nan_and_infinity_never_get_into_a_manifest():
    for text in (b"NaN", b"1e999", b"-Infinity"):
        with pytest.raises(IntegrityError) as caught:
            read_manifest(DATA.replace(b'"threshold":0.25', b'"threshold":' + text, 1), what="x")
        assert caught.value.kind == "bad-json"


def test_a_number_beyond_64_bits_is_refused_before_the_schema_sees_it():
    for field in ("index", "threshold", "jaccard", "unknown"):
        with pytest.raises(IntegrityError, match="is beyond 64 bits") as caught:
            read_manifest(refitted(_set("content", "modules", 1, field, 10**400)), what="x")
        assert caught.value.kind == "bad-json"


def test_a_huge_file_is_refused_by_its_size():
    with pytest.raises(IntegrityError, match=f"{24 * 2**20 + 1} bytes; a manifest has at most {24 * 2**20}"):
        read_manifest(bytes(24 * 2**20 + 1), what="x")


ALIAS = AliasRecord(format=1, number=1, name="c10", target="cifar10/r56", previous=None, created="now")
RECORDS = [ALIAS, RegistryMarker(format=1, created="now"), IndexShard(format=1, namespace="a", model="b", releases=())]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_come_back_and_no_changed_byte_does(record):
    data = write_document(record)
    assert read_document(type(record), data, what="x", newest=1) == record
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        with pytest.raises((IntegrityError, Incompatible)):
            read_document(type(record), bytes(changed), what="x", newest=1)
    with pytest.raises(IntegrityError):
        read_document(type(record), data[:-1], what="x", newest=1)


def test_records_keep_unknown_fields_and_are_bounded():
    extended = ALIAS.model_copy(update={"reason": "because"})
    assert write_document(read_document(AliasRecord, write_document(extended), what="x", newest=1)) == write_document(
        extended
    )
    with pytest.raises(IntegrityError, match="at most 65536 are allowed"):
        read_document(AliasRecord, b" " * 65537, what="x", newest=1)


def test_a_manifest_in_memory_is_checked_too():
    with pytest.raises(ValueError, match="the blob table lacks"):
        Manifest.model_validate(MANIFEST.model_dump() | {"blobs": {}})
