"""The licences of releases, of a classifier's origins and of a project's, and what of them does not go together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from modhub.composition.composite import Composite
from modhub.errors import UsageError
from modhub.installation.context import Places, RegistryUrls
from modhub.licensing.allowed import LicensedRelease, LicenseFinding, check_allowed
from modhub.licensing.compatibility import LicenseConflict, conflicts_among, unknown_among
from modhub.ops.load import kept_classifier
from modhub.package.folder import load_manifest
from modhub.project.project import Project
from modhub.project.views import manifests_of
from modhub.spec.folder_refs import classifier_ref, folder_ref
from modhub.spec.manifest import Manifest


@dataclass(frozen=True)
class UsedRelease:
    """A release with its manifest, its ``classes`` that are used, and where it was found, None for a folder."""

    manifest: Manifest
    classes: tuple[str, ...]
    registry: str | None

    @property
    def name(self) -> str:
        """``namespace/model@version``; without the version for a folder."""
        content = self.manifest.content
        return content.name if content.version is None else f"{content.name}@{content.version}"

    @property
    def license(self) -> str | None:
        """What its publisher states."""
        return None if self.manifest.content.card is None else self.manifest.content.card.license


@dataclass(frozen=True)
class LicenseReport:
    """What ``modhub.licenses`` gives. No legal advice: ``conflicts`` are what the sources named in them say, and
    ``unknown`` are releases of which they say nothing. ``findings``: what the list ``allow`` does not let through; None
    where there is no list."""

    releases: tuple[LicensedRelease, ...]
    conflicts: tuple[LicenseConflict, ...]
    unknown: tuple[LicensedRelease, ...]
    allow: tuple[str, ...] | None
    findings: tuple[LicenseFinding, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing conflicts and everything is allowed; what is unknown does not count."""
        return not self.conflicts and not self.findings

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "clean": self.is_clean,
            "releases": [vars(each) for each in self.releases],
            "conflicts": [
                {
                    "releases": [each.first.release, each.second.release],
                    "licenses": [each.first.license, each.second.license],
                    "reason": each.reason,
                    "source": each.source,
                }
                for each in self.conflicts
            ],
            "unknown": [each.release for each in self.unknown],
            "allow": None if self.allow is None else list(self.allow),
            "findings": [vars(each) for each in self.findings],
        }


def licenses(
    parts: str | Composite | Project | Iterable[str],
    *,
    allow: Sequence[str] | None = None,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
) -> LicenseReport:
    """The licences of names, folders of modules and files of classifiers, of a composite's origins, or of a project.

    ``allow``: SPDX names of the licences that may be; of a project by default what its file lists. Raises NotFound,
    UsageError.

    >>> import modhub
    >>> report = modhub.licenses(["cifar10/r56:cat@1.1.0", "cifar100/r20:apple@1.1.0"])
    >>> [each.release for each in report.unknown], report.is_clean
    (['cifar10/r56@1.1.0', 'cifar100/r20@1.1.0'], True)
    """
    if isinstance(parts, Project):
        allow = parts.file.licenses.allow if allow is None else allow
        return license_report(_stated(used_by_project(parts)), allow)
    if isinstance(parts, Composite):
        return license_report(_of_composite(parts), allow)
    names = [parts] if isinstance(parts, str) else list(parts)
    files = [found.file for name in names if (found := classifier_ref(name)) is not None]
    kept = [_of_composite(kept_classifier(file, registry=registry, cache=cache)) for file in files]
    others = [name for name in names if classifier_ref(name) is None]
    used = used_by_names(others, registry=registry, cache=cache) if others or not kept else []
    return license_report(list(dict.fromkeys([*_stated(used), *chain(*kept)])), allow)


def _of_composite(composite: Composite) -> list[LicensedRelease]:
    return [LicensedRelease(name, text) for name, text in composite.licenses.items()]


def _stated(used: Iterable[UsedRelease]) -> list[LicensedRelease]:
    return [LicensedRelease(each.name, each.license) for each in used]


def license_report(releases: Sequence[LicensedRelease], allow: Sequence[str] | None) -> LicenseReport:
    """What there is to say of licences that are used together."""
    return LicenseReport(
        tuple(releases),
        tuple(conflicts_among(releases)),
        tuple(unknown_among(releases)),
        None if allow is None else tuple(allow),
        () if allow is None else tuple(check_allowed(releases, allow)),
    )


def used_by_names(names: Sequence[str], *, registry: RegistryUrls, cache: str | Path | None) -> list[UsedRelease]:
    """The releases and folders that names mean, each once, with the classes named."""
    if not names:
        raise UsageError("nothing was named.", kind="no-names", hint="name a release, or run it in a project.")
    found: list[UsedRelease] = []
    published = []
    for name in names:
        if (folder := folder_ref(name)) is None:
            published.append(name)
        else:
            manifest = load_manifest(folder.folder)
            every = tuple(module.name for module in manifest.content.modules)
            found.append(UsedRelease(manifest, every if folder.cls is None else (folder.cls,), None))
    if published:
        places = Places.open(registry, cache)
        pins = [pin for named in places.resolve(published, even_yanked=True) for pin in named.modules]
        found += [UsedRelease(manifest, classes, place) for manifest, classes, place in manifests_of(pins, places)]
    return found


def used_by_project(project: Project) -> list[UsedRelease]:
    """The releases that a project locks. Raises NotFound, kind ``no-lock``."""
    return [UsedRelease(*each) for each in project.releases()]
