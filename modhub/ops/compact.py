"""Compact modules: one smaller network for the classes that are wanted, in closed form, decomposed like any other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.budgets import Limit, LimitKind
from modhub.compaction.costs import COST_KINDS
from modhub.compaction.selecting import Goal, Selection
from modhub.compaction.selections import selection_named
from modhub.compaction.work import Work
from modhub.data.fitting import Fitting
from modhub.data.forms import LabelledData, as_image_data
from modhub.data.given import Fit, Split
from modhub.data.images import ImageData
from modhub.data.picture_reader import PictureReader
from modhub.energy.meter import lap
from modhub.engine.datasets import load_dataset
from modhub.errors import InvalidData, UsageError
from modhub.installation.context import RegistryUrls
from modhub.ops.checkpoints import FolderCheckpoints
from modhub.ops.evaluate import (
    Composing,
    Evaluable,
    EvaluateOptions,
    Preprocessing,
    images_of,
    matched,
    opened_of,
    subject_of,
)
from modhub.package.decomposition import Decomposition
from modhub.spec.refs import parse_new_model_name

#: Which structures are tried: by name, see ``compact``, or a strategy of one's own.
Select = Literal["never", "blocks", "channels", "blocks+channels"]
SELECTS: Final[tuple[Select, ...]] = get_args(Select)
#: The name of a selection that a package brings, such as ``acme/greedy``.
PackagedSelection: TypeAlias = str
#: Images that are set aside to choose by: of a class at most, and the share of them.
_HELD_OUT: Final = 150
_HELD_OUT_SHARE: Final = 0.15
_FEWEST: Final = 8
_LIMITS: Final[Mapping[str, LimitKind]] = {"points": "points", "size": "bytes", "milliseconds": "milliseconds"}


def compact(
    what: Evaluable,
    data: LabelledData,
    *,
    name: str,
    flops: float | None = None,
    parameters: float | None = None,
    points: float | None = None,
    size: float | None = None,
    milliseconds: float | None = None,
    jaccard: float | None = None,
    select: Select | PackagedSelection | Selection = "blocks+channels",
    polish: bool = False,
    polish_steps: int | None = None,
    minutes: float | None = None,
    checkpoints: str | Path | None = None,
    use_labels: bool = False,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    rescale: float = 1.0,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    split: Split = "train",
    fit: Fit = "none",
    background: str = "white",
    steps: int | None = None,
    dataset: str | None = None,
    registry: RegistryUrls = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Decomposition:
    """One smaller network for the classes of ``what``, decomposed: modules to publish, install and compose like others.

    ``what`` as for ``evaluate``: a Keras model, a decomposition, names of modules, or a composite; of a composite of
    several networks becomes one network, if all take the same images. ``data`` are labelled images of those classes, a
    thousand or more; images of other classes are left out.

    One budget: ``flops`` is the share of multiply-adds that may stay (0.5 where nothing is said), ``parameters`` that
    of the parameters; ``points`` asks for the smallest network that loses at most so many percentage points on images
    that are set aside, ``size`` and ``milliseconds`` for the largest whose stored weights take so many bytes, or which
    takes so long for 256 images here. ``jaccard`` is the share of the nodes at ReLUs that may stay, as well.

    ``select`` says what goes: ``blocks`` whole residual branches, ``channels`` channels inside them or between layers,
    ``blocks+channels`` both, ``never`` nothing; or it is a ``Selection``, or the name of one that an installed package
    brings (docs/compacting.md). The weights that stay are fitted in closed form, layer after layer, to
    what the whole network gives, without any label; the same input gives the same bytes. ``polish`` trains
    ``polish_steps`` of 128 images after that and keeps the result if held-out images gain: one network towards the
    whole one's logits (1,600 steps), without labels; the network of several towards its labels and what each image's
    own origin answers (250 to 800 steps, by the number of images; none below 50 a class). With ``use_labels`` the head
    of several networks, which their vote makes, is corrected by the labels (a logistic regression that starts from the
    vote) before that, and kept where held-out images gain; give a hundred images a class, best such that no network was
    trained on.

    ``minutes`` bounds the polish: when so many have passed since the call it has ended, its schedule gone through in
    fewer steps; the closed form is never cut short. A polish that was interrupted or killed goes on when the same call
    is made again with the same folder of ``checkpoints``, and ends with the same weights as if it had not stopped,
    where no ``minutes`` bound it. The folder can be deleted afterwards.

    ``classes``, ``rescale``, ``mean`` and ``std`` describe a Keras model, as in ``decompose``; ``split`` to ``steps``
    say how ``data`` is read, as in ``evaluate``. ``progress`` is called with what is done, how much of it, and of how
    much (0 where that is not known).

    Raises InvalidData, NotFound, Incompatible, UnsupportedModel, UsageError (kind ``budget-too-small``).

    With ``model``, ``x`` and ``y`` as in the example of ``modhub.decompose``:

    >>> import modhub
    >>> data = x, y, ["left", "middle", "right"]
    >>> small = modhub.compact(model, data, name="me/stripes-half", flops=0.5, rescale=1 / 255)
    >>> [module.name for module in small.modules], small.compacted.flops <= 0.5
    (['left', 'middle', 'right'], True)
    """
    parse_new_model_name(name)
    began = time.monotonic()
    given = {"flops": flops, "parameters": parameters, "points": points, "size": size, "milliseconds": milliseconds}
    goal = _goal(given, jaccard)
    strategy = selection_named(select) if isinstance(select, str) else select
    if polish_steps is not None and polish_steps < 1:
        raise UsageError(f"polish_steps is {polish_steps}.", kind="bad-option", hint="use at least 1.")
    if minutes is not None and not minutes > 0:
        raise UsageError(f"minutes is {minutes}.", kind="bad-option", hint="give a number above 0.")
    options = EvaluateOptions(Preprocessing(classes, rescale, mean, std), Composing(registry), drop_unknown=True)
    what_name, opened = opened_of(what, options)
    reader = PictureReader(Fitting(fit, None if fit == "none" else images_of(opened), background))
    images = as_image_data(data, classes=classes, split=split, steps=steps, datasets=load_dataset, reader=reader)
    subject = subject_of(opened, images, options, what_name)
    found = matched(subject, images, drop_unknown=True)
    labelled = replace(images.take(found.rows), y=found.truth, classes=subject.classes, name=dataset or images.name)
    chosen, held_out = _set_aside(labelled, seed)

    from modhub.engine.compact.release import CompactRequest, compact_release  # keras takes seconds to import

    start, spent = time.process_time(), lap()
    request = CompactRequest(
        what=opened,
        what_name=subject.name,
        answer=subject.answer,
        name=name,
        images=chosen,
        set_aside=held_out,
        goal=goal,
        jaccard=jaccard,
        work=Work(
            strategy,
            polish,
            seed,
            polish_steps,
            use_labels,
            None if minutes is None else lambda: 60 * minutes - (time.monotonic() - began),
            None if checkpoints is None else FolderCheckpoints(checkpoints),
        ),
        select=select if isinstance(select, str) else getattr(select, "__name__", "own"),
        rescale=rescale,
        mean=mean,
        std=std,
    )
    decomposition, compacted = compact_release(request, progress or (lambda what, done, total: None))
    seconds = round(time.process_time() - start, 1)
    return decomposition.with_compacted(compacted, seconds).with_energy(spent.record())


def _goal(given: Mapping[str, float | None], jaccard: float | None) -> Goal | Limit:
    budgets = {what: value for what, value in given.items() if value is not None}
    if len(budgets) > 1:
        raise UsageError(
            f"{' and '.join(budgets)} are given, but there is one budget.",
            kind="bad-option",
            hint="leave all but one of them out.",
        )
    shares: dict[str, float | None] = {"jaccard": jaccard}
    shares |= {what: value for what, value in budgets.items() if what in COST_KINDS}
    for what, value in shares.items():
        if value is not None and not 0 < value <= 1:
            raise UsageError(
                f"{what} is {value}.", kind="bad-option", hint="give the share that may stay, above 0, to 1."
            )
    what, value = next(iter(budgets.items()), ("flops", 0.5))
    if what in ("flops", "parameters"):
        return Goal("flops" if what == "flops" else "parameters", value, jaccard)
    if not value >= 0:
        raise UsageError(f"{what} is {value}.", kind="bad-option", hint="give a number from 0 on.")
    return Limit(_LIMITS[what], value)


def _set_aside(data: ImageData, seed: int) -> tuple[ImageData, ImageData]:
    """Shuffled images to fit on, and some of each class to choose and measure by. Raises InvalidData."""
    order = np.random.default_rng([seed, 0]).permutation(len(data))
    held: list[NDArray[np.int64]] = []
    for column, label in enumerate(data.classes):
        own = order[data.y[order] == column]
        if len(own) < _FEWEST:
            raise InvalidData(
                f"{data.name} has {len(own)} images of {label!r}; {_FEWEST} of each class are the least.",
                kind="too-few-images",
                hint="give more images: a thousand or more make a good compact network.",
            )
        held.append(own[: min(_HELD_OUT, max(2, int(_HELD_OUT_SHARE * len(own))))])
    aside = np.concatenate(held)
    return data.take(order[~np.isin(order, aside)]), data.take(aside)
