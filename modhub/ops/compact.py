"""Compact modules: one smaller network for the classes that are wanted, in closed form, decomposed like any other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from modhub.compaction.selecting import Selection
from modhub.composition.composite import Composite
from modhub.data.fitting import Fitting
from modhub.data.forms import LabelledData, as_image_data
from modhub.data.given import Fit, Split
from modhub.data.images import ImageData
from modhub.data.parting import parted
from modhub.data.picture_reader import PictureReader
from modhub.energy.meter import lap
from modhub.engine.compact.entry import made_compact
from modhub.engine.compact.request import CompactRequest
from modhub.engine.compact.settings import CompactSettings, PackagedSelection, Select
from modhub.engine.datasets import load_dataset
from modhub.errors import UsageError
from modhub.installation.context import RegistryUrls
from modhub.ops.evaluate import (
    Composing,
    Evaluable,
    EvaluateOptions,
    Preprocessing,
    Subject,
    images_of,
    matched,
    opened_of,
    subject_of,
)
from modhub.package.decomposition import Decomposition
from modhub.project.checkpoints import FolderCheckpoints
from modhub.spec.refs import parse_new_model_name


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
    validation: LabelledData | None = None,
    validation_dataset: str | None = None,
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
    whole one's logits (700 steps), without labels; the network of several towards its labels and what each image's
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

    ``validation`` are images that nothing is made with, in any of these forms: what the compact network answers on
    them, and what it costs there against the whole one, is recorded under ``validation_dataset``, and they fit the
    temperature of the vote's probability. Without them all that is recorded is of images of ``data``.

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
    settings = CompactSettings(
        flops=flops,
        parameters=parameters,
        points=points,
        size=size,
        milliseconds=milliseconds,
        jaccard=jaccard,
        select=select,
        polish=polish,
        polish_steps=polish_steps,
        minutes=minutes,
        use_labels=use_labels,
        seed=seed,
    )
    options = EvaluateOptions(Preprocessing(classes, rescale, mean, std), Composing(registry), drop_unknown=True)
    what_name, opened = opened_of(what, options)
    reader = PictureReader(Fitting(fit, None if fit == "none" else images_of(opened), background))
    images = as_image_data(data, classes=classes, split=split, steps=steps, datasets=load_dataset, reader=reader)
    if isinstance(opened, Composite):
        # What the whole answers is wanted, not each module alone: one pass of each network says it.
        opened = opened.in_mode("fused")
    subject = subject_of(opened, images, options, what_name)
    others = None
    if validation is not None:
        others = as_image_data(validation, classes=classes, split="test", datasets=load_dataset, reader=reader)
        if others.fingerprint == images.fingerprint:
            raise UsageError(
                f"the validation images are those of {images.name}, with which the network is made.",
                kind="bad-option",
                hint="give others, or none: accuracies are then of images of the data that are set aside.",
            )
        others = _labelled(subject, others, validation_dataset)
    chosen, held_out = parted(_labelled(subject, images, dataset), seed)

    spent = lap()
    request = CompactRequest(
        what=opened,
        what_name=subject.name,
        answer=subject.answer,
        name=name,
        images=chosen,
        set_aside=held_out,
        validation=others,
        settings=settings,
        work=settings.work(began, None if checkpoints is None else FolderCheckpoints(checkpoints)),
        rescale=rescale,
        mean=mean,
        std=std,
    )
    return made_compact(request, progress).with_energy(spent.record())


def _labelled(subject: Subject, images: ImageData, name: str | None) -> ImageData:
    """The images whose class ``subject`` knows, with its labels in its order."""
    found = matched(subject, images, drop_unknown=True)
    return replace(images.take(found.rows), y=found.truth, classes=subject.classes, name=name or images.name)
