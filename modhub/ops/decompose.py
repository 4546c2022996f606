"""Decompose a trained Keras classifier into one module per output class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from modhub.energy.meter import lap

if TYPE_CHECKING:
    from modhub.package.decomposition import Decomposition


def decompose(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    classes: Sequence[str] | None = None,
    name: str,
    rescale: float = 1.0,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    validation: Any = None,
    samples_per_class: int = 1000,
    observe: str = "relu",
    backtrack: str = "last-conv",
    rule: str = "text",
    delta: float | str = 0.5,
    seed: int = 0,
    batch_size: int = 256,
    dataset: str = "data",
    validation_dataset: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    engine: str = "local",
    workers: int | None = None,
    steps: int | None = None,
    validation_steps: int | None = None,
) -> Decomposition:
    """Cut a trained Keras image classifier into one module per output class (Pan & Rajan, ICSE 2022).

    ``x`` are raw images (N, H, W, C), uint8 or float; ``y`` labels (N,), the label's index in ``classes``, which stand
    in the order of the model's outputs. Data larger than memory: give, without ``y``, an iterable of (x, y) batches,
    which is run through once and set down in a temporary file, or the URL of one .npz or of a folder of .npz shards,
    whose own ``classes`` serve where none are given. Batches that repeat for ever need ``steps``, the number to
    read (``validation_steps`` for ``validation``); those that know their length are read once. ``name`` is
    ``namespace/model``. ``(x * rescale - mean) / std`` is what the model was trained on; it travels with the
    modules. ``validation``, a tuple (x, y) or batches or a URL, measures each module; the figures are kept under
    ``validation_dataset``, as ``dataset`` names what was observed.

    ``observe``: ``relu`` masks every ReLU's output, ``conv`` every convolution's own (the paper's literal reading).
    ``backtrack``: ``none``, ``last-conv`` or ``input``; ``rule``: ``text`` or ``printed``; ``delta``: a number or a
    quantile such as ``"q95"``. ``progress`` is told batches done and in all, with shards or workers pieces. Inside
    ``with modhub.meter()`` the energy spent goes into the provenance.

    ``engine="ray"`` observes on a Ray cluster, the one that RAY_ADDRESS names or one of ``workers`` processes here; the
    workers read the shards. The modules are the same, bit by bit.

    Raises UnsupportedModel, InvalidData, UsageError.
    """
    from modhub.engine.decompose.decompose import decompose_model  # keras takes seconds to import

    spent = lap()
    decomposition = decompose_model(
        model,
        x,
        y,
        classes=classes,
        name=name,
        rescale=rescale,
        mean=mean,
        std=std,
        validation=validation,
        data_name=dataset,
        validation_name=validation_dataset or f"{dataset} (validation)",
        options={
            "observe": observe,
            "backtrack": backtrack,
            "rule": rule,
            "delta": delta,
            "samples_per_class": samples_per_class,
            "seed": seed,
            "batch_size": batch_size,
        },
        progress=progress,
        engine=engine,
        workers=workers,
        steps=steps,
        validation_steps=validation_steps,
    )
    return decomposition.with_energy(spent.record())
