"""Where modhub looks: the file, the environment, the defaults, and what each of them does to the other."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest
from crashing import as_nobody
from synthetic import release

from modhub.errors import Incompatible, InvalidRef, RegistryUnreachable, StorageError, UsageError
from modhub.installation import registries as chosen
from modhub.installation.registries import default_registry, publishing_registry, registries
from modhub.registry.writer import Registry
from modhub.settings.config import load_config, write_alias
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user of their own: no configuration, no registries, and a starter that is not there."""
    for name in ("MODHUB_CONFIG", "MODHUB_REGISTRY", "MODHUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(chosen, "STARTER_FOLDER", tmp_path / "no-starter")
    return tmp_path


@pytest.fixture
def file(home, monkeypatch):
    path = home / "settings" / "modhub.toml"
    path.parent.mkdir()
    monkeypatch.setenv("MODHUB_CONFIG", str(path))
    return path


def made(folder, name="me/net"):
    registry = Registry(LocalStore(folder))
    registry.publish(*release(name=name))
    return registry


def urls(found):
    return [registry.url for registry in found]


# The file


def test_without_a_file_there_are_defaults(home):
    config = load_config()
    assert config.path == platformdirs.user_config_path("modhub", appauthor=False) / "config.toml"
    assert (config.registries, config.aliases, config.cache) == ((), {}, None)
    assert config.cache_folder == platformdirs.user_cache_path("modhub", appauthor=False)
    assert home in config.cache_folder.parents
    assert not config.path.exists()


def test_a_file_is_read(file):
    file.write_text('registries = ["/a", "b/c", "~/d", "memory://x"]\ncache = "here"\n[aliases]\nc10 = "cifar10/r56"\n')
    config = load_config()
    assert config.registry_urls == ("/a", str(file.parent / "b/c"), str(Path.home() / "d"), "memory://x")
    assert config.cache_folder == file.parent / "here"
    assert dict(config.aliases) == {"c10": "cifar10/r56"}


def test_the_environment_comes_before_the_file(file, monkeypatch):
    file.write_text('registries = ["/a"]\ncache = "/c"\n')
    monkeypatch.setenv("MODHUB_REGISTRY", " /x:y , file:///z,memory://m ,")
    monkeypatch.setenv("MODHUB_CACHE", "~/cache")
    assert load_config().registry_urls == ("/x:y", "file:///z", "memory://m")
    assert load_config().cache_folder == Path.home() / "cache"
    monkeypatch.setenv("MODHUB_REGISTRY", "")
    monkeypatch.setenv("MODHUB_CACHE", "")
    assert load_config().registry_urls == ("/a",)
    assert load_config().cache_folder == Path("/c")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('registries = ["a"]\ncache = "unfinished\n', 2, "not TOML"),
        ("\n\nregistries = [\n", 3, "not TOML"),
        ('cache = "a"\ncache = "b"\n', 2, "not TOML"),
        ('# x\n\nregistry = ["a"]\n', 3, "there is no setting 'registry'. Hint: did you mean registries?"),
        ('cache = "a"\npath = "b"\n', 2, "there is no setting 'path'"),
        ('cache = "a"\nzzzzz = "b"\n', 2, "the settings are aliases, cache, energy, offline, registries"),
        ('cache = "a"\nregistries = "one"\n', 2, "registries"),
        ("registries = [1]\n", 1, "registries.0"),
        ("\ncache = 3\n", 2, "cache"),
        ('[aliases]\na = "x/y"\nb = 3\n', 3, "aliases.b"),
        ('[aliases]\na = "x/y"\nb = "x/y:cat"\n', 3, "'x/y:cat' is not a model's name"),
        ('[aliases]\n"C 10" = "x/y"\n', 2, "'C 10' is not a valid name"),
        ('cache = "x"\naliases = 5\n', 2, "aliases"),
    ],
)
def test_a_broken_file_is_named_with_its_line(file, text, line, says):
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config()
    assert f"the configuration {file}, line {line}: " in str(caught.value)
    assert says in str(caught.value)
    assert (caught.value.kind, caught.value.data["line"], caught.value.exit_code) == ("bad-config", line, 2)


def test_a_file_that_is_no_text_is_named_with_its_line(file):
    file.write_bytes(b"cache = 'a'\n\xff\xfe")
    with pytest.raises(UsageError, match=r"line 2: it is not UTF-8 text"):
        load_config()


def test_a_folder_in_its_place_is_named(file):
    file.mkdir()
    with pytest.raises(UsageError, match=r"modhub\.toml cannot be read"):
        load_config()


# Writing aliases


def test_writing_keeps_comments_and_order(file):
    file.write_text(
        '# mine\ncache = "x" # fast disk\n\n[aliases] # short names\n# the big one\nc10 = "cifar10/r56"\nz = "a/b"\n'
    )
    config = write_alias("c100", "cifar100/r20")
    assert dict(config.aliases) == {"c10": "cifar10/r56", "z": "a/b", "c100": "cifar100/r20"}
    write_alias("c10", "cifar10/r20")
    write_alias("z", None)
    write_alias("never-there", None)
    assert file.read_text() == (
        '# mine\ncache = "x" # fast disk\n\n[aliases] # short names\n# the big one\nc10 = "cifar10/r20"\n'
        'c100 = "cifar100/r20"\n'
    )


def test_writing_creates_the_file_and_its_folder(home):
    write_alias("c10", "cifar10/r56")
    assert dict(load_config().aliases) == {"c10": "cifar10/r56"}
    assert load_config().path.read_text() == '[aliases]\nc10 = "cifar10/r56"\n'


def test_writing_refuses_bad_names_and_keeps_a_broken_file(file):
    for name, target in (("C10", "a/b"), ("a/b", "a/b"), ("c10", "a"), ("c10", "a/b:c")):
        with pytest.raises(InvalidRef):
            write_alias(name, target)
    assert not file.exists()
    file.write_text("broken = [")
    with pytest.raises(UsageError, match="line 1"):
        write_alias("c10", "a/b")
    assert file.read_text() == "broken = ["


def test_a_linked_file_stays_a_link(file, home):
    real = home / "dotfiles.toml"
    real.write_text("# kept in git\n")
    file.symlink_to(real)
    write_alias("c10", "a/b")
    assert file.is_symlink()
    assert 'c10 = "a/b"' in real.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user for this")
def test_a_file_that_may_not_be_written():
    _, (name, _, message) = as_nobody(write_alias, "c10", "a/b", Path("/proc/no/such.toml"))
    assert name == "StorageError"
    assert "the configuration /proc/no/such.toml cannot be written" in message
    assert "MODHUB_CONFIG" in message


def test_a_file_in_the_way_of_the_folder(home):
    (home / "file").write_text("")
    with pytest.raises((StorageError, UsageError), match=r"x\.toml cannot be"):
        write_alias("c10", "a/b", home / "file" / "x.toml")


# Which registries


def test_nothing_said_means_the_users_own_which_counts_as_empty_until_it_exists(home):
    [only] = registries(None, load_config())
    assert only.url == str(default_registry())
    assert home in default_registry().parents
    assert (only.models(), only.versions("me", "net"), only.alias("n")) == ([], [], None)
    assert not default_registry().exists()
    publishing_registry(None, load_config()).publish(*release())
    assert registries(None, load_config())[0].models() == ["me/net"]


def test_given_before_environment_before_file_before_default(home, file, monkeypatch):
    one, two, three, four = (made(home / name) for name in ("one", "two", "three", "four"))
    assert urls(registries(None, load_config())) == [str(default_registry())]
    file.write_text('registries = ["../one", "../two"]')
    assert urls(registries(None, load_config())) == [one.url, two.url]
    monkeypatch.setenv("MODHUB_REGISTRY", f"{three.url},{one.url}")
    assert urls(registries(None, load_config())) == [three.url, one.url]
    assert urls(registries(four.url, load_config())) == [four.url]
    assert urls(registries([four.url, two.url, four.url], load_config())) == [four.url, two.url]
    assert publishing_registry(None, load_config()).url == three.url
    assert publishing_registry(four.url, load_config()).url == four.url


def test_the_starter_comes_last_and_is_read_only(home, monkeypatch):
    starter, mine = made(home / "starter", "cifar10/r56"), made(home / "mine")
    monkeypatch.setattr(chosen, "STARTER_FOLDER", home / "starter")
    found = registries(mine.url, load_config())
    assert [registry.name for registry in found] == [mine.url, "starter"]
    with pytest.raises(RegistryUnreachable, match="starter is read-only"):
        Registry(found[1].store, name=found[1].name).publish(*release(name="a/b"))
    assert urls(registries(None, load_config())) == [str(default_registry()), starter.url]
    assert urls(registries(starter.url, load_config())) == [starter.url]


@pytest.mark.parametrize("how", ["given", "environment", "file"])
def test_a_registry_that_does_not_exist_is_an_error_with_a_way_out(home, file, monkeypatch, how):
    missing = str(home / "mistyped")
    if how == "environment":
        monkeypatch.setenv("MODHUB_REGISTRY", missing)
    elif how == "file":
        file.write_text(f'registries = ["{missing}"]')
    given = missing if how == "given" else None
    with pytest.raises(RegistryUnreachable) as caught:
        registries(given, load_config())
    assert caught.value.kind == "no-registry"
    assert str(caught.value) == (
        f"there is no registry at {missing}. Hint: check the path, or create one: modhub registry init {missing}"
    )
    assert registries(given, load_config(), skip_missing=True) == []
    publishing_registry(given, load_config()).publish(*release())
    assert urls(registries(given, load_config())) == [missing]


def test_a_folder_that_is_no_registry_is_an_error_too(home):
    (home / "pictures").mkdir()
    with pytest.raises(RegistryUnreachable, match="there is no registry at"):
        registries(str(home / "pictures"), load_config())


@pytest.mark.parametrize("skip", [True, False])
def test_what_is_broken_is_never_skipped(home, skip):
    (home / "file").write_text("")
    with pytest.raises(RegistryUnreachable, match="is a file"):
        registries(str(home / "file"), load_config(), skip_missing=skip)
    newer = made(home / "newer").store
    newer.replace(
        "modhub-registry.json", newer.get("modhub-registry.json", max_bytes=999).replace(b'"format":1', b'"format":9')
    )
    with pytest.raises(Incompatible, match="format 9"):
        registries(newer.url, load_config(), skip_missing=skip)
    with pytest.raises(UsageError, match="not a kind of registry"):
        registries("ftp://bucket", load_config(), skip_missing=skip)


def test_a_publication_goes_to_one_registry(home):
    with pytest.raises(UsageError, match="2 were given: a, b") as caught:
        publishing_registry(["a", "b"], load_config())
    assert caught.value.kind == "several-registries"
    assert publishing_registry(["a"], load_config()).url == open_store("a").url


def test_an_unknown_home_is_named(home, monkeypatch):
    monkeypatch.setenv("MODHUB_CONFIG", "~nobody-at-all/config.toml")
    wanted = r"'~nobody-at-all/config\.toml' begins with a home folder that does not exist"
    with pytest.raises(UsageError, match=wanted):
        load_config()


def test_a_configuration_nested_without_end(tmp_path):
    (tmp_path / "config.toml").write_text("x = " + "[" * 100_000)
    with pytest.raises(UsageError, match=r"line 1: it is nested too deeply\."):
        load_config(tmp_path / "config.toml")
