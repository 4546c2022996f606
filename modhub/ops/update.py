"""Updating modules for classes that their origin never saw: gathers modules and examples, runs, chooses, reports.

Three disjoint sets: some examples fit and some choose, in turns (every example chooses among heads and masks that were
made without it), and others report. The choice never sees the reporting images; they can only veto: an update that
is worse on them by more than noise, as comparing two evaluations decides it, is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from modhub.composition.composite import Composite, parts_of
from modhub.composition.plan import Plan, make_plan
from modhub.composition.recipe import Recipe
from modhub.composition.scales import relative_scales
from modhub.data.classes import check_every_class, unknown_class
from modhub.data.fitting import Fitting
from modhub.data.forms import LabelledData, as_image_data
from modhub.data.given import Fit
from modhub.data.images import ImageData
from modhub.data.picture_reader import PictureReader
from modhub.decomposition.calibration import Margins
from modhub.engine.datasets import load_dataset
from modhub.engine.decompose.decompose import provenance_now
from modhub.engine.decompose.metrics import metric_of
from modhub.engine.update import Examples, JointNetworks, Unseen, margins_of, with_thresholds
from modhub.errors import IntegrityError, NotFound, UsageError, did_you_mean, plain
from modhub.evaluation.intervals import Resampling
from modhub.evaluation.labels import truth_of
from modhub.evaluation.paired import compared, p_text
from modhub.installation.backend import InstalledBackend
from modhub.installation.context import Places, RegistryUrls
from modhub.limits import MAX_DISPLAY_NAME_CHARS
from modhub.ops.compose import Composable, Ref, listed
from modhub.package.decomposition import Decomposition, decomposition_here, with_digests, without_modules
from modhub.package.module import Module
from modhub.spec.contract import check_images
from modhub.spec.manifest import DecomposeOptions, Derivation
from modhub.storage.verify import VerifiedBlobs
from modhub.updating.choosing import (
    FOLDS,
    HEAD_STRATEGIES,
    ORIGINAL,
    Approach,
    Judged,
    Tried,
    choose_approach,
    fitted_heads,
    judge,
    judged_heads,
)
from modhub.updating.fitting import Views
from modhub.updating.result import Update, measured
from modhub.updating.splitting import first_of_each, folds, set_aside

#: How modules are updated; see ``update``.
Strategy = Literal["tangle", "remove", "calibrate", "offset", "auto"]
STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)
FEWEST_EXAMPLES: Final = 4
#: Examples on which new masks are judged, which costs a run of every module each: of a class, and of all.
_JUDGED_OF_CLASS: Final = 20
_JUDGED_OF_ALL: Final = 200


@dataclass(frozen=True, eq=False)
class UpdateRequest:
    """A checked request: the joint plan, which of its modules change, and the examples by column."""

    plan: Plan
    changing: tuple[bool, ...]
    strategy: Strategy
    keep_origin: bool
    seed: int
    batch_size: int
    options: Mapping[str, DecomposeOptions]
    name: str


def update_modules(
    modules: Composable | Iterable[Composable],
    against: Composable | Iterable[Composable],
    data: LabelledData,
    *,
    strategy: Strategy,
    report: LabelledData | None,
    seed: int,
    batch_size: int,
    keep_origin: bool,
    fitted: tuple[Fit, str],
    steps: int | None,
    registry: RegistryUrls,
    cache: str | Path | None,
) -> Update:
    """See ``modhub.update``, whose arguments these are."""
    if strategy not in STRATEGIES:
        raise UsageError(
            f"there is no strategy {plain(repr(strategy))}.",
            kind="bad-option",
            hint=did_you_mean(strategy, STRATEGIES) or f"use {', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}.",
        )
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}.", hint="use at least 1.")
    backend, given = InstalledBackend(registry, cache, VerifiedBlobs()), _Given()
    wanted = given.classes(modules, backend)
    plan = _joint_plan(wanted, given.classes(against, backend))
    reader = PictureReader(Fitting(fitted[0], plan.contract, fitted[1]))
    read = partial(as_image_data, datasets=load_dataset, reader=reader)
    examples, name = _examples(read(data, steps=steps), plan, "the data")
    reporting = None if report is None else _examples(read(report, split="test"), plan, "the reporting data")
    sources = {**_published(plan.modules, registry, cache), **given.sources}
    request = UpdateRequest(
        plan=plan,
        changing=tuple(column < len(wanted) for column in range(len(plan.labels))),
        strategy=strategy,
        keep_origin=keep_origin,
        seed=seed,
        batch_size=batch_size,
        options={fingerprint: source.options for fingerprint, source in sources.items()},
        name=f"{name if reporting is None else reporting[1]} (reporting)"[:MAX_DISPLAY_NAME_CHARS],
    )
    done = _updated(request, examples, None if reporting is None else reporting[0])
    made = provenance_now()
    return replace(done, sources={key: replace(source, provenance=made) for key, source in sources.items()})


class _Given:
    """Modules as they were handed over; decompositions among them are remembered by fingerprint."""

    def __init__(self) -> None:
        self.sources: dict[str, Decomposition] = {}

    def classes(self, parts: Composable | Iterable[Composable], backend: InstalledBackend) -> list[tuple[str, Module]]:
        flat: list[Ref | Module | Composite] = []
        for part in listed(parts):
            source = part if isinstance(part, Decomposition) else decomposition_here(part)
            if source is not None:
                self.sources[source.origin.fingerprint] = source
            flat += part.modules if isinstance(part, Decomposition) else [part]
        return parts_of(flat, backend)[0]


def _joint_plan(wanted: Sequence[tuple[str, Module]], others: Sequence[tuple[str, Module]]) -> Plan:
    """The modules to update, then those they are updated against, each once. Raises UsageError, Incompatible."""
    if not wanted or not others:
        raise UsageError(
            f"no modules were given {'to update' if not wanted else 'to update against'}.",
            kind="empty",
            hint="name at least one of both.",
        )
    keys = {_key(module) for _, module in wanted}
    rest = [(label, module) for label, module in others if _key(module) not in keys]
    plan = make_plan(Recipe((*wanted, *rest)))
    if len(plan.groups()) < 2:
        raise UsageError(
            f"all modules are of {plan.modules[0].origin.name}, which has seen all of their classes.",
            kind="nothing-unseen",
            hint="update against modules of another origin.",
        )
    return plan


def _key(module: Module) -> tuple[str, str, int]:
    return module.origin.fingerprint, module.digest, module.index


def _examples(data: ImageData, plan: Plan, what: str) -> tuple[Examples, str]:
    """The examples with labels that count in the plan's columns, and the data's name. Raises InvalidData."""
    check_images(data.x, plan.contract, what=f"the images of {what}")
    labels = truth_of(data.y, data.classes, plan.labels, [module.name for module in plan.modules])
    if (labels < 0).any():
        raise unknown_class(data.classes[data.y[labels < 0].min()], what, plan.labels)
    check_every_class(labels, plan.labels)
    return Examples(data.x, labels), data.name


def _published(modules: Sequence[Module], registry: RegistryUrls, cache: str | Path | None) -> dict[str, Decomposition]:
    """By fingerprint, published origins as far as the cache or a registry has them; without modules."""
    found: dict[str, Decomposition] = {}
    for module in modules:
        if module.version is None or module.origin.fingerprint in found:
            continue
        places = Places.open_or_cached(registry, cache)
        try:
            manifest = places.cache.manifest(places.resolve([module.ref])[0].modules[0].digest)
        except (NotFound, IntegrityError):
            continue
        if module.digest in {record.blob for record in manifest.content.modules}:
            found[module.origin.fingerprint] = without_modules(manifest, module.origin)
    return found


def _updated(request: UpdateRequest, examples: Examples, reporting: Examples | None) -> Update:
    labels, count = examples.labels, len(request.plan.labels)
    counts = np.bincount(labels, minlength=count)
    fewest = int(counts.argmin())
    enough = counts[fewest] >= FEWEST_EXAMPLES
    if reporting is not None:
        work, report = examples, reporting
    elif enough:
        work, report = (examples.take(rows) for rows in set_aside(labels, count, request.seed))
    else:
        work, report = examples.take(np.zeros(0, np.int64)), examples
    run = UpdateRun(request, work, report)
    if not enough:
        reason = (
            f"{request.plan.labels[fewest]!r} has {counts[fewest]} example{'' if counts[fewest] == 1 else 's'}; "
            f"an update needs {FEWEST_EXAMPLES} of every class"
        )
        return run.result(ORIGINAL, request.plan.modules, run.before, (), reason)
    return run.updated()


class UpdateRun:
    """One update: ``work`` fits and chooses, ``report`` reports."""

    def __init__(
        self, request: UpdateRequest, work: Examples, report: Examples, networks: JointNetworks | None = None
    ) -> None:
        self.request, self.work, self.report = request, work, report
        plan = request.plan
        self.modules = plan.modules
        #: Modules are judged as they vote, on one scale across origins.
        self.units = relative_scales(plan.modules, plan.settings.vote)
        self.networks = networks or JointNetworks(
            plan.modules,
            request.changing,
            self.units,
            request.batch_size,
            any_masks=request.strategy not in HEAD_STRATEGIES,
        )
        self.report_views = self.networks.views(plan.modules, report.images)
        self.before = self.report_views.margins

    def updated(self) -> Update:
        """Try every way, choose, and report."""
        labels, seed, classes = self.work.labels, self.request.seed, len(self.modules)
        smallest = int(np.bincount(labels, minlength=classes).min())
        fold = folds(labels, classes, min(FOLDS, smallest), seed)
        views = self.networks.views(self.modules, self.work.images)
        ways = judged_heads(self.request.strategy, views, labels, fold)
        for strategy in ("tangle", "remove"):
            if self.request.strategy in (strategy, "auto"):
                ways |= self._judged_masks(strategy, views)
        way, tried = choose_approach(judge(views.margins, labels, fold), ways)
        if way is None:
            reason = f"no way was clearly better on the {len(labels)} examples to choose"
            return self.result(ORIGINAL, self.modules, self.before, tried, reason)
        modules, after = self.made(way, views)
        return self._unless_worse(way, modules, after, tried)

    def _judged_masks(self, strategy: str, views: Views) -> dict[Approach, Judged]:
        """New masks, judged on one half of the examples when the other half made them; nothing when none changes."""
        labels, classes = self.work.labels, len(self.modules)
        most = max(FEWEST_EXAMPLES, min(_JUDGED_OF_CLASS, _JUDGED_OF_ALL // classes))
        chosen = first_of_each(labels, classes, most, self.request.seed)
        margins, differ = np.full_like(views.margins, np.nan), False
        for part in (0, 1):
            here = np.flatnonzero((self._half == part) & chosen)
            modules = self._remasked(strategy, 1 - part)
            differ |= any(a.keep.key() != b.keep.key() for a, b in zip(modules, self.modules, strict=True))
            seen = self.networks.views(modules, self.work.images[here], only_changing=True).margins
            margins[here] = np.where(np.isnan(seen), views.margins[here], seen)
        return {Approach(strategy): judge(margins, labels, self._half)} if differ else {}

    @cached_property
    def _half(self) -> NDArray[np.int64]:
        return folds(self.work.labels, len(self.modules), 2, self.request.seed)

    @cached_property
    def _unseen(self) -> Unseen:
        return self.networks.unseen_activity(self.work, self._half, self.request.seed)

    def _remasked(self, strategy: str, part: int | None) -> tuple[Module, ...]:
        """With masks made by one half of the examples, or with None by all."""
        return self.networks.remasked(strategy, self._unseen, part, self.request.keep_origin, self.request.options)

    def made(self, way: Approach, views: Views) -> tuple[tuple[Module, ...], Margins]:
        """The modules updated on all examples that fit and choose, and their margins on the reporting images."""
        changing, labels = self.request.changing, self.work.labels
        if way.strength is not None:
            made = list(self.modules)
            for column, change in fitted_heads(way, views, labels).items():
                made[column] = replace(made[column], head=change.head(made[column].head, self.units[column]))
            modules = tuple(made)
            own, after = (margins_of(modules, each, self.units).astype(float) for each in (views, self.report_views))
        else:
            modules = self._remasked(way.strategy, None)
            own, after = (self.networks.views(modules, each.images).margins for each in (self.work, self.report))
        return with_thresholds(modules, changing, own * self.units, labels, self.request.seed), after

    def _unless_worse(self, way: Approach, modules: Sequence[Module], after: Margins, tried: Sequence[Tried]) -> Update:
        right, names = (self._right(self.before), self._right(after)), ("the original", str(way))
        found = compared(names, self.report.labels, right, len(self.modules), Resampling(seed=self.request.seed))
        if found.better == found.first:
            points = f"{100 * found.top_1.value:.2f} points"
            reason = f"{way} was {points} worse on the reporting images, by more than noise (p {p_text(found.p)})"
            return self.result(ORIGINAL, self.modules, self.before, tried, reason)
        best = next(each for each in tried if each.way == way)
        reason = f"better on {best.comparison.examples} examples to choose, {best.comparison}"
        return self.result(way, self._finished(way, modules, after), after, tried, reason)

    def _right(self, margins: Margins) -> NDArray[np.bool_]:
        return np.asarray(margins.argmax(axis=1) == self.report.labels)

    def _finished(self, way: Approach, modules: Sequence[Module], after: Margins) -> tuple[Module, ...]:
        """The changing modules with where they come from, their figures on the reporting images, and their digest."""
        result = list(self.modules)
        for column, (old, new) in enumerate(zip(self.modules, modules, strict=True)):
            if self.request.changing[column]:
                unseen = [m for m in self.modules if m.origin.fingerprint != old.origin.fingerprint]
                derivation = Derivation(
                    module=old.ref,
                    digest=old.digest,
                    strategy=way.strategy,
                    against=tuple(dict.fromkeys(module.digest for module in unseen)),
                    examples=len(self.work),
                )
                counted = replace(new, threshold=new.threshold / self.units[column])
                figures = metric_of(counted, column, after, self.report.labels, self.request.name)
                result[column] = replace(
                    new, version=None, pin=None, derived_from=(*old.derived_from, derivation), metrics=(figures,)
                )
        changed = with_digests([m for m, may in zip(result, self.request.changing, strict=True) if may])
        return (*changed, *result[len(changed) :])

    def result(
        self, way: Approach, modules: Sequence[Module], after: Margins, tried: Sequence[Tried], reason: str
    ) -> Update:
        """Before and after on the reporting images, with the interval of each."""
        asked = sum(self.request.changing)
        labels, names, seed = self.report.labels, self.request.plan.labels, self.request.seed
        return Update(
            modules=tuple(modules[:asked]),
            against=self.modules[asked:],
            before=measured(self._right(self.before), labels, names, seed),
            after=measured(self._right(after), labels, names, seed),
            way=way,
            tried=tuple(tried),
            reason=reason,
            examples=len(self.work),
        )


def update(
    modules: Composable | Iterable[Composable],
    *,
    against: Composable | Iterable[Composable],
    data: LabelledData,
    strategy: Strategy = "auto",
    report: LabelledData | None = None,
    seed: int = 0,
    batch_size: int = 256,
    keep_origin: bool = False,
    fit: Fit = "none",
    background: str = "white",
    steps: int | None = None,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
) -> Update:
    """Adapt modules to classes that their origin never saw, by a few labelled images; keeps the better.

    ``modules``: names, modules, composites or decompositions, one or several. ``against``: the modules whose classes
    they never saw, which stay as they are, unless they are among ``modules`` too: then all are updated together.
    ``data``: labelled images in any form that ``evaluate`` takes, ``fit`` as there, with the class names of both, 4
    images of each or more; ``report``: others to report on, by default a third of ``data``, which then fit nothing.

    ``strategy``: ``tangle`` (tangling again, against the unseen classes; with ``keep_origin`` beside the origin's own),
    ``remove`` (nodes active for the unseen classes and not for the module's go), ``calibrate`` (heads fitted, near to
    the present ones), ``offset`` (heads fitted to what the vote misses; from 100 images a class on), or ``auto``: all.
    Raises InvalidData, UsageError, Incompatible, NotFound.

    >>> import modhub
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    >>> examples = (images, np.arange(16) % 2, ["cat", "apple"])
    >>> made = modhub.update("cifar10/r20:cat", against="cifar100/r20:apple", data=examples, strategy="calibrate")
    >>> [module.name for module in made.modules], made.strategy in ("original", "calibrate")
    (['cat'], True)
    """
    return update_modules(
        modules,
        against,
        data,
        strategy=strategy,
        report=report,
        seed=seed,
        batch_size=batch_size,
        keep_origin=keep_origin,
        fitted=(fit, background),
        steps=steps,
        registry=registry,
        cache=cache,
    )
