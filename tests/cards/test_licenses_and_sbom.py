"""Licences of names, folders, composites and projects; and bills of materials that CycloneDX's own schema accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import modhub
from modhub.cli import main
from modhub.errors import UsageError
from modhub.package.folder import Package, save_package
from modhub.registry.publication import versioned
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from tests.cards.carded import README, carded_release

FULL = """---
license: other
license_name: Ours
license_link: https://example.org/LICENSE
description: Tells pets apart.
authors: [Ada, Grace]
tags: [pets]
links: {paper: https://example.org/paper}
base_model: google/vit
intended_use: Sorting photos.
limits: No people.
training_data:
- {name: photos, license: cc-by-4.0, url: https://example.org/photos}
- drawings
model-index:
- results:
  - dataset: {name: ImageNet}
    metrics: [{type: accuracy, value: 0.93}]
---
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry(LocalStore(tmp_path_factory.mktemp("licensed")))
    for name, licence in (("me/net", "mit"), ("a/gpl", "gpl-2.0"), ("b/apache", "apache-2.0")):
        registry.publish(*carded_release(name, readme=README.replace("license: mit", f"license: {licence}")))
    registry.publish(*carded_release("c/full", readme=FULL))
    return registry


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(each) for each in arguments])
    return (code, *capsys.readouterr())


def test_names_and_folders_together(registry: Registry, tmp_path: Path) -> None:
    manifest, blobs = carded_release("own/net", readme=README.replace("license: mit", "license: isc"))
    folder = save_package(Package(versioned(manifest, None), blobs), tmp_path / "net.modules")
    names = ["me/net:cat", "a/gpl", "b/apache", "cifar10/r56:cat@1.0.1", str(folder)]
    report = modhub.licenses(names, registry=registry.url)
    assert {each.release: each.license for each in report.releases} == {
        "own/net": "ISC",
        "me/net@1.0.0": "MIT",
        "a/gpl@1.0.0": "GPL-2.0-only",
        "b/apache@1.0.0": "Apache-2.0",
        "cifar10/r56@1.0.1": None,
    }
    assert [(each.first.release, each.second.release) for each in report.conflicts] == [
        ("a/gpl@1.0.0", "b/apache@1.0.0")
    ]
    assert [each.release for each in report.unknown] == ["cifar10/r56@1.0.1"]
    assert (report.allow, report.findings, report.is_clean) == (None, (), False)
    allowed = modhub.licenses("me/net", registry=registry.url, allow=["ISC"])
    assert [each.kind for each in allowed.findings] == ["not-allowed"]
    with pytest.raises(UsageError, match="nothing was named"):
        modhub.licenses([])


def test_a_composite_says_the_licences_of_its_origins(tmp_path: Path) -> None:
    pets = modhub.compose(["cifar10/r20:cat@1.0.1", "cifar10/r20:dog@1.0.1", "cifar100/r20:apple@1.0.1"])
    assert pets.licenses == {"cifar10/r20@1.0.1": None, "cifar100/r20@1.0.1": None}
    assert [each.release for each in modhub.licenses(pets).unknown] == list(pets.licenses)
    kept = pets.save(tmp_path / "pets.modhub")
    assert modhub.licenses([str(kept), "cifar10/r20:ship@1.0.1"]).releases == modhub.licenses(pets).releases


def test_the_command_says_what_conflicts_and_ends_so(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("licenses", "a/gpl", "b/apache", "--registry", registry.url)
    code, out, err = run(capsys, *names)
    assert (code, out.split()) == (
        0,
        ["release", "licence", "a/gpl@1.0.0", "GPL-2.0-only", "b/apache@1.0.0", "Apache-2.0"],
    )
    assert "conflict: a/gpl@1.0.0 (GPL-2.0-only) and b/apache@1.0.0 (Apache-2.0)" in err
    assert "no legal advice" in err
    assert run(capsys, *names, "--check")[0] == 4
    code, out, err = run(capsys, *names, "--check", "--json")
    assert (code, out, json.loads(err)["clean"]) == (4, "", False)
    code, out, _ = run(capsys, "licenses", "me/net", "--registry", registry.url, "--allow", "MIT", "--check", "--json")
    assert (code, json.loads(out)["clean"]) == (0, True)


def test_a_project_s_own_list_counts(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    refs = ["cifar10/r20:cat@1.0.1", "cifar100/r20:apple@1.0.1"]
    project = modhub.Project.new("pets", refs, registry=registry.url)
    assert modhub.licenses(project).is_clean
    file = tmp_path / "pets" / "modhub.toml"
    file.write_text(file.read_text() + '\n[licenses]\nallow = ["MIT"]\n')
    report = modhub.licenses(project)
    assert (report.allow, [each.kind for each in report.findings]) == (("MIT",), ["no-license"] * 2)
    assert project.sync().moves == ()
    change = project.remove("apple")
    assert '[licenses]\nallow = ["MIT"]' in file.read_text()
    assert [move.label for move in change.moves] == ["apple"]
    assert run(capsys, "licenses", "--project", "pets", "--check")[0] == 4
    code, out, _ = run(capsys, "sbom", "--project", "pets")
    document = json.loads(out)
    assert (code, document["metadata"]["component"]["name"]) == (0, "pets")
    (component,) = document["components"]
    assert component["bom-ref"] == "cifar10/r20@1.0.1"
    kinds = {figure["type"] for figure in component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert kinds == {"top-1 accuracy", "recall", "precision"}


def test_a_bill_of_materials_holds_the_card_and_is_valid(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    out = tmp_path / "sbom.json"
    command = ("sbom", "me/net:cat", "c/full", "cifar10/r56:cat@1.0.1", "--registry", registry.url)
    assert run(capsys, *command, "--out", out)[0] == 0
    text = out.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert run(capsys, *command)[1] == text
    document = json.loads(text)
    assert (document["specVersion"], document["metadata"]["timestamp"]) == ("1.6", "2023-11-14T22:13:20+00:00")
    parts = {part["bom-ref"]: part for part in document["components"]}
    assert parts["me/net@1.0.0"]["licenses"] == [{"expression": "MIT"}]
    assert "licenses" not in parts["cifar10/r56@1.0.1"]
    digest = registry.manifest(ModelRef("me", "net", "1.0.0")).digest
    assert parts["me/net@1.0.0"]["hashes"] == [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]
    full = parts["c/full@1.0.0"]
    assert full["licenses"] == [{"expression": "LicenseRef-Ours"}]
    assert [author["name"] for author in full["authors"]] == ["Ada", "Grace"]
    assert full["pedigree"]["ancestors"][0]["name"] == "google/vit"
    card = full["modelCard"]
    assert card["considerations"] == {"useCases": ["Sorting photos."], "technicalLimitations": ["No people."]}
    assert {"ref": "data:c/full@1.0.0:photos"} in card["modelParameters"]["datasets"]
    assert parts["data:c/full@1.0.0:photos"]["licenses"] == [{"expression": "CC-BY-4.0"}]
    reported = {"type": "accuracy", "value": "0.93", "slice": "ImageNet, reported by the publisher"}
    assert reported in card["quantitativeAnalysis"]["performanceMetrics"]
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert sorted(needs["classifier:classifier"]) == ["c/full@1.0.0", "cifar10/r56@1.0.1", "me/net@1.0.0"]
