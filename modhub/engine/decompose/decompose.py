"""From a trained Keras model and labelled images to a Decomposition: check, read, decompose, measure."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.data.arrays import Labelled
from modhub.data.classes import check_every_class, output_names, slugs_of
from modhub.data.fitting import Fitting
from modhub.data.forms import LabelledData, form_of, source_of
from modhub.data.given import ClassNames, Fit, TrainingData
from modhub.data.picture_reader import PictureReader
from modhub.data.rows import Source
from modhub.data.shards import check_no_steps
from modhub.decomposition.sampling import Sample
from modhub.decomposition.settings import DecomposeSettings
from modhub.decomposition.vote import vote_record
from modhub.engine.datasets import load_dataset
from modhub.engine.decompose.executors import opened_engine
from modhub.engine.decompose.metrics import validated
from modhub.engine.decompose.observe import Logits
from modhub.engine.decompose.pipeline import DecomposedModules, decompose_observed
from modhub.engine.decompose.probe import StepProgress
from modhub.engine.library import keras
from modhub.engine.read.check import accuracy_of, check_reading, check_weights_finite
from modhub.engine.read.inputs import picture_contract, trained_contract
from modhub.engine.read.reader import read_model
from modhub.engine.read.scaling import TRIED, check_scaling
from modhub.engine.run.memory import free
from modhub.engine.run.network import Network
from modhub.errors import UsageError
from modhub.limits import MAX_DISPLAY_NAME_CHARS
from modhub.package.decomposition import Decomposition, trunk_fingerprint, with_digests
from modhub.package.module import Made, Module, Origin
from modhub.package.weights_blob import weights_digest
from modhub.spec.contract import check_images
from modhub.spec.input_contract import InputContract
from modhub.spec.keras_model import KerasModel
from modhub.spec.manifest import Accuracy, Dataset, DecomposeOptions, Provenance, SiteRecord
from modhub.spec.refs import parse_new_model_name
from modhub.spec.text import OBSERVED, is_observed


def decompose_model(
    model: KerasModel,
    x: TrainingData,
    y: ArrayLike | None,
    classes: ClassNames | None,
    settings: DecomposeSettings,
    *,
    validation: LabelledData | None,
    fit: Fit = "none",
    background: str = "white",
    most_runs: int | None = None,
    progress: StepProgress | None,
) -> Decomposition:
    """See ``modhub.decompose``, whose keywords ``settings`` are, and ``validated`` for ``most_runs``."""
    namespace, model_name = parse_new_model_name(settings.name)
    chosen, data_name = settings.options, settings.dataset
    _check_data_names(data_name, settings.validation_dataset)
    reading = read_model(model)
    architecture, weights = reading.architecture, reading.weights
    check_weights_finite(weights)
    with opened_engine(settings.engine, settings.workers) as where:
        found = form_of(x, y, classes=classes, datasets=load_dataset)
        names = output_names(found.names(classes), len(weights["head/bias"]))
        slugs = slugs_of(names)
        reader = PictureReader(Fitting(fit, None if fit == "none" else picture_contract(model), background))
        data = found.source(names, reader, free=free(), steps=settings.steps, run=where.run)
        data = data.with_shape(architecture.input_shape)
        check_every_class(data.labels, names)
        contract = trained_contract(
            data.images,
            architecture.input_shape,
            rescale=settings.rescale,
            mean=settings.mean,
            std=settings.std,
            color=settings.color,
        )
        held_out = _validation(validation, names, contract, reader, settings.validation_steps)
        fingerprint = trunk_fingerprint(architecture, weights_digest(weights), contract)
        origin = Origin(namespace, model_name, names, architecture, weights, contract, fingerprint)
        network = _checked_network(model, origin, data.images)
        measured: list[Accuracy] = []
        observed: list[_Answered] = []

        def accept(sample: Sample, logits: Logits) -> None:
            inputs = np.concatenate(sample.indices)
            answered = _Answered(logits.of(inputs), data.labels[inputs], data_name + OBSERVED)
            own = accuracy_of(answered.logits, answered.labels, answered.data)
            rows = np.sort(np.random.default_rng(0).permutation(inputs)[:TRIED])
            check_scaling(
                origin,
                network,
                own,
                data.images[rows],
                data.labels[rows],
                logits.of(rows),
                keep_rescale=settings.keep_rescale,
            )
            measured.append(own)
            observed.append(answered)

        observer = where.observer(origin, network, data.pieces, progress)
        result = decompose_observed(observer, origin, slugs, data.labels, chosen, accept)
    modules: tuple[Module, ...] = result.modules
    fitting = observed[0]
    if held_out is not None:
        modules, own, logits = validated(
            origin, modules, held_out, settings.validation_dataset, chosen.batch_size, most_runs
        )
        measured.append(own)
        fitting = _Answered(logits, held_out.labels, settings.validation_dataset)
    vote = vote_record(observed[0].logits, fitting.logits, fitting.labels, fitting.data)
    origin = replace(origin, accuracy=tuple(measured), vote=vote)
    return _assembled(origin, modules, result, data, data_name, chosen)


@dataclass(frozen=True, eq=False)
class _Answered:
    """The origin's logits (n, classes) for images of ``data`` with ``labels`` (n,)."""

    logits: NDArray[np.float32]
    labels: NDArray[np.integer]
    data: str


#: The network of each model that was decomposed and still exists, so that doing it again compiles nothing again.
_networks: WeakKeyDictionary[keras.Model, tuple[str, Network]] = WeakKeyDictionary()


def _checked_network(model: keras.Model, origin: Origin, images: Any) -> Network:
    """The origin's trunk, rebuilt and compared with ``model`` unless that was done before with the same weights."""
    fingerprint, network = _networks.get(model, ("", None))
    if network is None or fingerprint != origin.fingerprint:
        network = Network(origin.architecture, origin.weights)
        check_reading(model, origin, images, network)
        _networks[model] = origin.fingerprint, network
    return network


def _check_data_names(*names: str) -> None:
    longest = MAX_DISPLAY_NAME_CHARS - len(OBSERVED)
    for name in names:
        if is_observed(name):
            raise UsageError(
                f"the data set's name {name[:40]!r} ends as that of observed images does.",
                kind="bad-option",
                hint=f"leave {OBSERVED.strip()!r} out: it marks an accuracy on the images that modules were made with.",
            )
        if not 0 < len(name) <= longest:
            raise UsageError(
                f"the data set's name {name[:40]!r} has {len(name)} characters; wanted 1 to {longest}.",
                kind="bad-option",
                hint="say briefly what the images are, for example dataset='cifar10_train'.",
            )


def _validation(
    validation: LabelledData | None,
    names: tuple[str, ...],
    contract: InputContract,
    reader: PictureReader,
    steps: int | None,
) -> Labelled | None:
    if validation is None:
        check_no_steps(steps, "validation ")
        return None
    data = source_of(
        validation,
        None,
        names,
        reader=reader,
        free=free(),
        steps=steps,
        datasets=load_dataset,
        split="test",
        what="validation ",
    )
    data = data.with_shape(contract.shape)
    check_images(data.images, contract, what="the validation images")
    return Labelled(cast(Any, data.images), data.labels)


def _assembled(
    origin: Origin,
    modules: tuple[Module, ...],
    result: DecomposedModules,
    data: Source,
    data_name: str,
    options: DecomposeOptions,
) -> Decomposition:
    observed = len(np.concatenate(result.sample.indices))
    dataset = Dataset(name=data_name, examples=observed, fingerprint=data.fingerprint)
    made = Made(dataset, options, provenance_now())
    return Decomposition(
        origin=origin,
        modules=with_digests([replace(module, origin=origin, made=made) for module in modules]),
        dataset=dataset,
        options=options,
        sites=tuple(SiteRecord(id=site.id, shape=site.shape) for site in result.sites),
        provenance=made.provenance,
    )


def provenance_now() -> Provenance:
    """When, and by which versions of what, something is being made."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    backend = keras.backend.backend()
    return Provenance(
        created=now.isoformat(),
        tool=f"modhub {installed_version('modhub')}",
        backend=backend,
        versions={name: _version_of(name) for name in ("keras", "numpy", backend)},
    )


def _version_of(library: str) -> str:
    try:
        return installed_version(library)
    except PackageNotFoundError:
        # Some are installed under another name, such as tensorflow-cpu.
        return str(import_module(library).__version__)
