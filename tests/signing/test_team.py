"""The set-up of docs/security.md: what a second key can do in a namespace that readers bound to the first. Nothing."""

from __future__ import annotations

import pytest

from modhub.errors import IntegrityError, Untrusted
from modhub.installation.notices import hear, remarks_on
from modhub.registry.advising import AdvisoryDraft
from modhub.registry.notices import confirms_advisory
from modhub.registry.reader import RegistryReader
from modhub.registry.writer import Registry
from modhub.resolve.catalog import Pinned
from modhub.signing.policy import Trust
from modhub.spec.advisories import Affected, affected_ranges
from modhub.spec.refs import ModelRef, ModuleRef
from modhub.storage.urls import open_store
from tests.signing.signers import signer, trusted
from tests.synthetic import release

FIRST, SECOND = signer("team-ci"), signer("mallory")
#: The second is trusted too, for another namespace.
TRUST = Trust((trusted("team-ci", "team"), trusted("mallory", "other")), required=True)
REF = ModelRef("team", "net", "1.0.0")


@pytest.fixture
def registry(tmp_path):
    registry = Registry(open_store(str(tmp_path / "registry")))
    registry.publish(*release("team/net"), signer=FIRST)
    return registry


def test_a_second_key_publishes_nothing_in_a_claimed_namespace(registry):
    registry.publish(*release("team/net", version="2.0.0", seed=1), signer=SECOND)
    registry.publish(*release("team/new", seed=2), signer=SECOND)
    reader = RegistryReader(registry.store, trust=TRUST)
    assert reader.manifest(REF).content.version == "1.0.0"
    for ref in (ModelRef("team", "net", "2.0.0"), ModelRef("team", "new", "1.0.0")):
        with pytest.raises(Untrusted) as caught:
            reader.manifest(ref)
        assert caught.value.kind == "unsigned"
    registry.publish(*release("other/net", seed=3), signer=SECOND)
    assert reader.manifest(ModelRef("other", "net", "1.0.0")).content.version == "1.0.0"


def test_nor_does_it_withdraw_or_advise_against_anything_there(registry, tmp_path):
    from modhub.cache.cache import Cache

    cat = Affected(model="net", classes=("cat",), ranges=affected_ranges(None))
    lie = registry.advise(AdvisoryDraft("team", "a lie", "critical", (cat,)), signer=SECOND).advisory.id
    reader = RegistryReader(registry.store, trust=TRUST)
    assert not confirms_advisory(reader, "team", lie)
    digest = reader.manifest(REF).digest
    pin = Pinned(ModuleRef("team", "net", "cat", "1.0.0"), "cat", digest, registry.url)
    assert remarks_on(hear([reader], Cache(tmp_path / "cache"), ["team"]), [pin]) == []
    truth = registry.advise(AdvisoryDraft("team", "true", "low", (cat,)), signer=FIRST).advisory.id
    assert [remark.id for remark in remarks_on(hear([reader], Cache(tmp_path / "cache"), ["team"]), [pin])] == [truth]
    # A withdrawal that nobody may make is an error, not a release that is gone.
    registry.yank(REF, "gone", signer=SECOND)
    with pytest.raises(IntegrityError):
        reader.withdrawal(REF)
