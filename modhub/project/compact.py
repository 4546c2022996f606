"""One compact network of a project's classifier: made with labelled images, kept beside the lock, which pins it.

It lies in the folder ``compact.modules`` as ``modhub compact`` would write it. The lock has its content's digest, what
was asked for, the images it was made with, and what it answers on which images; and the digest of the classifier that
the project was, so that a project which has changed since says so and never builds it by mistake.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from modhub.composition.composite import Composite
from modhub.composition.plan import make_plan
from modhub.composition.recipe import GivenSettings, Recipe
from modhub.data.images import DATASETS, ImageData, load_data
from modhub.data.parting import parted
from modhub.engine.compact.entry import made_compact
from modhub.engine.compact.request import CompactProgress, CompactRequest
from modhub.engine.compact.settings import CompactSettings
from modhub.engine.datasets import load_dataset
from modhub.errors import Conflict, IntegrityError, ModhubError, NotFound
from modhub.evaluation.answers import Answers
from modhub.evaluation.labels import match_labels
from modhub.installation.backend import InstalledBackend
from modhub.installation.lockfile import CompactTable, LockedProject, MeasuredAccuracy
from modhub.package.decomposition import Decomposition, decomposition_from
from modhub.package.folder import load_blob, load_manifest
from modhub.project.measuring import accuracy_differences, load_measured, measured_accuracy, other_accuracy
from modhub.project.session import Session
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.folder_refs import MANIFEST_FILE
from modhub.spec.places import is_file
from modhub.spec.refs import slug_of

COMPACT_FOLDER: Final = "compact.modules"
#: How the data of an accuracy is named that was measured on images set aside from those which made the network.
ASIDE: Final = " (set aside)"


@dataclass(frozen=True)
class CompactWork:
    """What ``build`` is asked for: the images by their name from the project's folder, and what may stay of it."""

    spec: str
    settings: CompactSettings
    progress: CompactProgress | None = None


def classifier_digest(locked: LockedProject) -> str:
    """Of all that decides what a compact network is made of: labels, modules, their scales and vote, and the images.

    How modules run and whether the classifier may reject changes nothing.
    """
    settings = locked.settings
    value = [
        [[label, pin.ref.cls, pin.digest] for label, pin in locked.classes],
        [[list(classes), [pin.digest for pin in pins]] for classes, pins in locked.recipe.named_stages()],
        [[label, scale.threshold, scale.scale] for label, scale in locked.scales],
        [settings.vote, settings.adapt, None if settings.size is None else list(settings.size)],
    ]
    return sha256(canonical_json(value))


def is_stale(locked: LockedProject) -> bool:
    """Whether a compact network is locked that was made of another classifier than the project now is."""
    return locked.compact is not None and locked.compact.classifier != classifier_digest(locked)


def stale_text(folder: Path) -> str:
    return f"the compact network in {folder / COMPACT_FOLDER} was made of the classifier that the project was before."


def pinned_compact(session: Session, locked: LockedProject) -> Composite:
    """The classifier of the compact network that is locked.

    Raises Conflict, kind ``stale-compact``, NotFound, kind ``no-compact``, and IntegrityError for other content.
    """
    table = locked.compact
    if table is None:
        raise NotFound(
            f"no compact network of the project in {session.folder} is locked.",
            kind="no-compact",
            hint="make one: modhub build --flops 0.5 --data DATA --out FILE.keras",
        )
    if is_stale(locked):
        raise Conflict(
            stale_text(session.folder),
            kind="stale-compact",
            hint=f"{again(table)} makes it again; --whole builds the whole classifier.",
            path=str(session.folder / COMPACT_FOLDER),
        )
    return _classifier(_read(session.folder, table), locked, session)


def compacted_project(session: Session, locked: LockedProject, whole: Composite, work: CompactWork) -> LockedProject:
    """The lock with a compact network of ``whole``, which is made unless the one that is there is that already.

    Its accuracy is measured on the project's data where it names some, else on images that are set aside. Raises what
    ``modhub.compact`` raises.
    """
    whole = whole.with_settings(GivenSettings(reject=False)) if whole.reject else whole
    images = _labelled(whole, _load(session.folder, work.spec))
    asked = _asked(work, images)
    if _is_locked(session, locked, asked):
        return locked
    began = time.monotonic()
    fitting, aside = parted(images, work.settings.seed)
    made = made_compact(
        CompactRequest(
            what=whole,
            what_name=locked.name,
            answer=lambda x, batch_size: Answers.of_modules(whole.predict(x, batch_size)),
            name=f"project/{slug_of(locked.name)}",
            images=fitting,
            set_aside=aside,
            settings=work.settings,
            work=work.settings.work(began),
        ),
        work.progress,
    )
    assert made.compacted is not None
    made.save(session.folder / COMPACT_FOLDER)
    before, after = _measured(session, locked, whole, _classifier(made, locked, session), aside)
    table = CompactTable(
        digest=made.package.manifest.digest,
        classifier=classifier_digest(locked),
        flops=made.compacted.flops,
        points=round(100 * (before.top_1 - after.top_1), 4),
        accuracy=after,
        **asked,
    )
    return replace(locked, compact=table)


def compact_problems(session: Session, locked: LockedProject, *, measure: bool) -> list[ModhubError]:
    """What keeps the compact network that is locked from being what it was; nothing where none is locked.

    ``measure`` answers the images again on which its accuracy was measured.
    """
    table = locked.compact
    if table is None:
        return []
    try:
        composite = pinned_compact(session, locked)
        if not measure:
            return []
        images = _measured_on(session, table, composite)
    except ModhubError as error:
        return [error]
    spec, wanted = table.accuracy.data, table.accuracy.fingerprint
    if images.fingerprint != wanted:
        return [
            IntegrityError(
                f"the data {spec}, on which the compact network was measured, has changed: it was {wanted}, and is "
                f"{images.fingerprint} now.",
                kind="data-changed",
                hint=f"restore it, or measure again: {again(table)}",
                data=spec,
                locked=wanted,
                found=images.fingerprint,
            )
        ]
    differing = accuracy_differences(table.accuracy, measured_accuracy(composite, images, spec=spec).accuracy)
    return [other_accuracy("the compact network", differing)] if differing else []


def _asked(work: CompactWork, images: ImageData) -> dict[str, Any]:
    """The fields of the lock that say what was asked for."""
    settings = work.settings
    return {
        "budget": settings.goal.kind,
        "asked": settings.asked,
        "jaccard": settings.jaccard,
        "select": settings.strategy_name,
        "polish": settings.polish,
        "polish_steps": settings.polish_steps if settings.polish else None,
        "use_labels": settings.use_labels,
        "seed": settings.seed,
        "data": work.spec,
        "fingerprint": images.fingerprint,
    }


def _is_locked(session: Session, locked: LockedProject, asked: Mapping[str, Any]) -> bool:
    """Whether the lock has what is asked for, of this classifier, and it is there."""
    table = locked.compact
    if table is None or is_stale(locked) or any(getattr(table, name) != value for name, value in asked.items()):
        return False
    try:
        pinned_compact(session, locked)
    except (NotFound, IntegrityError):
        return False
    return True


def _load(folder: Path, spec: str) -> ImageData:
    where = spec if spec in DATASETS else folder / Path(spec).expanduser()
    return load_data(where, split="train", datasets=load_dataset)


def _labelled(composite: Composite, data: ImageData) -> ImageData:
    """The images whose class the composite knows, with its labels in its order."""
    recognised = [module.name for module in composite.modules]
    found = match_labels(
        data.y, data.classes, composite.classes, recognised, data=data.name, what="the project", drop_unknown=True
    )
    return replace(data.take(found.rows), y=found.truth, classes=tuple(composite.classes))


def _measured(
    session: Session, locked: LockedProject, whole: Composite, small: Composite, aside: ImageData
) -> tuple[MeasuredAccuracy, MeasuredAccuracy]:
    """Of the whole classifier and of the compact one, on the same images."""
    known = locked.accuracy
    spec = session.state.file.project.data if known is None else known.data
    images = aside if spec is None else load_measured(session.folder, spec)
    spec = aside.name + ASIDE if spec is None else spec
    if known is not None and images.fingerprint == known.fingerprint:
        before = known
    else:
        before = measured_accuracy(whole, images, spec=spec).accuracy
    return before, measured_accuracy(small, images, spec=spec).accuracy


def _measured_on(session: Session, table: CompactTable, composite: Composite) -> ImageData:
    if table.accuracy.data.endswith(ASIDE):
        return parted(_labelled(composite, _load(session.folder, table.data)), table.seed)[1]
    return load_measured(session.folder, table.accuracy.data)


def _classifier(made: Decomposition, locked: LockedProject, session: Session) -> Composite:
    """The compact network's modules under the project's labels, in one pass, with the project's other settings."""
    by_name = {module.name: module for module in made.modules}
    classes = tuple((label, by_name[label]) for label in locked.recipe.labels)
    settings = replace(locked.settings, mode="fused", dtype="float32")
    backend = InstalledBackend(session.registry(), session.options.cache)
    return Composite(make_plan(Recipe(classes, (), settings)), backend)


def _read(folder: Path, table: CompactTable) -> Decomposition:
    place = folder / COMPACT_FOLDER
    if not is_file(place / MANIFEST_FILE):
        raise NotFound(
            f"the compact network that is locked is not in {place}.",
            kind="no-compact",
            hint=f"keep the folder with the lockfile; {again(table)} makes it again, --whole builds without it.",
            path=str(place),
        )
    manifest = load_manifest(place)
    if manifest.digest != table.digest:
        raise IntegrityError(
            f"{place} is {manifest.digest}, but the lockfile has {table.digest}.",
            kind="digest-changed",
            hint=f"{again(table)} makes it again.",
            locked=table.digest,
            found=manifest.digest,
            path=str(place),
        )
    return decomposition_from(manifest, lambda _, record: load_blob(place, record))


def again(table: CompactTable) -> str:
    """The command that makes what is locked."""
    option = "size" if table.budget == "bytes" else table.budget
    return f"modhub build --{option} {table.asked:g} --data {table.data} --out FILE.keras"
