"""A composite: modules of any origins voting as one classifier.

Immutable: every operation gives a new composite. How modules are found and run is handed in as a ``Backend``, so that
planning needs no neural network library and the network is built on the first prediction only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modhub.composition import operations
from modhub.composition.agreement import Agreement, agreement_of
from modhub.composition.estimator import FittedClassifier
from modhub.composition.plan import Plan, make_plan, natural_classes
from modhub.composition.recipe import ClassifierSettings, Dtype, GivenSettings, Mode, Recipe, Stage, Voting
from modhub.composition.scales import is_even
from modhub.composition.votes import Prediction
from modhub.data.examples import batches_of
from modhub.data.fitting import Fitting
from modhub.data.given import Fit
from modhub.data.picture_reader import PictureReader
from modhub.data.predicted import Predictable, given_images
from modhub.errors import InvalidData, UsageError
from modhub.package.module import Module
from modhub.spec.contract import NamedContract, check_images
from modhub.spec.keras_model import KerasModel
from modhub.spec.text import in_short
from modhub.storage.progress import progress_shown


class Runner(Protocol):
    """Computes margins for the modules of one plan."""

    def margins(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """Margins of checked raw images (N, H, W, C); float32 (N, recognisers), columns as in the plan."""


class Backend(Protocol):
    """Finds modules by name, runs plans, exports them."""

    def find(
        self, refs: Sequence[str], *, fixed: Sequence[NamedContract] = (), adapt: bool = False
    ) -> list[list[Module]]:
        """For each name the modules that it stands for, several for one without a class.

        Releases are chosen so that their inputs fit each other and the ``fixed`` ones; with ``adapt`` any do.
        """

    def runner(self, plan: Plan) -> Runner:
        """Something that runs ``plan``."""

    def to_keras(self, plan: Plan) -> KerasModel:
        """``plan`` as one keras.Model."""

    def keep(self, plan: Plan, file: Path, *, bundle: bool, force: bool) -> None:
        """Write ``plan`` to the file of a classifier, see ``Composite.save``."""

    def remarks(self, plan: Plan) -> list[str]:
        """What registries said against the modules of ``plan``, a line each."""


@dataclass(frozen=True, eq=False)
class Composite(FittedClassifier):
    """Modules voting as one classifier.

    >>> import modhub
    >>> import numpy as np
    >>> pets = modhub.compose(["cifar10/r20:cat", "cifar10/r20:dog"]).add("cifar100/r20:apple").rename("cat", "kitty")
    >>> pets.restrict(["apple", "kitty"]).classes
    ['apple', 'kitty']
    >>> prediction = pets.predict(np.zeros((2, 32, 32, 3), np.uint8))
    >>> prediction.margins.shape, [row.label in pets for row in prediction], len(pets)
    ((2, 3), [True, True], 3)
    """

    plan: Plan
    backend: Backend

    @property
    def reject(self) -> bool:
        """Whether it may answer "none of these"."""
        return self.plan.settings.reject

    @property
    def classes(self) -> list[str]:
        """The labels, in column order."""
        return list(self.plan.labels)

    @property
    def modules(self) -> list[Module]:
        """The modules, in column order."""
        return list(self.plan.modules)

    @property
    def licenses(self) -> dict[str, str | None]:
        """Each origin, by its release's whole name, and the licence that it states, an SPDX expression, or None.

        ``modhub.licenses`` says which of them conflict.
        """
        every = [*self.plan.modules, *(module for stage in self.plan.recipe.stages for module in stage.modules)]
        return {module.release: module.license for module in every}

    @property
    def remarks(self) -> list[str]:
        """What registries said against the modules when they were last asked: advisories, yanks, takedowns, a line
        each. ``modhub.audit`` asks them now."""
        return self.backend.remarks(self.plan)

    @property
    def settings(self) -> ClassifierSettings:
        return self.plan.settings

    def predict(
        self, x: Predictable, batch_size: int = 256, *, fit: Fit = "none", background: str = "white"
    ) -> Prediction:
        """Answers for raw images (N, H, W, C), or arrays, uint8 or float, in the value range of ``plan.contract``.

        ``x`` is an array or tensor of any library, one or several pictures of Pillow's, the path of a picture, of a
        folder with all below it, of a pattern or a file of arrays, or a list of these; or what gives images or batches,
        with labels or not: a ``tf.data.Dataset``, Keras' and torch's loaders, a generator.

        ``fit`` brings pictures, and uint8 images of another size, grey or with transparency, to what the composite
        takes: ``resize`` stretches, ``crop`` keeps the middle, ``letterbox`` keeps all and fills up with black;
        ``background`` is what transparent ones are composed on. Every module preprocesses by itself. Raises InvalidData
        for images that the composite does not take, before any network is loaded, NotFound for a path of nothing, and
        UnsupportedModel, kind ``not-finite``, naming a module that answers NaN or infinity.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}.", hint="use at least 1.")
        reader = PictureReader(Fitting(fit, self.plan.contract, background))
        with progress_shown():
            return self._predicted(x, batch_size, reader)

    def _predicted(self, x: Predictable, batch_size: int, reader: PictureReader) -> Prediction:
        margins: list[NDArray[np.float32]] = []
        names: list[str] | None = []
        for part in given_images(x, reader):
            check_images(part.images, self.plan.contract)
            margins.append(self._runner.margins(part.images, batch_size))
            names = None if names is None or part.names is None else [*names, *part.names]
        if not margins:
            raise InvalidData(
                "there was not one image.", kind="no-images", hint="an iterator that was used up gives nothing more."
            )
        prediction = self.plan.prediction(np.concatenate(margins))
        return prediction if names is None else replace(prediction, images=tuple(names))

    def _labelled(self, x: Any, batch_size: int, fit: Fit, background: str) -> tuple[Prediction, list[Any]]:
        """Answers for what gives images with labels, batch by batch, and the labels as they were given."""
        reader = PictureReader(Fitting(fit, self.plan.contract, background))
        margins, labels = [], []
        for name, images, y in batches_of(x, reader):
            check_images(images, self.plan.contract, what=f"{name}the images")
            margins.append(self._runner.margins(images, batch_size))
            labels += list(y)
        if not margins:
            raise InvalidData(
                "there was not one batch.", kind="no-images", hint="an iterator that was used up gives nothing more."
            )
        return self.plan.prediction(np.concatenate(margins)), labels

    def with_settings(self, given: GivenSettings) -> Composite:
        """The same modules, set in another way, see ``compose``. Raises UsageError, Incompatible."""
        recipe = self.plan.recipe
        return self._with(make_plan(replace(recipe, settings=given.over(recipe.settings))))

    def in_mode(self, mode: Mode = "isolated", dtype: Dtype = "float32") -> Composite:
        """The same modules, run another way: ``mode`` and ``dtype`` as in ``compose``. Raises UsageError."""
        return self.with_settings(GivenSettings(mode=mode, dtype=dtype))

    def in_vote(self, vote: Voting) -> Composite:
        """The same modules, voting ``scaled`` or ``raw``, as in ``compose``. Raises UsageError."""
        return self.with_settings(GivenSettings(vote=vote))

    def agreement(self, images: Predictable, batch_size: int = 256) -> Agreement:
        """How far this composite answers ``images`` as it would isolated in float32, which is exact.

        Runs both, so it takes as long as the exact way and more. Raises as ``predict``.
        """
        return agreement_of(self.predict(images, batch_size), self.in_mode().predict(images, batch_size))

    def add(self, *parts: str | Module | Composite) -> Composite:
        """With further modules, after the others; a composite brings its verifiers along.

        Raises NotFound, Incompatible, and Conflict, also for a composite whose settings differ: ``compose([a, b])``
        takes those that it is given.
        """
        joint_settings([self, *parts], GivenSettings())
        classes, stages = parts_of(parts, self.backend, self.plan)
        return self._with(operations.added(self.plan, classes, stages))

    def remove(self, label: str) -> Composite:
        """Without one class. Raises NotFound when there is none of that label."""
        return self._with(operations.removed(self.plan, label))

    def restrict(self, labels: Sequence[str]) -> Composite:
        """With these classes only, in this order. Raises NotFound, UsageError."""
        return self._with(operations.restricted(self.plan, labels))

    def rename(self, label: str, name: str) -> Composite:
        """With another label for one class. Raises NotFound, and Conflict when another class has it."""
        return self._with(operations.renamed(self.plan, label, name))

    def swap(self, label: str, part: str | Module, *, match: bool = False) -> Composite:
        """With another module in the place, and under the label, of one class. Raises NotFound, Incompatible.

        Networks differ in how large their margins are, which a scaled vote evens out where all releases record their
        ``margin_scale``. ``match`` is for other votes (raw, or with releases from before): it puts the module itself on
        the scale of the one that goes, by the thresholds and scales that both carry; alone it answers as before.
        """
        column = self.plan.column(label)
        rest = (*self.plan.modules[:column], *self.plan.modules[column + 1 :])
        modules = modules_of([part], self.backend, rest, self.plan)
        if len(modules) != 1:
            raise UsageError(
                f"{part} names {len(modules)} modules; a swap takes one.",
                hint="name the class as well, for example cifar10/r20:cat.",
            )
        new, old = modules[0], self.plan.modules[column]
        is_moved = match and not is_even([new, *rest], self.plan.settings.vote)
        return self._with(operations.swapped(self.plan, label, operations.on_scale_of(new, old) if is_moved else new))

    def verify_with(self, stages: Mapping[tuple[str, ...], Sequence[str | Module]]) -> Composite:
        """When the composite answers one of some classes, let other modules decide between these again.

        ``{("cat", "dog"): ["me/two:cat", "me/two:dog"]}``: one module a class, matched by name where the names are the
        classes', else in order. The classes' margins of such an image change places, so that the ranking follows.
        Raises NotFound, Incompatible, UsageError. The paper's fourth option (section 2, Figure 1).
        """
        plan = self.plan
        for labels, parts in stages.items():
            plan = operations.verified(plan, labels, modules_of(parts, self.backend, plan.modules, plan))
        return self._with(plan)

    def to_keras(self) -> KerasModel:
        """The composite as one keras.Model, which needs no modhub to load.

        Input raw images (N, H, W, C), output the vote's margins float32 (N, k) in the order of ``classes``.
        """
        return self.backend.to_keras(self.plan)

    def save(self, path: str | Path, *, bundle: bool = False, force: bool = False) -> Path:
        """Keep the classifier in one file, ``pets.modhub``, which ``modhub.load`` and every command read.

        The file pins its releases by digest, and loading installs them where they are not. With ``bundle`` it has all
        bytes of its modules as well, and loads without a registry or a network. ``force`` replaces a file that is
        there. Gives the path. Raises Conflict, StorageError, and UsageError, kind ``unpublished``, for modules that
        only a bundle can hold: those of a folder or a decomposition, and what was changed here.

        >>> import modhub
        >>> pets = modhub.compose(["cifar10/r20:cat", "cifar10/r20:dog"]).rename("cat", "kitty")
        >>> modhub.load(pets.save("pets.modhub")).classes
        ['kitty', 'dog']
        """
        self.backend.keep(self.plan, Path(path), bundle=bundle, force=force)
        return Path(path)

    def __getstate__(self) -> dict[str, Any]:
        # Networks are built again where they are needed.
        return {"plan": self.plan, "backend": self.backend}

    @cached_property
    def _runner(self) -> Runner:
        return self.backend.runner(self.plan)

    def _with(self, plan: Plan) -> Composite:
        return Composite(plan, self.backend)

    def __repr__(self) -> str:
        return f"<Composite of {in_short(self.classes)}>"

    def _repr_html_(self) -> str:
        return self.plan.html("Composite")

    def __str__(self) -> str:
        """How messages call it."""
        shown = self.classes[:3]
        more = len(self.classes) - len(shown)
        return f"the composite of {', '.join(shown)}{f' and {more} more' if more else ''}"


def composite_of_parts(parts: Iterable[str | Module | Composite], backend: Backend, given: GivenSettings) -> Composite:
    """Names, modules and composites as one composite, with the settings ``given``, else those of the composites.

    Raises as ``compose`` does.
    """
    chosen = list(parts)
    settings = joint_settings(chosen, given)
    classes, stages = parts_of(chosen, backend, adapt=settings.adapt is not None)
    return Composite(make_plan(Recipe(tuple(classes), tuple(stages), settings)), backend)


def joint_settings(parts: Iterable[object], given: GivenSettings) -> ClassifierSettings:
    """What the composites among ``parts`` have in common, and what was given. Raises Conflict, UsageError."""
    return given.joined([(str(part), part.plan.settings) for part in parts if isinstance(part, Composite)])


def parts_of(
    parts: Iterable[str | Module | Composite], backend: Backend, onto: Plan | None = None, *, adapt: bool = False
) -> tuple[list[tuple[str, Module]], list[Stage[Module]]]:
    """The classes of names, modules and composites, in order, and the composites' stages, counting in those classes.

    All names are looked up together, so that their inputs fit each other, the modules given, and the plan ``onto``.
    """
    chosen = list(parts)
    for part in chosen:
        if not isinstance(part, (str, Module, Composite)):
            raise UsageError(
                f"a part has the type {type(part).__name__[:100]}; compose takes names, modules and composites.",
                kind="bad-part",
            )
    names = [part for part in chosen if isinstance(part, str)]
    given = [*(onto.modules if onto else ()), *(module for part in chosen for _, module in _classes_given(part))]
    adapt = adapt if onto is None else onto.settings.adapt is not None
    found = iter(backend.find(names, fixed=_contracts(given), adapt=adapt) if names else [])
    whole = Recipe[Module](())
    for part in chosen:
        stages = part.plan.recipe.stages if isinstance(part, Composite) else ()
        classes = natural_classes(next(found)) if isinstance(part, str) else _classes_given(part)
        whole = whole.added(classes, stages)
    return list(whole.classes), list(whole.stages)


def modules_of(parts: Sequence[str | Module], backend: Backend, beside: Sequence[Module], plan: Plan) -> list[Module]:
    """The modules that names stand for, or that were given, chosen to fit the modules ``beside`` them."""
    if isinstance(parts, (str, Module)):
        parts = [parts]
    for part in parts:
        if not isinstance(part, (str, Module)):
            raise UsageError(
                f"a module has the type {type(part).__name__[:100]}; give its name or a Module.", kind="bad-part"
            )
    names = [part for part in parts if isinstance(part, str)]
    adapt = plan.settings.adapt is not None
    found = iter(backend.find(names, fixed=_contracts(beside), adapt=adapt) if names else [])
    return [module for part in parts for module in ([part] if isinstance(part, Module) else next(found))]


def _classes_given(part: str | Module | Composite) -> tuple[tuple[str, Module], ...]:
    if isinstance(part, Composite):
        return part.plan.recipe.classes
    return natural_classes([part]) if isinstance(part, Module) else ()


def _contracts(modules: Sequence[Module]) -> list[NamedContract]:
    """Of each origin one module: all of its modules take the same images."""
    by_origin = {module.origin.fingerprint: module for module in reversed(modules)}
    return [NamedContract(module.ref, module.origin.contract) for module in reversed(by_origin.values())]
