"""One compact network of a project's classifier: made with labelled images, kept beside the lock, which pins it.

It lies in the folder ``compact.modules`` as ``modhub compact`` would write it. The lock has its content's digest, what
was asked for, the images it was made with, and what it answers on which images; and the digest of the classifier that
the project was, so that a project which has changed since says so and never builds it by mistake.
"""

from __future__ import annotations

import shlex
import time
import warnings
from collections.abc import Mapping, Sequence
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
from modhub.package.folder import check_replaceable, load_blob, load_manifest, move_package
from modhub.project.checkpoints import FolderCheckpoints, forget
from modhub.project.measuring import accuracy_differences, load_measured, measured_accuracy, other_accuracy
from modhub.project.session import Session
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.folder_refs import MANIFEST_FILE
from modhub.spec.places import is_file
from modhub.spec.refs import is_portable, parse_new_model_name, slug_of

COMPACT_FOLDER: Final = "compact.modules"
#: Where a new one lies until the lock pins it.
_FRESH: Final = f"{COMPACT_FOLDER}.new"
#: Where an interrupted polish goes on from.
_POLISH: Final = "compact.polish"
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
            hint=f"{again(table, session.folder)} makes it again; --whole builds the whole classifier.",
            path=str(session.folder / COMPACT_FOLDER),
        )
    return _classifier(_read(session.folder, table), locked, session)


def compacted_project(session: Session, locked: LockedProject, whole: Composite, work: CompactWork) -> LockedProject:
    """The lock with a compact network of ``whole``, which is made and locked unless the one there is that already.

    Its accuracy is measured on the project's data where it names some, else on images that are set aside. What was
    pinned stays until all that can fail is done. Raises what ``modhub.compact`` raises.
    """
    name, folder = _network_name(locked.name), session.folder / COMPACT_FOLDER
    whole = whole.with_settings(GivenSettings(reject=False)) if whole.reject else whole
    data = _load(session.folder, work.spec)
    images = _labelled(whole, data, _made_for(locked))
    asked = _asked(work, images)
    check_replaceable(folder)
    _finish_move(session.folder, locked.compact)
    if _is_locked(session, locked, asked):
        return locked
    began = time.monotonic()
    fitting, aside = parted(images, work.settings.seed)
    measured, spec = _to_measure(session, locked, data, aside)
    answering = whole.in_mode("fused")
    made = made_compact(
        CompactRequest(
            what=whole,
            what_name=locked.name,
            answer=lambda x, batch_size: Answers.of_modules(answering.predict(x, batch_size)),
            name=name,
            images=fitting,
            set_aside=aside,
            settings=work.settings,
            work=work.settings.work(began, FolderCheckpoints(session.folder / _POLISH)),
        ),
        work.progress,
    )
    assert made.compacted is not None
    before, after = _measured(locked, whole, _classifier(made, locked, session), measured, spec)
    table = CompactTable(
        digest=made.package.manifest.digest,
        classifier=classifier_digest(locked),
        flops=made.compacted.flops,
        points=round(100 * (before.top_1 - after.top_1), 4),
        accuracy=after,
        **asked,
    )
    found = replace(locked, compact=table)
    made.save(session.folder / _FRESH)
    session.write(session.state.text, found)
    move_package(session.folder / _FRESH, folder)
    forget(session.folder / _POLISH)
    return found


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
        images = _measured_on(session, locked, table, composite)
    except ModhubError as error:
        return [error]
    spec, wanted = table.accuracy.data, table.accuracy.fingerprint
    if images.fingerprint != wanted:
        return [
            IntegrityError(
                f"the data {spec}, on which the compact network was measured, has changed: it was {wanted}, and is "
                f"{images.fingerprint} now.",
                kind="data-changed",
                hint=f"restore it, or measure again: {again(table, session.folder)}",
                data=spec,
                locked=wanted,
                found=images.fingerprint,
            )
        ]
    found = measured_accuracy(composite, images, spec=spec, recognised=_made_for(locked)).accuracy
    differing = accuracy_differences(table.accuracy, found)
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
        "minutes": settings.minutes if settings.polish else None,
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


def _made_for(locked: LockedProject) -> list[str]:
    """The classes that the modules were made for, column by column: compact modules are named by the labels."""
    return [pin.ref.cls for _, pin in locked.classes]


def _labelled(composite: Composite, data: ImageData, recognised: Sequence[str]) -> ImageData:
    """The images whose class the composite knows, with its labels in its order."""
    found = match_labels(
        data.y, data.classes, composite.classes, recognised, data=data.name, what="the project", drop_unknown=True
    )
    return replace(data.take(found.rows), y=found.truth, classes=tuple(composite.classes))


def _to_measure(session: Session, locked: LockedProject, data: ImageData, aside: ImageData) -> tuple[ImageData, str]:
    """On which images the accuracy is measured, with their name: none that the network is made with."""
    known = locked.accuracy
    spec = session.state.file.project.data if known is None else known.data
    if spec is not None:
        images = load_measured(session.folder, spec)
        if images.fingerprint != data.fingerprint:
            return images, spec
        warnings.warn(
            f"the project's data {spec} are the images that make the compact network: its accuracy is of those of them "
            "that are set aside.",
            stacklevel=2,
        )
    return aside, aside.name + ASIDE


def _measured(
    locked: LockedProject, whole: Composite, small: Composite, images: ImageData, spec: str
) -> tuple[MeasuredAccuracy, MeasuredAccuracy]:
    """Of the whole classifier and of the compact one, on the same images."""
    known, recognised = locked.accuracy, _made_for(locked)
    after = measured_accuracy(small, images, spec=spec, recognised=recognised).accuracy
    if known is not None and (known.fingerprint, known.examples) == (after.fingerprint, after.examples):
        return known, after
    return measured_accuracy(whole, images, spec=spec, recognised=recognised).accuracy, after


def _measured_on(session: Session, locked: LockedProject, table: CompactTable, composite: Composite) -> ImageData:
    if table.accuracy.data.endswith(ASIDE):
        images = _labelled(composite, _load(session.folder, table.data), _made_for(locked))
        return parted(images, table.seed)[1]
    return load_measured(session.folder, table.accuracy.data)


def _network_name(project: str) -> str:
    slug = slug_of(project)
    name = f"project/{slug if slug and is_portable(slug) else 'classifier'}"
    parse_new_model_name(name)
    return name


def _classifier(made: Decomposition, locked: LockedProject, session: Session) -> Composite:
    """The compact network's modules under the project's labels, in one pass, with the project's other settings."""
    by_name = {module.name: module for module in made.modules}
    classes = tuple((label, by_name[label]) for label in locked.recipe.labels)
    settings = replace(locked.settings, mode="fused", dtype="float32")
    backend = InstalledBackend(session.registry(), session.options.cache)
    return Composite(make_plan(Recipe(classes, (), settings)), backend)


def _read(folder: Path, table: CompactTable) -> Decomposition:
    place = folder / (_FRESH if _is_fresh(folder, table) else COMPACT_FOLDER)
    if not is_file(place / MANIFEST_FILE):
        raise NotFound(
            f"the compact network that is locked is not in {place}.",
            kind="no-compact",
            hint=f"keep it with the lockfile; {again(table, folder)} makes it again, --whole builds without it.",
            path=str(place),
        )
    manifest = load_manifest(place)
    if manifest.digest != table.digest:
        raise IntegrityError(
            f"{place} is {manifest.digest}, but the lockfile has {table.digest}.",
            kind="digest-changed",
            hint=f"{again(table, folder)} makes it again.",
            locked=table.digest,
            found=manifest.digest,
            path=str(place),
        )
    return decomposition_from(manifest, lambda _, record: load_blob(place, record))


def _is_fresh(folder: Path, table: CompactTable) -> bool:
    """Whether what is locked has not got its name yet: something came between."""
    try:
        return is_file(folder / _FRESH / MANIFEST_FILE) and load_manifest(folder / _FRESH).digest == table.digest
    except ModhubError:
        return False


def _finish_move(folder: Path, table: CompactTable | None) -> None:
    if table is not None and _is_fresh(folder, table):
        move_package(folder / _FRESH, folder / COMPACT_FOLDER)


def again(table: CompactTable, folder: Path) -> str:
    """The command that makes what is locked of the project in ``folder``."""
    option = "size" if table.budget == "bytes" else table.budget
    given: dict[str, object] = {
        option: table.asked,
        "jaccard": table.jaccard,
        "select": None if table.select == CompactSettings.select else table.select,
        "polish": table.polish,
        "polish-steps": table.polish_steps,
        "minutes": table.minutes,
        "use-labels": table.use_labels,
        "seed": table.seed or None,
        "data": table.data if table.data in DATASETS else folder / Path(table.data).expanduser(),
        "out": "FILE.keras",
    }
    words = ["modhub", "build"]
    for name, value in given.items():
        if value is not None and value is not False:
            words += [f"--{name}", *([] if value is True else [str(value)])]
    return shlex.join(words)
