"""``modhub audit`` of projects, lockfiles, names and the cache: what it finds, prints, ends with, and says offline."""

from __future__ import annotations

import json
import shutil

import pytest
from made_projects import both
from synthetic import release

import modhub
from modhub import Project
from modhub.registry.writer import Registry
from modhub.settings.config import load_config
from modhub.signing.keys import new_signer
from modhub.spec.manifest import Accuracy, digest_of
from modhub.spec.text import OBSERVED
from modhub.storage.urls import open_store

WHY = "answers wolf"


@pytest.fixture
def advised(registry, project):
    """The project's cat is faulty, its dog yanked alone, bird's model deprecated."""
    said = modhub.advise("me/net:cat@^1", WHY, severity="high", fixed_in="2.0.0", registry=registry.url)
    modhub.yank("me/net:dog@1.1.0", "is a fox", registry=registry.url)
    modhub.deprecate("me/two", "small", use="me/net", registry=registry.url)
    return said.advisory.id


def test_a_clean_project_is_clean(project, registry, run):
    assert run("audit", project.folder, "--registry", registry.url) == (0, "", "nothing against 3 modules\n")


def test_a_project_learns_what_was_said_since_it_was_locked(project, registry, advised, run):
    before = both(project)
    code, out, err = run("audit", project.folder, "--registry", registry.url)
    rows = [line.split() for line in out.splitlines()[1:]]
    assert code == 7
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("high", "cat", advised), ("medium", "dog", "yanked:me/net:dog@1.1.0"),
    ]  # fmt: skip
    assert f"is faulty (high, {advised}): answers wolf; fixed in 2.0.0" in out
    assert err == "note: me/two is deprecated: small; use me/net instead\n2 findings against 3 modules\n"
    assert both(project) == before
    document = json.loads(run("audit", project.folder, "--registry", registry.url, "--json")[1])
    assert (document["clean"], [found["labels"] for found in document["findings"]]) == (False, [["cat"], ["dog"]])


def test_it_is_said_in_one_line_wherever_the_module_is_used(project, registry, advised, run):
    line = f"me/net:cat@1.1.0 is faulty (high, {advised}): answers wolf; fixed in 2.0.0"
    at = ("--registry", registry.url)
    for command in ("sync", "verify", "tree", "outdated"):
        code, out, err = run(command, "--project", project.folder, *at)
        assert (code, (out + err).count(line)) == (0, 1), command
    assert line in run("install", "me/net:cat@1.1.0", *at)[2]
    assert line in run("list")[2]
    assert line in run("info", "me/net:cat@1.1.0", *at)[2]
    for command in (("search", "two"), ("list", "--available")):
        assert "me/two is deprecated: small; use me/net instead" in run(*command, *at)[2], command
    assert (
        "everything is as it was locked; registries say 3 things against it"
        in run("verify", "--project", project.folder, *at)[2]
    )
    remarks = json.loads(run("verify", "--project", project.folder, *at, "--json")[1])["remarks"]
    assert [remark["kind"] for remark in remarks] == ["advisory", "yanked", "deprecated"]


def test_offline_and_without_an_answer_what_was_heard_counts(project, registry, advised, run):
    code, _, err = run("audit", project.folder, "--offline")
    assert (code, "what counts is what it said less than a minute ago" in err) == (0, True), "before the advisory"
    assert run("sync", "--project", project.folder, "--registry", registry.url)[0] == 0
    code, out, err = run("audit", project.folder, "--offline")
    assert (code, out.count(f"{advised})")) == (7, 1)
    assert "was not asked now; what counts is what it said less than a minute ago." in err
    shutil.move(registry.store.root, f"{registry.store.root}.gone")
    assert run("audit", project.folder, "--registry", registry.url)[0] == 7
    assert run("audit", "--offline")[0] == 7, "all that is installed"


def test_a_silence_is_no_clean_audit(project, registry, run, tmp_path):
    shutil.move(registry.store.root, f"{registry.store.root}.gone")
    code, _, err = run("audit", project.folder, "--registry", registry.url)
    assert (code, "what counts is what it said less than a minute ago" in err) == (0, True)
    shutil.rmtree(load_config().cache_folder / "notices")
    code, _, err = run("audit", project.folder, "--offline")
    assert (code, "no registry was asked about these modules before" in err) == (0, True)
    code, _, err = run("audit", project.folder, "--registry", registry.url)
    assert (code, "nothing is known of what they said before" in err) == (6, True)


def test_lockfiles_names_and_the_cache(project, registry, advised, run):
    at = ("--registry", registry.url)
    assert run("audit", project.folder / "modhub.lock", *at)[0] == 7
    assert run("audit", "me/net:cat@2.0.0", *at)[0] == 0
    code, out, _ = run("audit", "me/net@^1", "me/two:bird", *at)
    assert (code, out.count(f"{advised})")) == (7, 1)
    code, out, _ = run("audit", *at)
    assert (code, out.count(f"{advised})")) == (7, 1)
    assert run("audit", "me/nothing", *at)[0] == 3


def test_what_is_ignored_is_quiet_until_its_day(project, registry, advised, run):
    at = ("--registry", registry.url)
    ids = ("--ignore", advised, "--ignore", "yanked:me/net:dog@1.1.0")
    assert run("audit", project.folder, *at, *ids)[0] == 2
    code, out, err = run("audit", project.folder, *at, *ids, "--until", "2099-01-31")
    assert (code, out, err.count("ignored until 2099-01-31")) == (0, "", 2)
    assert run("audit", project.folder, *at, *ids, "--until", "2020-01-31")[0] == 7
    toml = project.folder / "modhub.toml"
    for until, code in (("2099-01-31", 7), ("2020-01-31", 7)):
        kept = f'\n[[ignore]]\nid = "{advised}"\nuntil = {until}\nreason = "the next release mends it"\n'
        toml.write_text(toml.read_text().split("\n[[ignore]]")[0] + kept)
        found, out, err = run("audit", project.folder, *at)
        assert (found, advised in out) == (code, until.startswith("2020"))
        assert ("the next release mends it" in err) is until.startswith("2099")
    Project.open(project.folder, registry=registry.url).rename({"bird": "wren"})
    assert "[[ignore]]" in toml.read_text()


@pytest.mark.parametrize(
    ("table", "line", "reason"),
    [
        ('id = "x"\nuntil = 2027-01-31', "reason", "has no reason"),
        ('id = "x"\nuntil = "soon"\nreason = "y"', "until", "a date, such as 2027-01-31"),
        ('id = "x"\nuntill = 2027-01-31\nreason = "y"', "untill", "there is no 'untill' in [ignore.0]"),
        ('id = 5\nuntil = 2027-01-31\nreason = "y"', "id", "the id of what modhub audit found"),
    ],
)
def test_a_mistake_in_what_is_ignored_is_named_with_its_line(project, run, table, line, reason):
    toml = project.folder / "modhub.toml"
    toml.write_text(f"{toml.read_text()}\n[[ignore]]\n{table}\n")
    code, _, err = run("audit", project.folder)
    assert (code, reason in err) == (2, True), err


def test_signatures_where_they_are_wanted(project, registry, run, monkeypatch):
    at = ("--registry", registry.url)
    monkeypatch.setenv("MODHUB_REQUIRE_SIGNATURE", "1")
    code, out, _ = run("audit", project.folder, *at)
    assert (code, out.count("untrusted-namespace:me/")) == (7, 2)
    public = json.loads(run("key", "new", "alice", "--json")[1])["public"]
    run("key", "trust", public, "--namespace", "me")
    assert run("audit", project.folder, *at)[1].count("unsigned:me/") == 2
    from modhub.settings.private_keys import load_signer

    for name, version, more in (("me/net", "1.1.0", {"seed": 1}), ("me/two", "1.0.0", {"seed": 7, "classes": BIRDS})):
        registry.publish(*release(name, version, **more), signer=load_signer("alice"))
    assert run("audit", project.folder, *at)[0] == 0
    monkeypatch.delenv("MODHUB_REQUIRE_SIGNATURE")
    registry.revoke_key(load_signer("alice"), "lost")
    code, out, _ = run("audit", project.folder, *at)
    assert (code, out.count("revoked-key:me/")) == (7, 2)
    assert "is signed only by the key" in out


BIRDS = ("cat", "dog", "bird")


def test_an_accuracy_of_training_images_alone_is_said(tmp_path, run):
    manifest, blobs = release()
    measured = Accuracy(data="tiny" + OBSERVED, examples=10, top_1=1.0, top_5=1.0)
    origin = manifest.content.origin.model_copy(update={"accuracy": (measured,)})
    content = manifest.content.model_copy(update={"origin": origin})
    url = str(tmp_path / "other")
    Registry(open_store(url)).publish(
        manifest.model_copy(update={"content": content, "digest": digest_of(content)}), blobs
    )
    code, out, _ = run("audit", "me/net:cat", "--registry", url)
    assert (code, out.splitlines()[1].split()[0]) == (7, "low")
    assert "me/net@1.0.0 was measured only on images that it was decomposed with" in out


def test_licences_that_are_not_allowed(project, registry, run):
    toml = project.folder / "modhub.toml"
    toml.write_text(toml.read_text() + '\n[licenses]\nallow = ["MIT"]\n')
    code, out, _ = run("audit", project.folder, "--registry", registry.url)
    assert (code, out.count("states no licence")) == (7, 2)
    assert "license:me/net@1.1.0" in out


def test_another_registrys_advisory_is_not_about_this_release(project, registry, tmp_path, run):
    """It has a release of the same name and version, and other content."""
    other = Registry(open_store(str(tmp_path / "theirs")))
    other.publish(*release(version="1.1.0", seed=99))
    modhub.advise("me/net", "theirs is faulty", registry=other.url)
    assert run("audit", project.folder, "--registry", registry.url, "--registry", other.url)[0] == 0


def test_an_advisory_that_nobody_trusted_signed_counts_for_nothing(project, registry, monkeypatch, run):
    monkeypatch.setenv("MODHUB_REQUIRE_SIGNATURE", "1")
    public = json.loads(run("key", "new", "alice", "--json")[1])["public"]
    run("key", "trust", public, "--namespace", "me")
    modhub.advise("me/net", "a lie", registry=registry.url, sign=new_signer("mallory"))
    modhub.advise("me/net:dog", "true", registry=registry.url, sign="alice")
    _, out, _ = run("audit", project.folder, "--registry", registry.url)
    assert ("a lie" in out, "is faulty (medium" in out) == (False, True)


def test_exporting_a_release_says_what_its_file_does_not(registry, advised, run, tmp_path):
    code, _, err = run("registry", "export", "me/net@1.1.0", tmp_path / "net.modhub", "--registry", registry.url)
    text = f"is faulty (high, {advised}): answers wolf; fixed in 2.0.0; the file does not say so."
    assert (code, text in err) == (0, True)


def test_formats(project, registry, advised, run, monkeypatch):
    monkeypatch.chdir(project.folder)
    sarif = json.loads(run("audit", "--registry", registry.url, "--format", "sarif")[1])
    places = [each["locations"][0]["physicalLocation"] for each in sarif["runs"][0]["results"]]
    lines = (project.folder / "modhub.toml").read_text().splitlines()
    assert [place["artifactLocation"]["uri"] for place in places] == ["modhub.toml"] * 2
    assert [lines[place["region"]["startLine"] - 1].split()[0] for place in places] == ["cat", "dog"]
    osv = json.loads(run("audit", "--registry", registry.url, "--format", "osv")[1])
    assert [record["id"] for record in osv["vulns"]] == [advised]
