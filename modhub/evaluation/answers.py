"""What a classifier said of N images, whatever it is made of: the one thing that all figures are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.composition.votes import Prediction

#: What a network's outputs are: probabilities already, or logits.
Outputs = Literal["probabilities", "logits"]


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of a classifier of k classes for N images; columns in the order of ``classes``.

    ``ranking`` float (N, k) orders the classes, larger is better. ``winners`` int64 (N,) are the columns answered, -1
    for "none of these". ``confidence`` float64 (N,), 0 to 1, is the probability that the classifier gives its best
    class. Modules say more, each for itself: ``positive`` bool (N, k), whether its margin exceeds its threshold, and
    ``module_scores`` float (N, k), its calibrated probability; both are None for a classifier without modules.
    """

    classes: tuple[str, ...]
    ranking: NDArray[np.floating]
    winners: NDArray[np.int64]
    confidence: NDArray[np.float64]
    positive: NDArray[np.bool_] | None = None
    module_scores: NDArray[np.floating] | None = None

    @classmethod
    def of_modules(cls, prediction: Prediction) -> Answers:
        """A composite's answers. Its confidence is the vote's probability of the best class."""
        return cls(
            classes=prediction.classes,
            ranking=prediction.margins,
            winners=prediction.indices,
            confidence=prediction.probabilities.max(axis=1).astype(np.float64),
            positive=prediction.positive,
            module_scores=prediction.module_scores,
        )

    @classmethod
    def of_network(cls, classes: tuple[str, ...], outputs: ArrayLike, kind: Outputs) -> Answers:
        """A network's answers from its outputs (N, k), probabilities or logits. Its confidence is its softmax."""
        ranking = np.asarray(outputs)
        winners = ranking.argmax(axis=1)
        best = ranking[np.arange(len(ranking)), winners].astype(np.float64)
        if kind == "logits":
            best = 1 / np.exp(ranking.astype(np.float64) - best[:, None]).sum(axis=1)
        return cls(classes, ranking, winners.astype(np.int64), np.clip(best, 0.0, 1.0))

    def take(self, rows: NDArray[Any]) -> Answers:
        """The answers for some of the images."""
        return replace(
            self,
            ranking=self.ranking[rows],
            winners=self.winners[rows],
            confidence=self.confidence[rows],
            positive=None if self.positive is None else self.positive[rows],
            module_scores=None if self.module_scores is None else self.module_scores[rows],
        )

    def __len__(self) -> int:
        return len(self.winners)
