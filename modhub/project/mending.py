"""The ways out of a class that turned out to be faulty, smallest change first: the paper's four options.

Replace it by a newer release, or by another network's module on its scale; let other modules decide again when it
answers; or remove it (Pan & Rajan 2022, section 2). Nothing is written until one of them is applied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, Literal

import numpy as np

from modhub.composition.composite import Composite
from modhub.data.images import ImageData
from modhub.errors import Conflict, Incompatible, InvalidData, InvalidRef, ModhubError, NotFound, UsageError
from modhub.evaluation.labels import truth_of
from modhub.project import edits
from modhub.project.lock import Locker, releases_of
from modhub.project.manifest import ProjectFile
from modhub.project.measuring import Measurement, measured_accuracy
from modhub.project.naming import compatible_with
from modhub.project.session import Change, Session
from modhub.resolve.catalog import Pinned
from modhub.spec.refs import ModelRef, ModuleRef, in_order, is_prerelease, parse, satisfying

#: The ways, smallest change first.
MendingWay = Literal["newer", "instead", "verify", "remove"]
WAYS: Final[tuple[MendingWay, ...]] = ("newer", "instead", "verify", "remove")
#: By how much another class's recall may fall before a way is not proposed, as for ``publish --check``.
MARGIN: Final = 0.02

#: Classes beside the faulty one that are decided again with it.
_MOST_PARTNERS: Final = 3

#: A module that is nowhere, or does not fit the others, or of whose classes the data have nothing, is no way out.
_NO_WAY_OUT: Final = (NotFound, Incompatible, Conflict, InvalidData, UsageError)

Planned = tuple[ProjectFile, Collection[ModelRef]]


@dataclass(frozen=True)
class FaultyClass:
    """A class of a project against whose module something is said. ``instead``: modules or models named in its place;
    ``is_faulty`` says of other releases of its model whether the same is said of them."""

    label: str
    pin: Pinned
    instead: tuple[str, ...]
    is_faulty: Callable[[ModuleRef], bool]


@dataclass(frozen=True)
class MendingOption:
    """One way out: ``text`` says what would change. ``measured`` is the classifier's accuracy then, where data were
    given; ``fallen`` the other class whose recall falls most, and by how much, where one does."""

    way: MendingWay
    label: str
    text: str
    plan: Planned
    measured: Measurement | None = None
    fallen: tuple[str, float] | None = None

    @property
    def harms(self) -> bool:
        """Whether another class would be answered clearly worse."""
        return self.fallen is not None and self.fallen[1] > MARGIN


@dataclass(frozen=True)
class MendingPlan:
    """What can be done about one class. ``before`` is the classifier's accuracy as it is, where data were given."""

    faulty: FaultyClass
    options: tuple[MendingOption, ...]
    before: Measurement | None

    def chosen(self, way: MendingWay | None = None) -> MendingOption:
        """The option of this ``way``, else the smallest that makes no other class clearly worse. Raises NotFound."""
        found = [each for each in self.options if way in (None, each.way)]
        if not found:
            raise NotFound(
                f"{self.faulty.label!r} cannot be mended by {way!r}.",
                kind="no-such-way",
                hint=f"there is {', '.join(each.way for each in self.options)}.",
                label=self.faulty.label,
            )
        return next((each for each in found if not each.harms), found[0])


def mending_plan(session: Session, faulty: FaultyClass, data: ImageData | None, spec: str = "") -> MendingPlan:
    """All ways out for one class; with ``data`` (named ``spec``) the classifier is measured for each."""
    if data is None:
        unique = {each.way: each for each in reversed(list(_options(session, faulty, [], is_measured=False)))}
        return MendingPlan(faulty, tuple(unique[way] for way in WAYS if way in unique), None)
    composite = session.composite(session.locked())
    before = measured_accuracy(composite, data, spec=spec)
    confused = _confused_with(composite, faulty.label, data)
    best: dict[MendingWay, MendingOption] = {}
    for option in _options(session, faulty, confused, is_measured=True):
        try:
            measured = _measured(session, option, before, data, spec)
        except _NO_WAY_OUT:
            continue
        known = best.get(option.way)
        # A faulty module may be calibrated badly too, and then its scale is none to match.
        if known is None or _top_1(measured) > _top_1(known):
            best[option.way] = measured
    return MendingPlan(faulty, tuple(best.values()), before)


def _top_1(option: MendingOption) -> float:
    return 0.0 if option.measured is None else option.measured.accuracy.top_1


def applied(session: Session, option: MendingOption) -> Change:
    """Write an option into the project's files, as any edit is."""
    return session.edit(*option.plan)


def _measured(
    session: Session, option: MendingOption, before: Measurement, data: ImageData, spec: str
) -> MendingOption:
    file, keep = option.plan
    locked = Locker(session.folder, session.places(file), session.state.lock).locked(file, keep=keep)
    after = measured_accuracy(session.composite(locked), data, spec=spec)
    was = dict(before.recalls)
    falls = [(label, was[label] - recall) for label, recall in after.recalls if label in was and label != option.label]
    worst = max(falls, key=lambda each: each[1], default=None)
    fallen = worst if worst is not None and worst[1] > 0 else None
    return MendingOption(option.way, option.label, option.text, option.plan, after, fallen)


def _confused_with(composite: Composite, label: str, data: ImageData) -> list[str]:
    """The other classes, those first that are answered for images of the class, or it for theirs, most often."""
    recognised = [module.name for module in composite.modules]
    truth = truth_of(data.y, data.classes, composite.classes, recognised)
    rows = np.flatnonzero(truth >= 0)
    answers, column = composite.predict(data.x[rows]).indices, composite.classes.index(label)
    wrong = (answers != truth[rows]) & ((answers == column) | (truth[rows] == column))
    other = np.where(answers == column, truth[rows], answers)[wrong]
    counts = Counter(composite.classes[each] for each in other.tolist())
    return [name for name, _ in counts.most_common()]


def _options(
    session: Session, faulty: FaultyClass, confused: Sequence[str], *, is_measured: bool
) -> Iterator[MendingOption]:
    file, label, pin = session.state.file, faulty.label, faulty.pin
    swaps = partial(_swaps, session, label, is_measured=is_measured)
    newer = _newer(session, faulty)
    if newer is not None:
        ref = f"{pin.ref.release.name}:{pin.ref.cls}@{compatible_with(newer)}"
        yield from swaps("newer", ref, f"{pin.ref} -> {ref}", matched_first=False)
    for instead in islice(_modules_instead(faulty), 1):
        yield from swaps("instead", instead, f"{pin.ref} -> {instead}", matched_first=True)
        partners = list(islice(_partners(session, label, instead, confused), _MOST_PARTNERS))
        for chosen in [partners[:1], *([partners] if len(partners) > 1 else [])] if partners else []:
            labels, modules = zip((label, instead), *chosen, strict=True)
            text = f"{' | '.join(labels)} decided again by {', '.join(modules)}"
            yield from _option("verify", label, text, partial(session.verified, {labels: list(modules)}))
    if len(file.classes) > 1:
        keep = releases_of(session.state.lock)
        yield MendingOption("remove", label, f"without {label}", (edits.without_classes(file, [label]), keep))


def _swaps(
    session: Session, label: str, way: MendingWay, ref: str, text: str, *, matched_first: bool, is_measured: bool
) -> Iterator[MendingOption]:
    """The module as it is, and on the scale of the one that goes; which is better, only data can tell.

    A scaled vote evens out how large margins are, not where they lie, so with data matching is tried there too.
    """
    swapped = partial(session.swapped, {label: ref})
    voting = "" if session.state.file.project.vote == "raw" else ', with vote = "raw"'
    scaled = f"{text}, on the scale of the one that goes{voting}"
    plain = list(_option(way, label, text, swapped))
    needed = _option(way, label, scaled, partial(swapped, matching="needed"))
    matched = [option for option in needed if label in option.plan[0].scales]
    if not matched and is_measured:
        matched_first = False
        matched = list(_option(way, label, scaled, partial(swapped, matching="always")))
    yield from (*matched, *plain) if matched_first else (*plain, *matched)


def _option(way: MendingWay, label: str, text: str, plan: Callable[[], Planned]) -> Iterator[MendingOption]:
    try:
        yield MendingOption(way, label, text, plan())
    except _NO_WAY_OUT:
        return


def _newer(session: Session, faulty: FaultyClass) -> str | None:
    """The newest version against which nothing is said: in the project's range, else at all, no pre-release."""
    ref = faulty.pin.ref
    places = session.places(or_cached=True)
    wanted = session.state.file.expanded(session.state.file.classes[faulty.label]).version
    found: dict[str, None] = {}
    for catalog in places.catalogs:
        for version in catalog.versions(ref.namespace, ref.model):
            release = ModelRef(ref.namespace, ref.model, version)
            module = ModuleRef(ref.namespace, ref.model, ref.cls, version)
            free = catalog.withdrawal(release) is None and ref.cls not in catalog.yanked_classes(release)
            if free and not is_prerelease(version) and not faulty.is_faulty(module):
                found.setdefault(version)
    ordered = [version for version in reversed(in_order(found)) if version != ref.version]
    later = [version for version in ordered if in_order([version, ref.version])[1] == version]
    return next(iter([*satisfying(later, wanted), *later]), None)


def _modules_instead(faulty: FaultyClass) -> Iterator[str]:
    """The modules that are named in its place; of a model the one of the same class."""
    for name in faulty.instead:
        try:
            request = parse(name)
        except InvalidRef:
            # An advisory's author may have written anything.
            continue
        if request.cls is None:
            base, _, version = name.partition("@")
            name = f"{base}:{faulty.pin.ref.cls}" + (f"@{version}" if version else "")
        yield name


def _partners(session: Session, label: str, ref: str, confused: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Other classes that the module's model knows too, with its modules of them: those it can decide between; the most
    ``confused`` first."""
    request = parse(ref)
    locked = session.locked()
    version = f"@{request.version}" if request.version else ""
    order = {name: number for number, name in enumerate(confused)}
    for other, pin in sorted(locked.classes, key=lambda each: order.get(each[0], len(order))):
        if other != label and pin.ref.release.name != request.base:
            yield from _known(session, other, f"{request.base}:{pin.ref.cls}{version}")


def _known(session: Session, label: str, ref: str) -> Iterable[tuple[str, str]]:
    try:
        session.places(or_cached=True).resolve([ref])
    except ModhubError:
        return []
    return [(label, ref)]
