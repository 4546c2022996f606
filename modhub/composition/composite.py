"""A composite: modules of any origins voting as one classifier.

Immutable: every operation gives a new composite. How modules are found and run is handed in as a ``Backend``, so that
planning needs no neural network library and the network is built on the first prediction only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modhub.compat import check_images
from modhub.composition import plan as plans
from modhub.composition.plan import Member, Plan
from modhub.composition.votes import Prediction
from modhub.errors import UsageError
from modhub.module import Module


class Runner(Protocol):
    """Computes margins for the modules of one plan."""

    def margins(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """Margins of checked raw images (N, H, W, C); float32 (N, k), columns as in the plan."""


class Backend(Protocol):
    """Finds modules by name, runs plans, exports them."""

    def find(self, refs: Sequence[str]) -> list[Module]:
        """The modules that names stand for, in order, a name without class giving several."""

    def runner(self, plan: Plan) -> Runner:
        """Something that runs ``plan``."""

    def to_keras(self, plan: Plan) -> Any:
        """``plan`` as one keras.Model."""


@dataclass(frozen=True, eq=False)
class Composite:
    """Modules voting as one classifier. ``reject`` lets it answer "none of these"."""

    plan: Plan
    backend: Backend
    reject: bool = False

    @property
    def classes(self) -> list[str]:
        """The labels, in column order."""
        return list(self.plan.labels)

    @property
    def modules(self) -> list[Module]:
        """The modules, in column order."""
        return list(self.plan.modules)

    def predict(self, images: NDArray[Any], batch_size: int = 256) -> Prediction:
        """Answers for raw images (N, H, W, C), uint8 or float, in the modules' value range.

        Every module preprocesses by itself. Raises InvalidData for images that the modules do not take.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}.", hint="use at least 1.")
        images = np.asarray(images)
        check_images(images, self.plan.modules[0].origin.contract)
        modules = self.plan.modules
        return Prediction(
            classes=self.plan.labels,
            margins=self._runner.margins(images, batch_size),
            thresholds=np.array([module.threshold for module in modules]),
            scales=np.array([module.scale for module in modules]),
            reject=self.reject,
        )

    def add(self, *parts: str | Module | Composite) -> Composite:
        """With further modules, behind the others. Raises NotFound, Incompatible, Conflict."""
        return self._with(plans.added(self.plan, members_of(parts, self.backend)))

    def remove(self, label: str) -> Composite:
        """Without one class. Raises NotFound when there is none of that label."""
        return self._with(plans.removed(self.plan, label))

    def swap(self, label: str, part: str | Module) -> Composite:
        """With another module in the place, and under the label, of one class. Raises NotFound, Incompatible."""
        self.plan.column(label)
        members = members_of([part], self.backend)
        if len(members) != 1:
            raise UsageError(
                f"{part} names {len(members)} modules; a swap takes one.",
                hint="name the class as well, for example cifar10/r20:cat.",
            )
        return self._with(plans.swapped(self.plan, label, members[0].module))

    def to_keras(self) -> Any:
        """The composite as one keras.Model, which needs no modhub to load.

        Input raw images (N, H, W, C), output margins float32 (N, k) in the order of ``classes``.
        """
        return self.backend.to_keras(self.plan)

    @cached_property
    def _runner(self) -> Runner:
        return self.backend.runner(self.plan)

    def _with(self, plan: Plan) -> Composite:
        return Composite(plan, self.backend, self.reject)

    def __len__(self) -> int:
        return len(self.plan.members)

    def __repr__(self) -> str:
        return f"<Composite of {', '.join(self.classes)}>"


def members_of(parts: Iterable[str | Module | Composite], backend: Backend) -> list[Member]:
    """Members for names, modules and composites, in order."""
    chosen = list(parts)
    for part in chosen:
        if not isinstance(part, (str, Module, Composite)):
            raise UsageError(
                f"{part!r} is a {type(part).__name__}; compose takes names, modules and composites.", kind="bad-part"
            )
    members: list[Member] = []
    for part in chosen:
        if isinstance(part, Composite):
            members += part.plan.members
        elif isinstance(part, Module):
            members.append(Member(part))
        else:
            members += [Member(module) for module in backend.find([part])]
    return members
