"""Every form of URL that may hold a secret, thrown at every command that takes one: nothing repeats it anywhere."""

from __future__ import annotations

import http.server
import json
import pickle
import re
import threading
import tomllib

import pytest
from synthetic import release

from modhub.cli import main
from modhub.ops.install import lock
from modhub.registry.writer import Registry
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.url import RegistryUrl, without_secrets
from modhub.storage.local import LocalStore
from modhub.storage.retry import Retry
from tests import thinning

SECRET = "S3CRET"
#: {host} is a web server that has a registry.
FORMS = [
    f"http://me:{SECRET}a@{{host}}",
    f"http://me:{SECRET}a%2F{SECRET}b@{{host}}/",
    f"http://{SECRET}a@{{host}}",
    f"http://me:{SECRET}a@{{host}}/elsewhere",
    f"http://me:{SECRET}a@localhost:1/x",
    f"http://me:{SECRET}a/{SECRET}b@{{host}}",
    f"http://me:1/{SECRET}b@{{host}}",
    f"http://me:{SECRET}a@{SECRET}b@{{host}}",
    f"http://me:{SECRET}a@{SECRET}b/{SECRET}c@{{host}}",
    f"http://me:{SECRET}a {SECRET}b@{{host}}",
    f"http://me:{SECRET}a?{SECRET}b@{{host}}",
    f"http://me:{SECRET}a#{SECRET}b@{{host}}",
    f"http://me:{SECRET}a'{SECRET}b\"@{{host}}",
    f"http://me:{SECRET}a",
    f"http://{{host}}/x?sig={SECRET}a",
    f"http://{{host}}/x?token={SECRET}a&sig={SECRET}b@c",
    f"http://{{host}}/x#access_token={SECRET}a",
    f"HTTPS://ME:{SECRET}a@{{host}}/?X-Amz-Signature={SECRET}b",
    f"http:/me:{SECRET}a@{{host}}",
    f"http:me:{SECRET}a@{{host}}",
    f"http//me:{SECRET}a@{{host}}",
    f" http://me:{SECRET}a@{{host}}",
    f"s3://key:{SECRET}a@bucket/x",
    f"s3://key:{SECRET}a/{SECRET}b@bucket/x",
    f"sftp://me:{SECRET}a@host/x",
    f"sftp://me:{SECRET}a/{SECRET}b@host/x",
    f"az://box:{SECRET}a@me.dfs.core.windows.net/x",
    f"ftp://me:{SECRET}a@host/x",
    f"simplecache::http://me:{SECRET}a@{{host}}",
    f"http://me:{SECRET}a@{{host}}\x1b[2J",
]
NAME, REF = "me/net:cat", "me/net@1.0.0"
COMMANDS = {
    "install": ["install", NAME, "--registry", "URL"],
    "install from several": ["install", NAME, "--registry", "GOOD", "--registry", "URL"],
    "install what several lack": ["install", "you/net:cat", "--registry", "GOOD", "--registry", "URL"],
    "install locked": ["install", "--locked", "LOCK", "--registry", "URL"],
    "search": ["search", "net", "--registry", "URL"],
    "list": ["list", "--available", "--registry", "URL"],
    "info": ["info", NAME, "--registry", "URL"],
    "lock": ["lock", NAME, "--out", "OUT", "--registry", "URL"],
    "diff": ["diff", NAME, "me/net:dog", "--registry", "URL"],
    "alias set": ["alias", "set", "n", "me/net", "--registry", "URL"],
    "alias list": ["alias", "list", "--registry", "URL"],
    "alias log": ["alias", "log", "n", "--registry", "URL"],
    "alias remove": ["alias", "remove", "n", "--registry", "URL"],
    "publish": ["publish", "PACKAGE", "--registry", "URL"],
    "publish to several": ["publish", "PACKAGE", "--registry", "URL", "--registry", "GOOD"],
    "yank": ["yank", REF, "--reason", "no", "--registry", "URL"],
    "yank in several": ["yank", REF, "--reason", "no", "--registry", "GOOD", "--registry", "URL"],
    "init": ["registry", "init", "URL"],
    "init of two": ["registry", "init", "URL", "URL"],
    "fsck": ["registry", "fsck", "URL"],
    "repair": ["registry", "fsck", "GOOD", "--repair-from", "URL"],
    "gc": ["registry", "gc", "URL"],
    "reindex": ["registry", "reindex", "URL"],
    "mirror from": ["registry", "mirror", "URL", "COPY"],
    "mirror to": ["registry", "mirror", "GOOD", "URL"],
    "takedown": ["registry", "takedown", REF, "--registry", "URL", "--reason", "no", "--yes"],
    "export": ["registry", "export", REF, "out.tar", "--registry", "URL"],
    "import": ["registry", "import", "ARCHIVE", "--registry", "URL"],
    "compose": ["compose", NAME, "me/net:dog", "--registry", "URL"],
    "new": ["new", "NEW", NAME, "--registry", "URL"],
    "tree": ["tree", "--registry", "URL", "--project", "PROJECT"],
    "sync": ["sync", "--registry", "URL", "--project", "PROJECT"],
    "verify": ["verify", "--registry", "URL", "--project", "PROJECT"],
    "outdated": ["outdated", "--registry", "URL", "--project", "PROJECT"],
    "mistaken option": ["install", NAME, "--registri", "URL"],
    "mistaken command": ["URL"],
    "mistaken place": ["install", NAME, "URL"],
}


class Served:
    """A registry in a folder, and the same behind a web server that asks for nothing."""

    def __init__(self, folder, host):
        self.folder, self.host = folder, host
        self.good = str(folder / "registry")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    registry = Registry(LocalStore(folder / "registry"))
    manifest, blobs = release()
    registry.publish(manifest, blobs)
    registry.set_alias("n", "me/net")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given):
            super().__init__(*given, directory=str(folder / "registry"))

        def log_message(self, *_): ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield Served(folder, f"127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


@pytest.fixture
def impatient(monkeypatch):
    """No second attempt at hosts that are not there."""
    monkeypatch.setattr(Retry, "delays", lambda self: iter([None]))


@pytest.fixture
def work(tmp_path, served, monkeypatch, impatient):
    """A folder with a project, its lock, and everything else that the commands name."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", "project", NAME, "--registry", served.good, "--cache", "cache"]) == 0
    lock(NAME, tmp_path / "one.lock", registry=served.good)
    assert main(["registry", "export", REF, "archive", "--registry", served.good]) == 0
    return tmp_path


def written_below(folder):
    """All that stands in files there, and their names."""
    texts = []
    for file in folder.rglob("*"):
        texts.append(str(file.relative_to(folder)))
        if file.is_file():
            texts.append(file.read_bytes().decode("utf-8", "replace"))
    return "\n".join(texts)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_repeats_a_secret(name, work, served, own_home, capfd):
    """A command takes a quarter of the forms, the next command the next quarter."""
    command, first, step = COMMANDS[name], list(COMMANDS).index(name) % 4, 1 if thinning.ALL else 4
    places = {
        "GOOD": served.good,
        "LOCK": "one.lock",
        "OUT": "out",
        "PACKAGE": "package",
        "COPY": "copy",
        "ARCHIVE": "archive",
        "NEW": "another",
        "PROJECT": "project",
    }
    for number, form in enumerate(FORMS[first % step :: step], start=first):
        url = form.format(host=served.host)
        given = [url if word == "URL" else places.get(word, word) for word in command]
        capfd.readouterr()
        main([*given, "--json" if number % 4 == 1 else "--debug"])
        shown = "".join(capfd.readouterr())
        assert SECRET not in shown, (given, shown)
    assert SECRET not in written_below(work)
    assert SECRET not in written_below(own_home)


@pytest.mark.parametrize("where", ["environment", "configuration", "project"])
def test_no_url_that_is_configured_is_repeated(where, work, served, own_home, capfd, monkeypatch):
    forms = [*FORMS, f"http://me:{SECRET}a,{SECRET}b@host"]
    for number, form in enumerate(forms if where == "environment" else thinning.spread(forms, 8)):
        url = form.format(host=served.host)
        if where == "environment":
            monkeypatch.setenv("MODHUB_REGISTRY", url)
        elif where == "configuration":
            (work / "config.toml").write_text(f"registries = [{json.dumps(url)}]")
            monkeypatch.setenv("MODHUB_CONFIG", str(work / "config.toml"))
        else:
            text = (work / "project" / "modhub.toml").read_text()
            lines = [line for line in text.splitlines() if not line.startswith("registries")]
            lines.insert(lines.index("[project]") + 1, f"registries = [{json.dumps(url)}]")
            (work / "project" / "modhub.toml").write_text("\n".join(lines))
        for command in (
            ["install", NAME],
            ["search", "net"],
            ["publish", "package"],
            ["registry", "fsck"],
            ["alias", "list"],
            ["tree", "--project", "project"],
            ["sync", "--project", "project"],
            ["lock", "--project", "project"],
            ["verify", "--project", "project"],
        ):
            capfd.readouterr()
            main([*command, "--json" if number % 4 == 1 else "--debug"])
            shown = "".join(capfd.readouterr())
            assert SECRET not in shown, (url, command, shown)
    for name in ("config.toml", "project/modhub.toml"):
        (work / name).unlink(missing_ok=True)
    assert SECRET not in written_below(work)
    assert SECRET not in written_below(own_home)


@pytest.mark.parametrize("form", [*FORMS, f"http://me:{SECRET}a,{SECRET}b@host"])
def test_a_lockfile_of_somebody_else_is_shown_and_written_without_its_secret(form, work, served, capfd):
    """Its checksum is right, so whoever wrote it meant it so."""
    url = form.format(host=served.host)
    path = work / "project" / "modhub.lock"
    text = path.read_text()
    standing = next(line for line in text.splitlines() if line.startswith("registry"))
    fields = tomllib.loads(text)
    fields.pop("checksum")
    for module in fields["module"]:
        module["registry"] = url
    checksum = sha256(canonical_json(fields))
    text = text.replace(standing, f"registry = {json.dumps(url)}")
    path.write_text(re.sub("(?m)^checksum = .*$", f'checksum = "{checksum}"', text))
    for command in (
        ["tree", "--project", "project"],
        ["sync", "--project", "project"],
        ["verify", "--project", "project"],
        ["outdated", "--project", "project"],
        ["install", "--locked", "project/modhub.lock", "--registry", served.good, "--cache", "fresh"],
        ["install", "--locked", "project/modhub.lock", "--registry", str(work / "empty"), "--cache", "empty"],
        ["diff", "project/modhub.lock", "one.lock"],
        ["lock", "--project", "project"],
    ):
        capfd.readouterr()
        main([*command, "--debug"])
        shown = "".join(capfd.readouterr())
        assert SECRET not in shown, (command, shown)
    path.unlink()
    assert SECRET not in written_below(work)


def test_a_url_shows_no_secret_in_any_way_of_showing_it():
    for form in FORMS:
        url = RegistryUrl(form.format(host="host"))
        assert url.address == form.format(host="host")
        for shown in (str(url), repr(url), f"{url}", f"{url!r}", format(url), json.dumps([url]), url + ""):
            assert SECRET not in shown, (form, shown)
        again = pickle.loads(pickle.dumps(url))
        assert (again, again.address) == (url, url.address)
        assert RegistryUrl(url) is url


@pytest.mark.parametrize(
    "url",
    [
        "https://host/modules",
        "https://host:8080/gh/me/repo%40x",
        "https://cdn.host/gh/me/repo@1.0/modules",
        "s3://bucket/team",
        "sftp://me@host:2022/srv/x",
        "az://box@me.dfs.core.windows.net/x",
        "memory://x",
        "file:///srv/a:b@c",
        "/srv/a:b@c?x=y",
        "C:/modules",
        "./a::b",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(url):
    assert RegistryUrl(url) == url


@pytest.mark.parametrize("part", ["y", "a1", "?", "=", "a:", "a://", "a://b@", "'", "https://me:x@h/?y=z "])
def test_a_text_of_one_endless_word_is_read_in_moments(part):
    """Reading on from each of its characters would take minutes."""
    text = part * (200_000 // len(part))
    assert without_secrets(text).count("z") == 0
    assert RegistryUrl(text).address == text


def test_texts_of_others_lose_secrets_and_nothing_else():
    for text in (
        "http://127.0.0.1:80/x has no me/net@1.0.0",
        "me/net@1.0.0 is in s3://bucket/x: nobody@host",
        "is it so? a = b",
    ):
        assert without_secrets(text) == text
    for text in (
        f"HTTPConnectionPool(host='h'): Max retries exceeded with url: /a?X-Amz-Signature={SECRET} (Caused by)",
        f"https://h/a leads to http://me:{SECRET}@h/b?tok={SECRET}, which",
        f"got unexpected extra argument (https://me:{SECRET} {SECRET}@h/x)",
    ):
        assert SECRET not in without_secrets(text)
