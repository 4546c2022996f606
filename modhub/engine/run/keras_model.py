"""A Keras model of the user's own as a classifier to be measured. Any layers will do: it is run, not decomposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.data.classes import output_names
from modhub.data.fitting import Fitting
from modhub.data.rows import ImageRows, with_shape
from modhub.engine.library import keras
from modhub.engine.read.inputs import trained_contract
from modhub.engine.run.network import preprocess
from modhub.errors import UnsupportedModel
from modhub.evaluation.answers import Answers
from modhub.spec.contract import check_images
from modhub.spec.input_contract import TrainedColor
from modhub.storage.progress import tell

#: By how much half-precision probabilities may miss a sum of one.
_SLACK = 2e-2


class KerasClassifier:
    """``model`` on raw images or arrays: ``(x * rescale - mean) / std`` is what it was trained on.

    One output a class, probabilities or logits, distinguished by their values; a single output is the second class's
    probability or logit. ``classes`` are in the order of the outputs. Raises UnsupportedModel, InvalidData, UsageError.
    """

    def __init__(
        self,
        model: Any,
        classes: Sequence[str],
        images: ImageRows,
        *,
        rescale: float = 1.0,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        color: TrainedColor = "rgb",
    ) -> None:
        self._model = _checked(model)
        width = int(model.outputs[0].shape[-1])
        self.classes = output_names(classes, max(width, 2))
        wanted = tuple(model.inputs[0].shape[1:])
        images = with_shape(images, wanted)
        self._contract = trained_contract(images, wanted, rescale=rescale, mean=mean, std=std, color=color)

    def answer(self, images: NDArray[Any], batch_size: int) -> Answers:
        """Answers for raw images (N, H, W, C), or arrays. Raises UnsupportedModel when an output is NaN or infinite."""
        images = Fitting(contract=self._contract).array(images)[0]
        check_images(images, self._contract)
        parts = []
        for start in range(0, len(images), batch_size):
            batch = preprocess(images[start : start + batch_size], self._contract)
            parts.append(np.asarray(self._model.predict_on_batch(batch)))
            tell("classifying", min(start + batch_size, len(images)), len(images), "images")
        outputs = np.concatenate(parts).astype(np.float32)
        if not np.isfinite(outputs).all():
            raise UnsupportedModel(
                f"the model {self._model.name!r} answers NaN or infinity.",
                kind="not-finite",
                hint="its training diverged; or do rescale, mean and std match it?",
            )
        if outputs.shape[1] == 1:
            probable = bool((outputs >= 0).all() and (outputs <= 1).all())
            outputs = np.hstack([1 - outputs if probable else np.zeros_like(outputs), outputs])
        else:
            probable = bool((outputs >= 0).all() and (np.abs(outputs.sum(axis=1) - 1) <= _SLACK).all())
        return Answers.of_network(self.classes, outputs, "probabilities" if probable else "logits")


def _checked(model: Any) -> keras.Model:
    if not isinstance(model, keras.Model):
        raise UnsupportedModel(
            f"{type(model).__name__} cannot be evaluated.",
            kind="not-a-model",
            hint="give names of modules, a composite, a decomposition, a project, a Keras model, or a path of one.",
        )
    shapes = [[tuple(tensor.shape) for tensor in tensors] for tensors in (model.inputs or (), model.outputs or ())]
    if [len(each) for each in shapes] != [1, 1] or len(shapes[0][0]) not in (2, 3, 4) or len(shapes[1][0]) != 2:
        raise UnsupportedModel(
            f"the model {model.name!r} takes {shapes[0]} and gives {shapes[1]}.",
            kind="not-a-classifier",
            hint="one input (N, height, width, channels), or arrays of one or two axes, and one output (N, classes) "
            "are needed.",
        )
    return model
