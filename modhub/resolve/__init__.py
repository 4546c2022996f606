"""Pure: requests in, pinned modules or causes out."""

from modhub.resolve.catalog import Catalog, Pinned
from modhub.resolve.lockfile import Lock, LockedProject, MeasuredAccuracy, Stage, read_lock
from modhub.resolve.resolver import resolve
from modhub.resolve.settling import settle

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
