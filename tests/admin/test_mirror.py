"""Copying registries: byte by byte, verified, again to continue, and nothing in the target is ever overwritten."""

from __future__ import annotations

import shutil

import pytest
from admin_stores import Watched, copied, examined, memory, snapshot
from named import pins_of
from servers import static_server
from synthetic import release

from modhub.cache.cache import Cache
from modhub.errors import Conflict, IntegrityError, InvalidRef, NotFound, RegistryUnreachable, Untrusted, UsageError
from modhub.installation.install import install_pinned
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.mirror import mirror
from modhub.registry.admin.takedown import take_down
from modhub.registry.reader import RegistryReader
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.signing.policy import Trust
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.layout import blob_path, index_path, record_path, release_path
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store

REF = ModelRef("me", "net", "1.0.0")
NEWER = ModelRef("me", "net", "1.1.0")
GONE = ModelRef("me", "net", "2.0.0")
YOURS = ModelRef("you", "net", "1.0.0")
ALICE = new_signer("alice")
TRUST = Trust((TrustedKey(key=str(ALICE.public), name="alice", namespaces=("*",)),), required=True)


def furnished(store):
    registry = Registry(store)
    registry.publish(*release(classes=("cat", "dog")), signer=ALICE)
    registry.publish(*release(version="1.1.0", classes=("cat", "dog", "owl")), signer=ALICE)
    registry.publish(*release(version="2.0.0", classes=("cat", "dog"), seed=2), signer=ALICE)
    registry.publish(*release("you/net", classes=("owl", "bat")), signer=ALICE)
    registry.yank(NEWER, "its owl is a bat", signer=ALICE)
    take_down(registry, GONE, "not ours", signer=ALICE)
    registry.set_alias("pets", "you/net", signer=ALICE)
    registry.set_alias("pets", "me/net", signer=ALICE)
    registry.set_alias("birds", "you/net", signer=ALICE)
    registry.revoke_key(new_signer("bob"), "lost")
    return registry


@pytest.fixture
def source():
    return furnished(memory())


@pytest.fixture
def target():
    return Registry(memory())


def contents(registry):
    """All bytes that a copy has to keep."""
    kept = ("blobs", "releases", "records", "signatures", "index", "catalog")
    return {path: data for path, data in snapshot(registry.store).items() if path.startswith(kept)}


def test_a_copy_has_the_very_bytes(source, target):
    done = mirror(source, target)
    assert (done.source, done.target) == (source.url, target.url)
    assert (set(done.copied), done.present, done.taken_down) == ({REF, NEWER, YOURS}, (), (GONE,))
    assert (done.entries, done.problems) == (6, ())
    # A blob that two releases share is fetched once.
    assert done.fetched == sum(len(data) for path, data in snapshot(source.store).items() if path.startswith("blobs"))
    assert contents(target) == contents(source)
    assert examined(target.store).findings == ()


def test_again_it_fetches_nothing(source, target):
    mirror(source, target)
    before = snapshot(target.store)
    again = mirror(source, target)
    assert (again.copied, set(again.present), again.taken_down) == ((), {REF, NEWER, YOURS}, (GONE,))
    assert (again.entries, again.fetched, again.problems) == (0, 0, ())
    assert snapshot(target.store) == before


def test_it_catches_up(source, target):
    mirror(source, target)
    source.publish(*release(version="1.2.0", classes=("cat", "dog"), module_bytes=500))
    source.yank(REF, "old")
    source.set_alias("pets", None)
    take_down(source, NEWER, "not ours either")
    done = mirror(source, target)
    assert (done.copied, done.entries) == ((ModelRef("me", "net", "1.2.0"),), 3)
    # Only blobs that the copy did not have: the weights are of the same bytes.
    assert done.fetched == 500 + 501
    assert contents(target).items() >= contents(source).items()
    # Blobs of what was taken down meanwhile are orphans in the copy.
    assert {found.kind for found in examined(target.store).findings} == {"orphaned-blob"}
    assert target.withdrawal(NEWER).kind == "taken-down"


def test_damage_in_the_copy_is_repaired_by_copying_again(source, target):
    mirror(source, target)
    blobs = sorted(release(classes=("cat", "dog"))[1])
    target.store.replace(blob_path(blobs[0]), b"rotten")
    target.store.delete(blob_path(blobs[1]))
    done = mirror(source, target)
    assert done.copied == (REF,)
    assert done.fetched == sum(len(release(classes=("cat", "dog"))[1][digest]) for digest in blobs[:2])
    assert contents(target) == contents(source)


@pytest.mark.parametrize(
    ("refs", "releases", "aliases"),
    [
        (["me/net"], [REF, NEWER, GONE], {"pets": "me/net"}),
        (["me/net@1.0.0"], [REF], {"pets": "me/net"}),
        (["me/net@^1"], [REF, NEWER], {"pets": "me/net"}),
        (["me/net@>=1.1", "you/net@1.0.0"], [NEWER, GONE, YOURS], {"pets": "me/net", "birds": "you/net"}),
        (["you/net"], [YOURS], {"birds": "you/net"}),
        (["you/net", "you/net@1.0.0"], [YOURS], {"birds": "you/net"}),
    ],
)
def test_only_what_was_named_is_copied(source, target, refs, releases, aliases):
    done = mirror(source, target, refs)
    assert sorted([*done.copied, *done.taken_down]) == sorted(releases)
    assert target.store.list("releases") == sorted(map(release_path, releases))
    assert target.aliases() == aliases
    # Which keys are lost everybody has to know.
    assert target.store.list("records/revocation") == source.store.list("records/revocation")
    assert examined(target.store).findings == ()


def test_a_range_means_no_pre_releases_but_a_model_means_all(source, target):
    source.publish(*release("me/pre", "1.1.0-rc.1"))
    source.publish(*release("me/pre", "1.0.0"))
    assert mirror(source, target, ["me/pre@^1"]).copied == (ModelRef("me", "pre", "1.0.0"),)
    assert mirror(source, target, ["me/pre"]).copied == (ModelRef("me", "pre", "1.1.0-rc.1"),)


@pytest.mark.parametrize(
    ("ref", "error", "text"),
    [
        ("me/none", NotFound, "has no release me/none."),
        ("me/net@9.0.0", NotFound, "has no release me/net@9.0.0."),
        ("me/net@^9", NotFound, "has no release me/net@^9."),
        ("me/net:cat", InvalidRef, "'me/net:cat' names no model: registries are copied by whole releases."),
        ("pets", InvalidRef, "'pets' names no model"),
        ("me/net@x", InvalidRef, "'x' is neither a version nor a version range."),
        ("", InvalidRef, "an empty name was given."),
    ],
)
def test_a_name_that_means_nothing_is_refused_before_anything_is_copied(source, target, ref, error, text):
    with pytest.raises(error) as caught:
        mirror(source, target, ["you/net", ref])
    assert text in str(caught.value)
    assert snapshot(target.store) == {}


def test_a_registry_is_not_copied_onto_itself_nor_from_nowhere_nor_to_what_is_not_writable(source, target, tmp_path):
    with pytest.raises(UsageError, match="cannot be copied onto itself") as caught:
        mirror(source, Registry(source.store))
    assert caught.value.kind == "same-registry"
    with pytest.raises(RegistryUnreachable, match="there is no registry at"):
        mirror(target, source)
    with pytest.raises(RegistryUnreachable, match="is read-only"):
        mirror(source, Registry(LocalStore(tmp_path, writable=False)))


# What goes wrong


def problems_of(done):
    return [(type(problem), problem.kind) for problem in done.problems]


def test_a_damaged_release_is_reported_and_the_others_go_on(source, target):
    source.store.replace(release_path(REF), b"?")
    owl = release("you/net", classes=("owl", "bat"))[1]
    source.store.replace(blob_path(min(owl)), b"?")
    done = mirror(source, target)
    assert (done.copied, done.taken_down) == ((NEWER,), (GONE,))
    assert problems_of(done) == [(IntegrityError, "bad-json"), (IntegrityError, "truncated")]
    assert target.store.list("releases") == sorted(map(release_path, (NEWER, GONE)))
    examined(target.store)


def test_a_release_whose_histories_are_broken_is_not_copied(source, target):
    source.store.replace(record_path("yank", "me/net/1.1.0", 1), b"?")
    source.store.replace(record_path("alias", "pets", 1), b"?")
    done = mirror(source, target)
    assert NEWER not in done.copied
    assert problems_of(done) == [(IntegrityError, "bad-json"), (IntegrityError, "bad-json")]
    assert target.aliases() == {"birds": "you/net"}


def test_other_content_under_the_same_version_is_reported_and_kept(source, target):
    mine = release(classes=("cat", "dog"), seed=7)
    target.publish(*mine)
    target.publish(*release(version="2.0.0", classes=("cat", "dog"), seed=7))
    done = mirror(source, target)
    assert problems_of(done) == [(Conflict, "version-exists"), (Conflict, "version-exists")]
    first, second = map(str, done.problems)
    assert f"me/net@1.0.0 is already published in {target.url} with other content" in first
    assert f"me/net@2.0.0 is {release(version='2.0.0', classes=('cat', 'dog'), seed=7)[0].digest} in" in second
    assert target.manifest(REF) == mine[0]
    assert set(done.copied) == {NEWER, YOURS}


def test_a_history_that_diverged_is_reported_and_kept(source, target):
    target.set_alias("pets", "my/own")
    mirror(source, target, ["you/net"])
    target.yank(YOURS, "not here")
    done = mirror(source, target)
    assert problems_of(done) == [(Conflict, "histories-differ"), (Conflict, "histories-differ")]
    text = str(done.problems[1])
    assert f"the alias 'pets' has gone another way in {target.url} than in {source.url}; they have 1 and 2" in text
    assert "nothing was overwritten" in text
    assert target.aliases() == {"pets": "my/own", "birds": "you/net"}
    assert target.withdrawal(YOURS).reason == "not here"
    assert set(done.copied) == {REF, NEWER}


def test_what_the_target_has_taken_down_stays_down(source, target):
    mirror(source, target)
    take_down(target, REF, "not here")
    done = mirror(source, target)
    assert (Conflict, "taken-down") in problems_of(done)
    assert target.withdrawal(REF).reason == "not here"
    assert not any(map(target.store.exists, map(blob_path, set(release(classes=("cat", "dog"), seed=2)[1]))))


def test_a_damaged_release_in_the_target_is_reported(source, target):
    mirror(source, target)
    target.store.replace(release_path(REF), b"?")
    target.store.replace(record_path("yank", "me/net/1.1.0", 1), b"?")
    done = mirror(source, target)
    assert problems_of(done) == [(IntegrityError, "bad-json"), (IntegrityError, "bad-json")]
    assert all(target.url in problem.message for problem in done.problems)
    assert done.present == (YOURS,)


def test_two_copies_at_once_agree(source, target):
    """The second begins and ends before any operation of the first."""
    for number in range(1, 10_000, 7):
        world = copied(target.store)

        def copy_too(now, after, world=world, number=number):
            if now == number and not after:
                mirror(source, Registry(world))

        watched = Watched(world, copy_too)
        assert mirror(source, Registry(watched)).problems == ()
        if watched.count < number:
            break
        assert contents(Registry(world)) == contents(source)
    assert number > 100


def test_a_registry_that_is_not_believed_is_not_copied(source, target):
    source.publish(*release("you/net", "1.1.0", classes=("owl", "bat")))
    done = mirror(RegistryReader(source.store, trust=TRUST), target)
    assert problems_of(done) == [(Untrusted, "unsigned")]
    assert set(done.copied) == {REF, NEWER, YOURS}
    # Everything that the signatures are needed for came along.
    reader = RegistryReader(target.store, trust=TRUST)
    assert reader.withdrawal(NEWER).kind == "yanked"
    assert reader.aliases() == {"pets": "me/net", "birds": "you/net"}
    assert reader.manifest(REF).digest == source.manifest(REF).digest


# Plain HTTP


@pytest.fixture
def website(tmp_path):
    """A copy in a folder, as a web server shows it."""
    source, folder = furnished(memory()), LocalStore(tmp_path / "www")
    mirror(source, Registry(folder))
    with static_server(tmp_path / "www") as url:
        yield source, folder, RegistryReader(open_store(url))


def test_a_copy_behind_a_web_server_resolves_installs_and_searches(website, tmp_path):
    _, _, reader = website
    assert reader.models() == ["me/net", "you/net"]
    assert [str(entry.ref) for entry in reader.entries()] == ["me/net@1.0.0", "you/net@1.0.0"]
    pinned = pins_of(["pets:cat", "you/net"], [reader], {})
    assert [str(pin.ref) for pin in pinned] == ["me/net:cat@1.0.0", "you/net:owl@1.0.0", "you/net:bat@1.0.0"]
    installed = install_pinned(pinned, [reader], Cache(tmp_path / "cache"))
    assert [each.fetched > 0 for each in installed] == [True, True, True]
    believing = RegistryReader(reader.store, trust=TRUST)
    assert [str(pin.ref) for pin in pins_of(["pets:cat"], [believing], {})] == ["me/net:cat@1.0.0"]


def test_a_copy_of_a_website(website, target):
    source, _, reader = website
    done = mirror(reader, target, keys=[ALICE.id])
    assert (set(done.copied), done.taken_down, done.problems) == ({REF, NEWER, YOURS}, (), ())
    # What was taken down is in no index, but can be named; revocations can be asked for by key.
    assert mirror(reader, target, ["me/net@2.0.0"], keys=[ALICE.id]).taken_down == (GONE,)
    rest = contents(source).keys() - contents(target).keys()
    assert all(path.startswith("records/revocation") or path.startswith("signatures") for path in rest)
    assert all(contents(target)[path] == data for path, data in contents(source).items() if path not in rest)
    assert RegistryReader(target.store, trust=TRUST).aliases() == {"pets": "me/net", "birds": "you/net"}
    examined(target.store)


def test_a_website_that_lacks_what_its_index_names(website, target):
    _, folder, reader = website
    folder.delete(release_path(REF))
    folder.replace(index_path("you", "net"), b"?")
    done = mirror(reader, target)
    assert problems_of(done) == [(IntegrityError, "bad-json"), (IntegrityError, "missing-release")]
    assert "has no release me/net@1.0.0" in str(done.problems[1])
    assert done.copied == (NEWER,)


def test_a_real_folder_is_the_same_as_any(source, tmp_path):
    folder = Registry(LocalStore(tmp_path / "copy"))
    mirror(source, folder)
    assert contents(folder) == contents(source)
    shutil.rmtree(tmp_path / "copy" / "index")
    assert fsck(folder).clean
