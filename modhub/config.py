"""Where modhub looks: the configuration file, the environment, and the registries that follow from both.

    registries = ["~/team-registry", "file:///srv/modhub"]     in the order in which they are searched
    cache = "/big-disk/modhub"

    [aliases]
    c10 = "cifar10/r56"

The file is ``config.toml`` in the user's configuration folder, or what MODHUB_CONFIG names. MODHUB_REGISTRY, one URL or
several with commas between them (a colon would cut URLs in two), takes the place of ``registries``, MODHUB_CACHE of
``cache``. Relative paths count from the file's own folder.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError

from modhub.errors import RegistryUnreachable, StorageError, UsageError, did_you_mean
from modhub.refs import check_name, parse_model_name
from modhub.registry import Registry, files, open_store
from modhub.registry.layout import MARKER
from modhub.registry.local import LocalStore

STARTER_FOLDER: Final = Path(__file__).parent / "starter" / "registry"


class Config(BaseModel):
    """The settings of one file; all of them may be missing. ``path`` is that file, existing or not."""

    model_config = ConfigDict(frozen=True)

    path: Path
    registries: tuple[str, ...] = ()
    cache: str | None = None
    aliases: Mapping[str, str] = {}

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
        return str(files.absolute(self.path.absolute().parent / Path(path).expanduser()))


_SETTINGS: Final = frozenset(Config.model_fields) - {"path"}


def config_path() -> Path:
    """MODHUB_CONFIG, else ``config.toml`` in the user's configuration folder."""
    if chosen := os.environ.get("MODHUB_CONFIG"):
        return Path(chosen).expanduser()
    return platformdirs.user_config_path("modhub", appauthor=False) / "config.toml"


def load_config(path: Path | None = None) -> Config:
    """The configuration; the defaults when the file does not exist. Raises UsageError naming file and line."""
    path = path or config_path()
    text = _text_of(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else len(text.splitlines())
        raise _broken(path, line, f"it is not TOML: {error}", "correct that line.") from error
    for name in set(values) - _SETTINGS:
        hint = did_you_mean(name, _SETTINGS) or f"the settings are {', '.join(sorted(_SETTINGS))}."
        raise _broken(path, _line_of(text, name), f"there is no setting {name!r}", hint)
    try:
        config = Config(path=path, **values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        line = _line_of(text, str(problem["loc"][-1] if problem["loc"][0] == "aliases" else problem["loc"][0]))
        raise _broken(path, line, f"{place}: {problem['msg']}", "correct that line.") from error
    for name, target in config.aliases.items():
        try:
            check_name(name, "alias")
            if "/" in target:
                parse_model_name(target)
            else:
                check_name(target, "alias")
        except UsageError as error:
            raise _broken(path, _line_of(text, name), error.message, error.hint or "correct that line.") from error
    return config


def write_alias(name: str, target: str | None, path: Path | None = None) -> Config:
    """Set (or with None, remove) an alias in the configuration file, keeping its comments and order.

    Raises UsageError for a bad name or a broken file, StorageError when the file cannot be written.
    """
    path = path or config_path()
    check_name(name, "alias")
    if target is not None:
        parse_model_name(target)
    load_config(path)
    # 25 ms to import, for the one call that writes.
    import tomlkit

    document = tomlkit.parse(_text_of(path))
    aliases = document.setdefault("aliases", tomlkit.table())
    if target is None:
        aliases.pop(name, None)
    else:
        aliases[name] = target
    try:
        # A configuration that is a link to a file under version control stays one.
        files.overwrite(path.resolve(), tomlkit.dumps(document).encode(), durable=True)
    except OSError as error:
        raise StorageError(
            f"the configuration {path} cannot be written: {error.strerror or error}.",
            hint="free the disk or get the right to write it, or set MODHUB_CONFIG to another file.",
            path=str(path),
        ) from error
    return load_config(path)


def registries(given: str | Sequence[str] | None, config: Config, *, skip_missing: bool = False) -> list[Registry]:
    """The registries to read, in the order in which they are searched; the starter comes last.

    ``given``, else MODHUB_REGISTRY, else the configured ones, else the user's local one, which counts as empty until
    something is published there. Raises RegistryUnreachable, kind ``no-registry``, for any other that does not exist;
    ``skip_missing`` leaves it out instead, for work that the cache may be able to do alone.
    """
    chosen, is_default = _chosen(given, config)
    found = []
    for registry in chosen:
        try:
            registry.check()
        except RegistryUnreachable as error:
            if error.kind != "no-registry" or not (is_default or skip_missing):
                raise
            if skip_missing:
                continue
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


def default_registry() -> Path:
    """The folder of the user's own registry, which is used when nothing else is said."""
    return platformdirs.user_data_path("modhub", appauthor=False) / "registry"


def _chosen(given: str | Sequence[str] | None, config: Config) -> tuple[list[Registry], bool]:
    """The registries without the starter, and whether they are the default because nobody named any."""
    urls = [given] if isinstance(given, str) else list(given or config.registry_urls)
    opened = [Registry(open_store(url)) for url in urls or [str(default_registry())]]
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


def _broken(path: Path, line: int, reason: str, hint: str) -> UsageError:
    return UsageError(
        f"the configuration {path}, line {line}: {reason}.", kind="bad-config", hint=hint, path=str(path), line=line
    )
