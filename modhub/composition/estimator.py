"""The conventions of scikit-learn for a classifier that is fitted already: what its metrics and tools ask of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.composition.recipe import ClassifierSettings, GivenSettings
from modhub.composition.votes import NONE_OF_THESE, Prediction
from modhub.data.classes import as_labels
from modhub.data.given import Fit
from modhub.errors import InvalidData, UsageError, did_you_mean
from modhub.spec.text import find_class

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from modhub.data.predicted import Predictable


class FittedClassifier(ABC):
    """A classifier that was trained elsewhere; its classes are in the order of its columns, sorted or not."""

    #: What scikit-learn before 1.6 asks for.
    _estimator_type = "classifier"

    @property
    @abstractmethod
    def classes(self) -> list[str]:
        """The labels, in column order."""

    @property
    @abstractmethod
    def settings(self) -> ClassifierSettings:
        """How it is set."""

    @abstractmethod
    def predict(
        self, x: Predictable, batch_size: int = 256, *, fit: Fit = "none", background: str = "white"
    ) -> Prediction:
        """Answers for images."""

    @abstractmethod
    def _labelled(self, x: Any, batch_size: int, fit: Fit, background: str) -> tuple[Prediction, list[Any]]:
        """Answers for what gives images with labels, and the labels."""

    @abstractmethod
    def with_settings(self, given: GivenSettings) -> Self:
        """The same, set in another way."""

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The labels (k,), in the order of the columns of ``predict_proba``."""
        return np.array(self.classes)

    def __call__(
        self, x: Predictable, batch_size: int = 256, *, fit: Fit = "none", background: str = "white"
    ) -> Prediction:
        """``predict``."""
        return self.predict(x, batch_size, fit=fit, background=background)

    def __contains__(self, label: object) -> bool:
        """Whether there is a class of that label."""
        return isinstance(label, str) and find_class(label, self.classes) is not None

    def __len__(self) -> int:
        return len(self.classes)

    def predict_proba(
        self, x: Predictable, batch_size: int = 256, *, fit: Fit = "none", background: str = "white"
    ) -> NDArray[np.float32]:
        """The vote's probabilities, float32 (N, k), rows sum to 1; columns as ``classes``. Takes what ``predict`` does.

        Raises as ``predict``.
        """
        return self.predict(x, batch_size, fit=fit, background=background).probabilities

    def score(
        self,
        x: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        batch_size: int = 256,
        fit: Fit = "none",
        background: str = "white",
    ) -> float:
        """The share of images whose label is right; ``modhub.evaluate`` says more.

        ``x`` is what ``predict`` takes, ``y`` (N,) its labels: names, or columns of ``classes``. Without ``y``, ``x``
        gives both, batch by batch. ``sample_weight`` (N,) weighs the images. Raises InvalidData for labels that are no
        class, and as ``predict``.
        """
        if y is None:
            prediction, y = self._labelled(x, batch_size, fit, background)
        else:
            prediction = self.predict(x, batch_size, fit=fit, background=background)
        names = [*self.classes, *([NONE_OF_THESE] if self.settings.reject else [])]
        wanted = as_labels(y, names, count=len(prediction), what="y")
        weights = None if sample_weight is None else _weights(sample_weight, len(prediction))
        answered = np.where(prediction.indices < 0, len(self.classes), prediction.indices)
        return float(np.average(answered == wanted, weights=weights))

    def fit(self, x: object = None, y: object = None, **options: object) -> Self:
        """Itself, whatever is given: it was trained elsewhere, and nothing here changes it.

        It is here for tools of scikit-learn, which fit what they are given; as their ``FrozenEstimator`` does.
        """
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """How it is set: ``adapt``, ``size``, ``reject``, ``mode`` and so on, as in ``compose``."""
        return vars(self.settings).copy()

    def set_params(self, **params: Any) -> Self:
        """Another classifier, set in another way; this one stays as it is. Raises UsageError, Incompatible."""
        known = self.get_params()
        for name in params:
            if name not in known:
                raise UsageError(
                    f"a classifier has no parameter {name[:100]!r}; it has {', '.join(known)}.",
                    kind="bad-option",
                    hint=did_you_mean(name, known),
                )
        return self.with_settings(GivenSettings(**params))

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_tags__(self) -> Tags:
        utils = import_module("sklearn.utils")
        tags: Tags = utils.Tags(
            estimator_type="classifier",
            target_tags=utils.TargetTags(required=True),
            classifier_tags=utils.ClassifierTags(),
            input_tags=utils.InputTags(two_d_array=False, three_d_array=True),
        )
        return tags


def _weights(given: ArrayLike, count: int) -> NDArray[np.float64]:
    try:
        weights = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        weights = np.zeros(0)
    if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum():
        raise InvalidData(
            f"sample_weight has to be {count:,} numbers, none below zero and not all zero.",
            kind="wrong-weights",
            hint="give one number an image.",
        )
    return weights
