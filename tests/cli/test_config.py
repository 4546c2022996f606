"""The settings through the command line: where each value comes from, and a file whose comments stay."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from modhub.energy.meter import BACKGROUND, PAPER_INTENSITY
from modhub.energy.result import PAPER_PUE
from modhub.settings.config import load_config
from modhub.settings.parse import read_settings
from modhub.settings.table import SETTINGS, VARIABLES, FoundValue, found_value, found_values
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text()


def sources(run: Run, *flags: str) -> dict[str, tuple[object, str]]:
    document = run("config", "list", "--json", *flags).document
    return {each["setting"]: (each["value"], each["from"]) for each in document["settings"]}


def test_each_value_says_where_it_comes_from(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    default = sources(run)
    assert {source for _, source in default.values()} == {"default"}
    assert run("config", "set", "cache", "/big").code == 0
    assert run("config", "set", "offline", "yes").code == 0
    assert sources(run)["cache"] == ("/big", "file")
    assert sources(run)["offline"] == (True, "file")
    monkeypatch.setenv("MODHUB_CACHE", "/env")
    monkeypatch.setenv("MODHUB_OFFLINE", "0")
    assert sources(run)["cache"] == ("/env", "environment")
    assert sources(run)["offline"] == (False, "environment")
    assert sources(run, "--cache", "/flag")["cache"] == ("/flag", "flag")
    warned = run("config", "set", "cache", "/other")
    assert (warned.out, "MODHUB_CACHE is set" in warned.err) == ("cache = /env, from MODHUB_CACHE\n", True)
    table = run("config", "list").out.splitlines()
    assert re.fullmatch(r"cache +/env +MODHUB_CACHE", next(line for line in table if line.startswith("cache")))


def test_a_secret_is_said_to_be_set_and_never_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODHUB_KEY_PASSPHRASE", "S3CRET")
    run("config", "set", "registries", "https://me:S3CRET@host/x")
    for line in (
        ["config", "list"],
        ["config", "list", "--json"],
        ["config", "get", "registries"],
        ["registry", "list"],
    ):
        shown = run(*line)
        assert "S3CRET" not in shown.out + shown.err


def test_comments_and_order_stay(run: Run) -> None:
    path = Path(run("config", "path").out.strip())
    path.parent.mkdir(parents=True)
    text = '# mine\ncache = "/a" # big\n\n# names\n[aliases]\nc10 = "cifar10/r56" # short\n'
    path.write_text(text)
    run("config", "set", "cache", "/b")
    assert path.read_text() == text.replace('"/a"', '"/b"')
    run("config", "set", "energy.pue", "1.2")
    run("registry", "add", "team", "./team")
    run("registry", "add", "near", "./near", "--first")
    assert all(comment in path.read_text() for comment in ("# mine", "# big", "# names", "# short"))
    assert run("config", "get", "energy.pue").out == "1.2\n"
    assert [Path(url).name for url in run("config", "get", "registries").out.split()] == ["near", "team"]
    for name in ("near", "team"):
        assert run("registry", "remove", name).code == 0
    run("config", "unset", "energy.pue")
    run("config", "set", "cache", "/a")
    assert tomllib.loads(path.read_text()) == tomllib.loads(text) | {"energy": {}}
    assert load_config().registries == ()


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("config get cahce", 3, "did you mean cache?"),
        ("config set offline maybe", 2, "it is true or false"),
        ("config set energy.pue much", 2, "it is one number"),
        ("config set energy.pue 0.5", 2, "greater than or equal to 1"),
        ("config set cache a b", 2, "it is one folder"),
        ("config set trust x", 2, "modhub key trust"),
        ("config unset cache", 2, "is not in"),
        ("config set aliases.c10 x", 0, ""),
        ("registry remove nothing", 3, "no registry 'nothing' is configured"),
        ("registry add TEAM x", 2, "TEAM"),
        ("registry add team ftp://host/x", 2, "is not a kind of registry"),
    ],
)
def test_what_cannot_be_set_is_not_written(run: Run, line: str, code: int, says: str) -> None:
    result = run(*line.split())
    assert (result.code, says in result.err) == (code, True), result.err
    assert load_config().path.exists() == (code == 0)


def test_a_named_registry_is_had_by_its_name(run: Run, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = workshop.registry
    added = run("registry", "add", "team", registry)
    assert (added.code, added.err) == (0, "")
    assert run("registry", "add", "team", "./other").code == 4
    first, *rows = run("registry", "list", "--json").document["registries"]
    assert (first["name"], first["url"]) == ("team", registry)
    assert rows[-1]["name"] == "starter"
    run("registry", "add", "nowhere", "./nowhere")
    (installed,) = run("install", "me:cat", "--registry", "team", "--json").document["installed"]
    assert installed["registry"] == registry
    monkeypatch.setenv("MODHUB_REGISTRY", "team")
    assert run("registry", "list").out.splitlines()[1].split()[-1] == "MODHUB_REGISTRY"
    assert run("registry", "fsck", "team").code == 0
    monkeypatch.delenv("MODHUB_REGISTRY")
    assert run("new", "pets", "me:cat", "--registry", "team").code == 0


def test_a_registry_that_cannot_be_read_is_added_with_a_warning(run: Run) -> None:
    added = run("registry", "add", "team", "./team")
    assert (added.code, "it cannot be read now: there is no registry at" in added.err) == (0, True)
    assert run("list", "--available").code == 6


# The page


def test_the_page_lists_every_setting_and_variable_as_the_code_does() -> None:
    rows = [
        [cell.strip("` ") for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")
    ]
    written = {row[0]: row[1:] for row in rows if len(row) == 5}
    assert written.pop("aliases.NAME")
    assert written.keys() == {setting.name for setting in SETTINGS}
    for setting in SETTINGS:
        variable, flag, default, about = written[setting.name]
        assert (variable, flag, about) == (setting.variable or "", setting.flag or "", setting.about)
        assert setting.form in ("urls", "folder") or default == _default(setting.default)
    assert {row[0]: row[1] for row in rows if len(row) == 2 and row[0].isupper()} == VARIABLES


def _default(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else f"{value:g}"


def test_the_page_s_file_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    config = read_settings(text, tmp_path / "config.toml")
    assert config.named_registry("team") == "s3://bucket/modules"
    top = {name.partition(".")[0] for name in config.written}
    assert top == {"registries", "cache", "offline", "require_signature", "aliases", "trust", "energy"}


def test_every_variable_that_is_read_stands_in_the_table() -> None:
    """Whatever ``os.environ`` is asked for, anywhere in modhub."""
    pattern = re.compile(r"""environ(?:\.get\(|\.setdefault\(|\[)\s*["']([A-Z_]+)["']|_listed\(["']([A-Z_]+)["']""")
    found = {
        first or second
        for path in (ROOT / "modhub").rglob("*.py")
        for first, second in pattern.findall(path.read_text())
    }
    internal = {"PYDANTIC_DISABLE_PLUGINS", "COMP_WORDBREAKS", "_MODHUB_COMPLETE"}
    assert found - internal <= VARIABLES.keys() | {setting.variable for setting in SETTINGS}
    assert {name for name in found if name.startswith("MODHUB")} >= {"MODHUB_REGISTRY", "MODHUB_CACHE"}


def test_the_defaults_are_those_that_are_used() -> None:
    found: dict[str, FoundValue] = {each.name: each for each in found_values(load_config())}
    assert found["energy.background"].value == BACKGROUND
    assert found["energy.pue"].value == PAPER_PUE
    assert found["energy.intensity"].value == pytest.approx(PAPER_INTENSITY, abs=1e-4)
    assert found_value(load_config(), "cache").value == str(load_config().cache_folder)
