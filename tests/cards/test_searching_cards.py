"""Searching finds by what cards say, and by who signed, which is verified; info says who signed and how it knows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import modhub
from modhub.errors import NotFound, UsageError
from modhub.registry.writer import Registry
from modhub.settings.trusted_keys import revoke_trusted, trust_key
from modhub.spec.layout import signature_path
from modhub.spec.manifest import digest_of
from modhub.storage.local import LocalStore
from tests.cards.carded import README, carded_release
from tests.registry import servers
from tests.signing.signers import signer
from tests.synthetic import release

TEAM, EVIL = signer("team"), signer("evil")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """me/net is MIT and signed by team, me/other GPL and signed by evil, you/bare has no card and no signature."""
    root = tmp_path_factory.mktemp("searched")
    registry = Registry(LocalStore(root))
    registry.publish(*carded_release(), signer=TEAM)
    other = README.replace("license: mit", "license: gpl-3.0").replace("pets, tiny", "Large")
    registry.publish(*carded_release("me/other", readme=other.replace("cats from dogs", "wolves apart")), signer=EVIL)
    registry.publish(*release("you/bare", weights_bytes=9000, classes=("cat", "Zoë")))
    return root


@contextmanager
def served(folder: Path, how: str) -> Iterator[str]:
    """The registry's URL, on the disk or behind a web server, which cannot list."""
    if how == "folder":
        yield str(folder)
        return
    with servers.static_server(folder) as url:
        yield url


@pytest.mark.parametrize("how", ["folder", "http"])
def test_every_filter_alone_and_together(folder: Path, how: str) -> None:
    with served(folder, how) as url:

        def found(query: str = "", **filters: object) -> list[str]:
            hits = modhub.search(query, registry=url, **filters)  # type: ignore[arg-type]
            return [hit.ref for hit in hits if not hit.ref.startswith("cifar")]  # the starter is always searched

        assert found() == ["me/net", "me/other", "you/bare"]
        assert found("wolves") == ["me/other"]
        assert found("PETS") == ["me/net"]
        assert found(keyword="large") == ["me/other"]
        assert found(license="mit") == ["me/net"]
        assert found(license=["MIT", "GPL-3.0"]) == ["me/net", "me/other"]
        assert found(cls="cat") == ["me/net:cat", "me/other:cat", "you/bare:cat"]
        assert found(cls="potter's wheel", license="MIT") == ["me/net:potters-wheel"]
        assert found(cls="zoë") == ["you/bare:zoe"]
        assert found(input_shape=(4, 4)) == found(input_shape=(4, 4, 1)) == found()
        assert found(input_shape=(32, 32)) == []
        assert found(min_accuracy=0.9) == found()
        assert found(min_accuracy=0.91) == []
        assert found(max_size=8000) == ["me/net", "me/other"]
        assert found(signer=str(TEAM.public)) == ["me/net"]
        assert found(signer=str(EVIL.public), cls="dog") == ["me/other:dog"]
        assert found("net", license="MIT", keyword="tiny", max_size=8000, limit=1) == ["me/net"]


def test_an_accuracy_on_the_images_that_it_was_made_with_is_none(tmp_path: Path) -> None:
    registry = Registry(LocalStore(tmp_path / "registry"))
    manifest, blobs = release()
    own = manifest.content.origin.accuracy[0].model_copy(update={"data": "tiny (observed)"})
    origin = manifest.content.origin.model_copy(update={"accuracy": (own,)})
    content = manifest.content.model_copy(update={"origin": origin})
    registry.publish(manifest.model_copy(update={"content": content, "digest": digest_of(content)}), blobs)
    assert [hit.ref for hit in modhub.search("net", registry=registry.url)] == ["me/net"]
    assert modhub.search("net", registry=registry.url, min_accuracy=0.5) == []


def test_what_is_no_licence_or_key_is_said(folder: Path) -> None:
    with pytest.raises(UsageError, match="no licence that SPDX lists"):
        modhub.search(registry=str(folder), license="freeware")
    with pytest.raises(NotFound, match="is called 'bob'"):
        modhub.search(registry=str(folder), signer="bob")


def test_a_signature_that_the_index_claims_and_nobody_made_finds_nothing(tmp_path: Path) -> None:
    registry = Registry(LocalStore(tmp_path / "registry"))
    manifest, blobs = release()
    registry.publish(manifest, blobs, signer=TEAM)
    path = tmp_path / "registry" / signature_path(manifest.digest, TEAM.id)
    path.write_bytes(path.read_bytes().replace(b'"signature":"', b'"signature":"A'))
    for how in ("folder", "http"):
        with served(tmp_path / "registry", how) as url:
            assert modhub.search(registry=url, signer=str(TEAM.public)) == []


def test_a_signature_that_comes_later_is_in_the_index(tmp_path: Path) -> None:
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(*release())
    with served(tmp_path / "registry", "http") as url:
        assert modhub.search(registry=url, signer=str(TEAM.public)) == []
        registry.publish(*release(), signer=TEAM)
        assert [hit.ref for hit in modhub.search(registry=url, signer=str(TEAM.public))] == ["me/net"]
        registry.publish(*release(version="1.1.0", seed=1))
        assert modhub.search(registry=url, signer=str(TEAM.public)) == []
    (old, new) = registry.index("me", "net").releases
    assert (old.signers, new.signers) == ((TEAM.id,), ())


@pytest.mark.parametrize("how", ["folder", "http"])
def test_info_says_who_signed_and_how_it_knows(folder: Path, how: str) -> None:
    trust_key(str(TEAM.public), ["me"], name="team")
    trusted = trust_key(str(EVIL.public), ["elsewhere"], name="evil")

    def verdicts(ref: str) -> list[tuple[str | None, str]]:
        status = modhub.info(ref, registry=url).signing
        assert status is not None
        assert status.complete is (how == "folder")
        return [(each.name, each.verdict) for each in status.signatures]

    with served(folder, how) as url:
        assert verdicts("me/net") == [("team", "good")]
        assert verdicts("me/other") == [("evil", "other-namespace")]
        assert verdicts("you/bare") == []
        revoke_trusted(trusted, "lost")
        assert verdicts("me/other") == [("evil", "revoked")]


def test_keys_that_nobody_here_knows_are_named_and_altered_signatures_are_bad(tmp_path: Path) -> None:
    registry = Registry(LocalStore(tmp_path / "registry"))
    manifest, blobs = release()
    registry.publish(manifest, blobs, signer=TEAM)
    status = modhub.info("me/net", registry=registry.url).signing
    assert status is not None
    assert [(each.key, each.verdict) for each in status.signatures] == [(TEAM.id, "unknown-key")]
    trust_key(str(TEAM.public), ["me"], name="team")
    swapped = registry.store.get(signature_path(manifest.digest, TEAM.id), max_bytes=9999)
    other, _ = release(version="1.1.0", seed=1)
    registry.publish(other, _)
    registry.store.replace(signature_path(other.digest, TEAM.id), swapped)
    status = modhub.info("me/net@1.1.0", registry=registry.url).signing
    assert status is not None
    assert [each.verdict for each in status.signatures] == ["bad"]
    assert not status.is_good


def test_plain_searching_loads_neither_licences_nor_keys(folder: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("modhub.ops.filters")]:
        del sys.modules[name]
    modhub.search("cat", registry=str(folder), cls="cat", min_accuracy=0.5)
    assert "modhub.ops.filters" not in sys.modules
