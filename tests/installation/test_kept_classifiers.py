"""A classifier in one file: it comes back as it was, from a bundle alone, and nothing false is believed."""

from __future__ import annotations

import copy
import io
import json
import pickle
import resource
import shutil
import signal
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import joblib
import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modhub
from modhub.composition.composite import Composite
from modhub.errors import (
    Conflict,
    Incompatible,
    IntegrityError,
    ModhubError,
    NotFound,
    StorageError,
    Untrusted,
    UsageError,
)
from modhub.installation.classifier_file import read_classifier
from modhub.spec.digests import canonical_json, sha256
from scripts.build_schemas import FOLDER
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants

SAMPLES = Path(__file__).parents[1] / "spec" / "samples"


@pytest.fixture
def registry(tmp_path: Path) -> str:
    for modules in (quadrant_modules(), bar_modules()):
        modhub.publish(modules, version="1.0.0", registry=str(tmp_path / "registry"))
    return str(tmp_path / "registry")


def composed(registry: str) -> Composite:
    """Two origins, a label of the user's, two labels that are equal, a stage, and a setting."""
    both = modhub.compose(["shapes/quadrants", "lines/bars"], registry=registry, reject=True)
    stages = {("bottom", "top right"): ["lines/bars:vertical", "lines/bars:horizontal"]}
    return both.rename("bottom left", "bottom").verify_with(stages)


def assert_same(found: Composite, kept: Composite) -> None:
    assert found.plan.to_dict() == kept.plan.to_dict()
    assert found.plan.recipe.labels == kept.plan.recipe.labels
    assert found.plan.settings == kept.plan.settings
    for ours, theirs in zip(found.plan.recognisers, kept.plan.recognisers, strict=True):
        assert (ours.digest, ours.threshold, ours.scale, ours.pin) == (
            theirs.digest,
            theirs.threshold,
            theirs.scale,
            theirs.pin,
        )
        assert ours.derived_from == theirs.derived_from
    x = quadrants(each=2).x
    np.testing.assert_array_equal(found.predict(x).margins, kept.predict(x).margins)


# What comes back


def test_without_a_bundle_releases_are_installed_by_their_digests(registry: str, tmp_path: Path) -> None:
    kept = composed(registry)
    file = kept.save(tmp_path / "pets.modhub")
    assert file.stat().st_size < 20_000
    assert_same(modhub.load(file, registry=registry, cache=tmp_path / "empty"), kept)
    assert_same(modhub.load(str(file)), kept)  # the cache has all of it; no registry is named


def test_with_a_bundle_nothing_else_is_needed(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = composed(registry)
    file = kept.save(tmp_path / "pets.modhub", bundle=True)
    kept.save(tmp_path / "again.modhub", bundle=True)
    assert file.read_bytes() == (tmp_path / "again.modhub").read_bytes()
    shutil.rmtree(registry)
    monkeypatch.setenv("MODHUB_OFFLINE", "1")
    found = modhub.load(file, cache=tmp_path / "empty")
    assert_same(found, kept)
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("source", ["decomposition", "folder", "changed"])
def test_what_was_never_published_is_bundled(source: str, registry: str, tmp_path: Path) -> None:
    if source == "decomposition":
        kept = modhub.compose([quadrant_modules(), bar_modules()])
    elif source == "folder":
        kept = modhub.compose(quadrant_modules().save(tmp_path / "net.modules"))
    else:
        kept = modhub.compose("shapes/quadrants", registry=registry, vote="raw").swap(
            "top left", modhub.compose("lines/bars:top-left", registry=registry).modules[0], match=True
        )
        assert [module.pin is None for module in kept.modules] == [True, False, False, False]
    with pytest.raises(UsageError) as caught:
        kept.save(tmp_path / "pets.modhub")
    assert caught.value.kind == "unpublished"
    assert not (tmp_path / "pets.modhub").exists()
    file = kept.save(tmp_path / "pets.modhub", bundle=True)
    shutil.rmtree(registry)
    found = modhub.load(file, cache=tmp_path / "empty")
    assert_same(found, kept)
    if source != "changed":
        again = found.save(tmp_path / "again.modhub", bundle=True)
        assert again.read_bytes() == file.read_bytes()


def test_one_class_twice_and_changed_is_kept_twice(tmp_path: Path) -> None:
    first, second = bar_modules().modules[:2]
    quarter = quadrant_modules().modules[0]
    other = modhub.compose([second, quarter], vote="raw").swap(quarter.name, first, match=True).modules[1]
    kept = modhub.compose([first, other])
    found = modhub.load(kept.save(tmp_path / "pets.modhub", bundle=True))
    assert_same(found, kept)
    assert len(read_classifier(tmp_path / "pets.modhub").releases) == 2


def test_settings_come_back(tmp_path: Path) -> None:
    kept = modhub.compose([bar_modules()], adapt="letterbox", size=(9, 10), mode="fused", dtype="bfloat16")
    found = modhub.load(kept.save(tmp_path / "pets.modhub", bundle=True))
    assert found.plan.settings == kept.plan.settings
    assert found.plan.contract == kept.plan.contract


def test_the_file_is_taken_where_modules_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = modhub.compose(quadrant_modules(), reject=True).rename("top left", "a:b")
    kept.save("pets.modhub", bundle=True)
    for name in ("pets.modhub", "./pets.modhub", Path("pets.modhub"), tmp_path / "pets.modhub"):
        assert_same(modhub.compose(name), kept)
    assert modhub.compose("pets.modhub:a:b").classes == ["a:b"]
    both = modhub.compose(["pets.modhub:top right", bar_modules()])
    assert (both.classes[:2], both.reject) == (["top right", "horizontal"], True)
    swapped = modhub.compose(bar_modules()).swap("vertical", "pets.modhub:a:b")
    assert swapped.modules[1].digest == kept.modules[0].digest
    with pytest.raises(NotFound, match="has no class 'c'"):
        modhub.compose("pets.modhub:c")
    for name in ("no.modhub", "./no.modhub", "no.modhub:cat", "./x/no.modhub"):
        with pytest.raises(NotFound) as caught:
            modhub.compose(name)
        assert caught.value.kind == "no-classifier"


def test_what_is_missing_is_named(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = composed(registry).save("pets.modhub")
    with pytest.raises(NotFound) as caught:
        modhub.load(file, cache=tmp_path / "empty")
    assert caught.value.kind == "missing-modules"
    assert caught.value.data["missing"][0]["module"] == "shapes/quadrants:top-left@1.0.0"
    assert f"shapes/quadrants@1.0.0 (it was in {registry}), lines/bars@1.0.0 (it was in {registry})" in str(
        caught.value
    )
    modhub.publish(
        replace(quadrant_modules(), modules=quadrant_modules().modules[:2]), version="1.0.0", registry="other"
    )
    with pytest.raises(ModhubError) as other:
        modhub.load(file, registry="other", cache=tmp_path / "empty")
    assert other.value.kind == "digest-changed"
    assert modhub.load(file, registry=["other", registry], cache=tmp_path / "empty").classes


def test_where_signatures_are_required_a_bundle_is_no_proof(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = composed(registry).save(tmp_path / "published.modhub", bundle=True)
    own = modhub.compose(bar_modules()).save(tmp_path / "own.modhub", bundle=True)
    monkeypatch.setenv("MODHUB_REQUIRE_SIGNATURE", "1")
    for file in (published, own):
        with pytest.raises(Untrusted):
            modhub.load(file, registry=registry)


# Writing


def test_a_file_is_replaced_only_when_asked_and_only_by_a_whole_one(tmp_path: Path) -> None:
    kept = modhub.compose(bar_modules())
    file = tmp_path / "pets.modhub"
    file.write_bytes(b"mine")
    with pytest.raises(Conflict) as caught:
        kept.save(file, bundle=True)
    assert caught.value.kind == "output-exists"
    with full_disk(2_000), pytest.raises(StorageError, match="cannot write"):
        kept.save(file, bundle=True, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["pets.modhub"]
    assert file.read_bytes() == b"mine"
    kept.save(file, bundle=True, force=True)
    assert_same(modhub.load(file), kept)
    for bad in ("pets.keras", "nowhere/pets.modhub", "folder.modhub"):
        (tmp_path / "folder.modhub").mkdir(exist_ok=True)
        with pytest.raises(UsageError):
            kept.save(tmp_path / bad, bundle=True)


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file can grow beyond ``limit`` bytes: an unprivileged stand-in for a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# Hostile files


@cache
def members() -> tuple[tuple[str, bytes], ...]:
    """The members of a sample with a bundle."""
    with tarfile.open(SAMPLES / "classifier-format-1.modhub") as tar:
        return tuple((member.name, tar.extractfile(member).read()) for member in tar)


def packed(file: Path, files: list[tuple[str, bytes]], **header: object) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for field, value in header.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(data))
    return file


def resigned(change: Callable[[dict], object]) -> bytes:
    """The first member, changed and given a right checksum, as only its author could."""
    value = json.loads(members()[0][1])
    value.pop("checksum")
    change(value)
    return canonical_json(value | {"checksum": sha256(canonical_json(value))})


def test_the_sample_loads_as_it_did(tmp_path: Path) -> None:
    """Files of format 1 are read for ever."""
    found = modhub.load(SAMPLES / "classifier-format-1.modhub", cache=tmp_path / "empty")
    assert found.classes == ["one", "top right", "bottom left", "horizontal", "vertical"]
    assert (found.reject, found.plan.settings.mode) == (True, "auto")
    assert found.plan.recipe.named_stages()[0][0] == ("one", "horizontal")
    assert found.modules[0].ref == "shapes/quadrants:top-left@1.0.0"
    assert found.modules[4].ref == "lines/bars:vertical"
    x = np.concatenate([quadrants(each=3).x, bars(each=3).x])
    assert (
        sha256(canonical_json(found.predict(x).labels)) == (SAMPLES / "classifier-format-1.labels").read_text().strip()
    )
    pinned = read_classifier(SAMPLES / "classifier-pinned-format-1.modhub")
    assert pinned.release_of(pinned.modules[0]).ref("cat") == "cifar10/r20:cat@1.0.1"
    assert not pinned.bundle
    schema = json.loads((FOLDER / "classifier.schema.json").read_text())
    jsonschema.validate(json.loads(members()[0][1]), schema, jsonschema.Draft202012Validator)


def of_first(change: Callable[[dict], object]) -> Callable[[list], object]:
    def apply(files: list) -> None:
        files[0] = (files[0][0], resigned(change))

    return apply


HOSTILE: dict[str, Callable[[list], object]] = {
    "no first member": lambda files: files.pop(0),
    "nothing": lambda files: files.clear(),
    "a manifest is missing": lambda files: files.pop(1),
    "a blob is missing": lambda files: files.pop(-1),
    "a blob twice": lambda files: files.append(files[-1]),
    "a path out of it": lambda files: files.append(("../evil", b"x")),
    "an absolute path": lambda files: files.append(("/tmp/evil", b"x")),
    "something else": lambda files: files.append(("blobs/sha256/ab/" + "c" * 62, b"x")),
    "a blob of other bytes": lambda files: files.append((files[-1][0], bytes(len(files.pop()[1])))),
    "a longer blob": lambda files: files.append((files[-1][0], files.pop()[1] + b"x")),
    "another manifest": lambda files: files.insert(1, (files[1][0], files.pop(2)[1])),
    "a newer format": of_first(lambda value: value.update(format=2)),
    "no format": of_first(lambda value: value.pop("format")),
    "a column beyond": of_first(lambda value: value["stages"][0].update(columns=[0, 99])),
    "a column twice": of_first(lambda value: value["stages"][0].update(columns=[0, 0])),
    "a label that steers": of_first(lambda value: value["classes"][0].update(label="\x1b[31m")),
    "a module that is not there": of_first(lambda value: value["classes"][0].update(slug="nothing")),
    "another class": of_first(lambda value: value["classes"][0].update(name="top right")),
    "a name that is no name": of_first(lambda value: value["releases"][0].update(name="../../x")),
    "another name": of_first(lambda value: value["releases"][0].update(name="me/other")),
    "another version": of_first(lambda value: value["releases"][0].update(version="2.0.0")),
    "a release too many": of_first(
        lambda value: value["releases"].append(value["releases"][0] | {"digest": sha256(b"")})
    ),
    "a release twice": of_first(lambda value: value["releases"].append(value["releases"][0])),
    "no releases": of_first(lambda value: value.update(releases=[])),
    "no classes": of_first(lambda value: value.update(classes=[])),
    "no bundle": of_first(lambda value: value.update(bundle=False)),
    "a mode that is none": of_first(lambda value: value["settings"].update(mode="fast")),
    "a size without adapters": of_first(lambda value: value["settings"].update(size=[3, 3])),
    "one module in two classes": of_first(
        lambda value: value["classes"].append(value["classes"][0] | {"label": "two"})
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused(what: str, tmp_path: Path) -> None:
    files = list(members())
    HOSTILE[what](files)
    with pytest.raises((IntegrityError, Incompatible, UsageError, Conflict)) as caught:
        modhub.load(packed(tmp_path / "evil.modhub", files), cache=tmp_path / "cache")
    assert len(caught.value.message) < 1_000
    assert [path.name for path in tmp_path.iterdir()] == ["evil.modhub"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
def test_only_plain_files_are_members(kind: bytes, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        modhub.load(packed(tmp_path / "evil.modhub", [("classifier.json", b"")], type=kind, linkname="/etc/passwd"))


def test_other_files_are_called_what_they_are(tmp_path: Path) -> None:
    file = tmp_path / "pets.modhub"
    for data, said in ((b"", "is empty"), (b"PK\x03\x04", "is a zip file"), (b"hello", "is not a tar file")):
        file.write_bytes(data)
        with pytest.raises(UsageError, match=said):
            modhub.load(file)
    huge = tarfile.TarInfo("classifier.json")
    huge.size = 2**40
    file.write_bytes(huge.tobuf(tarfile.PAX_FORMAT) + bytes(512))
    with pytest.raises(IntegrityError, match="larger than"):
        modhub.load(file)


@given(st.data())
@settings(max_examples=60)
def test_no_byte_can_be_changed_or_cut_off_unseen(data: st.DataObject) -> None:
    """Either it is refused, or it is the same classifier: padding and times of a tar say nothing."""
    whole = (SAMPLES / "classifier-format-1.modhub").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    if data.draw(st.booleans()):
        changed[at] ^= data.draw(st.integers(1, 255))
    else:
        del changed[at:]
    file = Path("/dev/shm" if Path("/dev/shm").is_dir() else ".") / "changed.modhub"
    file.write_bytes(changed)
    try:
        found = modhub.load(file)
    except ModhubError:
        return
    finally:
        file.unlink()
    assert [module.digest for module in found.modules] == [
        module.digest for module in modhub.load(SAMPLES / "classifier-format-1.modhub").modules
    ]


# Pickles and copies


@pytest.mark.parametrize("through", ["pickle", "copy", "joblib"])
def test_copies_answer_alike_before_and_after_the_first_prediction(through: str, registry: str, tmp_path: Path) -> None:
    def copied(value: object) -> object:
        if through == "copy":
            return copy.deepcopy(value)
        if through == "pickle":
            return pickle.loads(pickle.dumps(value))
        joblib.dump(value, tmp_path / "value.joblib")
        return joblib.load(tmp_path / "value.joblib")

    x = quadrants(each=2).x
    composite = composed(registry)
    before = copied(composite)
    expected = composite.predict(x).margins
    for found in (before, copied(composite), copied(copied(composite))):
        np.testing.assert_array_equal(found.predict(x).margins, expected)
        assert found.classes == composite.classes
    decomposition = copied(bar_modules())
    assert decomposition.package.manifest == bar_modules().package.manifest
    module = copied(composite.modules[0])
    assert module.ref == composite.modules[0].ref
    with pytest.raises(ValueError, match="read-only"):
        next(iter(module.origin.weights.values()))[...] = 0


def test_a_pickle_holds_no_network(registry: str) -> None:
    composite = composed(registry)
    size = len(pickle.dumps(composite))
    composite.predict(quadrants(each=2).x)
    assert len(pickle.dumps(composite)) < size + 1_000
    assert replace(composite).classes == composite.classes
