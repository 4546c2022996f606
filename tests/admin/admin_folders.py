"""What processes do to folders until they are killed; in a module of its own because each of them imports it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from modhub.registry.admin.archive import export_release, import_release
from modhub.registry.admin.gc import collect
from modhub.registry.admin.mirror import mirror
from modhub.registry.admin.takedown import take_down
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store


def gc(url: str) -> None:
    collect(Registry(open_store(url)), older_than=timedelta(0))


def take_down_published(url: str) -> None:
    take_down(Registry(open_store(url)), ModelRef("me", "net", "1.0.0"), "not our images")


def copy(url: str, source: str) -> None:
    mirror(Registry(open_store(source)), Registry(open_store(url)))


def bring(url: str, file: str) -> None:
    import_release(Path(file), Registry(open_store(url)))


def export(url: str, file: str) -> None:
    export_release(Registry(open_store(url)), ModelRef("me", "net", "1.0.0"), Path(file))
