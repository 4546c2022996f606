"""Folders, hosts and small files that others made: links, pipes, answers without an end, URLs, locks, settings.

Told elsewhere: links out of a store and special files (``test_stores``), servers on the web (``test_http``). What a
registry holds is tried in ``test_hostile``.
"""

from __future__ import annotations

import os
import sys
import tracemalloc
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fuzz"))

import fuzz_samples as samples
from fuzz_formats import TOML_BOMBS

from modhub.errors import IntegrityError, NotFound, RegistryUnreachable, UsageError
from modhub.installation.lockfile import read_lock
from modhub.limits import MAX_HISTORY_ENTRIES, MIB
from modhub.package.folder import load_blob, load_manifest
from modhub.registry.writer import Registry
from modhub.settings.config import load_config
from modhub.spec.digests import sha256
from modhub.spec.layout import blob_path, record_path, release_path
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import AliasRecord, write_document
from modhub.storage.local import LocalStore
from modhub.storage.store import Capabilities
from modhub.storage.urls import open_store

REF = ModelRef("me", "net", "1.0.0")


@pytest.fixture
def registry(tmp_path):
    """A local registry with one release whose blobs decode."""
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(samples.manifest(), samples.package().blobs)
    return registry


@contextmanager
def within(mebibytes):
    """Python may set no more memory aside meanwhile."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * MIB
    finally:
        tracemalloc.stop()


# Links and special files in a local registry


@pytest.mark.parametrize("place", ["release", "blob", "marker"])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_out_of_the_registry_is_not_followed(registry, tmp_path, place, what):
    record = next(iter(samples.manifest().blobs.values()))
    path = (
        registry.store.root
        / {"release": release_path(REF), "blob": blob_path(record.sha256), "marker": "modhub-registry.json"}[place]
    )
    linked = path if what == "file" or place == "marker" else path.parent
    outside = tmp_path / "outside"
    linked.rename(outside)
    linked.symlink_to(outside)
    use = {"release": lambda: registry.manifest(REF), "blob": lambda: registry.blob(record), "marker": registry.check}
    with pytest.raises(IntegrityError, match=f"is a link that leads out of {registry.url}, to {tmp_path}/outside") as e:
        use[place]()
    assert e.value.kind == "link-escapes"
    assert "replace the link by the file itself" in str(e.value)


def test_links_in_a_circle_end_the_reading_and_not_the_listing(registry):
    root = registry.store.root
    path = root / release_path(REF)
    path.unlink()
    path.symlink_to(path.name)
    (root / "releases/me/loop").symlink_to("../..")
    (root / "releases/me/net/1.1.0.json").symlink_to("1.2.0.json")
    (root / "releases/me/net/1.2.0.json").symlink_to("1.1.0.json")
    with pytest.raises(IntegrityError, match=r"1\.0\.0\.json is a link that leads in a circle") as caught:
        registry.manifest(REF)
    assert caught.value.kind == "link-loops"
    assert "replace the link by the file itself" in str(caught.value)
    assert registry.models() == ["me/net"]
    assert registry.versions("me", "loop") == []
    assert registry.versions("me", "net") == ["1.0.0", "1.1.0", "1.2.0"]
    problems = []
    assert [str(entry.ref) for entry in registry.entries(problems.append)] == ["me/net@1.0.0"]
    assert ["is a link that leads in a circle" in str(problem) for problem in problems] == [True, True]


def test_a_pipe_is_waited_for_nowhere(registry, tmp_path):
    """It has a writer and a byte here, so that opening it by mistake fails this test and does not hang it."""
    record = next(iter(samples.manifest().blobs.values()))
    root, folder = registry.store.root, tmp_path / "net.modules"
    places = [root / release_path(REF), root / blob_path(record.sha256), root / "modhub-registry.json"]
    places += [folder / "manifest.json", folder / blob_path(record.sha256)]
    for place in places:
        place.unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(place)
    held = [os.open(place, os.O_RDWR | os.O_NONBLOCK) for place in places]
    try:
        for pipe in held:
            os.write(pipe, b"{" * 1000)
        with pytest.raises(NotFound, match=r"has no release me/net@1\.0\.0"):
            registry.manifest(REF)
        with pytest.raises(IntegrityError, match="is missing although a release needs it"):
            registry.blob(record)
        with pytest.raises(RegistryUnreachable, match="there is no registry"):
            registry.check()
        with pytest.raises(NotFound, match=r"has no manifest\.json"):
            load_manifest(folder)
        with pytest.raises(IntegrityError, match="cannot be read: it is not a plain file"):
            load_blob(folder, record)
    finally:
        for pipe in held:
            os.close(pipe)


# Hosts


class EndlessHost:
    """It cannot list, and has every entry of every history, each naming the one before it."""

    url = "https://endless.example"
    capabilities = Capabilities(writable=False, can_list=False)

    def __init__(self):
        self.asked, self.before = 0, None

    def get(self, path, *, max_bytes):
        self.asked += 1
        number = int(path.rpartition("/")[2].removesuffix(".json"))
        record = AliasRecord(format=1, number=number, name="n", target="me/net", previous=self.before, created="now")
        data = write_document(record)
        self.before = sha256(data)
        return data


def test_a_history_without_an_end_comes_to_one():
    host = EndlessHost()
    with pytest.raises(
        IntegrityError, match=rf"entry {MAX_HISTORY_ENTRIES + 1} of the alias 'n' .* is one more than the"
    ):
        Registry(host).alias("n")
    assert host.asked == MAX_HISTORY_ENTRIES + 1


def test_a_gap_in_a_listed_history_does_not_count_to_a_million(registry):
    registry.store.replace(record_path("alias", "n", 999_999), b"{}")
    with pytest.raises(IntegrityError, match=r"entry 1 of the alias 'n' .* is missing"):
        registry.alias("n")


@pytest.mark.parametrize(
    "stamp", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2020 00:00:00 +9999", ""]
)
def test_a_time_that_never_was_is_no_time(stamp):
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Last-Modified", stamp)
            self.send_header("Content-Length", "1")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        store = open_store(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(RegistryUnreachable, match=r"does not say when .* was last written") as caught:
            store.modified("modhub-registry.json")
        assert caught.value.kind == "no-date"
    finally:
        server.shutdown()
        server.server_close()


# URLs, locks and configurations that others wrote


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("~nobody-of-this-name/registry", "bad-path"),
        ("\nhttps://me:secret@host/x", "bad-url"),
        ("/srv/mod\x1bules", "bad-url"),
        ("/srv/\ud800", "bad-url"),
        (" https://host/x", "unsupported-protocol"),
        ("ht tps://host/x", "unsupported-protocol"),
    ],
)
def test_a_url_that_only_looks_like_a_folder_is_refused(url, kind):
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert caught.value.kind == kind
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_home_of_nobody_is_named():
    with pytest.raises(UsageError) as caught:
        open_store("~nobody-of-this-name/registry")
    assert str(caught.value) == (
        "'~nobody-of-this-name/registry' begins with a home folder that does not exist. Hint: write the path in full."
    )


@pytest.mark.parametrize("bad", TOML_BOMBS, ids=lambda data: data[:12].decode().strip())
def test_a_lockfile_that_takes_gigabytes_to_parse_is_not_parsed(bad):
    """Each takes Python's TOML reader minutes, or more memory than this machine has."""
    with within(32), pytest.raises(IntegrityError, match="x is no lockfile of modhub: it ") as caught:
        read_lock(samples.lock() + bad + b"\n", what="x")
    assert caught.value.kind == "bad-lock"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n" * 100_001, "it has 100023 lines, and a lockfile has at most 100000"),
        ("x = [" + "0," * 100_001 + "]", "fields, and a lockfile has at most 100000"),
        (".".join("a" * 1002) + " = 1", "it has 1001 dots outside texts, and a lockfile has at most 1000"),
        ('x = """\na.b.c\n"""', "it has a text that does not end on its line"),
        ("x = '''\n\" '''", "it has a text that does not end on its line"),
    ],
)
def test_a_lockfile_of_too_many_parts_is_refused_by_its_counts(text, says):
    with pytest.raises(IntegrityError, match=says):
        read_lock(samples.lock() + text.encode(), what="x")


def test_dots_and_signs_inside_texts_and_comments_of_a_lockfile_do_not_count():
    busy = "# " + "a.b=[{," * 20_000 + "\n" + 'later = "' + ".=[{," * 20_000 + '\\\\ \\""\n'
    head, modules = samples.lock().decode().split("[[module]]", 1)
    text = f"{head}{busy}[[module]]{modules}"
    assert read_lock(samples.sealed_lock(text.encode()), what="x") == read_lock(samples.lock(), what="x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = " + "[" * 2000, "it is nested too deeply"),
        ("x = " + "1" * 5000, "it is not TOML: Exceeds the limit"),
        ('"\\u001b[2J" = 1', r"there is no setting '\x1b\[2J'"),
        ('[[trust]]\n"\\n" = 1', "line 1: trust.0"),
        ('cache = "~nobody-of-this-name/x"', "begins with a home folder that does not exist"),
    ],
)
def test_a_configuration_that_steers_or_nests_is_refused(tmp_path, text, says):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        _ = load_config(tmp_path / "config.toml").cache_folder
    assert says.replace("\\[", "[") in str(caught.value)
    assert str(caught.value).isprintable()
