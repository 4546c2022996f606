"""What tests of projects share: the two files as text, and releases that take other images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from synthetic import release

from modhub import Project
from modhub.installation.lockfile import LockedProject
from modhub.spec.manifest import VoteRecord, digest_of


def toml(project: Project) -> str:
    return (project.folder / "modhub.toml").read_text()


def lock(project: Project) -> str:
    return (project.folder / "modhub.lock").read_text()


def both(project: Project) -> dict[str, bytes]:
    """All files of a project's folder."""
    return {file.name: file.read_bytes() for file in project.folder.iterdir()}


def refs(project: Project) -> dict[str, str]:
    """Labels with what they are locked to."""
    locked = project.locked
    return {} if locked is None else {label: str(pin.ref) for label, pin in locked.classes}


def wide_release(name: str, version: str = "1.0.0", **options: object):
    """A release that takes images of 8 x 8."""
    manifest, blobs = release(name, version, **options)
    contract = manifest.content.contract.model_copy(update={"height": 8, "width": 8})
    content = manifest.content.model_copy(update={"contract": contract})
    return manifest.model_copy(update={"content": content, "digest": digest_of(content)}), blobs


def scaled_release(name: str, version: str = "1.0.0", *, margin_scale: float = 2.0, **options: object):
    """A release that records the scale of its margins."""
    manifest, blobs = release(name, version, **options)
    vote = VoteRecord(margin_scale=margin_scale, temperature=1.0, data="tiny (observed)", examples=30)
    origin = manifest.content.origin.model_copy(update={"vote": vote})
    content = manifest.content.model_copy(update={"origin": origin})
    return manifest.model_copy(update={"content": content, "digest": digest_of(content)}), blobs


def with_settings(locked: LockedProject, **settings: Any) -> LockedProject:
    """A lock of the same modules with other settings, as in ClassifierSettings."""
    return replace(locked, recipe=replace(locked.recipe, settings=replace(locked.recipe.settings, **settings)))
