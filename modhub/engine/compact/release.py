"""From a checked request to the decomposition of a compact network."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.selecting import Goal
from modhub.composition.composite import Composite
from modhub.data.images import ImageData
from modhub.data.rows import with_shape
from modhub.decomposition.settings import DecomposeSettings, decompose_options
from modhub.engine.compact.making import CompactMaker, CompactNetwork, keras_of
from modhub.engine.compact.request import CompactProgress, CompactRequest
from modhub.engine.compact.trunks import Trunk, trunk_of_model, trunks_of_composite
from modhub.engine.decompose.decompose import decompose_model
from modhub.engine.run.network import is_bgr
from modhub.evaluation.intervals import Resampling
from modhub.package.decomposition import Decomposition
from modhub.spec.manifest import Compacted, CompactedFrom, Unthinned
from modhub.spec.measured_cost import MeasuredCost
from modhub.spec.text import OBSERVED, is_observed

#: Images times modules for the modules' metrics on images that are set aside: all of ten classes, 6 each of a hundred.
_MOST_RUNS: Final = 60_000


def compact_release(request: CompactRequest, progress: CompactProgress) -> tuple[Decomposition, Compacted]:
    """The decomposition, and what is to be recorded of how it was made."""
    trunks, settings = _trunks(request), request.settings
    shaped = _shaped(request, trunks[0].contract.shape)
    maker = CompactMaker(trunks, shaped.images, shaped.set_aside, request.work, progress)
    goal = settings.goal
    share = float(_whole_right(request, request.set_aside).mean())
    made = maker.make(goal) if isinstance(goal, Goal) else maker.within(goal, settings.jaccard, share)
    order = np.concatenate([trunk.places for trunk in trunks])
    decomposition = _decomposed(made, shaped, order, softmax=len(trunks) == 1)
    compacted = Compacted(
        of=tuple(CompactedFrom(name=each.name, trunk=each.fingerprint, modules=each.modules) for each in trunks),
        select=settings.strategy_name,
        budget=goal.kind,
        asked=settings.asked,
        images=len(request.images),
        seed=settings.seed,
        polish_steps=made.polish_steps,
        labels=made.labels,
        flops=made.costs.flops / made.before.flops,
        parameters=made.costs.parameters / made.before.parameters,
        nodes=made.costs.nodes / made.before.nodes if made.before.nodes else 1.0,
        origin_nodes=made.before.nodes,
        explained=min(made.explained),
        points=round(100 * (share - maker.share_right(made)), 4),
        points_images=len(request.set_aside),
        unthinned=tuple(Unthinned(layer=layer, reason=reason) for layer, reason in made.unthinned.items()),
        validation=_cost(request, shaped.validation, maker, made),
    )
    return decomposition, compacted


def _whole_right(request: CompactRequest, data: ImageData) -> NDArray[np.bool_]:
    return np.asarray(request.answer(data.x, 256).winners == data.y)


def _shaped(request: CompactRequest, shape: tuple[int, ...]) -> CompactRequest:
    """The same with all images in the networks' own shape, which what answers as a whole takes otherwise too."""
    images, aside = (replace(each, x=with_shape(each.x, shape)) for each in (request.images, request.set_aside))
    unused = request.validation
    unused = None if unused is None else replace(unused, x=with_shape(unused.x, shape))
    return replace(request, images=images, set_aside=aside, validation=unused)


def _cost(
    request: CompactRequest, shaped: ImageData | None, maker: CompactMaker, made: CompactNetwork
) -> MeasuredCost | None:
    """What the compact network costs against the whole one on images that neither was made with, if there are any."""
    data = request.validation
    if data is None or shaped is None:
        return None
    whole, own = _whole_right(request, data), maker.right(made, shaped)
    lost = Resampling().difference(int((whole & ~own).sum()), int((own & ~whole).sum()), len(data))
    points, low, high = (round(100 * share, 4) for share in (lost.value, lost.low, lost.high))
    return MeasuredCost(data=data.name, examples=len(data), points=points, low=low, high=high)


def _marked(decomposition: Decomposition, *, clean: str | None) -> Decomposition:
    """With its accuracies marked as of images that it was made with: those set aside chose its structure, and the
    whole network may have been trained on them. Those on the data ``clean`` are not marked."""
    accuracy = tuple(
        each if is_observed(each.data) or each.data == clean else each.model_copy(update={"data": each.data + OBSERVED})
        for each in decomposition.origin.accuracy
    )
    origin = replace(decomposition.origin, accuracy=accuracy)
    modules = tuple(replace(module, origin=origin) for module in decomposition.modules)
    return replace(decomposition, origin=origin, modules=modules)


def _trunks(request: CompactRequest) -> list[Trunk]:
    if isinstance(request.what, Composite):
        return trunks_of_composite(request.what)
    return [
        trunk_of_model(
            request.what,
            request.what_name,
            request.images.x,
            rescale=request.rescale,
            mean=request.mean,
            std=request.std,
        )
    ]


def _in_order(data: ImageData, order: NDArray[np.int64]) -> ImageData:
    """The same images with their classes in another order."""
    return replace(data, y=np.argsort(order)[data.y], classes=tuple(data.classes[place] for place in order.tolist()))


def _decomposed(
    made: CompactNetwork, request: CompactRequest, order: NDArray[np.int64], *, softmax: bool
) -> Decomposition:
    contract, data = made.part.contract, _in_order(request.images, order)
    unused = request.validation
    measured = _in_order(request.set_aside if unused is None else unused, order)
    settings = DecomposeSettings(
        name=request.name,
        dataset=data.name,
        validation_dataset=f"{data.name} (set aside)" if unused is None else unused.name,
        options=decompose_options(seed=request.settings.seed),
        rescale=contract.rescale,
        mean=contract.mean,
        std=contract.std,
        color="bgr" if is_bgr(contract) else "rgb",
        # That of modules is known; the margins of a joined network would look like a wrong one.
        keep_rescale=isinstance(request.what, Composite),
    )
    decomposition = decompose_model(
        keras_of(made.part, softmax=softmax),
        data.x,
        data.y,
        list(data.classes),
        settings,
        validation=(measured.x, measured.y),
        fit="none",
        background="white",
        most_runs=_MOST_RUNS if unused is None else None,
        progress=None,
    )
    return _marked(decomposition, clean=None if unused is None else unused.name)
