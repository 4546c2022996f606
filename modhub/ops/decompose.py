"""Decompose a trained Keras classifier into one module per output class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from numpy.typing import ArrayLike

from modhub.cards.read import card_file
from modhub.data.forms import LabelledData
from modhub.data.given import ChannelNumbers, ClassNames, Fit, TrainingData
from modhub.decomposition.settings import DecomposeSettings, EngineName, decompose_options
from modhub.energy.meter import lap
from modhub.package.decomposition import Decomposition
from modhub.spec.input_contract import TrainedColor
from modhub.spec.keras_model import KerasModel
from modhub.spec.manifest import Backtrack, Delta, Observe, Rule
from modhub.storage.progress import progress_shown, told_of


def decompose(
    model: KerasModel,
    x: TrainingData,
    y: ArrayLike | None = None,
    *,
    classes: ClassNames | None = None,
    name: str,
    rescale: float = 1.0,
    mean: ChannelNumbers | None = None,
    std: ChannelNumbers | None = None,
    color: TrainedColor = "rgb",
    validation: LabelledData | None = None,
    samples_per_class: int = 1000,
    observe: Observe = "relu",
    backtrack: Backtrack = "last-conv",
    rule: Rule = "text",
    delta: Delta = 0.5,
    seed: int = 0,
    batch_size: int = 256,
    dataset: str = "data",
    validation_dataset: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    engine: EngineName = "local",
    workers: int | None = None,
    steps: int | None = None,
    validation_steps: int | None = None,
    card: str | Path | None = None,
    fit: Fit = "none",
    background: str = "white",
    keep_rescale: bool = False,
) -> Decomposition:
    """Decompose a trained Keras classifier into one module per output class (Pan & Rajan, ICSE 2022).

    ``x`` are raw images (N, H, W, C), uint8 or float, or arrays (N, ...) as the model takes them: rows of a table, flat
    images, signals (N, steps, channels); ``y`` labels (N,), names or the label's index in ``classes``, which are in the
    order of the model's outputs; one-hot (N, classes) does as well. Without ``y``, ``x`` holds both:
    batches or single examples from a ``tf.data.Dataset``, a Keras or torch loader, a generator or a list, run through
    once and written to a temporary file; (x, y, classes); or a place: a data set's name, an .npz, a folder of .npz
    shards, a folder of class folders, a CSV of paths and labels. Its own class names serve where no ``classes`` are
    given. What never ends needs ``steps``, the number of batches to read (``validation_steps`` for ``validation``);
    what knows its length is read once. ``fit`` and ``background`` bring pictures to what the model takes, as
    ``load_images`` does.

    ``name`` is ``namespace/model``. ``(x * rescale - mean) / std`` is what the model was trained on; it travels with
    the modules. With ``color="bgr"`` it was trained on BGR: ``x``, and what modules are given later, are RGB all the
    same, and turned around first. Where another usual scaling is clearly what it was trained on, that is an error
    (InvalidData, kind ``wrong-rescale``) that names it, unless ``keep_rescale``. ``validation``, data in any of these
    forms, measures each module, and fits the temperature of the vote's probability; the figures are kept under
    ``validation_dataset``, as ``dataset`` names what was observed.

    ``observe``: ``relu`` masks every ReLU's output, ``conv`` every convolution's own (the paper's literal reading).
    ``backtrack``: ``none``, ``last-conv`` or ``input``; ``rule``: ``text`` or ``printed``; ``delta``: a number or a
    quantile such as ``"q95"``. ``progress`` is called with batches done and in all, with shards or workers pieces.
    Inside ``with modhub.meter()`` the energy spent goes into the provenance. ``card`` names a README with YAML front
    matter as on the Hugging Face Hub, which goes along with the modules.

    ``engine="ray"`` observes on a Ray cluster, the one that RAY_ADDRESS names or one of ``workers`` processes here; the
    workers read the shards. The modules are the same, bit by bit.

    Raises UnsupportedModel, InvalidData, UsageError.

    >>> import keras
    >>> import modhub
    >>> import numpy as np
    >>> y = np.arange(300) % 3
    >>> x = np.random.default_rng(0).integers(0, 90, (300, 8, 8, 1), np.uint8)
    >>> x[np.arange(300), :, 1 + 2 * y] += 150  # a bright column, whose place is the class
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(8, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> history = model.fit(x / 255, y, epochs=15, verbose=0)
    >>> stripes = modhub.decompose(model, x, y, classes=["left", "middle", "right"], name="me/stripes", rescale=1 / 255)
    >>> [module.name for module in stripes.modules]
    ['left', 'middle', 'right']
    """
    given = None if card is None else card_file(card)
    settings = DecomposeSettings(
        name=name,
        dataset=dataset,
        validation_dataset=validation_dataset or f"{dataset} (validation)",
        options=decompose_options(
            observe=observe,
            backtrack=backtrack,
            rule=rule,
            delta=delta,
            samples_per_class=samples_per_class,
            seed=seed,
            batch_size=batch_size,
        ),
        rescale=rescale,
        mean=mean,
        std=std,
        color=color,
        keep_rescale=keep_rescale,
        engine=engine,
        workers=workers,
        steps=steps,
        validation_steps=validation_steps,
    )
    from modhub.engine.decompose.decompose import decompose_model  # keras takes seconds to import

    spent = lap()
    with progress_shown():
        told = progress or told_of("decomposing", "batches")
        decomposition = decompose_model(
            model, x, y, classes, settings, validation=validation, fit=fit, background=background, progress=told
        )
    made = decomposition.with_energy(spent.record())
    return made if given is None else made.with_card(given)
