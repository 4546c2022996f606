"""What installing and composing would fetch, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.installation.context import Places, RegistryUrls, load_lock
from modhub.installation.forecast import forecast
from modhub.resolve.catalog import all_modules

if TYPE_CHECKING:
    from modhub.installation.forecast import Forecast


def install_forecast(
    refs: Sequence[str],
    *,
    locked: str | Path | None = None,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    offline: bool = False,
    require_signature: bool | None = None,
    together: bool = False,
    adapt: bool = False,
) -> list[Forecast]:
    """What ``install`` would fetch; ``together`` chooses releases that fit each other, as ``compose`` does.

    Raises as ``install`` does for what could not be installed.
    """
    places = Places.open(
        registry, cache, offline=offline, require_signature=require_signature, locked=locked is not None
    )
    if locked is not None:
        return forecast(places, places.unlock(load_lock(locked)))
    named = places.resolve_together(refs, adapt=adapt) if together else places.resolve(refs)
    return forecast(places, all_modules(named))
