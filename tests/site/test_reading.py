"""What is read of a registry for its pages: what plain names give, what is said, who signed, what is compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.installation.registries import STARTER_FOLDER
from modhub.limits import MIB
from modhub.ops.site import open_site_reader
from modhub.ops.site_masks import compared_versions
from modhub.package.codec import encode, encode_module
from modhub.package.module import Head, PackedMasks
from modhub.registry.advising import AdvisoryDraft
from modhub.registry.writer import Registry
from modhub.resolve.resolver import resolve
from modhub.signing.keys import new_signer
from modhub.site.content import ShownSignature
from modhub.site.search_data import SIGNED, SearchColumns
from modhub.spec.advisories import Affected, AffectedRange
from modhub.spec.architecture import Architecture, Call
from modhub.spec.layers import Conv2D, GlobalPooling2D, ReLU
from modhub.spec.manifest import Manifest, SiteRecord, digest_of
from modhub.spec.refs import ModelRef, ModuleRef
from modhub.storage.local import LocalStore
from tests.composition.made_by_hand import module
from tests.synthetic import release

ALICE = new_signer("alice")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Versions of which some are yanked, taken down, pre-releases, signed, advised against."""
    registry = Registry(LocalStore(tmp_path / "team"))
    registry.publish(*release("me/net", "1.0.0"), signer=ALICE)
    registry.publish(*release("me/net", "1.1.0", seed=1))
    registry.publish(*release("me/net", "1.2.0", seed=2))
    registry.publish(*release("me/net", "2.0.0-rc.1", seed=3))
    registry.publish(*release("me/net", "0.1.0", seed=4))
    registry.yank(ModelRef("me", "net", "1.2.0"), "faulty")
    registry.take_down(ModelRef("me", "net", "0.1.0"), "not ours")
    registry.yank_class(ModuleRef("me", "net", "dog", "1.1.0"), "mixes dogs up")
    span = AffectedRange(introduced="1.0.0", fixed="1.1.0")
    affected = (Affected(model="net", classes=("cat",), ranges=(span,)),)
    registry.advise(AdvisoryDraft("me", "sees cats in clouds", "high", affected))
    registry.set_alias("n", "me/net")
    return tmp_path / "team"


def test_a_plain_name_gives_what_the_resolver_gives(folder: Path) -> None:
    for url in (str(folder), str(STARTER_FOLDER)):
        reader = open_site_reader(url, quick=True)
        for model in reader.models():
            (named,) = resolve([model.name], reader.registries, {})
            assert model.chosen is not None
            assert model.chosen.version == named.modules[0].ref.version


def test_withdrawals_signatures_and_aliases_are_shown(folder: Path) -> None:
    (model,) = open_site_reader(str(folder), quick=True).models()
    assert [release.version for release in model.releases] == ["2.0.0-rc.1", "1.2.0", "1.1.0", "1.0.0"]
    assert [gone.version for gone in model.taken_down] == ["0.1.0"]
    assert {release.version: release.yanked for release in model.releases}["1.2.0"] == "faulty"
    assert [each.key for each in model.releases[-1].signatures] == [ALICE.id]
    assert [each.verdict for each in model.releases[-1].signatures] == ["unknown-key"]
    # Nobody here knows the key, so nothing says that the release is signed, as of one that a trusted key signed.
    signed = model.releases[-1]
    assert (signed.is_signed, signed.is_unchecked) == (False, True)
    for verdict, is_signed in (("good", True), ("bad", False), ("revoked", False)):
        judged = replace(signed, signatures=(ShownSignature("k", "alice", verdict),))
        assert (judged.is_signed, judged.is_unchecked) == (is_signed, False)
        columns = SearchColumns()
        columns.add(replace(model, chosen=judged), 0)
        flags = json.loads(dict(columns.files({}))["releases.json"])["flags"]
        assert bool(flags[0] & SIGNED) == is_signed
    by_version = {release.version: release for release in model.releases}
    assert dict(by_version["1.1.0"].yanked_classes) == {"dog": "mixes dogs up"}
    assert [(each.slug, each.kind) for each in by_version["1.1.0"].notices] == [("dog", "yanked")]
    assert [(each.slug, each.kind, each.severity) for each in by_version["1.0.0"].notices] == [
        ("cat", "advisory", "high")
    ]
    assert model.aliases == ("n",)
    assert model.registry == "team"
    assert model.source is None


def test_an_advisory_on_all_classes_and_on_one_is_on_all(tmp_path: Path) -> None:
    registry = Registry(LocalStore(tmp_path / "team"))
    registry.publish(*release("me/net", "1.0.0"))
    span = AffectedRange(introduced="1.0.0")
    affected = (Affected(model="net", classes=("cat",), ranges=(span,)), Affected(model="net", ranges=(span,)))
    registry.advise(AdvisoryDraft("me", "sees clouds", "high", affected))
    (model,) = open_site_reader(str(tmp_path / "team"), quick=True).models()
    assert [each.slug for each in model.releases[0].notices] == [None]


def test_masks_are_compared_as_evaluating_compares_them() -> None:
    reader = open_site_reader(str(STARTER_FOLDER))
    model = reader.model("cifar10/vgg")
    assert model.chosen is not None
    modules = modhub.compose(["cifar10/vgg:cat", "cifar10/vgg:dog"]).plan.modules
    both = either = 0
    for site in modules[0].keep:
        one, other = modules[0].keep[site], modules[1].keep[site]
        both += int((one & other).sum())
        either += int((one | other).sum())
    slugs = [module.slug for module in model.chosen.content.modules]
    assert model.chosen.overlap is not None
    found = model.chosen.overlap[slugs.index("cat")][slugs.index("dog")]
    assert found == pytest.approx(both / either)
    assert model.toggled["1.0.0", "1.1.0"]["cat"] == 0


#: 40 million nodes, 5 MB a mask; a module has two.
WIDE = Architecture(
    input_shape=(4000, 5000, 1),
    layers={
        "convolution": Conv2D(filters=2, kernel_size=(1, 1)),
        "relu": ReLU(),
        "pool": GlobalPooling2D(kind="global_average_pooling2d"),
    },
    calls=(
        Call(id="convolution", layer="convolution", inputs=("input",)),
        Call(id="relu", layer="relu", inputs=("convolution",)),
        Call(id="pool", layer="pool", inputs=("relu",)),
    ),
    features="pool",
    head="softmax",
)


def wide_release(version: str, number: int) -> tuple[Manifest, dict[str, bytes]]:
    """Two modules with 20 MB of masks; ``number`` (0 to 7) decides which."""
    manifest, stored = release("me/wide", version, classes=("cat", "dog"))
    blobs = {manifest.content.origin.weights: manifest.blobs[manifest.content.origin.weights]}
    records = []
    for record in manifest.content.modules:
        bits = np.full(5_000_000, 255, np.uint8)
        bits[: 1000 * (record.index + 1)] = 1 << number
        masks = PackedMasks({"relu": bits}, {"relu": (4000, 5000, 2)})
        head = Head(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
        blob = encode(encode_module(module(keep=masks, concern=masks, head=head)))
        blobs[blob.digest], stored[blob.record.sha256] = blob.record, blob.verified.stored
        records.append(record.model_copy(update={"blob": blob.digest}))
    content = manifest.content.model_copy(
        update={
            "modules": tuple(records),
            "sites": (SiteRecord(id="relu", shape=(4000, 5000, 2)),),
            "contract": manifest.content.contract.model_copy(update={"height": 4000, "width": 5000}),
            "origin": manifest.content.origin.model_copy(update={"architecture": WIDE}),
        }
    )
    made = manifest.model_copy(update={"content": content, "digest": digest_of(content), "blobs": blobs})
    return made, {record.sha256: stored[record.sha256] for record in blobs.values()}


def test_a_models_masks_have_a_budget(tmp_path: Path) -> None:
    """32 MiB for all versions, the newest first: pages of 16 models are made at once."""
    registry = Registry(LocalStore(tmp_path / "team"))
    registry.publish(*wide_release("1.0.0", 0))
    registry.publish(*wide_release("1.1.0", 1))
    # What the blobs of this one claim to hold is too much at once; read, they would be found to be damaged.
    registry.publish(*release("me/claims", module_bytes=3 * MIB))
    claims, wide = open_site_reader(str(tmp_path / "team")).models()
    newer, older = wide.releases
    assert newer.overlap is not None
    assert newer.overlap[0][1] == pytest.approx(1 - 1000 / 5_000_000, abs=1e-4)
    assert older.overlap is None
    assert dict(wide.toggled["1.0.0", "1.1.0"]) == {"cat": None, "dog": None}
    assert claims.releases[0].overlap is None
    assert (claims.releases[0].problems, older.problems, newer.problems) == ((), (), ())


def test_pairs_of_many_versions_stay_few() -> None:
    few = list(compared_versions(["3", "2", "1"]))
    assert few == [("2", "3"), ("1", "3"), ("1", "2")]
    many = [str(number) for number in range(100, 0, -1)]
    pairs = list(compared_versions(many))
    assert len(pairs) == 99 + 98
    assert ("1", "100") in pairs
    assert ("50", "51") in pairs
