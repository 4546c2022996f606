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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from modhub.errors import RegistryUnreachable, StorageError, UsageError
from modhub.refs import check_name, parse_model_name
from modhub.registry import RegistryReader, files, open_store
from modhub.registry.layout import MARKER
from modhub.registry.local import LocalStore
from modhub.signing import Trust

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from modhub.registry import Registry
    from modhub.registry.store import Store
    from modhub.signing import TrustedKey

STARTER_FOLDER: Final = Path(__file__).parent / "starter" / "registry"


@dataclass(frozen=True)
class EnergySettings:
    """How energy is metered; None leaves it to the paper. ``background`` in seconds, ``intensity`` in kg CO2e for a
    kWh, ``watts_per_core`` for estimates where no counter can be read."""

    background: float | None = None
    pue: float | None = None
    intensity: float | None = None
    watts_per_core: float | None = None


@dataclass(frozen=True)
class Config:
    """The settings of one file; all of them may be missing. ``path`` is that file, existing or not."""

    path: Path
    registries: tuple[str, ...] = ()
    cache: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    require_signature: bool = False
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


def config_path() -> Path:
    """MODHUB_CONFIG, else ``config.toml`` in the user's configuration folder."""
    if chosen := os.environ.get("MODHUB_CONFIG"):
        return files.expanded(chosen)
    return platformdirs.user_config_path("modhub", appauthor=False) / "config.toml"


def load_config(path: Path | None = None) -> Config:
    """The configuration; the defaults when the file does not exist. Raises UsageError naming file and line."""
    path = path or config_path()
    return _config(_text_of(path), path)


def _config(text: str, path: Path) -> Config:
    if not text:
        return Config(path)
    from modhub.settings import read_settings  # TOML and its schema: 8 ms that only a file needs

    return read_settings(text, path)


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
    config = _config(text, path)
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
) -> list[RegistryReader]:
    """The registries to read, in the order in which they are searched; the starter comes last.

    ``given``, else MODHUB_REGISTRY, else the configured ones, else the user's local one, which counts as empty until
    something is published there. Raises RegistryUnreachable, kind ``no-registry``, for any other that does not exist;
    ``skip_missing`` leaves out such, and those that the network does not reach, for work that the cache may be able to
    do alone. ``trust`` is whom to believe when signatures are required; the starter is believed as the package is in
    which it came.
    """
    stores, is_default = _chosen(given, config)
    found = []
    for store in stores:
        registry = RegistryReader(store, trust=trust)
        try:
            registry.check()
        except RegistryUnreachable as error:
            if skip_missing and error.kind in ("no-registry", "unreachable"):
                continue
            if error.kind != "no-registry" or not is_default:
                raise
        found.append(registry)
    starter = RegistryReader(LocalStore(STARTER_FOLDER, writable=False), name="starter")
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
    from modhub.registry import Registry  # few write, and reading needs half of it

    return Registry(_chosen(given, config)[0][0])


def is_starter(url: str) -> bool:
    """Whether this is the registry inside the package."""
    return url == str(files.absolute(STARTER_FOLDER))


def default_registry() -> Path:
    """The folder of the user's own registry, which is used when nothing else is said."""
    return platformdirs.user_data_path("modhub", appauthor=False) / "registry"


def _chosen(given: str | Sequence[str] | None, config: Config) -> tuple[list[Store], bool]:
    """Where the registries without the starter lie, and whether they are the default because nobody named any."""
    urls = [given] if isinstance(given, str) else list(given or config.registry_urls)
    opened = [open_store(url) for url in urls or [str(default_registry())]]
    return list({store.url: store for store in opened}.values()), not urls


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise broken(path, line, "it is not UTF-8 text", "save it as UTF-8.") from error
    except OSError as error:
        raise UsageError(
            f"the configuration {path} cannot be read: {error.strerror or error}.",
            kind="bad-config",
            hint="set MODHUB_CONFIG to another file.",
            path=str(path),
        ) from error


def broken(path: Path, line: int, reason: str, hint: str) -> UsageError:
    """The error of a configuration file that cannot be used because of one of its lines."""
    return UsageError(
        f"the configuration {path}, line {line}: {reason}.", kind="bad-config", hint=hint, path=str(path), line=line
    )
