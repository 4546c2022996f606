"""Where modhub looks: the configuration file, the environment, and the registries that follow from both.

    registries = [                             in the order in which they are searched
        "~/team-registry",
        {name = "team", url = "s3://bucket/modules"},          also --registry team
    ]
    cache = "/big-disk/modhub"
    offline = false                            true: the cache alone is used
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
several with commas between them (a colon would split URLs), takes the place of ``registries``, MODHUB_CACHE of
``cache``, MODHUB_OFFLINE and MODHUB_REQUIRE_SIGNATURE (1 or 0) of ``offline`` and ``require_signature``. Relative paths
count from the file's own folder. ``settings.table`` has all of it once, for ``modhub config``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from modhub.errors import StorageError, UsageError
from modhub.settings.values import Config, broken
from modhub.signing.policy import Trust
from modhub.spec.refs import check_name, parse_model_name
from modhub.spec.text import bytes_like, text_of
from modhub.storage import files

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


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
    from modhub.settings.parse import read_settings  # TOML and its schema: 8 ms that only a file needs

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
    before = _bytes_of(path)
    document = tomlkit.parse(_text_of(path))
    change(document)
    text = tomlkit.dumps(document)
    config = _config(text, path)
    try:
        # Registries may be written with passwords.
        files.make_private_folder(path.parent)
        files.overwrite(path, bytes_like(text, before), durable=True, private=True)
    except OSError as error:
        raise StorageError(
            f"the configuration {path} cannot be written: {error.strerror or error}.",
            hint="free the disk or get the right to write it, or set MODHUB_CONFIG to another file.",
            path=str(path),
        ) from error
    return config


def _text_of(path: Path) -> str:
    try:
        return text_of(_bytes_of(path))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise broken(path, line, "it is not UTF-8 text", "save it as UTF-8.") from error


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UsageError(
            f"the configuration {path} cannot be read: {error.strerror or error}.",
            kind="bad-config",
            hint="set MODHUB_CONFIG to another file.",
            path=str(path),
        ) from error
