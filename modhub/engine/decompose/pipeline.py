"""Decomposing a network into modules: the order of the steps, and nothing else.

observe (one pass) -> concern and tangling masks -> heads -> backtracking -> threshold and scale. Masks and counts come
from modhub.decomposition; this file runs the network for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.data.rows import Piece
from modhub.decomposition.activity import Activity
from modhub.decomposition.backtrack import backtracked, removed_counts
from modhub.decomposition.calibration import fit_platt
from modhub.decomposition.head import margins_from_logits, modular_head
from modhub.decomposition.jaccard import UsedWeights, jaccard
from modhub.decomposition.sampling import Sample, draw, segments
from modhub.decomposition.sites import Site
from modhub.engine.decompose.observe import LocalObserver, Logits, Observer
from modhub.engine.decompose.probe import StepProgress
from modhub.engine.run.network import Network
from modhub.package.module import Head, Masks, Module, Origin, PackedMasks
from modhub.spec.manifest import DecomposeOptions, Stages


@dataclass(frozen=True, eq=False)
class DecomposedModules:
    """What decomposing gives: all modules in class order, the sites, and the sample."""

    modules: tuple[Module, ...]
    sites: tuple[Site, ...]
    sample: Sample


def decompose_origin(
    origin: Origin,
    slugs: Sequence[str],
    images: NDArray[Any],
    labels: NDArray[np.integer],
    options: DecomposeOptions,
    progress: StepProgress | None = None,
) -> DecomposedModules:
    """One module for every class of ``origin``.

    ``images`` are raw and already checked, (inputs, H, W, C); ``labels`` (inputs,) index the classes, each of which
    occurs.
    """
    network = Network(origin.architecture, origin.weights)
    observer = LocalObserver(origin, network, [Piece(0, images)], progress)
    return decompose_observed(observer, origin, slugs, labels, options)


def decompose_observed(
    observer: Observer,
    origin: Origin,
    slugs: Sequence[str],
    labels: NDArray[np.integer],
    options: DecomposeOptions,
    accept: Callable[[Sample, Logits], None] | None = None,
) -> DecomposedModules:
    """As ``decompose_origin``, with images that only ``observer`` sees.

    ``accept`` is called with the sample and the origin's logits before any module is made; it may raise.
    """
    sample = draw(labels, len(origin.classes), options.samples_per_class, options.seed)
    activity, logits = observer.activity(sample, segments(sample), options)
    if accept:
        accept(sample, logits)
    _warn_short(origin, sample)
    build = _Builder(origin, activity, sample, options)
    kept = activity.keep(sample)
    modules = [build.module(cls, slugs[cls], activity.unpack(kept[cls])) for cls in range(len(origin.classes))]
    return DecomposedModules(tuple(_fitted(observer, modules, logits, sample, options)), activity.sites, sample)


def _warn_short(origin: Origin, sample: Sample) -> None:
    for cls, name in enumerate(origin.classes):
        short = sample.short_of(cls)
        if short:
            worst = min(short, key=lambda k: short[k])
            ratio = len(sample.unconcerned(cls)) / sample.counts[cls]
            warnings.warn(
                f"class {name!r}: {len(short)} of the other classes have fewer than the {sample.shares[cls]} inputs "
                f"wanted against it ({origin.classes[worst]!r} has {short[worst]}), so concerned : unconcerned is "
                f"1 : {ratio:.2f} instead of 1 : 1.",
                stacklevel=4,
            )


class _Builder:
    """Modules without threshold and scale, one at a time, so that only one class's masks are unpacked in between."""

    def __init__(self, origin: Origin, activity: Activity, sample: Sample, options: DecomposeOptions) -> None:
        self.origin = origin
        self.activity = activity
        self.sample = sample
        self.options = options
        self.used_weights = UsedWeights(origin.architecture, origin.weights)
        self.active = activity.unpack(np.bitwise_or.reduce(activity.rows, axis=0))

    def module(self, cls: int, slug: str, tangled: Masks) -> Module:
        concern = self.activity.unpack(self.activity.concern(cls))
        head = modular_head(self.origin.weights["head/kernel"], self.origin.weights["head/bias"], cls)
        keep, stages = self._backtrack(head, concern, tangled)
        return Module(
            origin=self.origin,
            index=cls,
            name=self.origin.classes[cls],
            slug=slug,
            keep=PackedMasks.of(keep),
            concern=PackedMasks.of(concern),
            head=head,
            threshold=0.0,
            scale=1.0,
            concerned=self.sample.counts[cls],
            unconcerned=len(self.sample.unconcerned(cls)),
            stages=stages,
            jaccard=jaccard(keep, self.active),
            jaccard_weights=self.used_weights.share(keep),
        )

    def _backtrack(self, head: Head, concern: Masks, tangled: Masks) -> tuple[Masks, Stages]:
        none = (0,) * len(concern)
        keep, last_conv, to_input = tangled, none, none
        if self.options.backtrack != "none":
            keep = self._backtracked(head, tangled, "last-conv")
            last_conv = removed_counts(tangled, keep)
        if self.options.backtrack == "input":
            before, keep = keep, self._backtracked(head, tangled, "input")
            to_input = removed_counts(before, keep)
        stages = Stages(
            concern=tuple(int(mask.sum()) for mask in concern.values()),
            tangled=removed_counts(tangled, concern),
            last_conv=last_conv,
            input=to_input,
            kept=tuple(int(mask.sum()) for mask in keep.values()),
        )
        return keep, stages

    def _backtracked(self, head: Head, keep: Masks, backtrack: Any) -> Masks:
        options = self.options
        return backtracked(
            self.origin.architecture,
            self.origin.weights,
            head,
            keep,
            backtrack=backtrack,
            rule=options.rule,
            delta=options.delta,
        )


def _fitted(
    observer: Observer, modules: list[Module], logits: Logits, sample: Sample, options: DecomposeOptions
) -> list[Module]:
    """The modules with threshold and scale fitted on their own observed inputs.

    A module whose masks take nothing away from what it observed has its origin's margins there, so the logits of the
    one pass serve; only the others are run again, with their masks.
    """
    inputs = [np.concatenate([sample.indices[m.index], sample.unconcerned(m.index)]) for m in modules]
    others = [place for place, module in enumerate(modules) if not _has_margins_of_origin(module, options)]
    again = observer.margins(
        [modules[place] for place in others], [inputs[place] for place in others], options.batch_size
    )
    margins = dict(zip(others, again, strict=True))
    result = []
    for place, module in enumerate(modules):
        own = margins.get(place)
        if own is None:
            own = margins_from_logits(logits.of(inputs[place]).astype(np.float64), module.index)
        threshold, scale = fit_platt(own[: module.concerned], own[module.concerned :], what=module.ref)
        result.append(replace(module, threshold=threshold, scale=scale))
    return result


def _has_margins_of_origin(module: Module, options: DecomposeOptions) -> bool:
    return options.observe == "relu" and not any(module.stages.last_conv) and not any(module.stages.input)
