"""From whatever a person wants to know about (a model, names, a project, a decomposition) to its evaluation.

Several can be evaluated together, on exactly the same images, so that they can be compared in pairs. The clock runs
around predictions only; it is reported, and nothing depends on it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from modhub.composition.composite import Composite
from modhub.composition.recipe import Adapt, GivenSettings, Size
from modhub.data.fitting import Fitting
from modhub.data.forms import LabelledData, as_image_data
from modhub.data.given import Fit, Split
from modhub.data.images import ImageData
from modhub.data.picture_reader import PictureReader
from modhub.engine.datasets import load_dataset
from modhub.engine.read.files import load_model
from modhub.engine.read.inputs import picture_contract
from modhub.errors import NotFound, UsageError
from modhub.evaluation.answers import Answers
from modhub.evaluation.evaluation import Evaluation, Timing, evaluated
from modhub.evaluation.intervals import Resampling
from modhub.evaluation.labels import Matched, match_labels
from modhub.installation.context import RegistryUrls
from modhub.ops.compose import Composable, compose
from modhub.package.decomposition import Decomposition
from modhub.package.module import Module
from modhub.project.manifest import PROJECT_FILE
from modhub.project.project import Project
from modhub.spec.folder_refs import MANIFEST_FILE, classifier_ref, folder_ref, is_only_a_path, path_ref
from modhub.spec.input_contract import InputContract, TrainedColor
from modhub.spec.keras_model import KerasModel
from modhub.spec.places import is_file
from modhub.spec.text import in_short
from modhub.storage.progress import progress_shown

#: How the names of model files end.
MODEL_SUFFIXES: Final = (".keras", ".h5", ".hdf5")

#: What can be evaluated: what ``compose`` takes, a project, a Keras model, or a path of one of these.
Evaluable = Composable | Sequence[Composable] | Project | KerasModel | Path
#: What can be at a path.
Place = Literal["model", "project"]


@dataclass(frozen=True)
class Preprocessing:
    """What a Keras model was trained on, ``(x * rescale - mean) / std``, and its classes in the order of its outputs.

    ``classes`` None means the data's. Modules know all this themselves.
    """

    classes: Sequence[str] | None = None
    rescale: float = 1.0
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    color: TrainedColor = "rgb"


@dataclass(frozen=True)
class Composing:
    """How names, modules and decompositions become a composite; as in ``compose``."""

    registry: RegistryUrls = None
    cache: str | Path | None = None
    given: GivenSettings = field(default_factory=GivenSettings)


@dataclass(frozen=True)
class EvaluateOptions:
    """How to evaluate: see ``evaluate``."""

    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    composing: Composing = field(default_factory=Composing)
    resampling: Resampling = field(default_factory=Resampling)
    drop_unknown: bool = False
    batch_size: int = 256


@dataclass(frozen=True, eq=False)
class Subject:
    """What is evaluated, whatever it is made of. ``answer`` takes raw images (N, H, W, C) and a batch size."""

    name: str
    classes: tuple[str, ...]
    answer: Callable[[NDArray[Any], int], Answers]
    modules: tuple[Module, ...] | None


def evaluate(
    what: Evaluable,
    data: LabelledData,
    *,
    name: str | None = None,
    split: Split = "test",
    classes: Sequence[str] | None = None,
    rescale: float = 1.0,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    color: TrainedColor = "rgb",
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    adapt: Adapt | None = None,
    size: Size | None = None,
    reject: bool | None = None,
    fit: Fit = "none",
    background: str = "white",
    steps: int | None = None,
    drop_unknown: bool = False,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    batch_size: int = 256,
) -> Evaluation:
    """How good ``what`` is on ``data``: accuracies with intervals, figures of every class, calibration, overlap, speed.

    ``what``: names, modules, a composite, a decomposition, a project, a Keras model, or the path of one of the last
    three. ``data``: labelled images in any form that ``decompose`` takes, (x, y), (x, y, classes) or (batches, classes)
    with raw images; ``steps`` bounds what never ends. Its classes are matched to the classifier's labels, by name, then
    by slug, and
    what is left to the classes that its modules recognise, whatever their labels say; images of classes that the
    classifier does not know are an error, unless ``drop_unknown`` leaves them out. ``fit`` and ``background`` bring
    pictures and uint8 images of another size or mode to what ``what`` takes, as ``load_images`` does.

    ``classes``, ``rescale``, ``mean``, ``std`` and ``color`` describe a Keras model, as in ``decompose``; ``registry``
    to ``reject`` are as in ``compose``. Intervals have the ``confidence`` given, from seeded ``resamples``.
    ``a.compare(b)`` of two evaluations on the same images says whether their difference is more than noise.

    Raises InvalidData, NotFound, Incompatible, UnsupportedModel, UsageError.

    >>> import modhub
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
    >>> names = ["cat", "ship"] * 10
    >>> first = modhub.evaluate(["cifar10/r20:cat", "cifar10/r20:ship"], (images, names))
    >>> first.images, [row.name for row in first.classes]
    (20, ['cat', 'ship'])
    """
    options = EvaluateOptions(
        Preprocessing(classes, rescale, mean, std, color),
        Composing(registry, cache, GivenSettings(adapt, size, reject)),
        Resampling(confidence, resamples, seed),
        drop_unknown,
        batch_size,
    )
    name, opened = opened_of(what, options, name)
    reader = PictureReader(Fitting(fit, images_of(opened), background))
    # Of a Keras model they are what the numbers of the data stand for, where it does not say itself.
    images = as_image_data(data, classes=classes, split=split, steps=steps, datasets=load_dataset, reader=reader)
    with progress_shown():
        return evaluate_all([(name, opened)], images, options)[0]


def evaluate_all(
    whats: Sequence[tuple[str | None, Evaluable]], data: ImageData, options: EvaluateOptions
) -> list[Evaluation]:
    """Evaluations of several classifiers on the same images: those of classes that all of them know.

    ``whats`` are names (None for their own) with what ``evaluate`` takes. Raises as ``evaluate`` does.
    """
    if options.batch_size < 1:
        raise UsageError(f"batch_size is {options.batch_size}.", hint="use at least 1.")
    subjects = [subject_of(what, data, options, name) for name, what in whats]
    if options.preprocessing != Preprocessing() and all(each.modules is not None for each in subjects):
        raise UsageError(
            "classes, rescale, mean, std and color describe a Keras model; modules know their own.",
            kind="bad-option",
            hint="leave them out.",
        )
    found = [matched(subject, data, drop_unknown=options.drop_unknown) for subject in subjects]
    fingerprint = data.fingerprint
    rows = found[0].rows
    for other in found[1:]:
        rows = np.intersect1d(rows, other.rows)
    common = data if len(rows) == len(data) else data.take(rows)
    left_out = {
        data.classes[label]: int(count)
        for label, count in enumerate(np.bincount(np.delete(data.y, rows), minlength=len(data.classes)))
        if count
    }
    result = []
    for subject in subjects:
        match = matched(subject, common, drop_unknown=False)
        answers, timing = timed(subject, common.x, options.batch_size)
        evaluation = evaluated(
            subject.name,
            data.name,
            answers,
            replace(match, rows=rows, left_out=left_out),
            fingerprint=fingerprint,
            timing=timing,
            modules=subject.modules,
            resampling=options.resampling,
        )
        if subject.modules is None:
            _warn_near_chance(evaluation, options.preprocessing)
        result.append(evaluation)
    return result


def matched(subject: Subject, data: ImageData, *, drop_unknown: bool) -> Matched:
    """The images of ``data`` whose class ``subject`` knows. Raises as ``match_labels`` does."""
    recognised = None if subject.modules is None else [module.name for module in subject.modules]
    return match_labels(
        data.y,
        data.classes,
        subject.classes,
        recognised,
        data=data.name,
        what=subject.name,
        drop_unknown=drop_unknown,
    )


def subject_of(what: Evaluable, data: ImageData, options: EvaluateOptions, name: str | None = None) -> Subject:
    """What is to be evaluated, as one kind of thing."""
    name, opened = opened_of(what, options, name)
    return _of_modules(opened, name) if isinstance(opened, Composite) else _of_model(opened, data, options, name)


def opened_of(
    what: Evaluable, options: EvaluateOptions, name: str | None = None
) -> tuple[str | None, Composite | KerasModel]:
    """A composite or a Keras model, with its name. Raises as ``compose`` does, and NotFound for a path of nothing."""
    if isinstance(what, (str, Path)) and (kind := place_of(what)) is not None:
        name, what = name or _name_of(what), _opened(Path(what), kind, options.composing)
    if isinstance(what, Path):
        name, what = name or _name_of(what), path_ref(what)
    if isinstance(what, Project):
        name, what = name or str(what.folder), what.compose()
    if isinstance(what, Decomposition):
        name, what = name or what.name, what.modules
    if isinstance(what, (str, Module, Sequence)):
        parts = [what] if isinstance(what, (str, Module)) else list(what)
        name = name or " ".join(part if isinstance(part, str) else getattr(part, "ref", "composite") for part in parts)
        given = vars(options.composing.given)
        what = compose(parts, registry=options.composing.registry, cache=options.composing.cache, **given)
    own = f"Composite of {in_short(what.classes)}" if isinstance(what, Composite) else None
    return name or own, what


def images_of(what: Composite | KerasModel) -> InputContract | None:
    """What pictures become for a composite or a model, or the arrays that it takes; None where any size will do."""
    return what.plan.contract if isinstance(what, Composite) else picture_contract(what)


def place_of(what: str | Path) -> Place | None:
    """What is at a path: a model's file or a project. None for names, folders of modules and kept classifiers.

    Raises NotFound for a path at which there is none of these.
    """
    path = Path(what)
    if path.suffix in MODEL_SUFFIXES:
        return "model"
    if path.name == PROJECT_FILE or is_file(path / PROJECT_FILE):
        return "project"
    text = path_ref(what) if isinstance(what, Path) else what
    if classifier_ref(text) is not None or not is_only_a_path(text):
        return None
    try:
        folder_ref(text)
    except NotFound as error:
        raise _nothing_there(what) from error
    return None


def _nothing_there(what: str | Path) -> NotFound:
    return NotFound(
        f"{str(what)!r} is neither a model's file, nor a project, nor a folder that modhub decompose wrote.",
        kind="nothing-there",
        hint=f"models end in .keras; a project has {PROJECT_FILE}, a decomposition {MANIFEST_FILE}.",
        path=str(what),
    )


def _name_of(place: str | Path) -> str:
    """A path as it was given, but a folder's own name for ``.``, ``..`` and the file of a project."""
    path = Path(place)
    if path.name == PROJECT_FILE:
        path = path.parent
    return str(path) if path.name not in ("", "..") else path.resolve().name


def _opened(path: Path, kind: Place, composing: Composing) -> Project | KerasModel:
    if kind == "project":
        folder = path.parent if path.name == PROJECT_FILE else path
        return Project.open(folder, registry=composing.registry, cache=composing.cache)
    return load_model(path)


def _of_modules(composite: Composite, name: str | None) -> Subject:
    def answer(images: NDArray[Any], batch_size: int) -> Answers:
        return Answers.of_modules(composite.predict(images, batch_size))

    return Subject(name or repr(composite), tuple(composite.classes), answer, tuple(composite.modules))


def _of_model(model: KerasModel, data: ImageData, options: EvaluateOptions, name: str | None) -> Subject:
    from modhub.engine.run.keras_model import KerasClassifier  # imports keras, which data and names need not wait for

    given = options.preprocessing
    classes = data.classes if given.classes is None else given.classes
    classifier = KerasClassifier(
        model, classes, data.x, rescale=given.rescale, mean=given.mean, std=given.std, color=given.color
    )
    return Subject(name or model.name, classifier.classes, classifier.answer, None)


def timed(subject: Subject, images: NDArray[Any], batch_size: int) -> tuple[Answers, Timing]:
    """The answers for raw images (N, H, W, C), and the time they took, after a first and a last batch to warm up on."""
    start = time.perf_counter()
    subject.answer(images[:batch_size], batch_size)
    if rest := len(images) % batch_size:
        # A batch of another size may be compiled again.
        subject.answer(images[-rest:], batch_size)
    warm = time.perf_counter()
    answers = subject.answer(images, batch_size)
    end = time.perf_counter()
    return answers, Timing(end - start, end - warm, len(images) / (end - warm))


def _warn_near_chance(evaluation: Evaluation, preprocessing: Preprocessing) -> None:
    chance = 1 / len(evaluation.classes)
    if evaluation.top_1.value < chance + 0.1 * (1 - chance):
        warnings.warn(
            f"{evaluation.what} answers {evaluation.top_1.value:.1%} right, chance is {chance:.1%}: do rescale "
            f"({preprocessing.rescale:g}), mean and std, and the order of classes, match its training?",
            stacklevel=3,
        )
