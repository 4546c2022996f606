"""A classifier that is being served: under which name and version, warm, and never changed; another replaces it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modhub.data.arrays import Images
from modhub.spec.contract import input_text
from modhub.spec.input_contract import InputContract

if TYPE_CHECKING:
    from modhub.composition.composite import Composite
    from modhub.composition.votes import Prediction

#: Letters of a version: enough that no two classifiers of one service ever have the same.
_LETTERS: Final = 12
#: Calls that run op by op before a backend compiles (see ``engine.run.compiled``), and one that compiles.
_COLD: Final = 3


@dataclass(frozen=True, eq=False)
class ServedClassifier:
    """``version`` depends on the classifier alone, so that every server that has the same says so."""

    composite: Composite
    name: str
    batch: int

    @property
    def contract(self) -> InputContract:
        return self.composite.plan.contract

    @property
    def classes(self) -> list[str]:
        return self.composite.classes

    @cached_property
    def modules(self) -> list[str]:
        """The whole name of the module of each class, in order."""
        return [module.ref for module in self.composite.modules]

    @cached_property
    def remarks(self) -> list[str]:
        """What registries said against its modules when they were last asked, a line each."""
        return self.composite.remarks

    @cached_property
    def version(self) -> str:
        """The beginning of the digest of everything that decides an answer: modules, labels, stages, settings."""
        plan = self.composite.plan
        value: dict[str, Any] = {
            "modules": [(module.ref, module.digest, module.threshold, module.scale) for module in plan.recognisers],
            "labels": plan.labels,
            "stages": [stage.columns for stage in plan.recipe.stages],
            "settings": plan.settings.to_dict(),
        }
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_LETTERS]

    def predict(self, images: Images) -> Prediction:
        """Answers for checked images (N, H, W, C)."""
        return self.composite.predict(images, batch_size=self.batch)

    def warm(self) -> None:
        """Run it on made-up images as often as it takes until it is compiled for any number of them.

        Raises as ``Composite.predict``, so that a classifier that does not work is never put in another's place.
        """
        counts = {1, self.batch // 2 + 1, self.batch}
        middle = sum(self.contract.value_range) / 2
        for count in [*sorted(counts), *[self.batch] * _COLD]:
            images = np.full((count, *self.contract.shape), middle, self.contract.dtype)
            self.predict(images)

    def __str__(self) -> str:
        """How messages call it: ``pets (version 1f0c..., 3 classes, 32x32x3 rgb)``."""
        count = len(self.classes)
        return f"{self.name} (version {self.version}, {count} class{'es' * (count > 1)}, {input_text(self.contract)})"
