"""Every setting once: what it is called in the configuration file, which variable overrides it, what it is by default.

``modhub config`` lists, changes and explains them by this table, and docs/configuration.md has them in its words.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from modhub.errors import NotFound, UsageError, did_you_mean
from modhub.settings.values import Config

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

#: How a value is written: URLs in order, a folder, yes or no, a number, the name of a model.
ValueForm = Literal["urls", "folder", "flag", "number", "model"]
#: What decides a value, the strongest first.
ValueSource = Literal["flag", "environment", "file", "default"]

SettingValue = str | float | bool | tuple[str, ...] | None

_TRUE: Final = ("true", "1", "yes", "on")
_FALSE: Final = ("false", "0", "no", "off")
_ALIASES: Final = "aliases."


@dataclass(frozen=True)
class ConfigSetting:
    """One setting; ``variable`` is the environment's that overrides it, ``flag`` the option of commands that does."""

    name: str
    form: ValueForm
    about: str
    variable: str | None = None
    flag: str | None = None
    default: SettingValue = None


@dataclass(frozen=True)
class FoundValue:
    """What a setting is now, what decides it, and that variable's, flag's or file's name."""

    name: str
    value: SettingValue
    source: ValueSource
    where: str


SETTINGS: Final[Sequence[ConfigSetting]] = (
    ConfigSetting("registries", "urls", "where releases are looked up, in this order", "MODHUB_REGISTRY", "--registry"),
    ConfigSetting("cache", "folder", "where modules are installed", "MODHUB_CACHE", "--cache"),
    ConfigSetting("offline", "flag", "use the cache alone", "MODHUB_OFFLINE", "--offline", False),
    ConfigSetting(
        "require_signature",
        "flag",
        "believe only what a trusted key has signed",
        "MODHUB_REQUIRE_SIGNATURE",
        "--require-signature",
        False,
    ),
    ConfigSetting("energy.background", "number", "seconds to measure what the machine draws by itself", default=10.0),
    ConfigSetting("energy.pue", "number", "the data centre's watts for each watt of the computer", default=1.58),
    ConfigSetting("energy.intensity", "number", "kg CO2e for a kWh", default=0.4327),
    ConfigSetting("energy.watts_per_core", "number", "for estimates where no counter can be read"),
)

#: What only the environment says: what it is for. The first three name places and keys of modhub, the others are
#: read by the libraries that they belong to, or by everything in a terminal.
VARIABLES: Final[Mapping[str, str]] = {
    "MODHUB_CONFIG": "the configuration file",
    "MODHUB_KEYS": "the folder of your private keys",
    "MODHUB_SIGN": "the key that releases and records are signed with, as --sign",
    "MODHUB_KEY_PASSPHRASE": "the passphrase of a locked key",
    "MODHUB_SERVE_TOKEN": "what clients of modhub serve have to send",
    "MODHUB_PROGRESS": "whether Python shows how far long work is: 1 or 0; without it, in terminals and notebooks",
    "KERAS_BACKEND": "what networks run on: tensorflow, jax or torch",
    "KERAS_HOME": "the folder of Keras' own configuration and data sets",
    "TF_CPP_MIN_LOG_LEVEL": "how much TensorFlow says: 0 everything, 3 (modhub's default) errors that end it",
    "RAY_ADDRESS": "the Ray cluster of modhub decompose --engine ray",
    "SOURCE_DATE_EPOCH": "the time that modhub sbom writes, in seconds since 1970",
    "TMPDIR": "where large intermediate files are written",
    "NO_COLOR": "no colours, whatever it is set to",
    "TERM": "with dumb, no colours and no progress",
    "COLUMNS": "how wide the terminal is, where it does not say so itself",
}


def setting_named(name: str) -> ConfigSetting:
    """The setting of this name; ``aliases.NAME`` is one for each NAME. Raises NotFound, kind ``no-setting``."""
    for setting in SETTINGS:
        if setting.name == name:
            return setting
    if name.startswith(_ALIASES) and len(name) > len(_ALIASES):
        return ConfigSetting(name, "model", "the model that this alias stands for")
    if name.partition(".")[0] == "trust":
        raise UsageError(
            "whom you trust is no single setting.", kind="no-setting", hint="see modhub key trust, revoke and list."
        )
    known = [setting.name for setting in SETTINGS]
    raise NotFound(
        f"there is no setting {name!r}.",
        kind="no-setting",
        hint=did_you_mean(name, known) or f"the settings are {', '.join(known)} and aliases.NAME.",
        setting=name,
    )


def found_values(config: Config, flags: Mapping[str, SettingValue] | None = None) -> list[FoundValue]:
    """Every setting as it is now. ``flags``: what options of a command say, by the names of settings."""
    names = [setting.name for setting in SETTINGS] + [f"{_ALIASES}{name}" for name in config.aliases]
    return [found_value(config, name, (flags or {}).get(name)) for name in names]


def found_value(config: Config, name: str, flag: SettingValue = None) -> FoundValue:
    """One setting as it is now. Raises NotFound, kind ``no-setting``, and UsageError for a bad variable."""
    setting = setting_named(name)
    if flag is not None:
        return FoundValue(name, flag, "flag", str(setting.flag))
    value = _current(config, setting)
    if setting.variable is not None and os.environ.get(setting.variable, "").strip(" ,"):
        return FoundValue(name, value, "environment", setting.variable)
    if name in config.written:
        return FoundValue(name, value, "file", str(config.path))
    return FoundValue(name, setting.default if value is None else value, "default", "")


def _current(config: Config, setting: ConfigSetting) -> SettingValue:
    """What the environment or the file says, or the place that is used where neither does."""
    if setting.form == "urls":
        return tuple(str(url) for url in config.registry_urls)
    if setting.form == "folder":
        return str(config.cache_folder)
    if setting.name == "offline":
        return config.offline
    if setting.name == "require_signature":
        return config.signatures_required
    if setting.form == "model":
        return config.aliases.get(setting.name.removeprefix(_ALIASES))
    value: float | None = getattr(config.energy, setting.name.removeprefix("energy."))
    return value


def parsed_value(setting: ConfigSetting, words: Sequence[str]) -> SettingValue:
    """What is written behind ``modhub config set NAME``, as the file has it. Raises UsageError, kind ``bad-value``."""
    if setting.form == "urls":
        return tuple(words)
    text = words[0] if len(words) == 1 else None
    if text is not None and setting.form in ("folder", "model"):
        return text
    if text is not None and setting.form == "flag" and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    if text is not None and setting.form == "number":
        try:
            return float(text)
        except ValueError:
            pass
    wanted = {"flag": "true or false", "number": "one number", "folder": "one folder", "model": "namespace/model"}
    raise UsageError(
        f"{setting.name} cannot be {' '.join(words)!r}.",
        kind="bad-value",
        hint=f"it is {wanted[setting.form]}: {setting.about}.",
        setting=setting.name,
    )


def put_value(document: TOMLDocument, name: str, value: SettingValue) -> None:
    """Set a value in the file's text, or with None take it out; comments and order stay."""
    table, _, key = name.rpartition(".")
    holder = document
    if table:
        if value is None and table not in document:
            return
        holder = document.setdefault(table, {})
    if value is None:
        holder.pop(key, None)
    else:
        holder[key] = list(value) if isinstance(value, tuple) else value
