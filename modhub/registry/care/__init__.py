"""Care for a registry: examining and repairing it, collecting what nothing needs, taking down, copying, carrying."""

from modhub.registry.care.archive import export_release, import_release
from modhub.registry.care.findings import Finding, FsckReport
from modhub.registry.care.fsck import fsck
from modhub.registry.care.gc import GRACE, Collection, Orphan, collect
from modhub.registry.care.mirror import Mirrored, mirror
from modhub.registry.care.takedown import TakenDown, take_down

__all__ = [
    "GRACE",
    "Collection",
    "Finding",
    "FsckReport",
    "Mirrored",
    "Orphan",
    "TakenDown",
    "collect",
    "export_release",
    "fsck",
    "import_release",
    "mirror",
    "take_down",
]
