"""Choosing releases for all requests together, so that one image can serve every module.

Why no backtracking: "one image serves both" is an equivalence relation (``mismatches`` of ``spec.contract`` compares
fields for equality), so releases fall into groups, and a choice works exactly when all its releases are of one group.
Inside a group requests do not depend on each other: each takes the first of its candidates that is in the group. So it
is enough to try the groups, best first, and a group is given up at the first request that has nothing in it. That finds
a solution whenever there is one, finds the preferred one first, and takes time in proportion to groups times requests
instead of growing with the product of all versions.

Why the order is cheap: a group's number of displaced first choices is known once the first choices are. Two groups
never share a candidate, so of two with equal numbers the first request alone decides which one is newer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from modhub.resolve.candidates import Candidate
from modhub.resolve.catalog import Catalog, NamedModules
from modhub.resolve.conflict import disagreement
from modhub.resolve.resolver import Groups, ResolutionMember, Resolver
from modhub.spec.contract import NamedContract, check_same_input
from modhub.spec.refs import ModelRef, Request


def resolve_together(
    requests: Sequence[str | Request],
    catalogs: Sequence[Catalog],
    user_aliases: Mapping[str, str],
    *,
    adapt: bool = False,
    fixed: Sequence[NamedContract] = (),
    prefer: Collection[ModelRef] = (),
) -> list[NamedModules]:
    """As ``resolve``, but the releases chosen for all requests, and the ``fixed`` ones, take the same images.

    The same means what ``mismatches`` of ``spec.contract`` says: height, width and channels, value range, colour order.
    The dtype and the preprocessing (rescale, mean, std) never conflict, since each module does its own.

    A request's first choice is what ``resolve`` takes, or a release of ``prefer`` (those of a lockfile) that satisfies
    it: also a yanked one, none that was taken down. After it come the others that satisfy it and have the class, nearer
    catalogs first, in each the newest first. Of all solutions the one is taken in which fewest requests do not get
    their first choice; of several such, the one with the newest release for the first request, then for the second, and
    so on. Two requests to one model may get two versions. With ``adapt`` contracts are not compared, because adapters
    make them fit: every request gets its first choice.

    Contracts are asked for only as far as needed, each at most once. Raises what ``resolve`` raises, and Incompatible,
    kind ``input-mismatch``, when nothing fits: ``modules`` are two that disagree, ``mismatches`` in what,
    ``alternatives`` the releases that would work in place of one of them, nearest first; the hint names the first.
    """
    resolver = Resolver(catalogs, user_aliases, prefer)
    if adapt:
        return [asked.modules(asked.first) for asked in resolver.asked(requests)]
    groups = Groups()
    required = _group_of_all(fixed, groups)
    members = [ResolutionMember(asked, groups) for asked in resolver.asked(requests)]
    chosen = _chosen(members, _by_preference(members) if required is None else iter([required]))
    if chosen is None:
        raise disagreement(resolver, groups, members, fixed).error()
    return [member.asked.modules(release) for member, release in zip(members, chosen, strict=True)]


def _group_of_all(fixed: Sequence[NamedContract], groups: Groups) -> int | None:
    """The group of the ``fixed`` contracts. Raises Incompatible when they differ among themselves."""
    for other in fixed[1:]:
        check_same_input(fixed[0].name, fixed[0].contract, other.name, other.contract)
    return groups.of_contract(fixed[0].contract) if fixed else None


def _by_preference(members: Sequence[ResolutionMember]) -> Iterator[int]:
    """Groups that may serve all: fewest displaced first choices first, then as the first request prefers."""
    content = Counter(member.first_group for member in members)
    for most in sorted(set(content.values()), reverse=True):
        tied = {group for group, count in content.items() if count == most}
        if len(tied) == 1:
            yield from tied
            continue
        for group in members[0].groups():
            if group in tied:
                yield group
                tied.remove(group)
                if not tied:
                    break
    yield from (group for group in members[0].groups() if group not in content)


def _chosen(members: Sequence[ResolutionMember], groups: Iterator[int]) -> list[Candidate] | None:
    """The first candidates of all members in the first group that has one for each."""
    for group in groups:
        chosen: list[Candidate] = []
        for member in members:
            release = member.within(group)
            if release is None:
                break
            chosen.append(release)
        else:
            return chosen
    return None
