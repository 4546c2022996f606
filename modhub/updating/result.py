"""What an update gives: the modules, how they did before and after, and why they were kept or changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.errors import NotFound, UsageError
from modhub.evaluation.intervals import Resampling
from modhub.evaluation.metrics import shares
from modhub.package.decomposition import Decomposition, with_digests
from modhub.package.module import Module
from modhub.spec.refs import parse_new_model_name
from modhub.spec.text import in_short
from modhub.updating.choosing import Approach, Tried


@dataclass(frozen=True)
class Measured:
    """A composite on the reporting images. ``balanced`` is the mean of the classes' recalls, ``interval`` its 95 %
    interval, as an evaluation has it; all shares, not percent."""

    top_1: float
    balanced: float
    interval: tuple[float, float]
    recalls: dict[str, float]
    examples: int

    def __str__(self) -> str:
        low, high = self.interval
        return f"top-1 {self.top_1:.2%}, balanced {self.balanced:.2%} ({low:.2%} to {high:.2%})"


def measured(right: NDArray[np.bool_], labels: NDArray[np.integer], classes: Sequence[str], seed: int) -> Measured:
    """Which of n reporting images were answered ``right`` (n,), by their classes, each of which has an image."""
    images = np.bincount(labels, minlength=len(classes)).astype(np.int64)
    hits = np.bincount(labels[right], minlength=len(classes)).astype(np.int64)
    balanced = Resampling(seed=seed).mean_share(hits, images)
    return Measured(
        top_1=float(right.mean()),
        balanced=balanced.value,
        interval=(balanced.low, balanced.high),
        recalls=dict(zip(classes, shares(hits, images).tolist(), strict=True)),
        examples=len(labels),
    )


@dataclass(frozen=True, eq=False)
class Update:
    """What ``modhub.update`` gives.

    ``modules``: those asked for, updated, or the originals where these are kept; in the order asked for. ``against``:
    the other modules of the joint composite. ``strategy`` is what was kept: ``original``, ``tangle``, ``remove``,
    ``calibrate`` or ``offset``, and ``way`` says it in full. ``before`` and ``after`` are measured on
    ``after.examples`` images that neither fitted nor chose anything. ``examples`` fitted and chose, in turns;
    ``reason`` says why this was kept. ``sources``: by fingerprint the decompositions that modules come from.

    >>> import modhub
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    >>> examples = (images, np.arange(16) % 2, ["cat", "apple"])
    >>> made = modhub.update("cifar10/r20:cat", against="cifar100/r20:apple", data=examples, strategy="calibrate")
    >>> made.changed == (made.strategy != "original"), made.after.examples < 16
    (True, True)
    """

    modules: tuple[Module, ...]
    against: tuple[Module, ...]
    before: Measured
    after: Measured
    way: Approach
    tried: tuple[Tried, ...]
    reason: str
    examples: int
    sources: Mapping[str, Decomposition] = field(default_factory=dict)

    @property
    def strategy(self) -> str:
        return self.way.strategy

    @property
    def changed(self) -> bool:
        """Whether the modules differ from those that were given."""
        return self.strategy != "original"

    def decomposition(self, name: str | None = None, *, origin: str | None = None) -> Decomposition:
        """The updated modules of one origin, ready to be saved or published; other classes are not in it.

        ``name`` is ``namespace/model``, by default the origin's own. ``origin`` names one where several were updated.
        Raises UsageError when the originals were kept, and NotFound for an origin that was not updated.
        """
        if not self.changed:
            raise UsageError(
                f"the original modules were kept: {self.reason}.",
                kind="nothing-updated",
                hint="there is nothing new to publish; try more examples or another strategy.",
            )
        chosen = self._of(origin)
        base = self._base(chosen[0])
        own = base.origin
        if name is not None:
            namespace, model = parse_new_model_name(name)
            own = replace(own, namespace=namespace, model=model)
        modules = [replace(module, origin=own) for module in sorted(chosen, key=lambda module: module.index)]
        card = None if base.card is None else base.card.inherited()
        return replace(base, origin=own, modules=with_digests(modules), card=card)

    def _of(self, origin: str | None) -> list[Module]:
        names = sorted({module.origin.name for module in self.modules})
        if origin is None and len(names) > 1:
            raise UsageError(
                f"modules of {len(names)} origins were updated: {', '.join(names)}.",
                kind="several-origins",
                hint=f"choose one, for example origin={names[0]!r}.",
                origins=names,
            )
        wanted = origin or names[0]
        chosen = [module for module in self.modules if module.origin.name == wanted]
        if not chosen:
            raise NotFound(
                f"no module of {wanted} was updated; those updated are of {', '.join(names)}.",
                kind="unknown-origin",
                origins=names,
            )
        return chosen

    def _base(self, module: Module) -> Decomposition:
        found = self.sources.get(module.origin.fingerprint)
        if found is None:
            raise UsageError(
                f"{module.ref} was given without the decomposition that it comes from.",
                kind="no-decomposition",
                hint="give update the names of published modules, or the Decomposition itself.",
            )
        return found

    def __repr__(self) -> str:
        names = in_short(module.ref for module in self.modules)
        how = "updated by" if self.changed else "kept the"
        return f"<Update {how} {in_short([str(self.way)])}, balanced {self.after.balanced:.2%}: {names}>"

    def to_dict(self) -> dict[str, Any]:
        """The update as plain values."""
        return {
            "strategy": self.strategy,
            "kept": str(self.way),
            "changed": self.changed,
            "reason": self.reason,
            "examples": self.examples,
            "before": vars(self.before),
            "after": vars(self.after),
            "modules": [module.ref for module in self.modules],
            "against": [module.ref for module in self.against],
            "tried": [{"way": str(each.way), **vars(each.comparison)} for each in self.tried],
        }

    def __str__(self) -> str:
        lines = [f"{'updated by' if self.changed else 'kept the'} {self.way}: {self.reason}"]
        lines += [f"before: {self.before}", f"after:  {self.after}"]
        lines.append(f"{self.after.examples} images report; {self.examples} others fitted and chose, in turns")
        return "\n".join(lines)
