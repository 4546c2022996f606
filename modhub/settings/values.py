"""The settings as values: what a configuration file and the environment say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from modhub.errors import UsageError
from modhub.spec.url import RegistryUrl, is_url
from modhub.storage import files

if TYPE_CHECKING:
    from modhub.signing.trusted_key import TrustedKey


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
    """The settings of one file; all of them may be missing. ``path`` is that file, existing or not.

    ``names`` are those of registries that have one, with their URLs; ``written`` is what the file says, by its dotted
    names.
    """

    path: Path
    registries: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    cache: str | None = None
    use_cache_only: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    require_signature: bool = False
    trust: tuple[TrustedKey, ...] = ()
    energy: EnergySettings = EnergySettings()
    written: frozenset[str] = frozenset()

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
        """MODHUB_OFFLINE (0 is no, anything else yes), else the setting: whether the cache alone is to be used."""
        chosen = os.environ.get("MODHUB_OFFLINE", "")
        return chosen != "0" if chosen else self.use_cache_only

    @property
    def cache_folder(self) -> Path:
        """MODHUB_CACHE, else the configured folder, else the user's cache folder."""
        if chosen := os.environ.get("MODHUB_CACHE"):
            return files.absolute(chosen)
        if self.cache:
            return Path(self._from_here(self.cache))
        return platformdirs.user_cache_path("modhub", appauthor=False)

    @property
    def registry_urls(self) -> tuple[RegistryUrl, ...]:
        """MODHUB_REGISTRY, else the configured registries; empty when neither says anything."""
        if chosen := _listed("MODHUB_REGISTRY"):
            return tuple(RegistryUrl(self.named_registry(url)) for url in chosen)
        return tuple(map(RegistryUrl, self.configured_urls))

    @property
    def configured_urls(self) -> tuple[str, ...]:
        """The file's registries, whatever the environment says, as they are opened."""
        return tuple(map(self._opened, self.registries))

    def named_registry(self, given: str) -> str:
        """The URL of the configured registry that has this name; any other text is a folder or a URL itself.

        ``./team`` is the folder where ``team`` is a name.
        """
        url = self.names.get(given)
        return given if url is None else self._opened(url)

    def _opened(self, url: str) -> str:
        return url if is_url(url) else self._from_here(url)

    def _from_here(self, path: str) -> str:
        return str(files.absolute(self.path.absolute().parent / files.expanded(path)))


def _listed(variable: str) -> list[str]:
    """What a variable names, with commas between."""
    return [text.strip() for text in os.environ.get(variable, "").split(",") if text.strip()]


def broken(path: Path, line: int, reason: str, hint: str) -> UsageError:
    """The error of a configuration file that cannot be used because of one of its lines."""
    return UsageError(
        f"the configuration {path}, line {line}: {reason}.", kind="bad-config", hint=hint, path=str(path), line=line
    )
