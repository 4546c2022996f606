"""An evaluation: everything that can be said of a classifier from its answers, as one printable value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.errors import InvalidData
from modhub.evaluation.answers import Answers
from modhub.evaluation.intervals import Estimate, Resampling
from modhub.evaluation.labels import Matched
from modhub.evaluation.metrics import (
    ClassShares,
    Labels,
    Positives,
    Reliability,
    among_best,
    confusion_matrix,
    own_shares,
    positives,
    reliability,
    vote_shares,
)
from modhub.evaluation.overlap import LayerRow, between_modules, kept_per_layer, kept_shares
from modhub.evaluation.paired import Comparison, compared
from modhub.package.module import Module
from modhub.spec.html import HtmlTable, as_html
from modhub.spec.text import in_short, percent


@dataclass(frozen=True)
class Timing:
    """Wall time in seconds: ``whole`` with building the network and a first batch, ``warm`` of the images alone."""

    whole: float
    warm: float
    images_per_second: float


@dataclass(frozen=True)
class ClassRow:
    """One class. Figures are None where they are shares of nothing, those of its module where it has none.

    ``recall``, ``precision`` and ``f1`` are of the vote, ``own_recall`` and ``own_precision`` of the module alone at
    its own threshold; ``own_ece`` says how far its scores are from the truth, ``jaccard`` and ``kept`` what it keeps.
    """

    name: str
    images: int
    answered: int
    recall: Estimate | None
    precision: Estimate | None
    f1: float | None
    own_recall: Estimate | None = None
    own_precision: Estimate | None = None
    own_ece: float | None = None
    jaccard: float | None = None
    kept: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"class": self.name} | {key: value for key, value in asdict(self).items() if key != "name"}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What ``evaluate`` gives: ``print`` it, or take ``to_dict``.

    ``what`` was evaluated on ``images`` images of ``data``; ``left_out`` counts images of classes that it does not
    know. ``top_1``, ``top_5`` and ``balanced`` (the mean recall of the classes) come with intervals. ``confusion``
    int64 (k, k + 1): images of class i answered as j, the last column "none of these". ``positives``, ``between``
    (Jaccard index of every two modules' masks, (k, k), NaN between origins) and ``layers`` are there for modules only.
    ``rows`` int64 (N,) are the images of the data that count, ``right`` bool (N,) which were answered rightly.

    >>> import modhub
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
    >>> names = ["cat", "ship"] * 10
    >>> small = modhub.evaluate(["cifar10/r20:cat", "cifar10/r20:ship"], (images, names))
    >>> other = modhub.evaluate(["cifar10/vgg:cat", "cifar10/vgg:ship"], (images, names))
    >>> small.confusion.shape, small.compare(other).images
    ((2, 3), 20)
    """

    what: str
    data: str
    left_out: Mapping[str, int]
    top_1: Estimate
    top_5: Estimate
    balanced: Estimate
    classes: tuple[ClassRow, ...]
    confusion: NDArray[np.int64]
    calibration: Reliability
    timing: Timing
    resampling: Resampling
    rows: NDArray[np.int64] = field(repr=False)
    truth: Labels = field(repr=False)
    right: NDArray[np.bool_] = field(repr=False)
    fingerprint: str
    positives: Positives | None = None
    between: NDArray[np.float64] | None = None
    layers: tuple[LayerRow, ...] = ()

    @property
    def images(self) -> int:
        return len(self.right)

    @property
    def rejected(self) -> int:
        """How many images were answered "none of these"."""
        return int(self.confusion[:, -1].sum())

    @property
    def jaccard(self) -> float | None:
        """The mean Jaccard index of the modules with their networks."""
        return _mean([row.jaccard for row in self.classes])

    @property
    def kept(self) -> float | None:
        """The mean share of its network's nodes that a module keeps."""
        return _mean([row.kept for row in self.classes])

    @property
    def overlap(self) -> float | None:
        """The mean Jaccard index between two different modules of one origin."""
        if self.between is None:
            return None
        pairs = self.between[np.triu_indices(len(self.between), 1)]
        return _mean([float(value) for value in pairs[~np.isnan(pairs)]])

    def confusions(self, count: int = 5) -> list[tuple[str, str, int]]:
        """The most frequent wrong answers: the true class, what was answered, how often."""
        names = [row.name for row in self.classes]
        wrong = self.confusion[:, :-1].copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = [divmod(int(place), len(names)) for place in order]
        return [(names[true], names[said], int(wrong[true, said])) for true, said in pairs if wrong[true, said]]

    def compare(self, other: Evaluation) -> Comparison:
        """This classifier against another on the same images. Raises InvalidData when they saw different ones."""
        if self.fingerprint != other.fingerprint or not np.array_equal(self.rows, other.rows):
            raise InvalidData(
                f"{self.what} was evaluated on {self.images:,} images of {self.data}, "
                f"{other.what} on {other.images:,} images of {other.data}; a comparison needs the same.",
                kind="other-images",
                hint="evaluate both on equal data, of classes that both know.",
            )
        right = (self.right, other.right)
        return compared((self.what, other.what), self.truth, right, len(self.classes), self.resampling)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None where a figure does not apply."""
        return {
            "what": self.what,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "images": self.images,
            "left_out": dict(self.left_out),
            "top_1": self.top_1.to_dict(),
            "top_5": self.top_5.to_dict(),
            "balanced": self.balanced.to_dict(),
            "intervals": asdict(self.resampling),
            "rejected": self.rejected,
            "positives": None if self.positives is None else asdict(self.positives),
            "calibration": {
                "ece": _plain(self.calibration.error),
                "counts": self.calibration.counts.tolist(),
                "confidence": [_plain(value) for value in self.calibration.confidence],
                "right": [_plain(value) for value in self.calibration.right],
            },
            "jaccard": self.jaccard,
            "jaccard_between": self.overlap,
            "kept": self.kept,
            "seconds": self.timing.whole,
            "warm_seconds": self.timing.warm,
            "images_per_second": self.timing.images_per_second,
            "classes": [row.to_dict() for row in self.classes],
            "confusion": self.confusion.tolist(),
            "layers": [asdict(row) for row in self.layers],
            "between": None if self.between is None else [[_plain(value) for value in row] for row in self.between],
        }

    def __str__(self) -> str:
        return as_text(self)

    def __repr__(self) -> str:
        what, data = (in_short([text], longest=100) for text in (self.what, self.data))
        return f"<Evaluation of {what} on {data}: top-1 {self.top_1} of {self.images:,} images>"

    def _repr_html_(self) -> str:
        titles, rows = class_table(self)
        return as_html(heading(self), summary(self), [HtmlTable(titles, rows, len(rows))])


def evaluated(
    what: str,
    data: str,
    answers: Answers,
    matched: Matched,
    *,
    fingerprint: str,
    timing: Timing,
    modules: Sequence[Module] | None = None,
    resampling: Resampling | None = None,
) -> Evaluation:
    """All figures of ``answers`` (N,) to the images that were matched (N,); ``modules`` in the order of the columns."""
    resampling = resampling or Resampling()
    truth, classes = matched.truth, len(answers.classes)
    confusion = confusion_matrix(truth, answers.winners, classes)
    vote = vote_shares(confusion)
    right = answers.winners == truth
    hits = int(among_best(answers.ranking, truth, 5).sum())
    answered = answers.winners >= 0
    return Evaluation(
        what=what,
        data=data,
        left_out=matched.left_out,
        top_1=resampling.share(int(right.sum()), len(truth)),
        # Of five classes or fewer the five best are all.
        top_5=resampling.share(hits, len(truth)) if classes > 5 else Estimate(1.0, 1.0, 1.0),
        balanced=resampling.mean_share(vote.right, vote.images),
        classes=_class_rows(answers, vote, truth, modules, resampling),
        confusion=confusion,
        calibration=reliability(answers.confidence[answered], right[answered]),
        timing=timing,
        resampling=resampling,
        rows=matched.rows,
        truth=truth,
        right=right,
        fingerprint=fingerprint,
        positives=None if answers.positive is None else positives(truth, answers.winners, answers.positive),
        between=None if modules is None else between_modules(modules),
        layers=() if modules is None else tuple(kept_per_layer(modules)),
    )


def _class_rows(
    answers: Answers, vote: ClassShares, truth: Labels, modules: Sequence[Module] | None, resampling: Resampling
) -> tuple[ClassRow, ...]:
    images = len(truth)
    recalls = resampling.shares(vote.right, vote.images, images)
    precisions = resampling.shares(vote.right, vote.answered, images)
    rows = [
        ClassRow(
            name=name,
            images=int(vote.images[column]),
            answered=int(vote.answered[column]),
            recall=recalls[column],
            precision=precisions[column],
            f1=_plain(vote.f1[column]),
        )
        for column, name in enumerate(answers.classes)
    ]
    if modules is None or answers.positive is None or answers.module_scores is None:
        return tuple(rows)
    own = own_shares(truth, answers.positive)
    own_recalls = resampling.shares(own.right, own.images, images)
    own_precisions = resampling.shares(own.right, own.answered, images)
    kept = kept_shares(modules)
    return tuple(
        replace(
            row,
            own_recall=own_recalls[column],
            own_precision=own_precisions[column],
            own_ece=reliability(answers.module_scores[:, column], truth == column).error,
            jaccard=modules[column].jaccard,
            kept=float(kept[column]),
        )
        for column, row in enumerate(rows)
    )


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


Table = tuple[list[str], list[list[str]]]


def heading(evaluation: Evaluation) -> str:
    """What was evaluated on what."""
    left_out = sum(evaluation.left_out.values())
    return (
        f"{evaluation.what} on {evaluation.data}: {evaluation.images:,} images, {len(evaluation.classes)} classes"
        + (
            f"; {left_out:,} images of {len(evaluation.left_out)} class(es) it does not know left out"
            if left_out
            else ""
        )
    )


def summary(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Names and values of the figures that are about all classes."""
    lines = [("top-1", str(evaluation.top_1))]
    if len(evaluation.classes) > 5:
        lines.append(("top-5", str(evaluation.top_5)))
    lines += [("balanced", str(evaluation.balanced)), ("ECE", f"{evaluation.calibration.error:.3f}")]
    if evaluation.rejected:
        share = evaluation.rejected / evaluation.images
        lines.append(("rejected", f"{percent(share)} answered none of these"))
    lines += _of_modules(evaluation)
    timing = evaluation.timing
    lines.append(("time", f"{timing.whole:.1f} s in all, then {timing.images_per_second:,.0f} images/s"))
    wrong = [f"{true} as {said} ({count})" for true, said, count in evaluation.confusions()]
    return [*lines, ("mistaken", ", ".join(wrong))] if wrong else lines


def _of_modules(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    found = evaluation.positives
    if found is not None:
        yield (
            "positive",
            ", ".join(
                f"{name} {percent(share)}" + (f" ({percent(right)} right)" if right is not None else "")
                for name, share, right in (
                    ("none", found.none, found.right_none),
                    ("one", found.one, found.right_one),
                    ("several", found.several, found.right_several),
                )
            ),
        )
    if evaluation.jaccard is not None:
        between = "" if evaluation.overlap is None else f"; between two modules {evaluation.overlap:.3f}"
        yield "JI", f"mean {evaluation.jaccard:.3f}{between}"
    if evaluation.kept is not None:
        yield "kept", f"{percent(evaluation.kept)} of the nodes, on average"


def class_table(evaluation: Evaluation) -> Table:
    """One row a class; the columns of modules only where there are any."""
    modules = any(row.jaccard is not None for row in evaluation.classes)
    titles = ["class", "images", "recall", "precision", "F1"]
    titles += ["own recall", "own prec.", "own ECE", "JI", "kept"] if modules else []
    rows = []
    for row in evaluation.classes:
        cells = [row.name, f"{row.images:,}", _or_dash(row.recall), _or_dash(row.precision), _number(row.f1)]
        if modules:
            cells += [percent(None if part is None else part.value) for part in (row.own_recall, row.own_precision)]
            cells += [_number(row.own_ece), _number(row.jaccard), percent(row.kept)]
        rows.append(cells)
    return titles, rows


def layer_table(evaluation: Evaluation) -> Table:
    """One row a layer: the nodes that the modules keep there."""
    origins = len({row.origin for row in evaluation.layers}) > 1
    rows = [
        [
            *([row.origin] if origins else []),
            row.site,
            f"{row.nodes:,}",
            percent(row.mean),
            percent(row.least),
            percent(row.most),
        ]
        for row in evaluation.layers
    ]
    return [*(["origin"] if origins else []), "layer", "nodes", "kept", "least", "most"], rows


def as_text(evaluation: Evaluation) -> str:
    """The whole evaluation, as ``print`` shows it."""
    lines = [heading(evaluation), *(f"  {name:<11}{value}" for name, value in summary(evaluation)), ""]
    titles, rows = class_table(evaluation)
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows, strict=True)]
    for cells in (titles, *rows):
        first, *others = (
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def _or_dash(estimate: Estimate | None) -> str:
    return "-" if estimate is None else str(estimate)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
