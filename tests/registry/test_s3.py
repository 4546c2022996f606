"""A registry on S3, as moto plays it: conformance, and each surprise that object stores have in store."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import uuid
from dataclasses import replace

import pytest
from servers import RawBucket, fault_proxy, shared_s3

from modhub.errors import NotFound, RegistryUnreachable, StorageError
from modhub.limits import KIB
from modhub.storage.backends import AZ, GS, MARK, S3, SFTP, capabilities
from modhub.storage.probe import probe_exclusive_create
from modhub.storage.remote import FileSystemStore
from modhub.storage.retry import Retry
from modhub.storage.testing import StoreSuite
from modhub.storage.urls import open_store

SOON = Retry(wait=lambda seconds: None)


@pytest.fixture(scope="session")
def bucket(s3):
    return s3.bucket("registries")


@pytest.fixture
def place(aws, bucket):
    """An unused prefix of the bucket, and the view of it behind the store's back."""
    root = f"team/{uuid.uuid4().hex}"
    return f"s3://{bucket}/{root}", RawBucket(aws.client, bucket, root)


class TestS3Store(StoreSuite):
    @pytest.fixture
    def store(self, place, s3):
        return FileSystemStore(place[0], backend=shared_s3(s3.endpoint))

    @pytest.fixture
    def raw(self, store, place):
        return place[1]

    @pytest.fixture
    def unfinished(self, raw):
        """An upload in parts that was begun and never completed."""
        raw.client.create_multipart_upload(Bucket=raw.bucket, Key=f"{raw.root}/blobs/ab")
        others = raw.client.create_multipart_upload(Bucket=raw.bucket, Key=f"elsewhere/{uuid.uuid4().hex}")

        def is_there():
            uploads = raw.client.list_multipart_uploads(Bucket=raw.bucket).get("Uploads", [])
            keys = {upload["Key"] for upload in uploads}
            assert others["Key"] in keys, "a sweep of one registry must not touch another's uploads"
            return f"{raw.root}/blobs/ab" in keys

        return is_there


@pytest.fixture(scope="module")
def proxy(s3):
    with fault_proxy(s3.port) as proxy:
        yield proxy


@pytest.fixture
def through(place, proxy):
    """A store whose requests pass the proxy, the proxy, and the raw view."""
    proxy.at("drop-request")
    return FileSystemStore(place[0], backend=shared_s3(proxy.endpoint), retry=SOON), proxy, place[1]


@pytest.fixture
def unused_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def methods(proxy):
    return [request.method for request in proxy.seen]


# Exclusive creation, whatever happens to the answer


@pytest.mark.parametrize("fault", ["drop-response", "500-after", "412-after"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_acknowledgement_is_no_conflict(through, fault, times):
    store, proxy, raw = through
    proxy.at(fault, *range(1, times + 1)) if fault == "drop-response" else proxy.at(fault, 1)
    assert store.put_if_absent("a", b"mine") is True
    assert raw.read("a") == b"mine"
    assert proxy.fired()


def test_the_client_library_itself_repeats_a_creation_and_meets_its_own_object(through):
    """aiohttp sends a PUT again when the connection breaks, whatever anybody configured: hence the mark."""
    store, proxy, raw = through
    proxy.at("drop-response", 1)
    assert store.put_if_absent("a", b"mine") is True
    assert methods(proxy) == ["PUT", "PUT", "HEAD"]
    assert set(raw.client.head_object(Bucket=raw.bucket, Key=f"{raw.root}/a")["Metadata"]) == {MARK}


@pytest.mark.parametrize("fault", ["drop-request", "drop-response", "500", "503", "409", "412", "412-after"])
def test_another_object_is_never_taken_for_ones_own(through, fault):
    store, proxy, raw = through
    assert store.put_if_absent("a", b"equal") is True
    raw.write("b", b"other")
    proxy.at(fault, 1)
    assert store.put_if_absent("b", b"mine") is False
    proxy.at(fault, 1)
    # Equal bytes, but another call wrote them: whoever needs a young blob must know.
    assert store.put_if_absent("a", b"equal") is False
    assert (raw.read("a"), raw.read("b")) == (b"equal", b"other")


@pytest.mark.parametrize("fault", ["500", "409", "412"])
def test_without_a_mark_the_bytes_decide(through, fault):
    store, proxy, raw = through
    raw.write("a", b"equal")
    raw.write("b", b"wrong")
    raw.write("c", b"longer than it should be")
    proxy.at(fault, 1)
    assert store.put_if_absent("a", b"equal") is True
    for path in ("b", "c"):
        proxy.at(fault, 1)
        assert store.put_if_absent(path, b"equal") is False


def test_bytes_of_files_are_compared_piece_by_piece(through, tmp_path):
    store, proxy, raw = through
    file = tmp_path / "payload"
    file.write_bytes(bytes(9 << 20))
    for path, last, ours in (("a", b"\0", True), ("b", b"1", False)):
        raw.write(path, bytes((9 << 20) - 1) + last)
        proxy.at("500", 1)
        assert store.put_if_absent(path, file) is ours


def test_a_short_answer_while_reading_back_is_no_conflict(through):
    store, proxy, raw = through
    raw.write("a", b"equal bytes")
    proxy.start(lambda number, method, target: "500" if number == 1 else "truncate-lying" if number == 4 else None)
    assert store.put_if_absent("a", b"equal bytes") is True
    assert methods(proxy) == ["PUT", "HEAD", "HEAD", "GET", "GET"]


def test_an_outcome_that_cannot_be_read_is_told_as_unknown(through):
    store, proxy, raw = through
    proxy.start(lambda number, method, target: "drop-response" if method == "PUT" else "503")
    with pytest.raises(
        RegistryUnreachable,
        match=r"unknown whether s3://.*/a was written: .*closed.* and then: cannot "
        r"read .*tried 5 times",
    ) as caught:
        store.put_if_absent("a", b"mine")
    assert caught.value.kind == "unknown-outcome"
    assert "run the same command again: that is safe" in caught.value.hint
    assert raw.read("a") == b"mine"
    proxy.at("503")
    assert store.put_if_absent("a", b"mine") is False


@pytest.mark.parametrize("fault", ["drop-request", "500", "503", "409", "412"])
def test_a_store_that_never_answers_is_unreachable_and_nothing_is_written(through, fault):
    store, proxy, raw = through
    proxy.start(lambda number, method, target: fault if method == "PUT" else None)
    with pytest.raises(RegistryUnreachable, match="cannot write s3://") as caught:
        store.put_if_absent("a", b"mine")
    assert caught.value.kind == "unreachable"
    assert "check the address and the network" in caught.value.hint
    assert raw.names() == set()


def test_a_silent_server_is_given_up(place, proxy, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    store = FileSystemStore(place[0], options={"config_kwargs": {"read_timeout": 0.5}}, retry=SOON)
    store.exists("connected")
    proxy.at("stall", 1)
    assert store.put_if_absent("a", b"mine") is True
    proxy.at("stall", 1)
    assert store.get("a", max_bytes=10) == b"mine"
    assert proxy.fired() == 1


# Uploads in parts


@pytest.fixture
def in_parts(through):
    """As ``through``, but with parts of 64 KiB, and bytes that make three of them."""
    _, proxy, raw = through
    small = replace(shared_s3(proxy.endpoint), limits={**S3.limits, "chunksize": 64 * KIB})
    return FileSystemStore(f"s3://{raw.bucket}/{raw.root}", backend=small, retry=SOON), proxy, raw, bytes(150 * KIB)


def test_a_large_upload_goes_in_parts(in_parts, tmp_path):
    store, proxy, raw, data = in_parts
    (tmp_path / "payload").write_bytes(data)
    for path, payload in (("a", data), ("b", tmp_path / "payload")):
        proxy.at("500")
        assert store.put_if_absent(path, payload) is True
        assert methods(proxy) == ["HEAD", "GET", "POST", "PUT", "PUT", "PUT", "POST"]
        assert raw.read(path) == data


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize("fault", ["drop-request", "drop-response", "500-after", "500", "409"])
@pytest.mark.parametrize("number", range(1, 8))
def test_faults_in_a_large_upload(in_parts, tmp_path, fault, number, as_file):
    store, proxy, raw, data = in_parts
    (tmp_path / "payload").write_bytes(data)
    proxy.at(fault, *([number, number + 1] if fault.startswith("drop") else [number]))
    assert store.put_if_absent("blob", tmp_path / "payload" if as_file else data) is True
    assert raw.read("blob") == data
    assert proxy.fired()


def test_a_taken_name_costs_no_large_upload(in_parts):
    store, proxy, raw, data = in_parts
    raw.write("blob", b"there")
    assert store.put_if_absent("blob", data) is False
    assert methods(proxy) == ["HEAD"]


def test_a_large_upload_that_loses_the_race_leaves_the_winner(in_parts):
    store, proxy, raw, data = in_parts

    def plan(number, method, target):
        if method == "POST" and "uploadId" in target:
            raw.write("blob", b"the winner's")

    proxy.start(plan)
    assert store.put_if_absent("blob", data) is False
    assert raw.read("blob") == b"the winner's"
    assert raw.client.list_multipart_uploads(Bucket=raw.bucket, Prefix=raw.root).get("Uploads", []) == []


# Reading


@pytest.mark.parametrize("fault", ["drop-request", "drop-response", "500", "503", "slow", "truncate"])
def test_reading_survives_a_fault(through, fault):
    store, proxy, raw = through
    raw.write("a/b", b"some bytes")
    for times in (1, 2):
        for read, expected in (
            (lambda: store.get("a/b", max_bytes=100), b"some bytes"),
            (lambda: b"".join(store.stream("a/b", max_bytes=100)), b"some bytes"),
            (lambda: store.list(""), ["a/b"]),
            (lambda: store.exists("a/b"), True),
            (lambda: store.exists("a/x"), False),
        ):
            proxy.at(fault, *range(1, times + 1))
            assert read() == expected
            assert proxy.fired()


def test_a_large_object_is_read_in_ranges_each_tried_again(through):
    store, proxy, raw = through
    data = bytes(range(256)) * (21 << 12)
    raw.write("blob", data)
    for fault in ("drop-response", "truncate-lying"):
        for number in range(1, 5):
            proxy.at(fault, number)
            if fault == "truncate-lying" and number == 1:
                # The first piece tells the size; that it came short only its digest can tell.
                assert len(b"".join(store.stream("blob", max_bytes=len(data)))) < len(data)
                continue
            assert b"".join(store.stream("blob", max_bytes=len(data))) == data
    proxy.at("503")
    list(store.stream("blob", max_bytes=len(data)))
    assert methods(proxy) == ["GET", "HEAD", "GET", "GET"]


def test_a_small_object_costs_one_request_and_a_missing_one_too(through):
    store, proxy, raw = through
    raw.write("a", b"data")
    store.get("a", max_bytes=1 << 30)
    with pytest.raises(NotFound):
        store.get("b", max_bytes=10)
    assert methods(proxy) == ["GET", "GET"]


def test_writing_over_and_deleting_survive_faults(through):
    store, proxy, raw = through
    for fault in ("drop-request", "drop-response", "500-after", "503", "409"):
        proxy.at(fault, 1, 2)
        store.replace("a", fault.encode())
        assert raw.read("a") == fault.encode()
        proxy.at(fault, 1, 2)
        store.delete("a")
        assert raw.names() == set()


def test_only_transient_failures_are_tried_again_and_ever_longer_apart(place, proxy, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    waited = []
    store = FileSystemStore(place[0], retry=Retry(attempts=4, delay=0.5, wait=waited.append))
    proxy.start(lambda number, method, target: "503")
    with pytest.raises(RegistryUnreachable, match=r"cannot read s3://.*reduce your request rate \(tried 4 times\)"):
        store.get("a", max_bytes=10)
    assert waited == [0.5, 1.0, 2.0]
    assert len(proxy.seen) == 4
    waited.clear()
    proxy.start(lambda number, method, target: "412")
    with pytest.raises(RegistryUnreachable, match="pre-conditions did not hold") as caught:
        store.get("a", max_bytes=10)
    assert (waited, len(proxy.seen)) == ([], 1)
    assert "tried" not in str(caught.value)


# Places and rights


def test_a_missing_bucket_is_named(aws):
    store = open_store("s3://no-such-bucket/x")
    for operation in (
        lambda: store.get("a", max_bytes=10),
        lambda: store.put_if_absent("a", b""),
        lambda: store.replace("a", b""),
        lambda: store.delete("a"),
        lambda: store.list(""),
        lambda: store.exists("a"),
    ):
        with pytest.raises(RegistryUnreachable, match=r"there is no s3://no-such-bucket/x: .*bucket") as caught:
            operation()
        assert caught.value.kind == "no-bucket"
        assert "create the bucket first" in caught.value.hint


def test_refused_credentials_are_told_at_once(place, proxy, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    store = FileSystemStore(place[0], retry=Retry(wait=lambda seconds: pytest.fail("not worth a wait")))
    proxy.start(lambda number, method, target: "403")
    with pytest.raises(RegistryUnreachable, match=r"cannot read s3://.*: Access Denied") as caught:
        store.get("a", max_bytes=10)
    assert caught.value.kind == "not-readable"
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    with pytest.raises(RegistryUnreachable, match=r"cannot write s3://.*/a: Access Denied") as caught:
        store.put_if_absent("a", b"")
    assert caught.value.kind == "not-writable"
    assert len(proxy.seen) == 2


def test_without_credentials_it_says_which_are_missing(place, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(RegistryUnreachable, match="credentials") as caught:
        open_store(place[0]).get("a", max_bytes=10)
    assert caught.value.kind == "not-readable"
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_a_place_that_nobody_serves_is_unreachable(place, unused_port, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused_port}")
    store = FileSystemStore(place[0], retry=SOON)
    with pytest.raises(RegistryUnreachable, match=r"Could not connect.*tried 5 times") as caught:
        store.get("a", max_bytes=10)
    assert caught.value.kind == "unreachable"


def test_a_payload_that_is_gone_is_the_disks_trouble(through, tmp_path):
    store, _, _ = through
    for write in (store.put_if_absent, store.replace):
        with pytest.raises(StorageError, match=r"cannot read .*gone, which was to be uploaded: No such file") as caught:
            write("a", tmp_path / "gone")
        assert caught.value.kind == "no-payload"


def test_a_server_that_knows_no_conditions_is_told_so(through):
    store, proxy, _ = through
    proxy.start(lambda number, method, target: "501")
    with pytest.raises(RegistryUnreachable, match="does not know how to create a exclusively") as caught:
        store.put_if_absent("a", b"")
    assert caught.value.kind == "no-exclusive-create"
    assert "honours If-None-Match" in caught.value.hint


def test_a_probe_finds_a_server_that_ignores_conditions(through):
    store, proxy, raw = through
    assert probe_exclusive_create(store) is True
    proxy.start(lambda number, method, target: "unconditional")
    assert probe_exclusive_create(store) is False
    assert raw.names() == set()


# Clients


@pytest.mark.parametrize(
    ("backend", "versions", "why_not"),
    [
        (S3, {"fsspec": "2024.12.0", "s3fs": "2025.7.0", "botocore": "1.35.20"}, ""),
        (S3, {"fsspec": "2026.9.0", "s3fs": "2026.9.0.post1", "botocore": "1.43.0"}, ""),
        (S3, {"fsspec": "2026.9.0", "s3fs": "2025.5.1", "botocore": "1.43.0"}, "s3fs 2025.7.0 .* here is 2025.5.1"),
        (S3, {"fsspec": "2024.10.0", "s3fs": "2025.7.0", "botocore": "1.43.0"}, "fsspec 2024.12.0 .* 2024.10.0"),
        (S3, {"fsspec": "2026.9.0", "s3fs": "2025.7.0", "botocore": "1.34.131"}, "botocore 1.35.20 .* 1.34.131"),
        (S3, {"fsspec": "2026.9.0"}, "s3fs 2025.7.0 or later is needed to create exclusively, here is none"),
        (GS, {"fsspec": "2024.12.0", "gcsfs": "2024.12.0"}, ""),
        (GS, {"fsspec": "2024.12.0", "gcsfs": "2024.10.0"}, "gcsfs 2024.12.0 .* 2024.10.0"),
        (AZ, {"fsspec": "2024.12.0", "adlfs": "2024.12.0"}, ""),
        (AZ, {"fsspec": "2024.12.0", "adlfs": "2024.7.0"}, "adlfs 2024.12.0 .* 2024.7.0"),
        (SFTP, {"fsspec": "2026.9.0"}, "sftp cannot create exclusively as far as is known"),
    ],
)
def test_old_clients_overwrite_silently_and_do_not_count(backend, versions, why_not):
    found = capabilities(backend, versions.get)
    assert found.exclusive_create is (why_not == "")
    assert re.search(why_not, found.why_not)


def test_an_old_client_at_least_looks_before_it_writes(place):
    url, raw = place
    raw.write("a", b"other")
    store = FileSystemStore(url, installed=lambda name: "2024.1.0")
    assert not store.capabilities.exclusive_create
    assert store.put_if_absent("a", b"mine") is False
    assert raw.read("a") == b"other"


@pytest.mark.parametrize(("protocol", "extra"), [("gs", "gs"), ("abfs", "az")])
def test_a_missing_client_is_told_with_the_extra_that_brings_it(protocol, extra):
    store = open_store(f"{protocol}://bucket/x")
    with pytest.raises(RegistryUnreachable, match=f"{protocol}://bucket/x needs a library") as caught:
        store.get("a", max_bytes=10)
    assert caught.value.kind == "missing-extra"
    assert caught.value.hint == f"pip install 'modhub[{extra}]'"


def test_settings_come_from_fsspecs_own_configuration_and_retries_stay_off(place, proxy, monkeypatch):
    import fsspec.config

    settings = {"endpoint_url": proxy.endpoint, "config_kwargs": {"retries": {"total_max_attempts": 9}}}
    monkeypatch.setitem(fsspec.config.conf, "s3", settings)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    proxy.start(lambda number, method, target: "500")
    with pytest.raises(RegistryUnreachable):
        FileSystemStore(place[0], retry=Retry(attempts=2, wait=lambda seconds: None)).get("a", max_bytes=10)
    assert methods(proxy) == ["GET", "GET"]


def test_what_a_client_has_listed_once_hides_nothing_later(place):
    """With s3fs's cache of listings on, an object that another process writes would stay invisible."""
    url, raw = place
    files, root = S3.connect(url, {})
    store = FileSystemStore(url, backend=replace(S3, connect=lambda url, options: (files, root)))
    raw.write("a/b", b"data")
    assert files.ls(f"{root}/a") == [f"{root}/a/b"]
    raw.write("a/c", b"new")
    assert store.exists("a/c")
    assert store.put_if_absent("a/c", b"mine") is False


def test_opening_imports_no_client():
    code = (
        "import sys; from modhub.storage.urls import open_store\n"
        "for url in ('s3://b/x', 'gs://b/x', 'az://c/x', 'sftp://h/x', 'https://h/x'): open_store(url)\n"
        "print(sorted({'fsspec', 's3fs', 'requests', 'paramiko', 'aiohttp', 'botocore'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_store_outlives_a_fork(place):
    """fsspec's loop thread does not; the child must open connections of its own."""
    store = open_store(place[0])
    store.put_if_absent("a", b"data")
    child = os.fork()
    if child == 0:
        os._exit(0 if store.get("a", max_bytes=10) == b"data" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.get("a", max_bytes=10) == b"data"
