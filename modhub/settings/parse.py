"""The configuration file's text as settings, or the line that is wrong. Not imported where there is no such file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from modhub.errors import UsageError, did_you_mean, plain, shown
from modhub.limits import MAX_CONFIG_BYTES
from modhub.settings.values import Config, EnergySettings, broken
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.refs import check_name, parse_model_name


class _Energy(BaseModel):
    """As ``EnergySettings``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    background: Annotated[float, Field(ge=0, le=3600)] | None = None
    pue: Annotated[float, Field(ge=1, le=10)] | None = None
    intensity: Annotated[float, Field(ge=0, le=10)] | None = None
    watts_per_core: Annotated[float, Field(gt=0, le=1000)] | None = None


class _Registry(BaseModel):
    """A registry with a name for ``--registry``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    url: str


class _Settings(BaseModel):
    """As ``Config``, without the path."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    registries: tuple[str | _Registry, ...] = ()
    offline: StrictBool = False
    cache: str | None = None
    aliases: Mapping[str, str] = {}
    require_signature: StrictBool = False
    trust: tuple[TrustedKey, ...] = ()
    energy: _Energy = _Energy()


_SETTINGS: Final = frozenset(_Settings.model_fields)


def read_settings(text: str, path: Path) -> Config:
    """The settings in ``text``, which is in the file ``path``. Raises UsageError naming file and line."""
    if len(text) > MAX_CONFIG_BYTES:
        raise broken(path, 1, f"it has {len(text)} characters; at most {MAX_CONFIG_BYTES} are allowed", "shorten it.")
    try:
        values = tomllib.loads(text)
    except RecursionError as error:
        raise broken(path, 1, "it is nested too deeply", "keep to the settings that there are.") from error
    # A whole number of thousands of digits is a ValueError of another kind.
    except ValueError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else len(text.splitlines())
        raise broken(path, line, f"it is not TOML: {plain(str(error))}", "correct that line.") from error
    for name in set(values) - _SETTINGS:
        hint = did_you_mean(name, _SETTINGS) or f"the settings are {', '.join(sorted(_SETTINGS))}."
        raise broken(path, _line_of(text, name), f"there is no setting {shown(name)}", hint)
    try:
        settings = _Settings.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in ".".join(map(str, problem["loc"])))[:200]
        # Our own checks say it without pydantic's "Value error".
        reason = problem.get("ctx", {}).get("error", problem["msg"])
        raise broken(path, _line_at(text, problem["loc"]), f"{place}: {reason}", "correct that line.") from error
    for name, target in settings.aliases.items():
        try:
            check_name(name, "alias")
            if "/" in target:
                parse_model_name(target)
            else:
                check_name(target, "alias")
        except UsageError as error:
            raise broken(path, _line_of(text, name), error.message, error.hint or "correct that line.") from error
    for number, trusted in enumerate(settings.trust):
        for other in settings.trust[:number]:
            for field, same in (("key", trusted.id == other.id), ("name", trusted.name == other.name)):
                if same:
                    reason = f"trust.{number}.{field}: another trusted key, {other}, has it too"
                    raise broken(path, _line_at(text, ("trust", number, field)), reason, "leave one of the two.")
    return Config(
        path=path,
        registries=tuple(each if isinstance(each, str) else each.url for each in settings.registries),
        names=_names(settings, text, path),
        cache=settings.cache,
        use_cache_only=settings.offline,
        aliases=settings.aliases,
        require_signature=settings.require_signature,
        trust=settings.trust,
        energy=EnergySettings(**settings.energy.model_dump()),
        written=frozenset(_written(values)),
    )


def _names(settings: _Settings, text: str, path: Path) -> dict[str, str]:
    """The URLs of the registries that have names. Raises UsageError naming file and line."""
    names: dict[str, str] = {}
    for each in settings.registries:
        if isinstance(each, str):
            continue
        try:
            check_name(each.name, "name of a registry")
        except UsageError as error:
            raise broken(path, _line_of(text, "registries"), error.message, error.hint or "correct it.") from error
        if each.name in names:
            raise broken(path, _line_of(text, "registries"), f"two registries are called {each.name}", "rename one.")
        names[each.name] = each.url
    return names


def _written(values: Mapping[str, object], above: str = "") -> Iterator[str]:
    """The dotted names of everything that a document says."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _written(value, f"{above}{name}.")
        else:
            yield above + name


def _line_of(text: str, key: str) -> int:
    """The line that a setting is on, counted from 1; 1 when it is unknown."""
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
