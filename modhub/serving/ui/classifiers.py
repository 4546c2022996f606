"""The classifiers that a browser composed: made as ``modhub.compose`` makes them, a few kept, nothing run yet."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from modhub.composition.composite import Composite
from modhub.composition.plan import make_plan
from modhub.errors import NotFound
from modhub.limits import MIB
from modhub.ops.compose import Composable, compose
from modhub.ops.install_forecast import install_forecast
from modhub.serving.ui.asked import AskedClassifier
from modhub.spec.digests import canonical_json, sha256

#: Bytes that picking classes fetches without asking first.
MAX_UNASKED_BYTES: Final = 64 * MIB


@dataclass(frozen=True)
class Fetching:
    """What has to be fetched before a classifier can be composed: bytes and releases."""

    bytes: int
    releases: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"state": "to-fetch", **asdict(self)}


@dataclass(frozen=True, eq=False)
class Composed:
    """A classifier that was composed. ``id`` is equal for equal ones; ``said`` are the warnings about it so far."""

    id: str
    composite: Composite
    said: list[str]

    def to_dict(self) -> dict[str, Any]:
        """What the page shows of it: the plan as the resolver made it, licences, remarks."""
        plan = self.composite.plan
        return {
            "state": "ready",
            "id": self.id,
            "summary": plan.summary,
            "plan": plan.to_dict(),
            "adapted": [{"labels": labels, "text": text} for labels, text in plan.adapted()],
            "licenses": self.composite.licenses,
            "remarks": [*plan.counting.remarks, *self.said],
        }


@contextmanager
def warnings_into(said: list[str]) -> Iterator[None]:
    """Put what modhub warns of inside into ``said``, each once. For one thread at a time."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    new = dict.fromkeys(str(each.message) for each in caught if each.category is UserWarning)
    said += [text for text in new if text not in said]


class ComposedClassifiers:
    """Composes what is asked for, of one or several registries, and keeps the last ``most`` with their networks.

    Modules of kept classifiers are not read again for the next. For one thread at a time.
    """

    def __init__(
        self, registry: str | Sequence[str] | None = None, cache: str | Path | None = None, *, most: int = 4
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._most = most
        self._kept: OrderedDict[str, Composed] = OrderedDict()

    def composed(self, asked: AskedClassifier) -> Composed | Fetching:
        """The classifier, installed and planned; or what would have to be fetched, where that is much and not allowed.

        Raises as ``compose``: NotFound, Incompatible, Conflict, UsageError.
        """
        said: list[str] = []
        with warnings_into(said):
            if not asked.fetch and (fetching := self._fetching(asked)).bytes > MAX_UNASKED_BYTES:
                return fetching
            composite = self._composite(asked)
        described = canonical_json([asked.model_dump(mode="json", exclude={"fetch"}), composite.plan.to_dict()])
        return self._keep(Composed(sha256(described).removeprefix("sha256:")[:32], composite, said))

    def kept(self, id: str) -> Composed:
        """A classifier that was composed before. Raises NotFound, kind ``no-classifier``: compose it again."""
        if id not in self._kept:
            raise NotFound("this classifier is not kept any more.", kind="no-classifier", hint="compose it again.")
        self._kept.move_to_end(id)
        return self._kept[id]

    def _fetching(self, asked: AskedClassifier) -> Fetching:
        known = self._known_modules()
        new = [ref for ref in asked.refs if ref not in known]
        if not new:
            return Fetching(0, ())
        adapt = asked.adapt is not None
        found = install_forecast(new, registry=self._registry, cache=self._cache, together=True, adapt=adapt)
        return Fetching(sum(each.fetch for each in found), tuple(str(each.release) for each in found if each.fetch))

    def _composite(self, asked: AskedClassifier) -> Composite:
        known = self._known_modules()
        parts = [known.get(ref, ref) for ref in asked.refs]
        composite = compose(parts, registry=self._registry, cache=self._cache, **vars(asked.given))
        classes = tuple(
            (module.name if wanted.label is None else wanted.label, module)
            for wanted, module in zip(asked.modules, composite.plan.modules, strict=True)
        )
        return Composite(make_plan(replace(composite.plan.recipe, classes=classes)), composite.backend)

    def _known_modules(self) -> dict[str, Composable]:
        """Modules in memory, by their whole names, which mean nothing else ever."""
        return {module.ref: module for each in self._kept.values() for module in each.composite.plan.modules}

    def _keep(self, made: Composed) -> Composed:
        # An equal one may have its network built already.
        kept = self._kept.setdefault(made.id, made)
        self._kept.move_to_end(made.id)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept
