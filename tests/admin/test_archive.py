"""One release as one file: the same bytes every time, whole or not there, and hostile until it is verified."""

from __future__ import annotations

import gzip
import io
import os
import resource
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from admin_stores import examined, memory, snapshot
from crashing import with_full_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import static_server
from synthetic import release

from modhub.errors import Conflict, IntegrityError, ModhubError, NotFound, StorageError, UsageError
from modhub.registry.admin.archive import export_release, import_release
from modhub.registry.admin.takedown import take_down
from modhub.registry.reader import RegistryReader
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.signing.policy import Trust
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.layout import blob_path, release_path, signature_path
from modhub.spec.manifest import write_manifest
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store

REF = ModelRef("me", "net", "1.0.0")
ALICE = new_signer("alice")
MANIFEST, BLOBS = release(classes=("cat", "dog"))


@pytest.fixture
def registry():
    registry = Registry(memory())
    registry.publish(MANIFEST, BLOBS, signer=ALICE)
    return registry


@pytest.fixture
def file(registry, tmp_path):
    export_release(registry, REF, tmp_path / "net.tar")
    return tmp_path / "net.tar"


def members(file):
    with tarfile.open(file) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]


def packed(file, files, **header):
    """A tar of ``files``; ``header`` changes fields of the first."""
    with tarfile.open(file, "w") as tar:
        for number, (name, data) in enumerate(files):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for field, value in header.items() if number == 0 else ():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(data))
    return file


def refused(file):
    """What is said about a file that must not be imported; nothing of it reaches the registry."""
    registry = Registry(memory())
    with pytest.raises((IntegrityError, UsageError)) as caught:
        import_release(file, registry)
    assert snapshot(registry.store) == {}
    return caught.value


# Round trips


def test_what_was_exported_is_imported_with_its_signatures(registry, file):
    other = Registry(memory())
    published = import_release(file, other)
    assert (published.ref, published.created, published.digest) == (REF, True, MANIFEST.digest)
    assert {path: data for path, data in snapshot(other.store).items() if path != "modhub-registry.json"} == {
        path: data for path, data in snapshot(registry.store).items() if path != "modhub-registry.json"
    }
    trust = Trust((TrustedKey(key=str(ALICE.public), name="alice", namespaces=("me",)),), required=True)
    assert RegistryReader(other.store, trust=trust).manifest(REF) == MANIFEST
    assert import_release(file, other).created is False
    assert examined(other.store).findings == ()


def test_it_is_a_plain_tar_in_the_registrys_own_layout(registry, file):
    names = [name for name, _ in members(file)]
    blobs = sorted(map(blob_path, BLOBS))
    assert names == [signature_path(MANIFEST.digest, ALICE.id), *blobs, release_path(REF)]
    with tarfile.open(file) as tar:
        assert {(one.mtime, one.uid, one.gid, one.uname, one.gname, one.mode) for one in tar} == {
            (0, 0, 0, "", "", 0o644)
        }


def test_the_same_release_gives_the_same_bytes(registry, file, tmp_path):
    other = Registry(LocalStore(tmp_path / "other"))
    import_release(file, other)
    export_release(other, REF, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == file.read_bytes()


def test_the_longest_names_fit(tmp_path):
    name, version = f"{'n' * 100}/{'m' * 100}", "1.0.0-" + "x" * 94
    ref = ModelRef(*name.split("/"), version)
    registry, other = Registry(memory()), Registry(memory())
    registry.publish(*release(name, version), signer=ALICE)
    export_release(registry, ref, tmp_path / "long.tar")
    assert import_release(tmp_path / "long.tar", other).ref == ref


def test_a_release_from_a_web_server(registry, file, tmp_path):
    import_release(file, Registry(LocalStore(tmp_path / "www")))
    with static_server(tmp_path / "www") as url:
        export_release(RegistryReader(open_store(url)), REF, tmp_path / "web.tar", keys=[ALICE.id])
    assert (tmp_path / "web.tar").read_bytes() == file.read_bytes()


def test_progress_is_reported_to_the_last_byte(registry, file, tmp_path):
    reported = []
    export_release(registry, REF, tmp_path / "b.tar", progress=lambda *now: reported.append(now))
    total = sum(map(len, BLOBS.values()))
    assert reported[-1] == ("exporting me/net@1.0.0", total, total)
    reported.clear()
    import_release(file, Registry(memory()), progress=lambda *now: reported.append(now))
    assert reported[0][0] == f"reading {file}"
    assert reported[-1][0] == "publishing me/net"


# Exporting what cannot be


def test_a_release_that_is_not_there_or_not_whole_leaves_no_file(registry, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(NotFound):
        export_release(registry, ModelRef("me", "net", "9.0.0"), out / "a.tar")
    for data in (b"?", bytes(len(BLOBS[min(BLOBS)])), None):
        registry.store.delete(blob_path(min(BLOBS)))
        if data is not None:
            registry.store.replace(blob_path(min(BLOBS)), data)
        with pytest.raises(IntegrityError):
            export_release(registry, REF, out / "a.tar")
    take_down(registry, REF, "not ours")
    with pytest.raises(Conflict, match=r"me/net@1\.0\.0 was taken down from .*: not ours") as caught:
        export_release(registry, REF, out / "a.tar")
    assert caught.value.kind == "taken-down"
    assert list(out.iterdir()) == []


def test_a_file_that_cannot_be_written(registry, tmp_path):
    with pytest.raises(UsageError, match="is a folder") as caught:
        export_release(registry, REF, tmp_path)
    assert f"for example {tmp_path}/net.tar" in str(caught.value)
    with pytest.raises(StorageError, match=r"cannot write .*nowhere/net\.tar: No such file or directory"):
        export_release(registry, REF, tmp_path / "nowhere" / "net.tar")


def test_a_full_disk_leaves_no_file(tmp_path):
    url = str(tmp_path / "registry")
    Registry(open_store(url)).publish(*release(weights_bytes=100_000))
    out = tmp_path / "out"
    out.mkdir()
    status, answer = with_full_disk(20_000, False, _export, url, str(out / "net.tar"))
    name, _, text = answer
    assert (status, name) == (0, "StorageError")
    assert "cannot write" in text
    assert list(out.iterdir()) == []


def _export(url, file):
    export_release(Registry(open_store(url)), REF, Path(file))


def test_no_space_for_temporary_files(tmp_path):
    url, file = str(tmp_path / "registry"), tmp_path / "net.tar"
    big = Registry(memory())
    big.publish(*release(weights_bytes=100_000))
    export_release(big, REF, file)
    status, answer = with_full_disk(20_000, False, _import, url, str(file))
    name, kind, text = answer
    assert (status, name, kind) == (0, "StorageError", "no-temporary-space")
    assert "cannot write the temporary file" in text
    assert "set TMPDIR to a folder on another disk" in text


def _import(url, file):
    import_release(Path(file), Registry(open_store(url)))


# What is not an archive


def test_what_is_no_archive_is_recognised(tmp_path):
    path = tmp_path / "x"
    cases = [(b"", "is empty"), (b"PK\x03\x04...", "is a zip file"), (gzip.compress(b"x" * 999), "is a gzip file")]
    cases += [(b"\x28\xb5\x2f\xfd....", "is a zstd file"), (b"hello " * 300, "is not a tar file"), (b"?", "not a tar")]
    for data, text in cases:
        path.write_bytes(data)
        error = refused(path)
        assert error.kind == "not-an-archive"
        assert text in str(error)
        assert "name a file that modhub registry export wrote." in str(error)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    assert "is a zip file" in str(refused(path))
    assert "is a folder" in str(refused(tmp_path))
    assert "does not exist" in str(refused(tmp_path / "none"))
    os.mkfifo(tmp_path / "pipe")
    assert "is not a plain file" in str(refused(tmp_path / "pipe"))


def test_a_file_truncated_anywhere_is_refused(file, tmp_path):
    data = file.read_bytes()
    manifest = data.rindex(b'{"blobs"')
    for size in [*range(1, manifest, 701), manifest - 512, manifest, manifest + 1, manifest + 900]:
        (tmp_path / "cut").write_bytes(data[:size])
        error = refused(tmp_path / "cut")
        if size > 512:
            assert error.kind == "bad-archive", size
            assert "is incomplete" in str(error)
            assert "copy the file again from where it was exported" in str(error)


# Hostile ones


def test_members_that_do_not_belong(file, tmp_path):
    files = members(file)
    out = tmp_path / "x.tar"
    blob, manifest = files[1], files[-1]
    other = release("you/net")
    stray = (signature_path(other[0].digest, ALICE.id), files[0][1])
    extra = (blob_path(min(other[1])), other[1][min(other[1])])
    cases = [
        ([("../../etc/passwd", b"x"), *files], "'../../etc/passwd', which belongs to no release or is there twice"),
        ([("/etc/passwd", b"x"), *files], "'/etc/passwd', which belongs to no release"),
        ([("modhub-registry.json", b"{}"), *files], "'modhub-registry.json', which belongs to no release"),
        ([("index/me/net.json", b"{}"), *files], "'index/me/net.json', which belongs to no release"),
        ([("./" + blob[0], blob[1]), *files], "which belongs to no release"),
        ([blob, *files], f"{blob[0]!r}, which belongs to no release or is there twice"),
        ([files[0], *files], f"{files[0][0]!r}, which belongs to no release or is there twice"),
        ([*files, manifest], f"has {manifest[0]!r} behind its release"),
        ([*files, blob], f"has {blob[0]!r} behind its release"),
        (files[:-1], "has no release in it; it is incomplete, or another kind of tar file"),
        ([files[0], *files[2:]], f"lacks the blob sha256:{blob[0].replace('/', '')[11:]}, which me/net@1.0.0 needs"),
        ([extra, *files], "which me/net@1.0.0 does not need"),
        ([stray, *files[1:]], "has a signature of something else than me/net@1.0.0"),
        ([(files[0][0], b"?"), *files[1:]], "which is not a signature by that key"),
        ([(blob[0], b""), *files[2:]], "has 0 bytes as blobs/"),
        (
            [*files[:-1], (release_path(ModelRef("me", "net", "9.0.0")), manifest[1])],
            "has me/net@1.0.0 under the name of",
        ),
        ([(files[0][0], b"x" * 5_000_000), *files[1:]], "has 5000000 bytes as signatures/"),
    ]
    for wrong, text in cases:
        error = refused(packed(out, wrong))
        assert (error.kind, text in str(error)) == ("bad-archive", True), (text, str(error))


def test_blobs_and_manifests_that_are_not_what_they_say(file, tmp_path):
    files, out = members(file), tmp_path / "x.tar"
    name, data = files[1]
    assert refused(packed(out, [(name, data[:-1] + b"?"), *files[2:]])).kind == "swapped"
    assert refused(packed(out, [(name, bytes(len(data))), *files[2:]])).kind == "zeroed"
    assert refused(packed(out, [*files[:-1], (files[-1][0], b"{}")])).kind == "bad-json"
    assert refused(packed(out, [*files[:-1], (files[-1][0], files[-1][1][:-1])])).kind == "bad-json"


def test_a_manifest_with_a_wrong_size(tmp_path):
    key = next(iter(MANIFEST.blobs))
    record = MANIFEST.blobs[key].model_copy(update={"size": 7})
    lying = MANIFEST.model_copy(update={"blobs": MANIFEST.blobs | {key: record}})
    files = [(blob_path(digest), data) for digest, data in sorted(BLOBS.items())]
    error = refused(packed(tmp_path / "x.tar", [*files, (release_path(REF), write_manifest(lying))]))
    assert f"bytes as {record.sha256} where me/net@1.0.0 says 7" in str(error)


@pytest.mark.parametrize("kind", ["LNKTYPE", "SYMTYPE", "CHRTYPE", "BLKTYPE", "DIRTYPE", "FIFOTYPE", "CONTTYPE"])
def test_links_devices_and_folders_are_refused(file, tmp_path, kind):
    files = members(file)
    error = refused(packed(tmp_path / "x.tar", files, type=getattr(tarfile, kind), linkname="/etc/passwd"))
    assert "which is not a plain file" in str(error) or "is incomplete or damaged" in str(error)


def test_a_sparse_file_is_refused(file, tmp_path):
    """It asks for bytes that are not in the archive."""
    files = members(file)
    out = tmp_path / "x.tar"
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(files[1][0])
        member.pax_headers = sparse | {"GNU.sparse.name": files[1][0]}
        member.size = 512
        tar.addfile(member, io.BytesIO(b"1\n0\n512\n".ljust(512, b"\0")))
    assert refused(out).kind == "bad-archive"


HEADERS = {
    tarfile.XHDTYPE: "has a header that is no good.",
    tarfile.XGLTYPE: "has a header that is no good.",
    tarfile.GNUTYPE_LONGNAME: "has a header that is no good.",
    tarfile.GNUTYPE_SPARSE: "has '././@Header', which is not a plain file.",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_do_not_set_memory_aside(file, tmp_path, kind):
    """A header that says it has 2 GiB, in a file that really is so large (and empty: it takes no room)."""
    out = tmp_path / "x.tar"
    member = tarfile.TarInfo("././@Header")
    member.type, member.size = kind, 2**31
    with out.open("wb") as target:
        target.write(member.tobuf(tarfile.GNU_FORMAT))
        target.truncate(2**31 + 10_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert HEADERS[kind] in str(refused(out))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_header_that_leads_back_does_not_go_round_for_ever(file, tmp_path):
    data = bytearray(file.read_bytes())
    member = tarfile.TarInfo("blobs/x")
    for size in (-512, -1024, -(2**40)):
        header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
        header[124:136] = b"\xff" + (2**88 + size).to_bytes(11, "big")
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        (tmp_path / "x.tar").write_bytes(data[:512] + bytes(512 * 2) + header + data)
        (tmp_path / "y.tar").write_bytes(bytes(header) + bytes(data))
        assert refused(tmp_path / "y.tar").kind == "bad-archive"
        assert refused(tmp_path / "x.tar").kind == "bad-archive"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_mutated_file_is_imported_whole_or_refused(tmp_path_factory, data):
    """Whatever is done to its bytes, only errors of ours come out, and only the release that it was goes in."""
    out = tmp_path_factory.mktemp("fuzz") / "x.tar"
    mutated = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "copy"]))
        if how == "flip":
            mutated[position] ^= data.draw(st.integers(1, 255))
        elif how == "cut":
            del mutated[position : position + data.draw(st.integers(1, 2000))]
        elif how == "insert":
            mutated[position:position] = data.draw(st.binary(min_size=1, max_size=600))
        else:
            block = position // 512 * 512
            mutated[block:block] = mutated[block : block + 512]
        if not mutated:
            break
    out.write_bytes(mutated)
    registry = Registry(memory())
    try:
        import_release(out, registry)
    except ModhubError:
        assert snapshot(registry.store) == {}
    else:
        assert registry.manifest(REF) == MANIFEST
        assert examined(registry.store).findings == ()


def _good():
    from pathlib import Path

    registry = Registry(memory())
    registry.publish(MANIFEST, BLOBS, signer=ALICE)
    with TemporaryDirectory() as folder:
        export_release(registry, REF, Path(folder) / "net.tar")
        return (Path(folder) / "net.tar").read_bytes()


GOOD = _good()
