"""The paper's two updates of masks, as functions of activity (docs/algorithm.md, Reuse, replacement, update).

``tangle``: tangling identification again from the class's own activity, with the unseen classes' inputs as the
unconcerned ones. ``remove``: nodes that are active for unseen classes and not for the class itself go.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from modhub.decomposition.backtrack import removed_counts
from modhub.package.module import Masks
from modhub.spec.manifest import Stages

#: The masks after one stage of backtracking: ``(masks, "last-conv" or "input") -> masks``.
Backtracked = Callable[[Masks, str], Masks]


def counts(masks: Masks) -> tuple[int, ...]:
    """Nodes at each site."""
    return tuple(int(mask.sum()) for mask in masks.values())


def tangled(
    concern: Masks, keep: Masks, unseen: Masks, stages: Stages, backtracked: Backtracked | None, *, join: bool = False
) -> tuple[dict[str, NDArray[np.bool_]], Stages]:
    """``concern | unseen`` less what backtracking takes, and the nodes counted by stage.

    ``unseen`` is what the unseen classes' inputs activate. With ``join`` the origin's own tangling stays as well. Where
    ``backtracked`` is not given, what it once took of ``concern`` stays away.
    """
    whole = {site: concern[site] | unseen[site] | (keep[site] if join else False) for site in concern}
    if backtracked is None:
        last_conv: Masks = {site: mask & ~(concern[site] & ~keep[site]) for site, mask in whole.items()}
        to_input = last_conv
    else:
        last_conv = backtracked(whole, "last-conv") if any(stages.last_conv) or any(stages.input) else whole
        to_input = backtracked(whole, "input") if any(stages.input) else last_conv
    return dict(to_input), Stages(
        concern=counts(concern),
        tangled=removed_counts(whole, concern),
        last_conv=removed_counts(whole, last_conv),
        input=removed_counts(last_conv, to_input),
        kept=counts(to_input),
    )


def without_unseen(
    concern: Masks, keep: Masks, unseen: Masks, stages: Stages
) -> tuple[dict[str, NDArray[np.bool_]], Stages]:
    """``keep`` without the nodes that unseen classes activate and the class itself does not, counted by stage."""
    kept = {site: mask & ~(unseen[site] & ~concern[site]) for site, mask in keep.items()}
    gone = removed_counts(keep, kept)
    return kept, stages.model_copy(
        update={
            "tangled": tuple(before - less for before, less in zip(stages.tangled, gone, strict=True)),
            "kept": counts(kept),
        }
    )


def jaccard_after(kept: Masks, known: Masks, before: Masks, jaccard: float) -> float:
    """The module's Jaccard index with its origin, the update's examples counted among the observed inputs.

    ``known`` is what is known to be active in the origin: what its available modules need or keep, and what the
    examples activate. ``before`` and ``jaccard`` are the module's own: a module keeps nothing that was never active, so
    they say how many nodes were active in all, also where only some modules are available.
    """
    active = max(sum(counts(known)), round(sum(counts(before)) / jaccard) if jaccard else 0)
    return sum(counts(kept)) / active if active else 1.0
