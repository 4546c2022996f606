"""Advisories and deprecations: appended, signed when asked, never silently overruled, shown by one derived file."""

from __future__ import annotations

import json
import uuid

import pytest
from crashing import race
from hypothesis import given
from hypothesis import strategies as st
from semantic_version import SimpleSpec, Version
from synthetic import release

from modhub.errors import Conflict, IntegrityError, InvalidRef, NotFound, UsageError
from modhub.limits import MAX_REASON_CHARS
from modhub.registry.advising import AdvisoryDraft
from modhub.registry.notices import confirms_advisory, notices_of
from modhub.registry.reader import RegistryReader
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.signing.policy import Trust
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.advisories import Advisory, Affected, affected_ranges
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModelRef, ModuleRef
from modhub.storage.urls import open_store

WHY = "answers wolf"
CAT = Affected(model="net", classes=("cat",), ranges=affected_ranges("^1"))
DRAFT = AdvisoryDraft("me", WHY, "high", (CAT,), "other/net:cat", evidence={"report.html": b"<b>wolf</b>"})


@pytest.fixture(params=["local", "memory"])
def registry(request, tmp_path):
    place = str(tmp_path / "registry") if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    registry = Registry(open_store(place))
    registry.publish(*release())
    registry.publish(*release(version="1.1.0", seed=1))
    return registry


def said(registry, **options):
    return {each.id: each for each in notices_of(registry, "me", **options).advisories}


def test_an_advisory_is_written_shown_changed_and_taken_back(registry):
    done = registry.advise(DRAFT)
    advisory = done.advisory
    assert (done.changed, done.entries) == (True, 1)
    assert [advisory.covers("net", *each) for each in (("cat", "1.0.0"), ("cat", "1.9.9-rc.1"), (None, "1.0.0"))] == [
        True, True, True,
    ]  # fmt: skip
    for model, slug, version in (("net", "dog", "1.0.0"), ("net", "cat", "2.0.0-rc.1"), ("x", "cat", "1.0.0")):
        assert not advisory.covers(model, slug, version)
    assert said(registry)[advisory.id].number == 1
    evidence = advisory.evidence[0]
    assert registry.store.get(blob_path(evidence.sha256), max_bytes=100) == b"<b>wolf</b>"

    changed = registry.change_advisory(advisory.id, fixed="1.1.0", severity="low")
    assert (changed.entries, changed.advisory.published) == (2, advisory.published)
    assert not changed.advisory.covers("net", "cat", "1.1.0")
    assert changed.advisory.fixed == ("1.1.0",)
    # The same command once more, by a script or after a lost answer, does not undo the change.
    again = registry.advise(DRAFT)
    assert (again.changed, again.advisory) == (False, changed.advisory)

    gone = registry.withdraw_advisory(advisory.id)
    assert gone.advisory.withdrawn is not None
    assert not gone.advisory.covers("net", "cat", "1.0.0")
    assert registry.withdraw_advisory(advisory.id).changed is False
    assert registry.advise(DRAFT).advisory.covers("net", "cat", "1.1.0")
    assert [each.number for each in said(registry, thorough=True).values()] == [4]


def test_what_it_is_about_has_to_be_there(registry):
    dog = Affected(model="net", classes=("wolf",), ranges=affected_ranges(None))
    late = Affected(model="net", ranges=affected_ranges("^3"))
    nut = Affected(model="nut", ranges=late.ranges)
    for affected, kind in ((nut, "no-model"), (dog, "no-class"), (late, "no-version")):
        with pytest.raises(NotFound) as caught:
            registry.advise(AdvisoryDraft("me", WHY, "low", (affected,)))
        assert caught.value.kind == kind
    for use in (registry.change_advisory, registry.withdraw_advisory):
        with pytest.raises(NotFound, match="has no advisory 'modhub-aaaa-aaaa-aaaa'"):
            use("modhub-aaaa-aaaa-aaaa")
    assert registry.store.list("records") == []


@pytest.mark.parametrize("reason", ["", "x" * (MAX_REASON_CHARS + 1), "x" * 2**20, "two\nlines", "\x1b[2J", "a\x9bm"])
def test_a_hostile_text_is_refused_when_it_is_written(registry, reason):
    for use in (
        lambda: registry.advise(AdvisoryDraft("me", reason, "low", (CAT,))),
        lambda: registry.deprecate("me/net", reason),
    ):
        with pytest.raises(UsageError, match="the reason"):
            use()
    assert registry.store.list("records") == []


@pytest.mark.parametrize("text", ["x" * 2**20, "\x1b[2J", "two\nlines", "", 5, None])
def test_a_hostile_text_is_refused_when_it_is_read(registry, text):
    """Also with a right checksum, in a record as in the derived file."""
    advisory = registry.advise(DRAFT).advisory
    for path, change in (
        (f"records/advisory/me/{advisory.id}/000001.json", lambda value: value["advisory"].update(summary=text)),
        ("notices/me.json", lambda value: value["advisories"][0].update(summary=text)),
    ):
        value = json.loads(registry.store.get(path, max_bytes=10**6))
        value.pop("checksum")
        change(value)
        registry.store.replace(path, canonical_json(value | {"checksum": sha256(canonical_json(value))}))
    with pytest.raises(IntegrityError):
        notices_of(registry, "me")
    with pytest.raises(IntegrityError):
        notices_of(registry, "me", thorough=True)
    assert not confirms_advisory(registry, "me", advisory.id)


def test_a_broken_history_hides_no_other(registry):
    broken = registry.advise(DRAFT).advisory.id
    other = registry.advise(AdvisoryDraft("me", "another", "low", (CAT,))).advisory.id
    registry.store.replace(f"records/advisory/me/{broken}/000001.json", b"{}")
    assert len(reindex(registry)) == 1
    assert list(said(registry)) == [other]


def test_what_a_crash_kept_out_of_the_file_is_seen_and_mended(registry):
    advisory = registry.advise(DRAFT).advisory
    registry.store.delete("notices/me.json")
    assert said(registry) == {}
    assert list(said(registry, thorough=True)) == [advisory.id]
    assert registry.advise(DRAFT).changed is False
    assert list(said(registry)) == [advisory.id]


def test_one_file_says_what_was_withdrawn_too(registry):
    registry.yank(ModelRef("me", "net", "1.0.0"), WHY)
    registry.yank_class(ModuleRef("me", "net", "cat", "1.1.0"), WHY)
    registry.yank(ModelRef("me", "net", "1.0.0"), "fine", undo=True)
    found = notices_of(registry, "me")
    assert [(each.version, each.kind, dict(each.yanked_classes)) for each in found.releases] == [
        ("1.0.0", None, {}), ("1.1.0", None, {"cat": WHY}),
    ]  # fmt: skip
    registry.take_down(ModelRef("me", "net", "1.1.0"), "not ours")
    assert notices_of(registry, "me").releases[1].kind == "taken-down"
    assert notices_of(registry, "me") == notices_of(registry, "me", thorough=True)


def test_a_deprecation_is_said_and_taken_back(registry):
    assert registry.deprecate("me/net", "few images", use="other/net") is True
    assert registry.deprecate("me/net", "few images", use="other/net") is False
    (one,) = notices_of(registry, "me").deprecations
    assert (one.model, one.deprecated, one.use, one.reason) == ("net", True, "other/net", "few images")
    assert registry.deprecate("me/net", "maintained again", undo=True) is True
    assert registry.deprecate("me/net", "maintained again", undo=True) is False
    assert [each.deprecated for each in notices_of(registry, "me").deprecations] == [False]
    with pytest.raises(NotFound, match="has no model me/nut"):
        registry.deprecate("me/nut", WHY)
    with pytest.raises(InvalidRef):
        registry.deprecate("me/net:cat", WHY)


def test_an_advisory_that_nobody_trusted_signed_does_not_count(registry):
    alice, mallory = new_signer("alice"), new_signer("mallory")
    signed = registry.advise(DRAFT, signer=alice).advisory.id
    unsigned = registry.advise(AdvisoryDraft("me", "lies", "critical", (CAT,)), signer=mallory).advisory.id
    trust = Trust((TrustedKey(key=str(alice.public), name="alice", namespaces=("me",)),), required=True)
    reader = RegistryReader(registry.store, trust=trust)
    assert [confirms_advisory(reader, "me", each) for each in (signed, unsigned)] == [True, False]
    assert confirms_advisory(registry, "me", unsigned)
    # Nor may a stranger go on with a history, as long as signatures are asked for.
    with pytest.raises(IntegrityError):
        Registry(registry.store, trust=trust).change_advisory(unsigned, severity="low")


def advise(url, summary):
    try:
        return Registry(open_store(url)).advise(AdvisoryDraft("me", summary, "low", (CAT,))).changed
    except Conflict as error:
        return error.kind


def test_of_racing_advisories_none_is_lost(tmp_path):
    """Four say the same, of which one is written; two others say something else, beside them."""
    registry = Registry(open_store(str(tmp_path)))
    registry.publish(*release())
    texts = ["same"] * 4 + ["another", "third"]
    answers = race(advise, [(str(tmp_path), text) for text in texts])
    assert answers[:4].count(True) == 1
    assert set(answers[:4]) <= {True, False, "record-race"}
    assert answers[4:] == [True, True]
    assert sorted(each.summary for each in said(registry).values()) == ["another", "same", "third"]


def test_the_loser_of_a_race_is_told_and_nothing_is_overruled(registry):
    advisory = registry.advise(DRAFT).advisory.id
    log = registry.authenticated(f"me/{advisory}", type_of_record(), "me")
    registry.change_advisory(advisory, severity="low")
    record = log[-1][0]
    with pytest.raises(Conflict) as caught:
        registry._append(type(record), record.name, log, None, advisory=record.advisory)
    assert caught.value.kind == "record-race"


def type_of_record():
    from modhub.spec.advisories import AdvisoryRecord

    return AdvisoryRecord


VERSIONS = st.builds("{}.{}.{}{}".format, *[st.integers(0, 3)] * 3, st.sampled_from(["", "", "-0", "-rc.1"]))


@given(st.sampled_from(["^1", "~1.2", ">=1,<2", "<2", "^0.3", "1.*", "*", "<=1.2", "^1.1.0"]), VERSIONS)
def test_the_ranges_are_those_of_names(wanted, version):
    """Of releases; pre-releases count where they are inside, because what is faulty was so before."""
    (span,) = affected_ranges(wanted)
    if "-" not in version:
        assert span.covers(version) is SimpleSpec(wanted).match(Version(version))
    (fixed,) = affected_ranges(wanted, "1.2.0")
    assert fixed.covers(version) is (span.covers(version) and Version(version) < Version("1.2.0"))


@pytest.mark.parametrize("wanted", [">1.0.0", "!=1.2.0", "nonsense"])
def test_a_range_without_one_beginning_and_end_is_refused(wanted):
    with pytest.raises(InvalidRef):
        affected_ranges(wanted)


def test_an_advisory_reads_back_as_it_was_written(registry):
    advisory = registry.advise(DRAFT).advisory
    assert Advisory.model_validate_json(advisory.model_dump_json()) == advisory
