"""Canonical JSON and digests: one value, one text; and no hostile text gets further."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.errors import IntegrityError
from modhub.limits import MAX_JSON_DEPTH
from modhub.spec.digests import canonical_json, parse_digest, parse_json, sha256

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_canonical_json_comes_back(value):
    data = canonical_json(value)
    assert parse_json(data, what="x") == value
    assert canonical_json(parse_json(data, what="x")) == data


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63) + 1, 2**63 - 1), min_size=2)
)
def test_the_order_of_keys_does_not_matter(value):
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_canonical_form():
    assert canonical_json({"b": [1, 2.5, None, True], "a": "é\n"}) == '{"a":"é\\n","b":[1,2.5,null,true]}'.encode()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_canonical_json_has_no_infinities(number):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([number])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a":1}x', "Extra data"),
        (b"\xff", "not valid JSON"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a":1,"a":1}', "the same key twice"),
        (b'{"x":{"a":1,"\\u0061":2}}', "the same key twice"),
        (b"NaN", "NaN is not a JSON number"),
        (b"[Infinity]", "Infinity is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b"1e400", "the number 1e400 is beyond what a float holds"),
        (b"-1e400", "-1e400"),
        (b"9" * 5000, "not valid JSON"),
        (b'"\\ud800"', "not valid JSON"),
        (b'{"\\udc00":1}', "not valid JSON"),
        (b"[" * 100 + b"]" * 100, "nested deeper than 64 levels"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested deeper than 64 levels"),
        (b"[" * 400_000, "nested too deeply"),
        (b"[" * 400_000 + b"]" * 400_000, "nested too deeply"),
    ],
)
def test_hostile_json_is_refused_by_name(data, says):
    with pytest.raises(IntegrityError) as caught:
        parse_json(data, what="the file x")
    assert str(caught.value).startswith("the file x is ")
    assert says in str(caught.value)
    assert caught.value.kind == "bad-json"
    assert len(str(caught.value)) < 500


def test_the_deepest_nesting_that_is_allowed():
    levels = MAX_JSON_DEPTH - 1
    assert parse_json(b"[" * levels + b"1" + b"]" * levels, what="x")


def test_whole_pairs_of_surrogates_are_fine():
    assert parse_json(b'"\\ud83d\\ude00"', what="x") == "😀"


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u0123456789dDeE+-.nulltrefasNIi ').map(str.encode))
def test_any_bytes_are_json_or_an_integrity_error(data):
    try:
        value = parse_json(data, what="x")
    except IntegrityError:
        return
    assert json.loads(canonical_json(value)) == value


@given(st.binary())
def test_a_digest_is_the_standards(data):
    digest = sha256(data)
    assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert parse_digest(digest) == digest


@pytest.mark.parametrize(
    "text",
    ["", "sha256:", "a" * 64, "sha256:" + "a" * 63, "sha256:" + "a" * 65, "sha256:" + "A" * 64, f"sha256:{'a' * 64}\n",
     "sha256:" + "g" * 64, "sha512:" + "a" * 64, " sha256:" + "a" * 64, "sha256:" + "../" * 21 + "a", None, 5],
)  # fmt: skip
def test_what_is_no_digest(text):
    with pytest.raises(IntegrityError) as caught:
        parse_digest(text)
    assert caught.value.kind == "bad-digest"


BIG = 10**3000


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, BIG, -BIG])
def test_a_number_beyond_64_bits_is_refused_everywhere(number):
    for text in (f"{number}", f'{{"a":[{number}]}}', f'{{"unknown":{number}}}'):
        with pytest.raises(IntegrityError, match=r"the number -?[0-9]{1,40} is beyond 64 bits") as caught:
            parse_json(text.encode(), what="it")
        assert len(str(caught.value)) < 200


def test_numbers_of_thousands_of_digits_are_refused_also_where_python_reads_them():
    with pytest.raises(IntegrityError, match="is beyond 64 bits"):
        parse_json(b'{"a":' + b"9" * 100_000 + b"}", what="it")


def test_the_largest_numbers_and_digits_in_texts_are_read():
    value = {"a": 2**63 - 1, "b": -(2**63) + 1, "c": "1" * 5_000, "d": [0.1234567890123456789]}
    assert parse_json(canonical_json(value), what="it") == value


@pytest.mark.parametrize(
    "value",
    [
        {f"k{i}": 1 for i in range(490_000)},
        {"a": [{f"k{i}": 1 for i in range(10_000)} for _ in range(49)]},
        {"a": {"b": {f"k{i}": "x" for i in range(20_001)}}},
    ],
    ids=["one object", "many", "just too many"],
)
def test_a_flood_of_keys_is_refused(value):
    with pytest.raises(IntegrityError, match="large objects have more than 20000 keys") as caught:
        parse_json(canonical_json(value), what="it")
    assert caught.value.kind == "bad-json"


def test_many_blobs_and_many_layers_are_no_flood():
    value = {"blobs": {sha256(b"%d" % i): 1 for i in range(30_000)}, "layers": {f"l{i}": 1 for i in range(10_000)}}
    assert parse_json(canonical_json(value), what="it") == value
