"""Replaying a lock: is everything that it names still what it was? Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from modhub.advisories.matching import Remark
from modhub.errors import IntegrityError, ModhubError, NotFound, RegistryUnreachable, Untrusted
from modhub.installation.context import Places
from modhub.installation.install import check_classes
from modhub.installation.lockfile import MeasuredAccuracy
from modhub.project.compact import compact_problems
from modhub.project.measuring import (
    accuracy_differences,
    load_measured,
    measured_accuracy,
    other_accuracy,
    tolerance_of,
)
from modhub.project.session import Session
from modhub.registry.reader import RegistryReader
from modhub.resolve.catalog import Pinned
from modhub.spec.refs import ModelRef
from modhub.storage.verify import VerifiedBlobs

CheckState = Literal["right", "wrong", "absent"]


@dataclass(frozen=True)
class Copy:
    """One release in one place: a registry's manifest, or the cache's bytes of all modules locked."""

    place: str
    state: CheckState
    problem: ModhubError | None = None


@dataclass(frozen=True)
class CheckedRelease:
    """One locked release in every place. It is ``right`` when some place has it and none has something else."""

    ref: ModelRef
    digest: str
    copies: tuple[Copy, ...]


@dataclass(frozen=True)
class Replay:
    """What a replay found. ``data`` and ``accuracy`` are None where the lock names none, or they were not asked for.

    ``differing`` has each share that is not what was locked: (locked, measured). ``problems`` are all errors, those of
    digests first; ``remarks`` is what registries say against what is locked, which goes on working, and
    ``recalls`` the share of each class's images that it answers, where the accuracy was measured. ``compact`` is about
    the compact network, None where none is locked.
    """

    releases: tuple[CheckedRelease, ...]
    is_locked: bool
    data: CheckState | None
    accuracy: MeasuredAccuracy | None
    differing: dict[str, tuple[float, float]]
    problems: tuple[ModhubError, ...]
    remarks: tuple[Remark, ...] = ()
    recalls: tuple[tuple[str, float], ...] = ()
    compact: CheckState | None = None


def checked_releases(pins: Sequence[Pinned], places: Places, into: VerifiedBlobs | None = None) -> list[CheckedRelease]:
    """Every release of ``pins`` in every registry and in the cache, whose blobs are held in ``into``."""
    grouped: dict[tuple[ModelRef, str], list[Pinned]] = {}
    for pin in pins:
        grouped.setdefault((pin.ref.release, pin.digest), []).append(pin)
    return [
        CheckedRelease(
            ref,
            digest,
            (*(_in_registry(registry, own) for registry in places.registries), _in_cache(places, own, into)),
        )
        for (ref, digest), own in grouped.items()
    ]


def problems_of(releases: Sequence[CheckedRelease]) -> list[ModhubError]:
    """All that is wrong with the copies, and each release that no place has."""
    found = [copy.problem for release in releases for copy in release.copies if copy.problem is not None]
    for release in releases:
        if all(copy.state == "absent" for copy in release.copies):
            found.append(
                NotFound(
                    f"{release.ref} is in none of the registries searched, nor installed.",
                    kind="no-release",
                    hint="add the registry that has it, with --registry or in modhub.toml.",
                    release=str(release.ref),
                )
            )
    return found


def _in_registry(registry: RegistryReader, pins: Sequence[Pinned]) -> Copy:
    ref, digest = pins[0].ref.release, pins[0].digest
    try:
        manifest = registry.manifest(ref)
    except NotFound:
        return Copy(registry.url, "absent")
    except (IntegrityError, RegistryUnreachable) as error:
        return Copy(registry.url, "wrong", error)
    found = manifest.digest
    if found == digest:
        try:
            check_classes(manifest, pins)
        except (NotFound, IntegrityError) as error:
            return Copy(registry.url, "wrong", error)
        return Copy(registry.url, "right")
    problem = IntegrityError(
        f"{ref} is locked as {digest}, but {registry.name} has {found} under that name and version.",
        kind="digest-changed",
        hint="releases never change: find out who replaced it.",
        release=str(ref),
        locked=digest,
        found=found,
        registry=registry.name,
    )
    return Copy(registry.url, "wrong", problem)


def _in_cache(places: Places, pins: Sequence[Pinned], into: VerifiedBlobs | None) -> Copy:
    """All bytes of the modules that are installed, hashed now."""
    cache = places.cache
    where = str(cache.root)
    try:
        installed = [pin for pin in pins if cache.find(pin.ref, pin.digest) is not None]
        if not installed:
            return Copy(where, "absent")
        manifest = cache.manifest(pins[0].digest)
        check_classes(manifest, pins)
        own = {module.slug: module.blob for module in manifest.content.modules}
        for digest in dict.fromkeys([manifest.content.origin.weights, *(own[pin.ref.cls] for pin in installed)]):
            if into is None or manifest.blobs[digest] not in into:
                cache.check_blob(manifest.blobs[digest], into)
    except Untrusted as error:
        return Copy(where, "wrong", error)
    except (IntegrityError, NotFound) as error:
        if error.kind in ("wrong-class", "no-class"):
            return Copy(where, "wrong", error)
        problem = IntegrityError(
            f"{pins[0].ref.release} is damaged in the cache: {error.message}",
            kind="damaged-cache",
            hint="install it again: modhub sync",
            release=str(pins[0].ref.release),
        )
        return Copy(where, "wrong", problem)
    return Copy(where, "right" if len(installed) == len(pins) else "absent")


def replayed(session: Session, *, measure: bool, progress: Callable[[int, int], None] | None = None) -> Replay:
    """Replay the lock of a project; ``measure`` includes its data and accuracy, where it names any."""
    locked, lock = session.locked(), session.state.lock
    places = session.places(or_cached=True)
    # Where the classifier runs afterwards, it runs on the bytes that were found to be right.
    into = VerifiedBlobs() if measure and locked.accuracy is not None else None
    releases = checked_releases(() if lock is None else lock.modules, places, into)
    problems = problems_of(releases)
    remarks = places.remarks(() if lock is None else lock.modules)
    if not session.state.is_locked:
        try:
            session.current(frozen=True)
        except ModhubError as error:
            problems.append(error)
    data: CheckState | None = None
    accuracy, differing = None, dict[str, tuple[float, float]]()
    recalls: tuple[tuple[str, float], ...] = ()
    if measure and locked.accuracy is not None:
        try:
            images = load_measured(session.folder, locked.accuracy.data)
            found = images.fingerprint
            data = "right" if found == locked.accuracy.fingerprint else "wrong"
            if data == "wrong":
                problems.append(_other_data(locked.accuracy, found))
            elif not problems:
                if session.options.before_running is not None:
                    session.options.before_running()
                spec = locked.accuracy.data
                measured = measured_accuracy(session.composite(locked, into), images, spec=spec, progress=progress)
                accuracy, recalls = measured.accuracy, measured.recalls
                differing = accuracy_differences(locked.accuracy, accuracy, tolerance_of(locked))
        except NotFound as error:
            data = "absent"
            problems.append(error)
    if differing:
        problems.append(other_accuracy("the classifier", differing))
    compact = compact_problems(session, locked, measure=measure)
    problems += compact
    # The most serious ones at the end would be overlooked.
    problems.sort(key=lambda problem: not isinstance(problem, IntegrityError))
    return Replay(
        tuple(releases),
        session.state.is_locked,
        data,
        accuracy,
        differing,
        tuple(problems),
        tuple(remarks),
        recalls,
        None if locked.compact is None else "wrong" if compact else "right",
    )


def _other_data(locked: MeasuredAccuracy, found: str) -> IntegrityError:
    return IntegrityError(
        f"the data {locked.data} has changed: {locked.fingerprint} was measured, and it is {found} now.",
        kind="data-changed",
        hint="restore it, or measure again: modhub lock",
        data=locked.data,
        locked=locked.fingerprint,
        found=found,
    )
