"""What releases say of the scale of their margins, for a swap in a project that keeps that of the module before."""

from __future__ import annotations

from typing import Literal

from modhub.composition.scales import are_even
from modhub.installation.context import Places
from modhub.installation.lockfile import LockedProject
from modhub.package.decomposition import trunk_fingerprint
from modhub.project.manifest import ScaleTable
from modhub.project.views import manifest_of
from modhub.resolve.catalog import Pinned

#: When a swap keeps the scale of the module that goes: ``needed``, where the vote does not even scales out by itself.
Matching = Literal["never", "needed", "always"]


def votes_evenly(locked: LockedProject, places: Places) -> bool:
    """Whether the vote of a locked project puts the margins of all its classes on one scale by itself.

    Reads the manifests of its releases. Raises NotFound and IntegrityError as ``manifest_of`` does.
    """
    voting = locked.settings.vote
    if locked.scales or voting == "raw":
        return False
    releases = {pin.digest: pin for _, pin in locked.classes}
    contents = [manifest_of(places, pin).content for pin in releases.values()]
    votes = [
        (trunk_fingerprint(each.origin.architecture, each.origin.weights, each.contract), each.origin.vote)
        for each in contents
    ]
    return are_even(votes, voting)


def scale_of_release(pin: Pinned, places: Places) -> ScaleTable:
    """The scale of a module's margins, as its release was calibrated. Raises as ``votes_evenly`` does."""
    modules = manifest_of(places, pin).content.modules
    record = next(each for each in modules if each.slug == pin.ref.cls)
    return ScaleTable(threshold=record.threshold, scale=record.scale)
