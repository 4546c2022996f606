"""Choosing releases together against its definition: a slow, literal version tries all combinations of small cases."""

from __future__ import annotations

from itertools import product

from catalogs_in_memory import GONE, GREY, LARGE, SMALL, UNIT, YANKED, Release, catalog, takes
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_version import SimpleSpec, Version

from modhub.errors import Incompatible, ModhubError, NotFound
from modhub.resolve.catalog import all_modules
from modhub.resolve.together import resolve_together
from modhub.spec.contract import NamedContract, mismatches
from modhub.spec.refs import ModelRef, parse

CONTRACTS = [SMALL, LARGE, UNIT, takes(dtype="float32")]
VERSIONS = ["0.9.0", "1.0.0-rc.1", "1.0.0", "1.1.0", "2.0.0"]
RANGES = [None, "^1", ">=1", "<2", "1.0.0", ">=1.0.0-a", "~1.0"]
RELEASES = st.builds(Release, st.sampled_from(CONTRACTS), st.sampled_from([["cat"], ["dog"], ["cat", "dog"]]))
WITHDRAWALS = st.sampled_from([None] * 6 + [YANKED, GONE])


@st.composite
def worlds(draw):
    places = []
    for name in ("near", "far")[: draw(st.integers(1, 2))]:
        refs = draw(st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from(VERSIONS)), min_size=2, max_size=12))
        releases = {f"me/{model}@{version}": draw(RELEASES) for model, version in sorted(refs)}
        withdrawn = {ref: each for ref in releases if (each := draw(WITHDRAWALS)) is not None}
        places.append(catalog(releases, name, withdrawn=withdrawn))
    return places


def allowed(wanted, version):
    """The rule of ranges, said once more."""
    if wanted in VERSIONS:
        return wanted == version
    if Version(version).prerelease and "-" not in (wanted or ""):
        return False
    return SimpleSpec(wanted or "*").match(Version(version))


def in_preference(request, places, prefer):
    """Every release that may answer a request, first choice first: (catalog, ref)."""
    nearest = {}
    for number, place in enumerate(places):
        for ref in place.releases:
            nearest.setdefault(ref, number)
    fitting = [
        (number, ref)
        for ref, number in nearest.items()
        if ref.partition("@")[0] == request.base and allowed(request.version, ref.partition("@")[2])
    ]
    newest = sorted(fitting, key=lambda each: Version(each[1].partition("@")[2]), reverse=True)
    # A yanked one answers to its exact version.
    fine = (None, YANKED) if request.version in VERSIONS else (None,)
    by_place = sorted(newest, key=lambda each: each[0])
    usable = [each for each in by_place if places[each[0]].withdrawn.get(each[1]) in fine]

    def has(each):
        return request.cls in (None, *places[each[0]].releases[each[1]].classes)

    kept = [each for each in newest if each[1] in prefer and places[each[0]].withdrawn.get(each[1]) is not GONE]
    kept = [each for each in kept if has(each)]
    first = kept[:1] or usable[:1]
    return first + [each for each in kept + usable if each not in first and has(each)]


def literal(requests, places, prefer, fixed):
    """The best of all combinations, or None."""
    options = [in_preference(request, places, prefer) for request in requests]
    best = None
    for ranks in product(*(range(len(each)) for each in options)):
        chosen = [each[rank] for each, rank in zip(options, ranks, strict=True)]
        contracts = [places[number].releases[ref].contract for number, ref in chosen] + [one.contract for one in fixed]
        if any(mismatches(one, other) for one in contracts for other in contracts):
            continue
        key = (sum(rank > 0 for rank in ranks), ranks)
        if best is None or key < best[0]:
            best = (key, chosen)
    return None if best is None else best[1]


def outcome_of(texts, places, prefer, fixed):
    """What ``resolve_together`` gives, as registries and refs, or the error that it raises."""
    try:
        pins = all_modules(resolve_together(texts, places, {}, prefer=prefer, fixed=fixed))
        return [(pin.registry, str(pin.ref)) for pin in pins]
    except ModhubError as error:
        return error


@settings(max_examples=400, deadline=None)
@given(
    worlds(),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, "cat", "dog"]), st.sampled_from(RANGES)),
             min_size=1, max_size=4),
    st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from(VERSIONS)), max_size=3),
    st.lists(st.builds(NamedContract, st.just("x"), st.sampled_from(CONTRACTS[:1] + CONTRACTS[3:])), max_size=2),
)  # fmt: skip
def test_a_solution_is_found_exactly_when_there_is_one_and_it_is_the_preferred(places, rows, locks, fixed):
    texts = [f"me/{m}" + (f":{c}" if c else "") + (f"@{v}" if v else "") for m, c, v in rows]
    prefer = [ModelRef("me", model, version) for model, version in sorted(locks)]
    requests = [parse(text) for text in texts]
    firsts = [in_preference(request, places, {str(ref) for ref in prefer})[:1] for request in requests]
    impossible = not all(firsts) or any(
        request.cls not in (None, *places[number].releases[ref].classes)
        for request, [(number, ref)] in zip(requests, firsts, strict=True)
    )
    expected = None if impossible else literal(requests, places, {str(ref) for ref in prefer}, fixed)
    outcome = outcome_of(texts, places, prefer, fixed)
    if impossible:
        assert isinstance(outcome, NotFound)
    elif isinstance(outcome, Incompatible):
        assert expected is None
        assert len(outcome.data["modules"]) == 2
        assert outcome.data["mismatches"]
        check_alternatives(outcome.data["alternatives"], requests, places, prefer, fixed)
    else:
        assert expected is not None
        assert outcome == [
            (places[number].url, ref.replace("@", f":{cls}@"))
            for request, (number, ref) in zip(requests, expected, strict=True)
            for cls in (places[number].releases[ref].classes if request.cls is None else [request.cls])
        ]
    for place in places:
        assert len(place.contracts) == len(set(place.contracts)), "read twice"


def check_alternatives(alternatives, requests, places, prefer, fixed):
    """Following the hint gives a solution: some requests to one model ask for that release instead."""
    for alternative in alternatives:
        name, _, version = alternative.partition("@")
        works = []
        for model in {request.base for request in requests}:
            for follow in product([False, True], repeat=len(requests)):
                asked = [
                    parse(f"{name}{f':{request.cls}' if request.cls else ''}@{version}") if takes_it else request
                    for request, takes_it in zip(requests, follow, strict=True)
                    if not takes_it or request.base == model
                ]
                if len(asked) == len(requests) and any(follow):
                    works.append(literal(asked, places, {str(ref) for ref in prefer}, fixed))
        assert any(each is not None for each in works), alternative


@given(st.lists(st.sampled_from([SMALL, LARGE, UNIT, GREY, takes(colour="bgr"), takes(rescale=0.5)]), min_size=3,
                max_size=3))  # fmt: skip
def test_serving_both_is_an_equivalence_relation(contracts):
    """On which the search rests."""
    one, other, third = contracts
    assert mismatches(one, one) == []
    assert bool(mismatches(one, other)) == bool(mismatches(other, one))
    assert mismatches(one, other) or mismatches(other, third) or not mismatches(one, third)
