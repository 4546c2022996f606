"""Why a composite answers as it does for one image: what each module said, how the vote went, what fired. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class Said:
    """What one module said, and what the vote made of it; all as in ``Prediction``.

    ``margin`` and ``probability`` are the vote's; ``module_margin``, ``module_score`` and ``positive`` are its own.
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

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain values."""
        return {
            "verdict": {**asdict(self.verdict), "text": str(self.verdict)},
            "modules": [
                {**asdict(said), "firings": [firing.to_dict() for firing in said.firings]} for said in self.modules
            ],
            "stages": [asdict(stage) for stage in self.stages],
        }


def explanation_of(plan: Plan, margins: NDArray[np.float32], firings: Sequence[tuple[Firing, ...]]) -> Explanation:
    """The explanation of one image from ``margins`` float32 (recognisers,) and each member's firings."""
    width = len(plan.labels)
    own, verifying = margins[None, :width], margins[None, width:]
    prediction = plan.prediction(margins[None])
    modules = tuple(
        Said(
            label,
            module.ref,
            module.origin.name + (f"@{module.version}" if module.version else ""),
            margin=float(prediction.margins[0, column]),
            probability=float(prediction.probabilities[0, column]),
            module_margin=float(own[0, column]),
            module_score=float(prediction.module_scores[0, column]),
            threshold=module.threshold,
            positive=bool(prediction.positive[0, column]),
            firings=firings[column],
        )
        for column, (label, module) in enumerate(zip(plan.labels, plan.modules, strict=True))
    )
    return Explanation(modules, _stages(plan, own, verifying), _verdict(prediction))


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


def _stages(plan: Plan, own: NDArray[np.float32], verifying: NDArray[np.float32]) -> tuple[StageVote, ...]:
    found = []
    columns = [stage.columns for stage in plan.recipe.stages]
    start = 0
    for number, verifier in enumerate(plan.recipe.stages):
        before, after = (int(decided(own, verifying, columns[:count])[0].argmax()) for count in (number, number + 1))
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


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
