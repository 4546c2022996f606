"""Why a composite answers as it does for one image: what each module said, how the vote went, what fired. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from modhub.composition.plan import Plan
from modhub.composition.votes import NONE_OF_THESE, Prediction, decided
from modhub.spec.html import Bar, HtmlTable, as_html
from modhub.spec.text import in_short

#: Stages that a notebook shows.
_MOST_STAGES: Final = 20
#: How many modules were positive.
Vote = Literal["one", "several", "none"]


@dataclass(frozen=True)
class Firing:
    """One site of a module for one image: of ``nodes`` it keeps ``kept``, of which ``fired`` were above zero.

    ``origin_fired`` counts in the origin itself, where all nodes are kept. ``layer`` is the layer's name, ``site`` the
    id of its call.
    """

    site: str
    layer: str
    nodes: int
    kept: int
    fired: int
    origin_fired: int

    @property
    def share(self) -> float | None:
        """The share of the kept nodes that fired; None where none is kept."""
        return self.fired / self.kept if self.kept else None

    @property
    def origin_share(self) -> float:
        """The share of all nodes that fired in the origin."""
        return self.origin_fired / self.nodes

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share, "origin_share": self.origin_share}


@dataclass(frozen=True, eq=False)
class ActivationMap:
    """Where in its image a module sees its class: the parts of its margin, float32 (rows, columns), at ``layer``.

    ``is_exact``: the parts and ``bias`` add up to the module's margin (a class activation map); else they are gradient
    times activation, a first approximation. The map covers the whole image that the module takes.

    >>> import modhub
    >>> import numpy as np
    >>> said = modhub.explain(["cifar10/r20:cat", "cifar10/r20:ship"], np.zeros((32, 32, 3), np.uint8)).modules[0]
    >>> seen = said.seen
    >>> seen.parts.shape, seen.is_exact, abs(seen.parts.sum() + seen.bias - said.module_margin) < 1e-3
    ((8, 8), True, True)
    """

    layer: str
    is_exact: bool
    parts: NDArray[np.float32]
    bias: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"layer": self.layer, "exact": self.is_exact, "parts": self.parts.tolist(), "bias": self.bias}

    def __str__(self) -> str:
        rows, columns = self.parts.shape
        how = "exact: they and a bias add up to its margin" if self.is_exact else "gradient times activation"
        return f"parts of a margin at {self.layer}, {rows} x {columns} positions, {how}"


@dataclass(frozen=True)
class Difference:
    """A layer of ``origin`` in which some module fires otherwise than its whole network does, for one image.

    ``changes``: by label, how many of its ``nodes`` fire more than in the whole network; negative where fewer.
    """

    origin: str
    layer: str
    nodes: int
    changes: Mapping[str, int]


@dataclass(frozen=True)
class Said:
    """What one module said, and what the vote made of it; all as in ``Prediction``.

    ``margin`` and ``probability`` are the vote's; ``module_margin``, ``module_score`` and ``positive`` are its own, and
    ``divisor`` is what its margin was divided by before it voted. ``seen`` is None where its network has no map.
    """

    label: str
    ref: str
    origin: str
    margin: float
    probability: float
    module_margin: float
    module_score: float
    threshold: float
    positive: bool
    firings: tuple[Firing, ...]
    divisor: float = 1.0
    seen: ActivationMap | None = field(default=None, compare=False, repr=False)

    @property
    def counted(self) -> float:
        """Its margin as it voted, before any stage."""
        return self.module_margin / self.divisor

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        plain["firings"] = [firing.to_dict() for firing in self.firings]
        return plain | {"seen": None if self.seen is None else self.seen.to_dict()}


@dataclass(frozen=True)
class StageVote:
    """A verifying stage: its classes and what its modules said of them. ``asked`` when one of the classes had won.

    ``before`` and ``after`` are the winners around it.
    """

    classes: tuple[str, ...]
    refs: tuple[str, ...]
    margins: tuple[float, ...]
    asked: bool
    before: str
    after: str

    def __str__(self) -> str:
        between = " | ".join(self.classes)
        if not self.asked:
            return f"between {between} nothing was decided again, for {self.before} had won"
        said = ", ".join(f"{ref} {margin:.2f}" for ref, margin in zip(self.refs, self.margins, strict=True))
        kept = "stays" if self.before == self.after else f"takes the place of {self.before}"
        return f"between {between} it was decided again: {self.after} {kept} ({said})"


@dataclass(frozen=True)
class Verdict:
    """How the vote went. ``label`` is the answer, ``winner`` the class of the largest margin: they differ in rejecting.

    ``lead`` is by how much the winner's margin exceeds that of ``runner_up``; both None where there is one class only.
    """

    label: str
    winner: str
    vote: Vote
    positive: tuple[str, ...]
    margin: float
    runner_up: str | None
    lead: float | None

    def __str__(self) -> str:
        ahead = "" if self.runner_up is None else f", {self.lead:.2f} above {self.runner_up}"
        largest = f"margin {self.margin:.2f}{ahead}"
        if self.vote == "none":
            if self.label == NONE_OF_THESE:
                return f"{NONE_OF_THESE}: no module is positive; {self.winner} has the largest {largest}"
            return f"{self.winner}: no module is positive; it has the largest {largest}"
        others = [name for name in self.positive if name != self.winner]
        if self.winner not in self.positive:
            return f"{self.winner}: the largest {largest}; but only {_named(others)} {_are(others)} positive"
        if self.vote == "one":
            return f"{self.winner}: it alone is positive; {largest}"
        return f"{self.winner}: the largest of {len(self.positive)} positive modules, {largest}; also {_named(others)}"


@dataclass(frozen=True)
class Explanation:
    """Why one image got its answer: modules in column order, stages in order, the verdict."""

    modules: tuple[Said, ...]
    stages: tuple[StageVote, ...]
    verdict: Verdict

    def ranked(self) -> list[Said]:
        """The modules, largest margin in the vote first."""
        return sorted(self.modules, key=lambda said: -said.margin)

    def __repr__(self) -> str:
        return f"<Explanation by {len(self.modules):,} modules: {in_short([str(self.verdict)], longest=300)}>"

    def _repr_html_(self) -> str:
        rows = (
            [
                said.label,
                said.ref,
                Bar(said.probability, f"{said.probability:.3f}"),
                f"{said.module_margin:.2f}",
                f"{said.threshold:.2f}",
                Bar(said.module_score, f"{said.module_score:.3f}"),
                "yes" if said.positive else "",
            ]
            for said in self.ranked()
        )
        headers = ["label", "module", "probability", "module margin", "threshold", "module score", "positive"]
        fields = [("verdict", str(self.verdict)), *(("stage", str(stage)) for stage in self.stages[:_MOST_STAGES])]
        return as_html("Explanation", fields, [HtmlTable(headers, rows, len(self.modules), texts=2)])

    def differences(self) -> list[Difference]:
        """The layers in which modules fire otherwise than their whole network, in the networks' order.

        None of them: for this image, what modules lack makes no difference, and only their heads do.
        """
        found: dict[tuple[str, str], Difference] = {}
        for said in self.modules:
            for firing in said.firings:
                if firing.fired != firing.origin_fired:
                    new = Difference(said.origin, firing.layer, firing.nodes, {})
                    known = found.setdefault((said.origin, firing.site), new)
                    change = {said.label: firing.fired - firing.origin_fired}
                    found[said.origin, firing.site] = replace(known, changes={**known.changes, **change})
        order = {
            (said.origin, firing.site): number for said in self.modules for number, firing in enumerate(said.firings)
        }
        origins = list(dict.fromkeys(said.origin for said in self.modules))
        return [found[key] for key in sorted(found, key=lambda key: (origins.index(key[0]), order[key]))]

    def remarks(self) -> list[str]:
        """In words, for each origin: what differs between its modules, and what ``seen`` is."""
        differences = self.differences()
        lines = []
        for origin in dict.fromkeys(said.origin for said in self.modules):
            own = [said for said in self.modules if said.origin == origin]
            lines.append(_difference_text(origin, own, [each for each in differences if each.origin == origin]))
            if own[0].seen is not None:
                lines.append(f"{origin}: {own[0].seen}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain values."""
        return {
            "verdict": {**asdict(self.verdict), "text": str(self.verdict)},
            "modules": [said.to_dict() for said in self.modules],
            "differences": [asdict(difference) for difference in self.differences()],
            "stages": [asdict(stage) for stage in self.stages],
        }


def explanation_of(
    plan: Plan,
    margins: NDArray[np.float32],
    firings: Sequence[tuple[Firing, ...]],
    seen: Sequence[ActivationMap | None] | None = None,
) -> Explanation:
    """The explanation of one image from ``margins`` float32 (recognisers,), each member's firings, and where it sees
    its class."""
    prediction = plan.prediction(margins[None])
    modules = tuple(
        Said(
            label,
            module.ref,
            module.origin.name + (f"@{module.version}" if module.version else ""),
            margin=float(prediction.margins[0, column]),
            probability=float(prediction.probabilities[0, column]),
            module_margin=float(margins[column]),
            module_score=float(prediction.module_scores[0, column]),
            threshold=module.threshold,
            positive=bool(prediction.positive[0, column]),
            firings=firings[column],
            divisor=plan.divisors[column],
            seen=None if seen is None else seen[column],
        )
        for column, (label, module) in enumerate(zip(plan.labels, plan.modules, strict=True))
    )
    return Explanation(modules, _stages(plan, *plan.counted(margins[None])), _verdict(prediction))


def _verdict(prediction: Prediction) -> Verdict:
    margins = prediction.margins[0]
    order = prediction.top(len(margins))[0]
    best = int(margins.argmax())
    positive = tuple(name for name in order if prediction.positive[0, prediction.classes.index(name)])
    second = prediction.classes.index(order[1]) if len(order) > 1 else None
    return Verdict(
        label=prediction.labels[0],
        winner=prediction.classes[best],
        vote="none" if not positive else "one" if len(positive) == 1 else "several",
        positive=positive,
        margin=float(margins[best]),
        runner_up=None if second is None else prediction.classes[second],
        lead=None if second is None else float(margins[best]) - float(margins[second]),
    )


def _stages(plan: Plan, counted: NDArray[np.float32], verifying: NDArray[np.float32]) -> tuple[StageVote, ...]:
    found = []
    columns = [stage.columns for stage in plan.recipe.stages]
    start = 0
    for number, verifier in enumerate(plan.recipe.stages):
        before, after = (
            int(decided(counted, verifying, columns[:count])[0].argmax()) for count in (number, number + 1)
        )
        stop = start + len(verifier.columns)
        found.append(
            StageVote(
                classes=tuple(plan.labels[column] for column in verifier.columns),
                refs=tuple(module.ref for module in verifier.modules),
                margins=tuple(float(margin) for margin in verifying[0, start:stop]),
                asked=before in verifier.columns,
                before=plan.labels[before],
                after=plan.labels[after],
            )
        )
        start = stop
    return tuple(found)


def _difference_text(origin: str, own: Sequence[Said], differences: Sequence[Difference]) -> str:
    changed = {label for difference in differences for label in difference.changes}
    if not changed:
        return f"{origin}: its modules fire as the whole network does here; only their heads differ"
    most = max(differences, key=lambda each: max(map(abs, each.changes.values())) / each.nodes)
    label, change = max(most.changes.items(), key=lambda each: abs(each[1]))
    return (
        f"{origin}: {len(changed)} of {len(own)} modules fire otherwise than the whole network, in "
        f"{len(differences)} layer{'s' * (len(differences) > 1)}; most {label} in {most.layer}, "
        f"{change:+,} of {most.nodes:,} nodes"
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
