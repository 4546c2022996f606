"""Yanks and tombstones: appended, signed when asked, never silently overruled, and shown by whatever is derived."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import pytest
from crashing import race
from named import pins_of
from synthetic import release

from modhub.errors import Conflict, IntegrityError, NotFound, UsageError
from modhub.limits import MAX_REASON_CHARS
from modhub.registry.writer import Registry
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.refs import ModelRef, ModuleRef
from modhub.storage.urls import open_store

REF = ModelRef("me", "net", "1.0.0")
NEWER = ModelRef("me", "net", "1.1.0")
WHY = "its dog answers wolf"


@pytest.fixture(params=["local", "memory"])
def registry(request, tmp_path):
    place = str(tmp_path / "registry") if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    registry = Registry(open_store(place))
    registry.publish(*release())
    registry.publish(*release(version="1.1.0", seed=1))
    return registry


def shown(registry):
    return [str(entry.ref) for entry in registry.entries()]


def test_a_yank_is_skipped_shown_and_undone(registry):
    assert registry.withdrawal(NEWER) is None
    assert registry.yank(NEWER, WHY) is True
    assert (registry.withdrawal(NEWER).kind, registry.withdrawal(NEWER).reason) == ("yanked", WHY)
    assert [str(pin.ref) for pin in pins_of(["me/net:cat"], [registry], {})] == ["me/net:cat@1.0.0"]
    assert shown(registry) == ["me/net@1.0.0"]
    assert [entry.yanked for entry in registry.index("me", "net").releases] == [None, WHY]
    assert registry.yank(NEWER, "again") is False
    assert registry.yank(NEWER, "it was the data", undo=True) is True
    assert registry.yank(NEWER, "it was the data", undo=True) is False
    assert registry.withdrawal(NEWER) is None
    assert shown(registry) == ["me/net@1.1.0"]
    assert len(registry.store.list("records/yank")) == 2
    assert registry.manifest(NEWER).content.version == "1.1.0"


def test_when_all_are_yanked_the_model_is_not_found(registry):
    for ref in (REF, NEWER):
        registry.yank(ref, WHY)
    assert shown(registry) == []
    with pytest.raises(NotFound, match=WHY):
        pins_of(["me/net"], [registry], {})


def test_a_tombstone_ends_a_release_for_good(registry):
    assert registry.take_down(NEWER, "its images were not ours").reason == "its images were not ours"
    assert registry.take_down(NEWER, "another reason").reason == "its images were not ours"
    assert registry.withdrawal(NEWER).kind == "taken-down"
    assert [entry.version for entry in registry.index("me", "net").releases] == ["1.0.0"]
    assert shown(registry) == ["me/net@1.0.0"]
    for again in (
        lambda: registry.publish(*release(version="1.1.0", seed=1)),
        lambda: registry.publish_next(*release(version=None, seed=1)),
        lambda: registry.yank(NEWER, "now"),
        lambda: registry.yank(NEWER, "now", undo=True),
    ):
        with pytest.raises(
            Conflict, match=r"me/net@1\.1\.0 was taken down from .*: its images were not ours"
        ) as caught:
            again()
        assert caught.value.kind == "taken-down"
    with pytest.raises(Conflict) as caught:
        registry.publish(*release(version="1.1.0", seed=2))
    assert caught.value.kind == "version-exists"
    assert str(registry.publish_next(*release(version=None, seed=9)).ref) == "me/net@1.2.0"


def test_publishing_what_is_yanked_again_says_so(registry):
    registry.yank(NEWER, WHY)
    again = registry.publish(*release(version="1.1.0", seed=1))
    assert (again.created, again.warnings) == (False, (f"me/net@1.1.0 is yanked: {WHY}",))


@pytest.mark.parametrize("reason", ["", "  ", "x" * (MAX_REASON_CHARS + 1), "two\nlines"])
def test_a_reason_that_says_nothing_or_too_much(registry, reason):
    for use in (lambda: registry.yank(REF, reason), lambda: registry.take_down(REF, reason)):
        with pytest.raises(UsageError, match=f"it must be one line of 1 to {MAX_REASON_CHARS} characters"):
            use()
    assert registry.store.list("records/yank") == registry.store.list("records/tombstone") == []


def test_a_release_that_is_not_there(registry):
    for use in (
        lambda: registry.yank(ModelRef("me", "net", "9.0.0"), WHY),
        lambda: registry.take_down(ModelRef("a", "b", "1.0.0"), WHY),
    ):
        with pytest.raises(NotFound, match="has no release"):
            use()


CAT = ModuleRef("me", "net", "cat", "1.1.0")


def test_a_class_is_yanked_shown_and_undone(registry):
    assert registry.yanked_classes(NEWER) == {}
    assert registry.yank_class(CAT, WHY) is True
    assert registry.yank_class(CAT, "again") is False
    assert registry.yanked_classes(NEWER) == {"cat": WHY}
    assert registry.withdrawal(NEWER) is None
    assert shown(registry) == ["me/net@1.1.0"]
    assert [entry.yanked_classes for entry in registry.index("me", "net").releases] == [{}, {"cat": WHY}]
    assert registry.yank_class(replace(CAT, cls="dog"), "too") is True
    assert registry.yanked_classes(NEWER) == {"cat": WHY, "dog": "too"}
    assert registry.yank_class(CAT, "it was the data", undo=True) is True
    assert registry.yanked_classes(NEWER) == {"dog": "too"}
    with pytest.raises(NotFound, match=r"me/net@1\.1\.0 has no class 'bird'"):
        registry.yank_class(replace(CAT, cls="bird"), WHY)
    with pytest.raises(UsageError):
        registry.yank_class(CAT, "two\nlines")
    registry.take_down(NEWER, "not ours")
    with pytest.raises(Conflict, match="was taken down"):
        registry.yank_class(CAT, WHY)


@pytest.mark.parametrize("kind", ["yank", "class-yank", "tombstone"])
@pytest.mark.parametrize("damage", ["garbage", "another's", "gap"])
def test_a_record_that_cannot_be_believed_fails_closed(registry, kind, damage):
    if kind == "class-yank":
        registry.yank_class(replace(CAT, version="1.0.0"), WHY)
    else:
        registry.yank(REF, WHY) if kind == "yank" else registry.take_down(REF, WHY)
    path = f"records/{kind}/me/net/1.0.0/000001.json"
    data = registry.store.get(path, max_bytes=10**5)
    if damage == "garbage":
        registry.store.replace(path, data[:-5])
    elif damage == "another's":
        registry.store.replace(path.replace("1.0.0", "1.1.0"), data)
    else:
        registry.store.delete(path)
        registry.store.replace(path.replace("000001", "000002"), data)
    ref = NEWER if damage == "another's" else REF
    with pytest.raises(IntegrityError):
        (registry.yanked_classes if kind == "class-yank" else registry.withdrawal)(ref)
    with pytest.raises(IntegrityError):
        pins_of([f"me/net:cat@{ref.version}"], [registry], {})


def test_a_false_flag_with_a_right_checksum_is_still_an_entry_of_its_history(registry):
    """A host may write what it likes where nothing is signed, but it cannot change a history in its middle."""
    registry.yank(REF, WHY)
    registry.yank(REF, WHY, undo=True)
    path = "records/yank/me/net/1.0.0/000001.json"
    value = json.loads(registry.store.get(path, max_bytes=10**5)) | {"reason": "another"}
    value.pop("checksum")
    registry.store.replace(path, canonical_json(value | {"checksum": sha256(canonical_json(value))}))
    with pytest.raises(IntegrityError, match="does not follow from the entry before it"):
        registry.withdrawal(REF)


def yank(url, racer, cls=None):
    registry = Registry(open_store(url))
    try:
        if cls is not None:
            return registry.yank_class(ModuleRef("me", "net", cls, "1.0.0"), f"reason {racer}")
        return registry.yank(REF, f"reason {racer}")
    except Conflict as error:
        return error.kind


def test_of_racing_yanks_one_is_written_and_the_others_are_told(tmp_path):
    registry = Registry(open_store(str(tmp_path)))
    registry.publish(*release())
    answers = race(yank, [(str(tmp_path), racer) for racer in range(8)])
    assert answers.count(True) == 1
    assert set(answers) <= {True, False, "record-race"}
    assert registry.withdrawal(REF).reason == f"reason {answers.index(True)}"


def test_of_racing_yanks_of_a_class_one_is_written_and_the_others_are_told(tmp_path):
    registry = Registry(open_store(str(tmp_path)))
    registry.publish(*release())
    answers = race(yank, [(str(tmp_path), racer, "cat") for racer in range(4)])
    assert answers.count(True) == 1
    assert set(answers) <= {True, False, "record-race"}
    assert registry.yanked_classes(REF) == {"cat": f"reason {answers.index(True)}"}


def test_a_tombstone_holds_the_name_even_without_its_manifest(registry):
    registry.take_down(NEWER, "not ours")
    registry.store.delete("releases/me/net/1.1.0.json")
    with pytest.raises(Conflict, match=r"me/net@1\.1\.0 was taken down"):
        registry.publish(*release(version="1.1.0", seed=1))


def test_doing_it_again_mends_the_index_that_a_crash_left_behind(registry):
    registry.yank(NEWER, WHY)
    registry.store.delete("index/me/net.json")
    assert registry.yank(NEWER, WHY) is False
    assert registry.store.exists("index/me/net.json")
