"""Network faults at every request of a publication and of its reading: a sample here, all of it on demand.

``MODHUB_TESTS=all`` runs every kind at every request; ``benchmarks/faults.py`` does the same and prints the table.
"""

from __future__ import annotations

import itertools

import pytest
from fault_matrix import EXTENTS, KINDS, laboratory

from tests import thinning

WAYS = list(itertools.product(KINDS, EXTENTS))


@pytest.fixture(scope="module")
def lab():
    with laboratory() as lab:
        yield lab


def test_some_fault_at_every_request_of_a_publication(lab):
    """Each request meets one kind of fault, the next request the next kind."""
    outcomes = []
    for first in itertools.count(1, 1 if thinning.ALL else 3):
        # Five is no divisor of their number, so that neighbours differ in both kind and extent.
        run = lab.run("publish", *WAYS[5 * first % len(WAYS)], first)
        if not run.broken:
            break
        outcomes.append(run.outcome)
    assert len(outcomes) > 7
    assert "succeeded" in outcomes
    assert len(set(outcomes)) > 1


@pytest.fixture(scope="module")
def publication(lab):
    """The number of the request that is the publication."""
    (number,) = lab.requests("publish", "PUT", "/releases/")
    return number


@pytest.mark.parametrize("fault", KINDS)
def test_every_fault_at_the_request_that_is_the_publication(lab, publication, fault):
    """Kinds take turns at breaking it once and for good."""
    extents = ("once", "for good")
    for extent in extents if thinning.ALL else extents[KINDS.index(fault) % 2 :: 2]:
        run = lab.run("publish", fault, extent, publication)
        assert run.broken
        assert run.outcome == "succeeded" or extent == "for good"


@pytest.mark.parametrize("fault", KINDS)
def test_every_fault_at_every_request_of_a_reader(lab, fault):
    """Here a third of them, of the next kind the next third."""
    every = 1 if thinning.ALL else 3
    runs = list(lab.runs("read", fault, "once", start=1 + KINDS.index(fault) % every, every=every))
    assert len(runs) >= 5 // every
    # What is broken for good cannot succeed, except slowly.
    assert (lab.run("read", fault, "for good", 1).outcome == "succeeded") is (fault == "slow")


@thinning.long
def test_every_fault_at_every_request_of_a_publication(lab):
    for fault, extent in WAYS:
        assert len(list(lab.runs("publish", fault, extent))) > 20
