"""The whole of modhub once, on origins that are trained on the spot: train, decompose, publish, install, compose.

Plain functions over the public calls; callers that draw a table (the command line does) pass callbacks. Accuracies are
measured on test images that neither training nor decomposition has seen, of exactly the classes that can be answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.composite import Composite
from modhub.data.images import ImageData
from modhub.demo.digits import load_digits
from modhub.demo.letters import load_letters
from modhub.demo.raster import Splits
from modhub.limits import KIB
from modhub.ops.compose import compose
from modhub.ops.decompose import decompose
from modhub.ops.install import install
from modhub.ops.publish import publish
from modhub.package.decomposition import Decomposition

VERSION: Final = "1.0.0"
EPOCHS: Final = 6
#: Threes among the images that demo/digits-b is trained on: too few, so that its module for 3 is a poor one.
FEW_THREES: Final = 4
TEN: Final = (*(f"demo/digits-b:{digit}" for digit in "01234"), *(f"demo/letters:{letter}" for letter in "abcde"))


@dataclass(frozen=True)
class Step:
    """One row of the table.

    ``name`` is the verb, ``what`` its object, ``classes`` the labels that could be answered (none where nothing is
    measured). ``accuracy`` and ``balanced`` (the mean recall of the classes) are shares of the test images of these
    classes; ``baseline`` is the accuracy there of the one origin that knows them all, None where there is none.
    ``seconds`` is wall time.
    """

    name: str
    what: str
    classes: tuple[str, ...]
    accuracy: float | None
    balanced: float | None
    baseline: float | None
    note: str
    seconds: float


@dataclass(frozen=True)
class StoryAccuracy:
    """Right answers as shares: of all images, the mean over the classes, and of each class (its recall)."""

    accuracy: float
    balanced: float
    recalls: Mapping[str, float]

    @classmethod
    def of(cls, answers: NDArray[np.str_], truth: NDArray[np.str_]) -> StoryAccuracy:
        """Both (N,) class names."""
        right = answers == truth
        recalls = {str(name): float(right[truth == name].mean()) for name in np.unique(truth)}
        return cls(float(right.mean()), float(np.mean([*recalls.values()])), recalls)


@dataclass(frozen=True, eq=False)
class TrainedOrigin:
    """A network trained for the story and the data to decompose it with; ``measured`` on the test images."""

    name: str
    model: Any
    data: Splits
    measured: StoryAccuracy


def run(workdir: str | Path, emit: Callable[[Step], None], *, doing: Callable[[str], None] | None = None) -> list[Step]:
    """Run the story, writing only below ``workdir``, an existing folder; the steps in order.

    ``emit`` gets every step as it finishes, ``doing`` a line for people while one runs. Raises ModhubError
    (``missing-extra``) without scikit-learn or matplotlib.
    """
    story = _Story(Path(workdir), emit, doing or (lambda line: None))
    digits, letters = load_digits(), load_letters()
    poor = _with_few(digits.train, "3", FEW_THREES)
    origins = [
        story.train("demo/digits", digits.train, digits, 0, "handwritten digits"),
        story.train("demo/letters", letters.train, letters, 0, "letters drawn from fonts"),
        story.train("demo/digits-b", poor, digits, 1, f"digits again, but only {FEW_THREES} threes"),
    ]
    story.publish([story.decompose(origin) for origin in origins])
    pair = ("demo/digits:3", "demo/letters:a")
    story.install(pair)

    test = _Test(digits.test, letters.test)
    story.composite("compose", " + ".join(pair), partial(story.compose, pair), test)
    ten = story.composite("compose", "demo/digits-b:0..4 + demo/letters:a..e", partial(story.compose, TEN), test)
    repaired = story.composite("swap", "3 by demo/digits:3", partial(ten.swap, "3", "demo/digits:3"), test)
    story.composite("remove", "b", partial(repaired.remove, "b"), test)
    return story.steps


def _with_few(data: ImageData, cls: str, count: int) -> ImageData:
    """``data`` with only the first ``count`` images of one class."""
    own = np.flatnonzero(data.labels == cls)
    return data.take(np.setdiff1d(np.arange(len(data)), own[count:]))


class _Test:
    """Held-out images of several origins."""

    def __init__(self, *parts: ImageData) -> None:
        self._x = np.concatenate([part.x for part in parts])
        self._labels = np.concatenate([part.labels for part in parts])

    def measure(self, composite: Composite) -> StoryAccuracy:
        """On the images of the composite's classes."""
        chosen = np.isin(self._labels, composite.classes)
        return StoryAccuracy.of(np.array(composite.predict(self._x[chosen]).labels), self._labels[chosen])


class _Story:
    """Does the steps. Every method but ``compose`` emits one, timed from the end of the step before."""

    def __init__(self, workdir: Path, emit: Callable[[Step], None], doing: Callable[[str], None]) -> None:
        self.steps: list[Step] = []
        self._registry = str(workdir / "registry")
        self._cache = workdir / "cache"
        self._emit = emit
        self._doing = doing
        self._since = time.perf_counter()

    def train(self, name: str, train: ImageData, data: Splits, seed: int, note: str) -> TrainedOrigin:
        from modhub.engine.training import predict_proba, train_small_cnn  # seconds; the data is there by now

        def progress(done: int, total: int) -> None:
            self._doing(f"training {name}: epoch {done} of {total}")

        progress(0, EPOCHS)
        model = train_small_cnn(train, seed=seed, epochs=EPOCHS, progress=progress)
        answers = np.array(train.classes)[predict_proba(model, data.test.x).argmax(axis=1)]
        origin = TrainedOrigin(name, model, data, StoryAccuracy.of(answers, data.test.labels))
        self._add("train", name, f"{note}; {len(train):,} images", train.classes, origin.measured)
        return origin

    def decompose(self, origin: TrainedOrigin) -> Decomposition:
        from modhub.engine.training import RESCALE

        def progress(done: int, total: int) -> None:
            self._doing(f"decomposing {origin.name}: batch {done} of {total}")

        train, validation = origin.data.train, origin.data.validation
        decomposition = decompose(
            origin.model,
            train.x,
            train.y,
            classes=train.classes,
            name=origin.name,
            rescale=RESCALE,
            validation=(validation.x, validation.y),
            dataset=train.name,
            progress=progress,
        )
        rows = decomposition.report().classes
        kept = sum(row.kept for row in rows) / sum(row.nodes for row in rows)
        note = f"{len(rows)} modules, each keeps {kept:.0%} of the nodes on average"
        measured = _Test(origin.data.test).measure(compose(decomposition.modules))
        self._add("decompose", origin.name, note, train.classes, measured, origin.measured.accuracy)
        return decomposition

    def publish(self, decompositions: Sequence[Decomposition]) -> None:
        self._doing("publishing")
        releases = [publish(each, version=VERSION, registry=self._registry) for each in decompositions]
        size = sum(release.size for release in releases)
        self._add("publish", ", ".join(str(release.ref) for release in releases), f"{size / KIB:,.0f} KiB in all")

    def install(self, refs: Sequence[str]) -> None:
        self._doing("installing")
        fetched = sum(module.fetched for module in install(refs, registry=self._registry, cache=self._cache))
        self._add("install", ", ".join(refs), f"{fetched / KIB:,.0f} KiB fetched and verified")

    def compose(self, refs: Sequence[str]) -> Composite:
        """By the public call, from the story's registry through the story's cache."""
        return compose(refs, registry=self._registry, cache=self._cache)

    def composite(self, name: str, what: str, make: Callable[[], Composite], test: _Test) -> Composite:
        self._doing(f"{name} {what}")
        made = make()
        measured = test.measure(made)
        note = f"{len(made)} classes of {len(made.plan.groups())} networks; finds {measured.recalls['3']:.0%} of the 3s"
        self._add(name, what, note, made.classes, measured)
        return made

    def _add(
        self,
        name: str,
        what: str,
        note: str,
        classes: Sequence[str] = (),
        measured: StoryAccuracy | None = None,
        baseline: float | None = None,
    ) -> None:
        now = time.perf_counter()
        accuracy, balanced = (measured.accuracy, measured.balanced) if measured else (None, None)
        step = Step(name, what, tuple(classes), accuracy, balanced, baseline, note, now - self._since)
        self._since = now
        self.steps.append(step)
        self._emit(step)
