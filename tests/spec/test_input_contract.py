"""Both kinds of contract in files: what is written is read again, in the right format, and compared as one would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from modhub.errors import Incompatible, IntegrityError, InvalidData
from modhub.registry.index import entry_of
from modhub.spec.contract import check_images, check_same_input, contract_of, input_key, mismatches
from modhub.spec.digests import canonical_json
from modhub.spec.input_contract import ArrayContract, ImageContract, InputContract
from modhub.spec.manifest import Manifest, digest_of, format_of, read_manifest, write_manifest
from modhub.spec.registry_files import IndexEntry
from tests.synthetic import release

CONTRACTS = TypeAdapter(InputContract)
SAMPLES = Path(__file__).parent / "samples"
EXTENT = st.integers(1, 65_536)
NUMBER = st.floats(-1e30, 1e30)


@st.composite
def contracts(draw) -> InputContract:
    low = draw(NUMBER)
    high = draw(NUMBER.filter(lambda value: value > low)) if low < 1e30 else 2e30
    shape = draw(st.lists(EXTENT, min_size=1, max_size=3))
    places = st.sampled_from([1, shape[-1]]) if shape[-1] < 9 else st.just(1)
    numbers = {
        "mean": draw(st.none() | places.flatmap(lambda n: st.tuples(*[NUMBER] * n))),
        "std": draw(st.none() | places.flatmap(lambda n: st.tuples(*[st.floats(0.125, 8.0)] * n))),
        "rescale": draw(NUMBER),
        "dtype": draw(st.sampled_from(["uint8", "float32"])),
        "value_range": (low, high),
    }
    if len(shape) < 3:
        return ArrayContract(shape=tuple(shape), **numbers)
    height, width, channels = shape
    colour = draw(st.sampled_from(["rgb", "bgr", "grey", "other"]))
    return ImageContract(height=height, width=width, channels=channels, colour=colour, **numbers)


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(contracts())
def test_a_contract_comes_back_as_what_it_was(contract):
    text = canonical_json(contract.model_dump(mode="json"))
    found = CONTRACTS.validate_json(text)
    assert found == contract
    assert type(found) is type(contract)
    assert canonical_json(found.model_dump(mode="json")) == text
    assert not mismatches(found, contract)
    assert input_key(found) == input_key(contract)


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(contracts(), contracts())
def test_two_contracts_disagree_exactly_where_their_keys_do(first, second):
    assert bool(mismatches(first, second)) == (input_key(first) != input_key(second))
    assert [m.field for m in mismatches(first, second)] == [m.field for m in mismatches(second, first)]


@settings(max_examples=60, derandomize=True, database=None, deadline=None)
@given(contracts())
def test_a_release_says_the_format_of_its_contract(contract):
    content = release()[0].content.model_copy(update={"contract": contract})
    is_old = isinstance(contract, ImageContract) and contract.colour != "bgr"
    assert format_of(content) == (1 if is_old else 3)


def test_contracts_of_images_say_no_kind_and_are_the_bytes_that_they_were():
    contract = ImageContract(height=4, width=4, channels=1, dtype="uint8", value_range=(0, 255), colour="grey")
    assert canonical_json(contract.model_dump(mode="json")) == (
        b'{"channels":1,"colour":"grey","dtype":"uint8","height":4,"mean":null,"rescale":1.0,"std":null,'
        b'"value_range":[0.0,255.0],"width":4}'
    )


def with_contract(contract: InputContract, format: int) -> bytes:
    manifest = release()[0]
    content = manifest.content.model_copy(update={"contract": contract})
    fields = {"format": format, "content": content, "digest": digest_of(content)}
    return write_manifest(Manifest.model_construct(**{**vars(manifest), **fields}))


@pytest.mark.parametrize(
    "contract",
    [
        ArrayContract(shape=(784,), dtype="uint8", value_range=(0, 255)),
        ImageContract(height=4, width=4, channels=3, dtype="uint8", value_range=(0, 255), colour="bgr"),
    ],
)
def test_a_release_of_a_later_contract_cannot_say_an_earlier_format(contract):
    assert read_manifest(with_contract(contract, 3), what="x").content.contract == contract
    with pytest.raises(IntegrityError, match="what it holds needs format 3, but it says 2"):
        read_manifest(with_contract(contract, 2), what="x")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "tokens"}, "does not match any of the expected tags"),
        ({"kind": "array", "shape": []}, "at least 1 item"),
        ({"kind": "array", "shape": [2, 2, 2]}, "at most 2 items"),
        ({"kind": "array", "shape": [0]}, "greater than or equal to 1"),
        ({"kind": "array", "shape": [3], "mean": [1.0, 2.0]}, "2 numbers for 3 channels"),
        ({"kind": "array", "shape": [3], "value_range": [1.0, 1.0]}, "an empty value range"),
    ],
)
def test_what_is_no_contract_is_refused(value, message):
    with pytest.raises(ValidationError, match=message):
        CONTRACTS.validate_python({"dtype": "uint8", "value_range": (0.0, 255.0)} | value)


def test_a_sample_of_format_3_reads_and_is_written_as_it_was():
    data = (SAMPLES / "release-format-3.json").read_bytes()
    manifest = read_manifest(data, what="sample")
    assert manifest.format == 3
    assert manifest.content.contract == ArrayContract(
        shape=(5,), dtype="float32", value_range=(-4.0, 4.0), mean=(0.5,), std=(2.0,)
    )
    assert manifest.content.origin.architecture.input_shape == (5,)
    assert write_manifest(manifest) == data


@pytest.mark.parametrize("shape", [(784,), (28, 28)])
def test_the_index_shows_arrays_also_to_a_modhub_that_knows_images_only(shape):
    manifest = release()[0]
    contract = ArrayContract(shape=shape, dtype="uint8", value_range=(0, 255))
    arrays = manifest.model_copy(update={"content": manifest.content.model_copy(update={"contract": contract})})
    entry = entry_of(arrays)
    assert entry.array_shape == shape
    assert len(entry.input_shape) == 3
    assert np.prod(entry.input_shape) == 784
    written = json.loads(entry.model_dump_json())
    assert IndexEntry.model_validate(written) == entry
    assert "array_shape" not in json.loads(entry_of(manifest).model_dump_json())


# What arrays are compared by


def array(*shape: int, values=(0.0, 1.0)) -> ArrayContract:
    return ArrayContract(shape=shape, dtype="float32", value_range=values)


def test_arrays_and_images_conflict_naming_both():
    image = ImageContract(height=28, width=28, channels=1, dtype="uint8", value_range=(0, 255), colour="grey")
    with pytest.raises(Incompatible) as caught:
        check_same_input("a/net:cat", array(784), "b/net:dog", image)
    assert str(caught.value) == (
        "cannot compose a/net:cat with b/net:dog: input array of 784 vs 28x28x1 grey. "
        "Hint: take modules of equal inputs."
    )
    with pytest.raises(Incompatible, match=r"input array of 784 vs array of 28x28\."):
        check_same_input("a/net:cat", array(784), "b/net:dog", array(28, 28))


def test_ranges_that_were_observed_are_one():
    assert not mismatches(array(4, values=(-2.5, 3.0)), array(4, values=(-3.0, 2.0)))
    differing = mismatches(array(4, values=(-2.5, 3.0)), array(4))
    assert [(m.field, m.first, m.second) for m in differing] == [("value range", "-2.5..3", "0..1")]


@pytest.mark.parametrize("values", [(0.0, 1.0), (0.0, 255.0), (-7.0, 9.0)])
def test_rows_may_exceed_what_was_seen_but_not_by_far(values):
    low, high = values
    contract = array(2, values=values)
    check_images(np.array([[low - 0.5 * (high - low), high]]), contract)
    far = np.array([[low, high + 3 * (high - low)]])
    if values == (-7.0, 9.0):
        check_images(far, contract)
    else:
        with pytest.raises(InvalidData, match="hold values"):
            check_images(far, contract)


def test_small_rows_of_a_table_are_not_taken_for_rescaled_ones():
    check_images(np.array([[0.5, 0.25]]), array(2, values=(0.0, 7.9)))
    with pytest.raises(InvalidData, match=r"hold floats up to 0\.5; the modules take raw values 0\.\.255"):
        check_images(np.array([[0.5, 0.25]]), array(2, values=(0.0, 255.0)))


@pytest.mark.parametrize(
    ("x", "hint"),
    [
        (np.zeros((3, 28, 28)), "put the numbers of each in a row: x.reshape(len(x), -1)."),
        (np.zeros(784), "a single input needs a first axis: x[None]."),
        (np.zeros((3, 5)), "give one array of 784 an input, the first axis counting them."),
    ],
)
def test_arrays_of_another_shape_say_what_helps(x, hint):
    with pytest.raises(InvalidData) as caught:
        check_images(x, array(784))
    assert hint in str(caught.value)
    assert "wanted (N, 784)" in str(caught.value)


def test_arrays_speak_for_their_contract():
    rows = np.array([[1.0, -4.0], [2.0, 4.5]])
    contract = contract_of(rows, rescale=2.0, mean=(1.0, 2.0), std=None)
    assert contract == ArrayContract(shape=(2,), dtype="float32", value_range=(-4.0, 4.5), rescale=2.0, mean=(1.0, 2.0))
    assert contract_of(rows[None].astype(np.uint8), rescale=1.0, mean=None, std=None).value_range == (0, 255)
