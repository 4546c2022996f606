"""Holding licences to an allow-list, such as ``[licenses] allow`` of a project file."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from modhub.errors import UsageError, shown
from modhub.licensing.expression import canonical_license, license_choices


@dataclass(frozen=True)
class LicensedRelease:
    """A release by its whole name, ``namespace/model@version``, and the licence that it states, None for none."""

    release: str
    license: str | None


@dataclass(frozen=True)
class LicenseFinding:
    """A release that an allow-list does not let through, and why.

    ``not-allowed``: none of its choices is on the list. ``no-license``: it states none. ``unreadable``: what it states
    is no SPDX expression, or has too many choices.
    """

    release: str
    license: str | None
    kind: Literal["not-allowed", "no-license", "unreadable"]
    message: str


def check_allowed(releases: Iterable[LicensedRelease], allow: Collection[str]) -> list[LicenseFinding]:
    """Which of ``releases`` the list does not let through, in their order.

    A release passes when one of its choices has nothing but licences on the list: of ``MIT OR GPL-3.0-only`` one is
    enough, of ``MIT AND CC-BY-4.0`` both are needed. An exception must be on the list with its licence, and
    ``GPL-2.0-or-later`` passes also where ``GPL-2.0-only`` is. Raises UsageError, kind ``bad-license``, for a list that
    names what is no licence.

    >>> [found.kind for found in check_allowed([LicensedRelease("me/net@1.0.0", "GPL-3.0-only")], ["MIT"])]
    ['not-allowed']
    """
    allowed = frozenset(canonical_allow(allow))
    found = (_finding(release, allowed) for release in releases)
    return [finding for finding in found if finding is not None]


def canonical_allow(allow: Iterable[str]) -> tuple[str, ...]:
    """The list as SPDX spells it; every entry is one licence. Raises UsageError, kind ``bad-license``."""
    names = []
    for entry in allow:
        name = canonical_license(entry)
        if license_choices(name) != (frozenset({name}),):
            raise UsageError(
                f"{shown(entry)} is several licences.",
                kind="bad-license",
                hint="list each licence by itself: a release may be under any that is on the list.",
                license=entry,
            )
        names.append(name)
    return tuple(dict.fromkeys(names))


def _finding(release: LicensedRelease, allowed: frozenset[str]) -> LicenseFinding | None:
    name, text = release.release, release.license
    if text is None:
        return LicenseFinding(name, None, "no-license", f"{name} states no licence")
    try:
        choices = license_choices(text)
    except UsageError as error:
        return LicenseFinding(name, text, "unreadable", f"{name}: {error.message.rstrip('.')}")
    if choices is None:
        return LicenseFinding(name, text, "unreadable", f"{name}: {shown(text)} has too many choices to compare")
    if any(all(_is_on(each, allowed) for each in choice) for choice in choices):
        return None
    return LicenseFinding(name, text, "not-allowed", f"{name} is under {text}, which is not on the list")


def _is_on(license_name: str, allowed: frozenset[str]) -> bool:
    # "Or later" lets whoever receives it choose this very version.
    return license_name in allowed or license_name.replace("-or-later", "-only") in allowed
