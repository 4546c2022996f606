"""What the network of a release costs, as its manifest has it."""

from __future__ import annotations

from modhub.compaction.costs import Costs, costs_of
from modhub.spec.manifest import Content


def release_costs(content: Content) -> Costs:
    """Multiply-adds of an image, parameters, and nodes at ReLUs."""
    return costs_of(content.origin.architecture, len(content.origin.classes))
