"""Where modhub looks: the configuration file, the environment, and the registries that follow from both.

    registries = ["~/team-registry", "file:///srv/modhub"]     in the order in which they are searched
    cache = "/big-disk/modhub"
    require_signature = true                   believe nothing that no trusted key has signed

    [aliases]
    c10 = "cifar10/r56"

    [[trust]]
    key = "ed25519:9sG1..."
    name = "team-ci"
    namespaces = ["team", "cifar10"]           or ["*"]; revoked = "why" ends it

    [energy]                                   for --meter, see docs/energy.md
    pue = 1.2
    intensity = 0.25                           kg CO2e for a kWh

The file is ``config.toml`` in the user's configuration folder, or what MODHUB_CONFIG names. MODHUB_REGISTRY, one URL or
several with commas between them (a colon would cut URLs in two), takes the place of ``registries``, MODHUB_CACHE of
``cache``, MODHUB_REQUIRE_SIGNATURE (1 or 0) of ``require_signature``. With MODHUB_OFFLINE=1 only the cache is used.
Relative paths count from the file's own folder.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from modhub.errors import RegistryUnreachable, StorageError, UsageError, did_you_mean, shown
from modhub.refs import check_name, parse_model_name
from modhub.registry import Registry, files, open_store
from modhub.registry.layout import MARKER
from modhub.registry.local import LocalStore
from modhub.signing import Trust, TrustedKey

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

STARTER_FOLDER: Final = Path(__file__).parent / "starter" / "registry"


class EnergySettings(BaseModel):
    """How energy is metered; None leaves it to the paper. ``background`` in seconds, ``intensity`` in kg CO2e for a
    kWh, ``watts_per_core`` for estimates where no counter can be read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    background: Annotated[float, Field(ge=0, le=3600)] | None = None
    pue: Annotated[float, Field(ge=1, le=10)] | None = None
    intensity: Annotated[float, Field(ge=0, le=10)] | None = None
    watts_per_core: Annotated[float, Field(gt=0, le=1000)] | None = None


class Config(BaseModel):
    """The settings of one file; all of them may be missing. ``path`` is that file, existing or not."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    path: Path
    registries: tuple[str, ...] = ()
    cache: str | None = None
    aliases: Mapping[str, str] = {}
    require_signature: StrictBool = False
    trust: tuple[TrustedKey, ...] = ()
    energy: EnergySettings = EnergySettings()

    @property
    def signatures_required(self) -> bool:
        """MODHUB_REQUIRE_SIGNATURE, else the setting. Raises UsageError when the former is neither 1 nor 0."""
        chosen = os.environ.get("MODHUB_REQUIRE_SIGNATURE", "")
        if chosen not in ("", "0", "1"):
            raise UsageError(
                f"MODHUB_REQUIRE_SIGNATURE is {chosen!r}.", kind="bad-config", hint="set it to 1 or 0, or unset it."
            )
        return chosen == "1" if chosen else self.require_signature

    @property
    def offline(self) -> bool:
        """Whether MODHUB_OFFLINE=1 says that the cache alone is to be used."""
        return os.environ.get("MODHUB_OFFLINE", "") not in ("", "0")

    @property
    def cache_folder(self) -> Path:
        """MODHUB_CACHE, else the configured folder, else the user's cache folder."""
        if chosen := os.environ.get("MODHUB_CACHE"):
            return files.absolute(chosen)
        if self.cache:
            return Path(self._from_here(self.cache))
        return platformdirs.user_cache_path("modhub", appauthor=False)

    @property
    def registry_urls(self) -> tuple[str, ...]:
        """MODHUB_REGISTRY, else the configured registries; empty when neither says anything."""
        chosen = [url.strip() for url in os.environ.get("MODHUB_REGISTRY", "").split(",")]
        if any(chosen):
            return tuple(url for url in chosen if url)
        return tuple(url if "://" in url else self._from_here(url) for url in self.registries)

    def _from_here(self, path: str) -> str:
        return str(files.absolute(self.path.absolute().parent / files.expanded(path)))


_SETTINGS: Final = frozenset(Config.model_fields) - {"path"}


def config_path() -> Path:
    """MODHUB_CONFIG, else ``config.toml`` in the user's configuration folder."""
    if chosen := os.environ.get("MODHUB_CONFIG"):
        return files.expanded(chosen)
    return platformdirs.user_config_path("modhub", appauthor=False) / "config.toml"


def load_config(path: Path | None = None) -> Config:
    """The configuration; the defaults when the file does not exist. Raises UsageError naming file and line."""
    path = path or config_path()
    return _parsed(_text_of(path), path)


def _parsed(text: str, path: Path) -> Config:
    try:
        values = tomllib.loads(text)
    except RecursionError as error:
        raise _broken(path, 1, "it is nested too deeply", "keep to the settings that there are.") from error
    # A whole number of thousands of digits is a ValueError of another kind.
    except ValueError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else len(text.splitlines())
        raise _broken(path, line, f"it is not TOML: {error}", "correct that line.") from error
    for name in set(values) - _SETTINGS:
        hint = did_you_mean(name, _SETTINGS) or f"the settings are {', '.join(sorted(_SETTINGS))}."
        raise _broken(path, _line_of(text, name), f"there is no setting {shown(name)}", hint)
    try:
        config = Config(path=path, **values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in ".".join(map(str, problem["loc"])))[:200]
        # Our own checks say it without pydantic's "Value error".
        reason = problem.get("ctx", {}).get("error", problem["msg"])
        raise _broken(path, _line_at(text, problem["loc"]), f"{place}: {reason}", "correct that line.") from error
    for name, target in config.aliases.items():
        try:
            check_name(name, "alias")
            if "/" in target:
                parse_model_name(target)
            else:
                check_name(target, "alias")
        except UsageError as error:
            raise _broken(path, _line_of(text, name), error.message, error.hint or "correct that line.") from error
    for number, trusted in enumerate(config.trust):
        for other in config.trust[:number]:
            for field, same in (("key", trusted.id == other.id), ("name", trusted.name == other.name)):
                if same:
                    reason = f"trust.{number}.{field}: another trusted key, {other}, has it too"
                    raise _broken(path, _line_at(text, ("trust", number, field)), reason, "leave one of the two.")
    return config


def load_trust(config: Config, *, required: bool | None = None) -> Trust:
    """Whom the user trusts. ``required`` says whether signatures must be there, None leaves it to the configuration."""
    return Trust(config.trust, config.signatures_required if required is None else required)


def write_alias(name: str, target: str | None, path: Path | None = None) -> Config:
    """Set (or with None, remove) an alias in the configuration file, keeping its comments and order.

    Raises UsageError for a bad name or a broken file, StorageError when the file cannot be written.
    """
    check_name(name, "alias")
    if target is not None:
        parse_model_name(target)

    def change(document: TOMLDocument) -> None:
        aliases = document.setdefault("aliases", {})
        if target is None:
            aliases.pop(name, None)
        else:
            aliases[name] = target

    return edit_config(change, path)


def edit_config(change: Callable[[TOMLDocument], None], path: Path | None = None) -> Config:
    """Change the configuration file, keeping its comments and order. What could not be loaded again is never written.

    Raises UsageError for a broken file or change, StorageError when the file cannot be written.
    """
    # 25 ms to import, for the few calls that write.
    import tomlkit

    path = path or config_path()
    load_config(path)
    document = tomlkit.parse(_text_of(path))
    change(document)
    text = tomlkit.dumps(document)
    config = _parsed(text, path)
    try:
        # A configuration that is a link to a file under version control stays one.
        files.overwrite(path.resolve(), text.encode(), durable=True)
    except OSError as error:
        raise StorageError(
            f"the configuration {path} cannot be written: {error.strerror or error}.",
            hint="free the disk or get the right to write it, or set MODHUB_CONFIG to another file.",
            path=str(path),
        ) from error
    return config


def registries(
    given: str | Sequence[str] | None, config: Config, *, skip_missing: bool = False, trust: Trust | None = None
) -> list[Registry]:
    """The registries to read, in the order in which they are searched; the starter comes last.

    ``given``, else MODHUB_REGISTRY, else the configured ones, else the user's local one, which counts as empty until
    something is published there. Raises RegistryUnreachable, kind ``no-registry``, for any other that does not exist;
    ``skip_missing`` leaves out such, and those that the network does not reach, for work that the cache may be able to
    do alone. ``trust`` is whom to believe when signatures are required; the starter is believed as the package is in
    which it came.
    """
    chosen, is_default = _chosen(given, config, trust)
    found = []
    for registry in chosen:
        try:
            registry.check()
        except RegistryUnreachable as error:
            if skip_missing and error.kind in ("no-registry", "unreachable"):
                continue
            if error.kind != "no-registry" or not is_default:
                raise
        found.append(registry)
    starter = Registry(LocalStore(STARTER_FOLDER, writable=False), name="starter")
    if (STARTER_FOLDER / MARKER).is_file() and starter.url not in {registry.url for registry in found}:
        found.append(starter)
    return found


def publishing_registry(given: str | Sequence[str] | None, config: Config) -> Registry:
    """The registry to publish to: the one given, else the first that ``registries`` would read. It may not exist yet.

    Raises UsageError when several are given: a publication goes to one.
    """
    if not isinstance(given, str) and given is not None and len(given) > 1:
        raise UsageError(
            f"a publication goes to one registry, but {len(given)} were given: {', '.join(given)}.",
            kind="several-registries",
            hint="publish once for each.",
        )
    return _chosen(given, config)[0][0]


def is_starter(url: str) -> bool:
    """Whether this is the registry inside the package."""
    return url == str(files.absolute(STARTER_FOLDER))


def default_registry() -> Path:
    """The folder of the user's own registry, which is used when nothing else is said."""
    return platformdirs.user_data_path("modhub", appauthor=False) / "registry"


def _chosen(
    given: str | Sequence[str] | None, config: Config, trust: Trust | None = None
) -> tuple[list[Registry], bool]:
    """The registries without the starter, and whether they are the default because nobody named any."""
    urls = [given] if isinstance(given, str) else list(given or config.registry_urls)
    opened = [Registry(open_store(url), trust=trust) for url in urls or [str(default_registry())]]
    return list({registry.url: registry for registry in opened}.values()), not urls


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _broken(path, line, "it is not UTF-8 text", "save it as UTF-8.") from error
    except OSError as error:
        raise UsageError(
            f"the configuration {path} cannot be read: {error.strerror or error}.",
            kind="bad-config",
            hint="set MODHUB_CONFIG to another file.",
            path=str(path),
        ) from error


def _line_of(text: str, key: str) -> int:
    """The line on which a setting stands, counted from 1; 1 when it cannot be told."""
    pattern = re.compile(rf"""\s*\[?["']?{re.escape(key)}["']?\s*[=\].]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _line_at(text: str, place: tuple[int | str, ...]) -> int:
    """The line of a value as pydantic names its place: ``("aliases", name)``, ``("trust", 1, "key")``."""
    if place[0] != "trust" or len(place) < 2:
        return _line_of(text, str(place[-1] if place[0] == "aliases" else place[0]))
    lines = text.splitlines()
    tables = [number for number, line in enumerate(lines, 1) if re.match(r"\s*\[\[\s*trust\s*\]\]", line)]
    if len(tables) <= int(place[1]):
        return _line_of(text, "trust")
    start = tables[int(place[1])]
    if len(place) > 2:
        for number, line in enumerate(lines[start:], start + 1):
            if re.match(rf"\s*{re.escape(str(place[2]))}\s*=", line):
                return number
            if re.match(r"\s*\[", line):
                break
    return start


def _broken(path: Path, line: int, reason: str, hint: str) -> UsageError:
    return UsageError(
        f"the configuration {path}, line {line}: {reason}.", kind="bad-config", hint=hint, path=str(path), line=line
    )
