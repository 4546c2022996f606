"""A recipe: all that says how modules become one classifier, as one value. Pure, and without numpy.

A plan, a project file and a lockfile each hold one recipe, of modules, of names as written, and of pinned modules. So
an edit is written once, here, on columns; callers that have labels look the columns up first. Labels are
the user's choice or the class's own name, so in a plan two may be equal; in a project they are distinct.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Generic, Literal, TypeVar, get_args

from modhub.errors import Conflict, NotFound, UsageError, did_you_mean, plain, shown
from modhub.limits import MAX_DISPLAY_NAME_CHARS, MAX_EXTENT
from modhub.spec.schema import TEXT_PATTERN
from modhub.spec.text import composed, find_class

#: How an image is made to fit a module that takes another size: ``resize`` stretches to the size wanted, ``crop`` keeps
#: the middle, ``letterbox`` keeps all and fills up with black.
Adapt = Literal["resize", "crop", "letterbox"]
ADAPTS: Final[tuple[Adapt, ...]] = get_args(Adapt)
#: How modules of one network run, see ``modes``.
Mode = Literal["isolated", "fused", "auto"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
#: What networks compute in; heads are always float32.
Dtype = Literal["float32", "bfloat16"]
DTYPES: Final[tuple[Dtype, ...]] = get_args(Dtype)
#: Whether modules of several origins vote on one scale, or with their margins as they are, as in the paper.
Voting = Literal["scaled", "raw"]
VOTINGS: Final[tuple[Voting, ...]] = get_args(Voting)
#: Height and width of images, in pixels.
Size = tuple[int, int]

Part = TypeVar("Part")
_Other = TypeVar("_Other")


@dataclass(frozen=True)
class ClassifierSettings:
    """What images a classifier takes, how it runs and votes, and whether it may answer "none of these" (``reject``).

    ``adapt`` names how images are made to fit modules that take others; None means that all take the same. ``size`` is
    the height and width of the classifier's images then, by default the largest that a module takes.
    """

    adapt: Adapt | None = None
    size: Size | None = None
    reject: bool = False
    mode: Mode = "isolated"
    dtype: Dtype = "float32"
    vote: Voting = "scaled"

    def to_dict(self) -> dict[str, Any]:
        """By name, as plain values."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return values | {"size": None if self.size is None else list(self.size)}

    def unusual(self) -> dict[str, Any]:
        """``to_dict`` without what is as it is by default."""
        usual = ClassifierSettings().to_dict()
        return {name: value for name, value in self.to_dict().items() if value != usual[name]}

    def checked(self) -> ClassifierSettings:
        """Itself. Raises UsageError, kinds ``bad-adapt``, ``bad-size``, ``bad-mode``, ``bad-dtype``, ``bad-vote``."""
        _check_adapt(self.adapt, self.size)
        _check_known("mode", self.mode, MODES)
        _check_known("dtype", self.dtype, DTYPES)
        _check_known("vote", self.vote, VOTINGS)
        return self


@dataclass(frozen=True)
class GivenSettings:
    """The settings that were named; None for those left to the composites, or to the default."""

    adapt: Adapt | None = None
    size: Size | None = None
    reject: bool | None = None
    mode: Mode | None = None
    dtype: Dtype | None = None
    vote: Voting | None = None

    def over(self, base: ClassifierSettings) -> ClassifierSettings:
        """``base`` with what was named. Raises UsageError for a value that cannot be."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        named["size"] = None if self.size is None else tuple(self.size)
        return replace(base, **{name: value for name, value in named.items() if value is not None}).checked()

    def joined(self, parts: Sequence[tuple[str, ClassifierSettings]]) -> ClassifierSettings:
        """The settings of a classifier made of others, ``parts`` by name; what was named here goes before theirs.

        Raises Conflict, kind ``settings-differ``, for one in which two parts differ, and UsageError.
        """
        for each in fields(self):
            if getattr(self, each.name) is None:
                _check_agree(each.name, parts)
        return self.over(parts[0][1] if parts else ClassifierSettings())


@dataclass(frozen=True)
class Stage(Generic[Part]):
    """When a class in one of ``columns`` wins, ``modules`` decide between these again; one module a column.

    The paper's fourth option for a faulty class (section 2, Figure 1).
    """

    columns: tuple[int, ...]
    modules: tuple[Part, ...]


@dataclass(frozen=True)
class MarginScale:
    """What margins mean: ``sigmoid(scale (margin - threshold))`` is a module's own calibrated probability."""

    threshold: float
    scale: float


@dataclass(frozen=True)
class Recipe(Generic[Part]):
    """How a classifier is put together of ``Part``s: labels with their modules in column order, stages, settings."""

    classes: tuple[tuple[str, Part], ...]
    stages: tuple[Stage[Part], ...] = ()
    settings: ClassifierSettings = field(default_factory=ClassifierSettings)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label for label, _ in self.classes)

    @property
    def modules(self) -> tuple[Part, ...]:
        """The classes' modules in column order."""
        return tuple(module for _, module in self.classes)

    @property
    def every_module(self) -> tuple[Part, ...]:
        """The classes' modules, then those of the stages, in order."""
        return (*self.modules, *(module for stage in self.stages for module in stage.modules))

    def named_stages(self) -> list[tuple[tuple[str, ...], tuple[Part, ...]]]:
        """For each stage the labels between which it decides, and its modules."""
        return [(tuple(self.labels[column] for column in stage.columns), stage.modules) for stage in self.stages]

    def column(self, label: str) -> int:
        """The column of ``label``, however its accents are written. Raises NotFound, kind ``unknown-class``."""
        if (same := find_class(label, self.labels)) is None:
            raise no_such_class(label, self.labels)
        return self.labels.index(same)

    def columns(self, labels: Iterable[str]) -> tuple[int, ...]:
        """Raises as ``column`` does."""
        return tuple(self.column(label) for label in labels)

    def made_of(self, modules: Sequence[_Other]) -> Recipe[_Other]:
        """The same recipe of other modules, which take the places of ``every_module`` in order."""
        rest = iter(modules)
        classes = tuple((label, next(rest)) for label in self.labels)
        stages = tuple(Stage(stage.columns, tuple(next(rest) for _ in stage.columns)) for stage in self.stages)
        return Recipe(classes, stages, self.settings)

    def mapped(self, change: Callable[[Part], _Other]) -> Recipe[_Other]:
        """The same recipe with what ``change`` gives for each module."""
        return self.made_of([change(module) for module in self.every_module])

    # Edits

    def added(self, classes: Iterable[tuple[str, Part]], stages: Iterable[Stage[Part]] = ()) -> Recipe[Part]:
        """With further classes after the others, and stages whose columns count in those."""
        shift = len(self.classes)
        moved = (replace(stage, columns=tuple(shift + column for column in stage.columns)) for stage in stages)
        return replace(self, classes=(*self.classes, *classes), stages=(*self.stages, *moved))

    def without(self, columns: Collection[int]) -> Recipe[Part]:
        """Without these classes. Stages decide among what is left, and go when that is one class."""
        return self._selected([column for column in range(len(self.classes)) if column not in columns])

    def restricted(self, columns: Sequence[int]) -> Recipe[Part]:
        """With these classes only, in this order; stages as in ``without``. Raises UsageError for none or one twice."""
        check_distinct(self.labels, columns, "restrict")
        if not columns:
            raise UsageError("no class was named to keep.", kind="empty", hint="name at least one.")
        return self._selected(columns)

    def renamed(self, names: Mapping[int, str]) -> Recipe[Part]:
        """With other labels for classes, all at once. Raises UsageError, and Conflict when another class has one."""
        names = {column: check_label(name) for column, name in names.items()}
        if len(set(names.values())) < len(names):
            raise UsageError("two classes would get one label.", kind="duplicate-label", hint="choose two labels.")
        for column, (label, module) in enumerate(self.classes):
            if column not in names and composed(label) in names.values():
                raise label_taken(label, module)
        classes = ((names.get(column, label), module) for column, (label, module) in enumerate(self.classes))
        return replace(self, classes=tuple(classes))

    def swapped(self, modules: Mapping[int, Part]) -> Recipe[Part]:
        """With other modules for some classes, which keep their labels and places."""
        classes = ((label, modules.get(column, module)) for column, (label, module) in enumerate(self.classes))
        return replace(self, classes=tuple(classes))

    def verified(self, columns: Sequence[int], modules: Sequence[Part]) -> Recipe[Part]:
        """With a further stage, after the others. Raises UsageError."""
        check_distinct(self.labels, columns, "verify")
        check_stage([self.labels[column] for column in columns], modules)
        return replace(self, stages=(*self.stages, Stage(tuple(columns), tuple(modules))))

    def unverified(self, columns: Collection[int]) -> Recipe[Part]:
        """Without the stages of exactly these classes, in any order."""
        return replace(self, stages=tuple(stage for stage in self.stages if set(stage.columns) != set(columns)))

    def _selected(self, columns: Sequence[int]) -> Recipe[Part]:
        place = {column: position for position, column in enumerate(columns)}
        stages = []
        for stage in self.stages:
            pairs = zip(stage.columns, stage.modules, strict=True)
            kept = [(place[column], module) for column, module in pairs if column in place]
            if len(kept) > 1:
                stages.append(Stage(tuple(at for at, _ in kept), tuple(module for _, module in kept)))
        return replace(self, classes=tuple(self.classes[column] for column in columns), stages=tuple(stages))


def matched_by_name(
    wanted: Sequence[Collection[str]], modules: Sequence[Part], names_of: Callable[[Part], Collection[str]]
) -> tuple[Part, ...]:
    """``modules`` in the order of classes that are known by the names ``wanted``, where each is a module's name.

    Else in the order given.
    """
    by_name = {name: number for number, module in enumerate(modules) for name in names_of(module)}
    found = [next((by_name[name] for name in names if name in by_name), None) for names in wanted]
    numbers = [number for number in found if number is not None]
    return tuple(modules[number] for number in numbers) if len(set(numbers)) == len(modules) else tuple(modules)


def check_label(label: str) -> str:
    """``label`` in NFC when it can be a class's. Raises UsageError, kind ``bad-label``."""
    # What a terminal sends that is not UTF-8 comes as halves of surrogate pairs, which no file can hold.
    foreign = any("\ud800" <= letter <= "\udfff" for letter in label)
    allowed = re.match(TEXT_PATTERN + r"\Z", label) and not foreign
    if not label.strip() or len(label) > MAX_DISPLAY_NAME_CHARS or not allowed:
        raise UsageError(
            f"{shown(label)} cannot be a label.",
            kind="bad-label",
            hint=f"use 1 to {MAX_DISPLAY_NAME_CHARS} characters, without control characters.",
            label=label,
        )
    return composed(label)


def check_distinct(labels: Sequence[str], columns: Sequence[int], verb: str) -> None:
    """Raise UsageError, kind ``duplicate-class``, for a column that is there twice."""
    for position, column in enumerate(columns):
        if column in columns[:position]:
            raise UsageError(
                f"{shown(labels[column])} is named twice to {verb}.",
                kind="duplicate-class",
                hint="name every class once.",
            )


def check_stage(classes: Sequence[str], modules: Sequence[Part]) -> None:
    """Raise UsageError, kind ``bad-verifier``, unless these are two classes or more, with one module for each."""
    names = [str(getattr(module, "ref", module)) for module in modules]
    if len(classes) < 2:
        raise UsageError(
            f"a stage needs at least two classes, between which modules decide; it has {', '.join(classes) or 'none'}.",
            kind="bad-verifier",
            hint="name two or more classes.",
            classes=list(classes),
        )
    if len(modules) != len(classes):
        raise UsageError(
            f"{len(modules)} modules cannot verify {len(classes)} classes ({', '.join(classes)}): "
            f"{', '.join(names) or 'none'}.",
            kind="bad-verifier",
            hint="name one module for each of the classes, in the same order.",
            classes=list(classes),
            modules=names,
        )


def no_such_class(label: str, labels: Sequence[str]) -> NotFound:
    """The error for a class that a classifier lacks."""
    return NotFound(
        f"the classifier has no class {shown(label)}; it has {', '.join(labels) or 'none'}.",
        kind="unknown-class",
        hint=did_you_mean(label, labels),
        label=label,
    )


def label_taken(label: str, module: object) -> Conflict:
    """The error for a label that the class of ``module`` has."""
    ref = str(getattr(module, "ref", module))
    return Conflict(
        f"the classifier has a class {shown(label)} already: {ref}.",
        kind="duplicate-label",
        hint="choose another label, or remove, rename or swap that class.",
        label=label,
        module=ref,
    )


def _check_adapt(adapt: object, size: Sequence[object] | None) -> None:
    if adapt is not None and adapt not in ADAPTS:
        raise UsageError(
            f"adapt is {plain(repr(adapt))}; it may be {', '.join(ADAPTS)} or nothing.",
            kind="bad-adapt",
            hint="resize stretches, crop keeps the middle, letterbox keeps all and fills up with black.",
            adapt=str(adapt),
        )
    if size is None:
        return
    if adapt is None:
        raise UsageError(
            f"the size {plain('x'.join(map(str, size)))} was given without adapt.",
            kind="bad-adapt",
            hint='add adapt="resize", or leave the size out.',
        )
    if len(size) != 2 or not all(isinstance(n, int) and 1 <= n <= MAX_EXTENT for n in size):
        raise UsageError(
            f"the size is {plain(repr(tuple(size)))}; wanted height and width, 1 to {MAX_EXTENT} pixels each.",
            kind="bad-size",
            hint="for example (64, 64).",
        )


def _check_known(what: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(
            f"{what} is {plain(repr(value))}; there is {', '.join(known[:-1])} and {known[-1]}.",
            kind=f"bad-{what}",
            hint=did_you_mean(str(value), known) or f"{known[0]} is exact.",
            **{what: str(value)},
        )


def _check_agree(name: str, parts: Sequence[tuple[str, ClassifierSettings]]) -> None:
    """Raise Conflict for the first of ``parts`` that has another ``name`` than those before it."""
    for what, settings in parts[1:]:
        one, other = getattr(parts[0][1], name), getattr(settings, name)
        if one != other:
            example = other if one == getattr(ClassifierSettings(), name) else one
            raise Conflict(
                f"{parts[0][0]} has {name}={one!r}, and {what} has {name}={other!r}.",
                kind="settings-differ",
                hint=f"say which, for example compose([...], {name}={example!r}).",
                setting=name,
                values=[str(one), str(other)],
            )
