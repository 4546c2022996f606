"""What the commands that use a classifier share: the options that shape it, and composing it from names."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli.project_options import refs
from modhub.composition.recipe import ADAPTS, DTYPES, MODES, VOTINGS, ClassifierSettings, GivenSettings
from modhub.errors import UsageError
from modhub.ops.compose import compose
from modhub.project.project import Project
from modhub.spec.quoting import label_of, labels_of, split_labels

if TYPE_CHECKING:
    from modhub.composition.agreement import Agreement
    from modhub.composition.composite import Composite


@dataclass(frozen=True)
class ComposeOptions:
    """How a classifier differs from the plain vote of what was named; edits happen in the order of the fields.

    Settings that were not ``given`` are what the project says, and without a project the default.
    """

    given: GivenSettings = field(default_factory=GivenSettings)
    swap: tuple[tuple[str, str], ...] = ()
    match: bool = False
    remove: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    restrict: tuple[str, ...] = ()
    verify_with: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()


def composite_of_options(
    refs: Sequence[str], shape: ComposeOptions, *, registry: tuple[str, ...] | None, cache: Path | None
) -> Composite:
    """The classifier of ``refs``, without any that of the project here, in its shape.

    Raises as ``compose``, ``Project.open`` and the operations do.
    """
    if refs:
        return shaped(compose(refs, registry=registry, cache=cache, **vars(shape.given)), shape)
    _check_given_to_project(shape.given)
    settings = settings_asked(refs, shape)
    project = Project.open(registry=registry, cache=cache).compose()
    return shaped(project.in_mode(settings.mode, settings.dtype).in_vote(settings.vote), shape)


def composite_of_lock_file(project: Project, shape: ComposeOptions) -> Composite:
    """What the project has locked, without looking anything up or writing, in its shape.

    Raises NotFound, kind ``no-lock``, and Conflict for a lockfile that is not what the project file asks for.
    """
    _check_given_to_project(shape.given)
    given = replace(shape.given, adapt=None, size=None, reject=None)
    return shaped(project.compose(frozen=True).with_settings(given), shape)


def shaped(composite: Composite, shape: ComposeOptions) -> Composite:
    """``composite`` after the edits of its ``shape``. Raises as the operations do."""
    for label, ref in shape.swap:
        composite = composite.swap(label, ref, match=shape.match)
    for label in shape.remove:
        composite = composite.remove(label)
    for label, name in shape.rename:
        composite = composite.rename(label, name)
    if shape.restrict:
        composite = composite.restrict(shape.restrict)
    for labels, modules in shape.verify_with:
        composite = composite.verify_with({labels: modules})
    return composite


def settings_asked(refs: Sequence[str], shape: ComposeOptions) -> ClassifierSettings:
    """The settings of ``composite_of_options``: those given, over those of the project that no ``refs`` means.

    Raises as ``Project.open``, and UsageError for what cannot be.
    """
    if refs:
        return shape.given.over(ClassifierSettings())
    named = replace(shape.given, adapt=None, size=None, reject=None)
    return named.over(Project.open().file.project.settings)


def agreement_line(agreement: Agreement | str) -> str:
    """One line for how far a classifier agrees with its exact answers, or for why that is not known."""
    return f"agreement with isolated in float32: {agreement}"


def _check_given_to_project(given: GivenSettings) -> None:
    if given.adapt or given.size or given.reject:
        raise UsageError(
            "--adapt, --size and --reject were given without a REF.",
            kind="bad-option",
            hint="a project says these in modhub.toml: adapt, size, reject.",
        )


def shape_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a ``ComposeOptions``, given to the command as ``shape``."""

    @functools.wraps(command)
    def with_shape(**values: Any) -> None:
        shape = {str(option.name): values.pop(str(option.name)) for option in _OPTIONS}
        given = {each.name: shape.pop(each.name) for each in fields(GivenSettings)}
        # A flag that was not set says nothing.
        given["reject"] = given["reject"] or None
        command(shape=ComposeOptions(GivenSettings(**given), **shape), **values)

    # Where click's own decorators collect options, last first; a decorator makes new ones from declarations only.
    collected: list[click.Parameter] = getattr(command, "__click_params__", [])
    with_shape.__click_params__ = [*collected, *reversed(_OPTIONS)]  # type: ignore[attr-defined]
    return with_shape


def pair(text: str, option: str, example: str) -> tuple[str, str]:
    """``LABEL=REF`` as two texts, as they are written. Raises UsageError."""
    label, *values = (part.strip() for part in split_labels(text, "=", 1))
    value = values[0] if values else ""
    if not (label and value):
        raise UsageError(f"{option} is {text!r}.", kind="bad-option", hint=f"for example {option} {example}.")
    return label, value


def labelled_ref(text: str, option: str, example: str) -> tuple[str, str]:
    """``LABEL=REF`` as a label and a name. Raises UsageError."""
    label, ref = pair(text, option, example)
    return label_of(label), ref


def labelled_label(text: str, option: str, example: str) -> tuple[str, str]:
    """``OLD=NEW`` as two labels. Raises UsageError."""
    old, new = pair(text, option, example)
    return label_of(old), label_of(new)


def size_option(text: str) -> tuple[int, int]:
    """``64x64`` as height and width. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match:
        raise UsageError(f"--size is {text!r}.", kind="bad-option", hint="write height and width: --size 64x64.")
    return int(match[1]), int(match[2])


def stage(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``cat,dog=me/two:cat,me/two:dog`` as classes and modules. Raises UsageError."""
    labels, modules = pair(text, "--verify-with", "cat,dog=me/two:cat,me/two:dog")
    return tuple(labels_of(labels)), tuple(refs(modules))


def _each(read: Callable[[str], Any]) -> Callable[..., Any]:
    return lambda ctx, parameter, values: tuple(read(value) for value in values)


_OPTIONS: Sequence[click.Option] = (
    click.Option(
        ["--adapt"],
        type=click.Choice(ADAPTS),
        help="Let modules of other sizes, colours or value ranges see the images through adapters.",
    ),
    click.Option(
        ["--size"],
        metavar="HxW",
        callback=lambda ctx, parameter, value: None if value is None else size_option(value),
        help="With --adapt: the images' height and width.  [default: the largest that a module takes]",
    ),
    click.Option(
        ["--swap"],
        multiple=True,
        metavar="LABEL=REF",
        callback=_each(lambda text: labelled_ref(text, "--swap", "cat=cifar10/r20:cat")),
        help="Put another module in the place of a class; repeatable, as --remove and those below.",
    ),
    click.Option(
        ["--match"],
        is_flag=True,
        help="Put what --swap puts in on the scale of what goes, where the vote does not: raw, or old releases.",
    ),
    click.Option(["--remove"], multiple=True, metavar="LABEL", callback=_each(label_of), help="Leave a class out."),
    click.Option(
        ["--rename"],
        multiple=True,
        metavar="OLD=NEW",
        callback=_each(lambda text: labelled_label(text, "--rename", "cat=pet")),
        help="Give a class another label.",
    ),
    click.Option(
        ["--restrict"],
        multiple=True,
        metavar="LABEL",
        callback=_each(label_of),
        help="Keep these classes only, in this order.",
    ),
    click.Option(
        ["--verify-with"],
        multiple=True,
        metavar="LABEL,..=REF,..",
        callback=_each(stage),
        help="Where one of these classes wins, let these modules decide between them again.",
    ),
    click.Option(
        ["--mode"],
        type=click.Choice(MODES),
        help="How modules of one network run: each under its own masks, all at once (faster, an approximation), or "
        "that only where their release records 99.9 % equal labels.  [default: isolated, or what modhub.toml says]",
    ),
    click.Option(
        ["--dtype"],
        type=click.Choice(DTYPES),
        help="What networks compute in.  [default: float32, or what modhub.toml says]",
    ),
    click.Option(
        ["--vote"],
        type=click.Choice(VOTINGS),
        help="Whether modules of several networks vote on one scale, or with their margins as they are, as in the "
        "paper.  [default: scaled, or what modhub.toml says]",
    ),
    click.Option(["--reject"], is_flag=True, help='It may answer "none of these", where no module is positive.'),
)
