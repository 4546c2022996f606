"""Append-only histories: what is altered, removed, swapped or raced is noticed, and then nothing is believed."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.errors import Conflict, Incompatible, IntegrityError, InvalidRef, ModhubError, NotFound
from modhub.registry.records import RecordLog
from modhub.registry.writer import Registry
from modhub.spec.digests import canonical_json, parse_json, sha256
from modhub.spec.registry_files import AliasRecord
from modhub.storage.urls import open_store


@pytest.fixture
def registry():
    return fresh()


def fresh(length=3):
    registry = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
    for number in range(1, length + 1):
        registry.set_alias("c10", f"cifar10/r{number}")
    return registry


def path(number, name="c10"):
    return f"records/alias/{name}/{number:06d}.json"


def altered(registry, number, **changes):
    value = parse_json(registry.store.get(path(number), max_bytes=10**5), what="x") | changes
    value.pop("checksum")
    return canonical_json(value | {"checksum": sha256(canonical_json(value))})


def test_the_newest_entry_counts_and_all_are_kept(registry):
    assert registry.alias("c10") == "cifar10/r3"
    log = RecordLog(registry.store, "alias", "c10", AliasRecord)
    assert [(record.number, record.target) for record in log.history()] == [
        (1, "cifar10/r1"),
        (2, "cifar10/r2"),
        (3, "cifar10/r3"),
    ]
    assert log.history()[2].previous == sha256(registry.store.get(path(2), max_bytes=10**5))


def test_an_alias_can_be_taken_back_and_given_again(registry):
    registry.set_alias("c10", None)
    assert registry.alias("c10") is None
    assert registry.aliases() == {}
    assert registry.set_alias("c10", "cifar10/r1").number == 5
    assert registry.aliases() == {"c10": "cifar10/r1"}


def test_a_name_that_never_was_an_alias_cannot_be_taken_back(registry):
    with pytest.raises(NotFound, match="there is no alias 'never' in memory://"):
        registry.set_alias("never", None)
    assert registry.alias_names() == ["c10"]


def test_setting_what_is_set_adds_nothing(registry):
    assert registry.set_alias("c10", "cifar10/r3").number == 3
    assert len(registry.store.list("records")) == 3


def test_an_unknown_alias_stands_for_nothing(registry):
    assert registry.alias("c100") is None
    assert registry.alias_names() == ["c10"]


@pytest.mark.parametrize("target", ["cifar10", "cifar10/r56:cat", "cifar10/r56@1.0.0", "../x", "A/b", ""])
def test_an_alias_stands_for_a_model_only(registry, target):
    with pytest.raises(InvalidRef):
        registry.set_alias("c10", target)
    assert len(registry.store.list("records")) == 3


@pytest.mark.parametrize("name", ["", "a/b", "..", "C10", "a b", "x" * 200])
def test_an_alias_is_one_word(registry, name):
    for use in (lambda: registry.alias(name), lambda: registry.set_alias(name, "a/b")):
        with pytest.raises(InvalidRef):
            use()


def test_the_number_that_somebody_took_first_is_a_conflict(registry):
    log = RecordLog(registry.store, "alias", "c10", AliasRecord)

    def make(number, previous):
        # Between the look at the history and the write, somebody else writes.
        registry.set_alias("c10", "cifar10/theirs")
        return AliasRecord(format=1, number=number, name="c10", target="cifar10/mine", previous=previous, created="now")

    with pytest.raises(Conflict, match="changed by somebody else at the same moment") as caught:
        log.append(log.entries(), make)
    assert caught.value.kind == "record-race"
    assert registry.alias("c10") == "cifar10/theirs"


def test_what_was_decided_on_an_older_history_is_not_added_to_a_newer_one(registry):
    log = RecordLog(registry.store, "alias", "c10", AliasRecord)
    seen = log.entries()
    registry.set_alias("c10", "cifar10/theirs")
    with pytest.raises(Conflict, match="changed by somebody else"):
        log.append(
            seen,
            lambda number, previous: AliasRecord(
                format=1, number=number, name="c10", target="cifar10/mine", previous=previous, created="now"
            ),
        )
    assert [record.target for record in log.history()][-1] == "cifar10/theirs"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_damaged_entry_makes_the_whole_history_unbelievable(registry, number):
    registry.store.replace(path(number), b"{}")
    for use in (lambda: registry.alias("c10"), registry.aliases, lambda: registry.set_alias("c10", "a/b")):
        with pytest.raises(IntegrityError, match=r"c10/00000" + str(number)):
            use()


def test_an_entry_rewritten_with_a_right_checksum_breaks_the_chain(registry):
    registry.store.replace(path(2), altered(registry, 2, target="evil/net"))
    with pytest.raises(IntegrityError, match=r"entry 3 .* does not follow from the entry before it") as caught:
        registry.alias("c10")
    assert caught.value.kind == "broken-history"


def test_a_gap_is_noticed():
    whole = fresh()
    registry = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
    for number in (1, 3):
        registry.store.replace(path(number), whole.store.get(path(number), max_bytes=10**5))
    with pytest.raises(IntegrityError, match=r"entry 2 of the alias 'c10' .* is missing"):
        registry.alias("c10")


@pytest.mark.parametrize(("source", "target"), [(path(1), path(1, "other")), (path(1), path(4)), (path(3), path(4))])
def test_an_entry_in_another_place_is_noticed(registry, source, target):
    registry.store.replace(target, registry.store.get(source, max_bytes=10**5))
    with pytest.raises(IntegrityError, match="says it is entry"):
        registry.alias(target.split("/")[2])


def test_an_entry_of_a_newer_format_is_not_guessed_at(registry):
    registry.store.replace(path(3), altered(registry, 3, format=2))
    with pytest.raises(Incompatible, match="upgrade"):
        registry.alias("c10")


@pytest.mark.parametrize("target", ["evil", "a/b/c", "../b", "a/b:c", 5])
def test_a_target_that_is_no_model_is_refused_on_reading(registry, target):
    registry.store.replace(path(3), altered(registry, 3, target=target))
    with pytest.raises(IntegrityError, match="target"):
        registry.alias("c10")


#: The entries' bytes, kept apart from the memory that all tests of a process share.
WHOLE = {each: registry.store.get(path(each), max_bytes=10**5) for registry in [fresh()] for each in (1, 2, 3)}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.data())
def test_no_changed_byte_goes_unnoticed(number, data):
    registry = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
    for each in (1, 2, 3):
        registry.store.replace(path(each), WHOLE[each])
    stored = bytearray(registry.store.get(path(number), max_bytes=10**5))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    registry.store.replace(path(number), bytes(stored))
    with pytest.raises((IntegrityError, Incompatible)) as caught:
        registry.alias("c10")
    assert isinstance(caught.value, ModhubError)
