"""What a hostile registry may hold, by name: each refused in words, and before it costs anything.

Told elsewhere: other releases' manifests, damaged and sparse blobs (``test_registry``), hostile JSON
(``manifest/test_digests``), frames, headers and arrays that lie (``package/test_codec``), networks that want terabytes
(``package/test_hostile_architectures``), archives (``admin/test_archive``); where all that may come from, in
``test_hostile_places``. What nobody thought of, ``tests/fuzz`` looks for.
"""

from __future__ import annotations

import json
import struct
import sys
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import pytest
from synthetic import release

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fuzz"))

import fuzz_samples as samples
from fuzz_formats import bomb
from fuzz_mutators import sealed
from named import pins_of

from modhub.errors import IntegrityError, InvalidRef, NotFound, UsageError
from modhub.limits import GIB, MAX_JSON_FIELDS, MAX_JSON_FRACTIONS, MAX_JSON_VALUES, MIB
from modhub.package.codec import encode
from modhub.package.decomposition import decomposition_from, modules_from
from modhub.registry.writer import Registry
from modhub.spec.digests import parse_json, sha256
from modhub.spec.layout import blob_path, release_path, signature_path
from modhub.spec.manifest import StoredBlob, write_manifest
from modhub.spec.refs import ModelRef, parse
from modhub.spec.registry_files import IndexShard, NamespaceCatalog, YankRecord, read_document
from modhub.storage.local import LocalStore

REF = ModelRef("me", "net", "1.0.0")


@pytest.fixture
def registry(tmp_path):
    """A local registry with one release whose blobs decode."""
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(samples.manifest(), samples.package().blobs)
    return registry


def put(registry, change):
    """Put a changed manifest in the place of the release, every digest and checksum right again."""
    value = json.loads(write_manifest(samples.manifest()))
    change(value)
    registry.store.replace(release_path(REF), sealed(value, digest_of="content"))


def read(registry):
    """All modules of the release, as installing and composing read them."""
    return decomposition_from(registry.manifest(REF), lambda digest, record: registry.blob(record))


@contextmanager
def within(mebibytes):
    """Python may set no more memory aside meanwhile."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * MIB
    finally:
        tracemalloc.stop()


# Paths


@pytest.mark.parametrize("name", ["..", "../..", "a/b", "/etc", "a\\b", "me\0", "me\n", ".me", "%2e%2e", ""])
def test_no_name_leads_out_of_the_registry(registry, name):
    for use in (
        lambda: registry.manifest(ModelRef(name, "net", "1.0.0")),
        lambda: registry.manifest(ModelRef("me", name, "1.0.0")),
        lambda: registry.versions(name, "net"),
        lambda: registry.alias(name),
    ):
        with pytest.raises(InvalidRef, match="is not a valid name"):
            use()
    with pytest.raises(IntegrityError, match="is not a path inside a registry"):
        registry.store.get(f"releases/{name}/../../x", max_bytes=1)
    with pytest.raises(InvalidRef, match="is not a version"):
        registry.manifest(ModelRef("me", "net", name))
    with pytest.raises(IntegrityError, match="is not a sha256 digest"):
        blob_path(f"sha256:{name}")
    with pytest.raises(IntegrityError, match="is not the id of a key"):
        signature_path(sha256(b""), name)


@pytest.mark.parametrize("digest", ["sha256:../../../../etc/passwd", "sha256:" + "A" * 64, "sha256:" + "a" * 64 + "\n"])
def test_no_digest_of_a_manifest_leads_out_of_the_registry(registry, digest):
    def change(value):
        next(iter(value["blobs"].values()))["sha256"] = digest

    put(registry, change)
    with pytest.raises(IntegrityError, match=r"does not follow the format: blobs\..*\.sha256: String should match"):
        registry.manifest(REF)


def test_no_index_leads_out_of_the_registry():
    entry = {
        "version": "1.0.0",
        "digest": sha256(b""),
        "size": 1,
        "classes": ["cat"],
        "slugs": ["../../cat"],
        "dataset": "tiny",
        "input_shape": [4, 4, 1],
    }
    shard = {"format": 1, "namespace": "me", "model": "net", "releases": [entry]}
    with pytest.raises(
        IntegrityError, match=r"x does not follow the format: releases\.0\.slugs\.0: String should match"
    ):
        read_document(IndexShard, sealed(shard), what="x", newest=1)
    catalog = {"format": 1, "namespace": "me", "models": [{"model": "..", "release": entry | {"slugs": ["cat"]}}]}
    read_document(NamespaceCatalog, sealed(catalog | {"models": []}), what="x", newest=1)
    with pytest.raises(IntegrityError, match=r"models\.0\.model"):
        read_document(NamespaceCatalog, sealed(catalog | {"models": [{"model": "../x"}]}), what="x", newest=1)
    shard["releases"] = [entry | {"slugs": ["cat", "dog"]}]
    with pytest.raises(IntegrityError, match="1 classes with 2 slugs"):
        read_document(IndexShard, sealed(shard), what="x", newest=1)


# Look-alikes and text that steers


@pytest.mark.parametrize(
    "name", ["m\u0435", "\uff4de", "me\u200b", "\u202eem", "me\u0301", "m\u00e9", "ME", "me\ufe0f"]
)
def test_a_name_that_only_looks_right_is_refused_and_shown_as_it_is(registry, name):
    with pytest.raises(InvalidRef, match="is not a valid name") as caught:
        parse(f"{name}/net")
    assert repr(name) in str(caught.value)
    assert "lower-case ASCII letters" in str(caught.value)
    put(registry, lambda value: value["content"].update(namespace=name))
    with pytest.raises(IntegrityError, match=r"content\.namespace: String should match"):
        registry.manifest(REF)
    put(registry, lambda value: value["content"]["modules"][0].update(slug=f"{name}-cat"))
    with pytest.raises(IntegrityError, match=r"content\.modules\.0\.slug: String should match"):
        registry.manifest(REF)


def test_a_class_that_only_looks_like_another_is_another(tmp_path):
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(*release(classes=["cat", "c\u0430t", "dog"]))
    latin, cyrillic = (pins_of([f"me/net:{name}"], [registry], {})[0] for name in ("cat", "c\u0430t"))
    assert (latin.ref.cls, latin.name) == ("cat", "cat")
    assert (cyrillic.ref.cls, cyrillic.name) == ("ct", "c\u0430t")
    with pytest.raises(NotFound, match="has no class 'd\u043eg'"):
        pins_of(["me/net:d\u043eg"], [registry], {})


@pytest.mark.parametrize("text", ["\x1b[2Jgone", "one line\nerror: another", "\x07", "\x9b31m", "\0"])
def test_no_reason_and_no_name_steers_a_terminal(registry, text):
    yank = {"number": 1, "name": "me/net/1.0.0", "previous": None, "created": "now", "yanked": True, "reason": text}
    with pytest.raises(IntegrityError, match="x does not follow the format: reason: String should match") as caught:
        read_document(YankRecord, sealed(yank | {"format": 1}), what="x", newest=1)
    assert str(caught.value).isprintable()
    put(registry, lambda value: value["content"]["modules"][0].update(name=text))
    with pytest.raises(IntegrityError, match=r"content\.modules\.0\.name: String should match") as caught:
        registry.manifest(REF)
    assert str(caught.value).isprintable()
    with pytest.raises(UsageError, match="the reason has line ends or other control characters"):
        registry.yank(REF, text)


def test_what_is_repeated_of_foreign_text_is_short_and_on_one_line(registry):
    def change(value):
        layers = value["content"]["origin"]["architecture"]["layers"]
        layers["relu"]["\x1b[2J" + "x" * 10_000] = 1

    put(registry, change)
    with pytest.raises(IntegrityError, match=r"architecture\.layers\.relu") as caught:
        registry.manifest(REF)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    put(registry, lambda value: value["content"]["origin"]["architecture"]["layers"]["relu"].update(kind="x" * 10_000))
    with pytest.raises(IntegrityError, match="relu: Input tag 'xxx") as caught:
        registry.manifest(REF)
    assert len(str(caught.value)) < 1000
    with pytest.raises(InvalidRef, match="has 10001 characters; at most 800 are allowed") as caught:
        parse("me/net:" + "c" * 9994)
    assert len(str(caught.value)) < 1000
    with pytest.raises(IntegrityError, match=r"the number 10{39} is beyond 64 bits\.") as caught:
        read_document(IndexShard, sealed({"format": 10**4000}), what="x", newest=1)


# JSON


def test_a_key_twice_is_refused_although_the_checksum_is_right(registry):
    data = write_manifest(samples.manifest())
    for old, new in ((b'"format":1', b'"format":1,"format":1'), (b'"slug":"cat"', b'"slug":"dog","slug":"cat"')):
        registry.store.replace(release_path(REF), data.replace(old, new, 1))
        with pytest.raises(
            IntegrityError, match=r"me/net@1\.0\.0 in .* is not valid JSON: an object has the same key twice"
        ):
            registry.manifest(REF)


@pytest.mark.parametrize(
    ("unit", "count", "says"),
    [
        (
            b"0,",
            MAX_JSON_VALUES + 1,
            f"has {MAX_JSON_VALUES + 1} values in JSON; at most {MAX_JSON_VALUES} are allowed",
        ),
        (b"[]", MAX_JSON_FIELDS, f"has {MAX_JSON_FIELDS + 1} fields in JSON; at most {MAX_JSON_FIELDS} are allowed"),
        (b'{"":', MAX_JSON_FIELDS // 2, f"has {MAX_JSON_FIELDS + 1} fields in JSON"),
        (b"0.5,", MAX_JSON_FRACTIONS + 1, f"it has more than {MAX_JSON_FRACTIONS} numbers with a fraction"),
    ],
)
def test_more_json_than_any_release_needs_is_refused_before_it_is_made(unit, count, says):
    with within(32), pytest.raises(IntegrityError, match=says):
        parse_json(b"[" + unit * count + b"0]", what="x")


def test_a_manifest_of_10_gigabytes_is_not_read(registry):
    with (registry.store.root / release_path(REF)).open("r+b") as file:
        file.truncate(10 * GIB)
    with within(1), pytest.raises(IntegrityError, match=f"has {10 * GIB} bytes where at most {24 * MIB} are allowed"):
        registry.manifest(REF)


# Bombs


def with_blob(registry, which, stored, digest, decoded_size):
    """Let the weights or the first module of the release be other bytes, of which the table tells the truth."""

    def change(value):
        record = StoredBlob(sha256=sha256(stored), size=len(stored), decoded_size=decoded_size)
        value["blobs"][digest] = record.model_dump()
        content = value["content"]
        holder, key = (content["origin"], "weights") if which == "weights" else (content["modules"][0], "blob")
        holder[key] = digest

    registry.store.replace(blob_path(sha256(stored)), stored)
    return change


@pytest.mark.parametrize("which", ["weights", "module"])
def test_a_frame_of_32_kilobytes_that_holds_a_gigabyte_is_not_decoded(registry, which):
    stored = bomb(GIB - 5)
    assert len(stored) < 33_000
    put(registry, with_blob(registry, which, stored, sha256(b"zeros"), GIB - 5))
    with within(2), pytest.raises(IntegrityError, match=rf"it claims to hold {GIB - 5} bytes where at most \d+ fit"):
        read(registry)


def test_zeros_for_a_network_that_wants_them_are_a_bomb_too(registry):
    """240 MB of weights, as the network wants them, in 8 KB: only that nothing trained compresses so well tells."""
    stored = bomb(240_000_000)
    into = with_blob(registry, "weights", stored, sha256(b"zeros"), 240_000_000)

    def change(value):
        into(value)
        architecture = value["content"]["origin"]["architecture"]
        architecture["layers"]["wide"] = {"kind": "dense", "units": 60_000}
        architecture["layers"]["wider"] = {"kind": "dense", "units": 1_000}
        architecture["calls"] += [
            {"id": "w:0", "layer": "wide", "inputs": ["hidden:0"]},
            {"id": "w:1", "layer": "wider", "inputs": ["w:0"]},
        ]
        architecture["features"] = "w:1"

    put(registry, change)
    with within(2), pytest.raises(IntegrityError, match="it claims to hold 240000000 bytes where at most"):
        read(registry)


def test_masks_of_more_nodes_than_any_network_has_are_refused(registry):
    """64 maps of 2^23 nodes each: a full mask for them is half a gigabit, and fits into some bytes."""

    def change(value):
        content = value["content"]
        content["origin"]["architecture"] |= {"input_shape": [2048, 2048, 2]}
        content["contract"] |= {"height": 2048, "width": 2048, "channels": 2}
        layers, calls = content["origin"]["architecture"]["layers"], []
        layers |= {"relu": {"kind": "relu"}, "mean": {"kind": "global_average_pooling2d"}}
        for number in range(64):
            calls.append({"id": f"r:{number}", "layer": "relu", "inputs": [f"r:{number - 1}" if number else "input"]})
        calls.append({"id": "mean:0", "layer": "mean", "inputs": ["r:63"]})
        content["origin"]["architecture"] |= {"calls": calls, "features": "mean:0"}
        content["sites"] = [{"id": f"r:{number}", "shape": [2048, 2048, 2]} for number in range(64)]
        for module in content["modules"]:
            module["stages"] = {name: [0] * 64 for name in module["stages"]}

    put(registry, change)
    manifest, origin = registry.manifest(REF), samples.origin()
    with within(2), pytest.raises(IntegrityError, match=f"have {2**29} nodes; at most {2**28} are allowed"):
        modules_from(manifest, lambda digest, record: registry.blob(record), origin=origin)


@pytest.mark.parametrize("extra", ["a" * 100_000, "\x1b[2J", "keep/\u202e"])
def test_an_array_that_nobody_asked_for_is_named_shortly(registry, extra):
    header = json.dumps({extra: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
    decoded = struct.pack("<Q", len(header)) + header
    # Where that many bytes are not wanted, nothing is decoded at all.
    stored = encode(decoded).stored
    put(registry, with_blob(registry, "weights", stored, sha256(decoded), len(decoded)))
    with pytest.raises(IntegrityError, match=r"lacks, or has too many of, the array|it claims to hold") as caught:
        read(registry)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_layer_that_takes_the_heads_name_is_refused(registry):
    def change(value):
        architecture = value["content"]["origin"]["architecture"]
        architecture["layers"]["head"] = {"kind": "dense", "units": 3}
        architecture["calls"].append({"id": "x", "layer": "head", "inputs": ["hidden:0"]})

    put(registry, change)
    with pytest.raises(IntegrityError, match="'x' names the unknown layer 'head'"):
        read(registry)
