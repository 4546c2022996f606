"""From a checked request to the decomposition of a compact network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.budgets import Limit
from modhub.compaction.selecting import Goal
from modhub.compaction.work import Work
from modhub.composition.composite import Composite
from modhub.data.given import ChannelNumbers
from modhub.data.images import ImageData
from modhub.data.rows import with_shape
from modhub.decomposition.settings import DecomposeSettings, decompose_options
from modhub.engine.compact.compacting import CompactProgress
from modhub.engine.compact.making import CompactMaker, CompactNetwork, keras_of
from modhub.engine.compact.trunks import Trunk, trunk_of_model, trunks_of_composite
from modhub.engine.decompose.decompose import decompose_model
from modhub.engine.run.network import is_bgr
from modhub.evaluation.answers import Answers
from modhub.package.decomposition import Decomposition
from modhub.spec.keras_model import KerasModel
from modhub.spec.manifest import Compacted, CompactedFrom, Unthinned
from modhub.spec.text import OBSERVED, is_observed


@dataclass(frozen=True, eq=False)
class CompactRequest:
    """What is to be made compact, ``name`` being what comes out, with images to fit on and some ``set_aside``.

    ``classes`` of both are the classifier's labels in its order. ``work`` says how, by a strategy that ``select``
    names. ``answer`` is how the whole classifier answers raw images (N, H, W, C) in batches.
    """

    what: Composite | KerasModel
    what_name: str
    answer: Callable[..., Answers]
    name: str
    images: ImageData
    set_aside: ImageData
    goal: Goal | Limit
    jaccard: float | None
    work: Work
    select: str
    rescale: float = 1.0
    mean: ChannelNumbers | None = None
    std: ChannelNumbers | None = None


def compact_release(request: CompactRequest, progress: CompactProgress) -> tuple[Decomposition, Compacted]:
    """The decomposition, and what is to be recorded of how it was made."""
    trunks = _trunks(request)
    shape = trunks[0].contract.shape
    images, set_aside = (replace(each, x=with_shape(each.x, shape)) for each in (request.images, request.set_aside))
    maker = CompactMaker(trunks, images, set_aside, request.work, progress)
    goal = request.goal
    right = float(np.mean(request.answer(request.set_aside.x, 256).winners == request.set_aside.y))
    made = maker.make(goal) if isinstance(goal, Goal) else maker.within(goal, request.jaccard, right)
    order = np.concatenate([trunk.places for trunk in trunks])
    decomposition = _decomposed(
        made, request, _in_order(images, order), _in_order(set_aside, order), softmax=len(trunks) == 1
    )
    compacted = Compacted(
        of=tuple(CompactedFrom(name=each.name, trunk=each.fingerprint, modules=each.modules) for each in trunks),
        select=request.select,
        budget=goal.kind,
        asked=goal.budget if isinstance(goal, Goal) else goal.most,
        images=len(request.images),
        seed=request.work.seed,
        polish_steps=made.polish_steps,
        labels=made.labels,
        flops=made.costs.flops / made.before.flops,
        parameters=made.costs.parameters / made.before.parameters,
        nodes=made.costs.nodes / made.before.nodes if made.before.nodes else 1.0,
        origin_nodes=made.before.nodes,
        explained=min(made.explained),
        points=round(100 * (right - decomposition.origin.accuracy[-1].top_1), 4),
        points_images=len(request.set_aside),
        unthinned=tuple(Unthinned(layer=layer, reason=reason) for layer, reason in made.unthinned.items()),
    )
    return _marked(decomposition), compacted


def _marked(decomposition: Decomposition) -> Decomposition:
    """With its accuracies marked as of images that it was made with: those set aside chose its structure, and the
    whole network may have been trained on them."""
    accuracy = tuple(
        each if is_observed(each.data) else each.model_copy(update={"data": each.data + OBSERVED})
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
    made: CompactNetwork, request: CompactRequest, data: ImageData, set_aside: ImageData, *, softmax: bool
) -> Decomposition:
    contract = made.part.contract
    settings = DecomposeSettings(
        name=request.name,
        dataset=data.name,
        validation_dataset=f"{data.name} (set aside)",
        options=decompose_options(seed=request.work.seed),
        rescale=contract.rescale,
        mean=contract.mean,
        std=contract.std,
        color="bgr" if is_bgr(contract) else "rgb",
    )
    return decompose_model(
        keras_of(made.part, softmax=softmax),
        data.x,
        data.y,
        list(data.classes),
        settings,
        validation=(set_aside.x, set_aside.y),
        fit="none",
        background="white",
        progress=None,
    )
