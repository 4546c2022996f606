"""Tangle and remove against slow literal versions, on single nodes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.decomposition.sampling import unconcerned_share
from modhub.spec.manifest import Stages
from modhub.updating.masks import counts, jaccard_after, tangled, without_unseen

SITE = (2, 3)
masks = st.lists(st.booleans(), min_size=6, max_size=6).map(lambda bits: np.array(bits).reshape(SITE))
derandomized = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def stages_of(concern, keep):
    """As a decomposition without backtracking would count them; nodes that backtracking took are in last_conv."""
    lost = concern & ~keep
    return Stages(
        concern=(int(concern.sum()),),
        tangled=(int((keep & ~concern).sum()),),
        last_conv=(int(lost.sum()),),
        input=(0,),
        kept=(int(keep.sum()),),
    )


def is_consistent(stages, kept):
    totals = zip(stages.concern, stages.tangled, stages.last_conv, stages.input, strict=True)
    return stages.kept == counts(kept) == tuple(c + t - b - i for c, t, b, i in totals)


@derandomized
@given(masks, masks, masks, st.booleans())
def test_tangle_is_the_literal_rule_node_by_node(concern, keep, unseen, join):
    kept, stages = tangled({"s": concern}, {"s": keep}, {"s": unseen}, stages_of(concern, keep), None, join=join)
    for node in np.ndindex(SITE):
        wanted = concern[node] or unseen[node] or (join and keep[node])
        taken_by_backtracking = concern[node] and not keep[node]
        assert kept["s"][node] == (wanted and not taken_by_backtracking)
    assert is_consistent(stages, kept)


@derandomized
@given(masks, masks, masks)
def test_remove_is_the_literal_rule_node_by_node(concern, keep, unseen):
    kept, stages = without_unseen({"s": concern}, {"s": keep}, {"s": unseen}, stages_of(concern, keep))
    for node in np.ndindex(SITE):
        goes = unseen[node] and not concern[node]
        assert kept["s"][node] == (keep[node] and not goes)
    assert is_consistent(stages, kept)


@derandomized
@given(masks, masks, masks)
def test_tangle_backtracks_again_when_it_knows_how(concern, keep, unseen):
    def backtracked(before, stage):
        # The second stage takes what the first does, and more.
        return {"s": before["s"] & (np.arange(3) > {"last-conv": 0, "input": 1}[stage])}

    stages = Stages(concern=(1,), tangled=(0,), last_conv=(1,), input=(1,), kept=(0,))
    kept, after = tangled({"s": concern}, {"s": keep}, {"s": unseen}, stages, backtracked)
    whole = concern | unseen
    assert np.array_equal(kept["s"], whole & (np.arange(3) == 2))
    assert (after.last_conv, after.input) == ((int(whole[:, 0].sum()),), (int(whole[:, 1].sum()),))


def test_the_share_of_every_unseen_class_makes_one_to_one():
    assert unconcerned_share(1000, 20) == 50
    assert unconcerned_share(3, 20) == 1


def test_jaccard_counts_the_origins_active_nodes_also_when_few_modules_are_at_hand():
    before = {"s": np.array([True, True, False, False])}
    less = {"s": np.array([True, False, False, False])}
    # Two kept nodes at an index of 0.5 mean four active ones, though only two are known.
    assert jaccard_after(less, before, before, 0.5) == 0.25
    everything = {"s": np.ones(4, bool)}
    assert jaccard_after(less, everything, before, 1.0) == 0.25
