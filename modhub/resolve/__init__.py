"""Pure: requests in, pinned modules or causes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modhub.deferred import on_first_use

if TYPE_CHECKING:
    from modhub.resolve.catalog import Catalog, Pinned
    from modhub.resolve.lockfile import Lock, LockedProject, MeasuredAccuracy, Stage, read_lock
    from modhub.resolve.resolver import resolve
    from modhub.resolve.settling import settle
else:
    __getattr__ = on_first_use(
        __name__,
        {
            "Catalog": "modhub.resolve.catalog",
            "Lock": "modhub.resolve.lockfile",
            "LockedProject": "modhub.resolve.lockfile",
            "MeasuredAccuracy": "modhub.resolve.lockfile",
            "Pinned": "modhub.resolve.catalog",
            "Stage": "modhub.resolve.lockfile",
            "read_lock": "modhub.resolve.lockfile",
            "resolve": "modhub.resolve.resolver",
            "settle": "modhub.resolve.settling",
        },
    )

__all__ = [
    "Catalog",
    "Lock",
    "LockedProject",
    "MeasuredAccuracy",
    "Pinned",
    "Stage",
    "read_lock",
    "resolve",
    "settle",
]
