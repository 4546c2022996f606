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
    def registry_urls(self) -> tuple[RegistryUrl, ...]:
        """MODHUB_REGISTRY, else the configured registries; empty when neither says anything."""
        chosen = [url.strip() for url in os.environ.get("MODHUB_REGISTRY", "").split(",")]
        if any(chosen):
            return tuple(RegistryUrl(url) for url in chosen if url)
        return tuple(RegistryUrl(url if is_url(url) else self._from_here(url)) for url in self.registries)

    def _from_here(self, path: str) -> str:
        return str(files.absolute(self.path.absolute().parent / files.expanded(path)))


def broken(path: Path, line: int, reason: str, hint: str) -> UsageError:
    """The error of a configuration file that cannot be used because of one of its lines."""
    return UsageError(
        f"the configuration {path}, line {line}: {reason}.", kind="bad-config", hint=hint, path=str(path), line=line
    )
