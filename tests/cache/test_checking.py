"""Hashing the cache again finds every damage, and says who is hurt by it."""

from __future__ import annotations

import pytest
from caches import blob_file, get
from synthetic import release

from modhub.registry.writer import Registry
from modhub.spec.registry_files import SignatureFile, write_document
from modhub.storage.local import LocalStore

CAT, DOG = "me/net:cat@1.0.0", "me/net:dog@1.0.0"


@pytest.fixture
def installed(registry, cache):
    """cat and dog, a signature and an alias."""
    get(["n:cat", "n:dog"], registry, cache)
    key = "ab" * 32
    signature = SignatureFile(format=1, key=key, signature="A" * 86 + "==")
    cache.add_signature(release()[0].digest, key, write_document(signature))
    return cache


def the(cache, pattern):
    [path] = cache.root.rglob(pattern)
    return path


def damages(checked):
    return [(damage.kind, [str(module) for module in damage.modules]) for damage in checked.damaged]


def test_a_sound_cache(installed):
    seen = []
    checked = installed.verify(lambda done, total: seen.append((done, total)))
    assert (checked.files, checked.size, checked.damaged, checked.affected) == (8, installed.size(), (), ())
    assert seen[-1] == (5000 + 300 + 301,) * 2
    assert seen == sorted(seen)


def test_an_empty_cache(cache):
    assert cache.verify().files == cache.size() == 0
    assert cache.releases() == []
    assert not cache.root.exists()


BLOB_DAMAGES = {
    "truncated": lambda data: data[:-1],
    "padded": lambda data: data + b"\0",
    "zeroed": lambda data: bytes(len(data)),
    "swapped": lambda data: data[::-1],
}


@pytest.mark.parametrize("damage", BLOB_DAMAGES)
@pytest.mark.parametrize(("key", "hurt"), [("weights", [CAT, DOG]), ("dog", [DOG])])
def test_a_damaged_blob(installed, registry, damage, key, hurt):
    manifest, _ = release()
    content = manifest.content
    record = manifest.blobs[content.origin.weights if key == "weights" else content.modules[1].blob]
    file = blob_file(installed, record)
    file.write_bytes(BLOB_DAMAGES[damage](file.read_bytes()))
    checked = installed.verify()
    assert damages(checked) == [(damage, hurt)]
    assert checked.damaged[0].path == file.relative_to(installed.root).as_posix()
    assert str(file) in checked.damaged[0].message
    get([str(module) for module in checked.affected], registry, installed)
    assert installed.verify().damaged == ()


def test_a_blob_that_is_gone(installed):
    manifest, _ = release()
    blob_file(installed, manifest.blobs[manifest.content.modules[0].blob]).unlink()
    checked = installed.verify()
    assert damages(checked) == [("not-installed", [CAT])]
    assert "is not in the cache" in checked.damaged[0].message


@pytest.mark.parametrize(
    ("pattern", "damage", "kind", "hurt"),
    [
        ("manifests/*/*.json", b"{}", "bad-json", [CAT, DOG]),
        ("manifests/*/*.json", None, "not-installed", [CAT, DOG]),
        ("dog.json", b"", "bad-json", [DOG]),
        ("n.json", b"", "bad-json", []),
        ("signatures/*/*.json", b"", "bad-json", []),
    ],
)
def test_a_damaged_document(installed, registry, pattern, damage, kind, hurt):
    file = the(installed, pattern)
    file.unlink() if damage is None else file.write_bytes(damage)
    checked = installed.verify()
    assert damages(checked) == [(kind, hurt)]
    if hurt:
        get([str(module) for module in checked.affected], registry, installed)
        assert installed.verify().damaged == ()


def test_a_file_under_another_files_name(installed):
    for source, name in (("cat.json", "dog.json"), (f"{'ab' * 32}.json", f"{'cd' * 32}.json")):
        file = the(installed, source)
        file.with_name(name).write_bytes(file.read_bytes())
    assert [kind for kind, _ in damages(installed.verify())] == ["swapped", "swapped"]


def test_damage_to_what_is_not_needed_is_harmless(installed):
    the(installed, "dog.json").unlink()
    manifest, _ = release()
    blob_file(installed, manifest.blobs[manifest.content.modules[1].blob]).write_bytes(b"")
    checked = installed.verify()
    assert (damages(checked), checked.affected) == ([("truncated", [])], ())
    assert checked.damaged[0].message.endswith(" has not the bytes that its name promises.")


def test_one_content_stored_twice_is_sound_as_long_as_one_copy_is_there(installed, tmp_path):
    other = Registry(LocalStore(tmp_path / "other"))
    other.publish(*release(stored_seed=1))
    get(["me/net:potters-wheel"], other, installed)
    assert installed.verify().damaged == ()
    # The first manifest alone says where the cat's blob is, so without it the cat is hurt although nothing else is.
    manifests = sorted(installed.root.glob("manifests/*/*.json"))
    for manifest in manifests:
        data = manifest.read_bytes()
        manifest.write_bytes(b"")
        checked = installed.verify()
        assert ("bad-json", []) in damages(checked)
        assert checked.affected
        manifest.write_bytes(data)


def test_what_others_put_there_is_not_checked(installed):
    (installed.root / "blobs" / "notes.txt").write_text("mine")
    assert installed.verify().files == 8
