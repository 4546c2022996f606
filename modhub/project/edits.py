"""Edits of a project file's values, by label: what the recipe's operations do, and the short names that go with it.

Pure: a ProjectFile in, another one out. ``rewriting`` changes the user's text to the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modhub.composition.recipe import check_label
from modhub.errors import Conflict, NotFound, shown
from modhub.project.manifest import ProjectFile, ScaleTable
from modhub.spec.quoting import quoted_label
from modhub.spec.text import find_class


def with_classes(file: ProjectFile, refs: Mapping[str, str]) -> ProjectFile:
    """With further classes, after the others: labels with their modules. Raises Conflict for a label that is there."""
    refs = {check_label(label): ref for label, ref in refs.items()}
    for label in refs:
        if (same := find_class(label, file.classes)) is not None:
            raise duplicate_label(same, file.classes[same])
    return file.changed(file.recipe.added(refs.items()))


def with_models(file: ProjectFile, models: Mapping[str, str]) -> ProjectFile:
    """With further short names; those that are there stay as they are."""
    return file.changed(
        file.recipe, models={**file.models, **{k: v for k, v in models.items() if k not in file.models}}
    )


def with_registries(file: ProjectFile, urls: Sequence[str]) -> ProjectFile:
    """With further registries, after the others."""
    return file.changed(file.recipe, registries=tuple(dict.fromkeys([*file.project.registries, *urls])))


def with_modules(
    file: ProjectFile, refs: Mapping[str, str], scales: Mapping[str, ScaleTable] | None = None
) -> ProjectFile:
    """With other modules for some classes, by label, and their margins on ``scales``. Raises NotFound."""
    recipe = file.recipe
    swapped = recipe.swapped({recipe.column(label): ref for label, ref in refs.items()})
    given = {recipe.labels[recipe.column(label)]: scale for label, scale in (scales or {}).items()}
    return file.changed(swapped, scales=given)


def with_labels(file: ProjectFile, names: Mapping[str, str]) -> ProjectFile:
    """With other labels for classes: old to new, all at once. Raises NotFound, and Conflict for one that is taken."""
    recipe = file.recipe
    renamed = recipe.renamed({recipe.column(old): new for old, new in names.items()})
    new = dict(zip(recipe.labels, renamed.labels, strict=True))
    return file.changed(renamed, scales={new[label]: scale for label, scale in file.scales.items()})


def without_classes(file: ProjectFile, labels: Sequence[str]) -> ProjectFile:
    """Without some classes, and without short names that nothing uses any more. Raises NotFound."""
    return _without_unused_models(file, file.changed(file.recipe.without(file.recipe.columns(labels))))


def with_only(file: ProjectFile, labels: Sequence[str]) -> ProjectFile:
    """With these classes only, in this order; as for ``without_classes`` else. Raises NotFound, UsageError."""
    return _without_unused_models(file, file.changed(file.recipe.restricted(file.recipe.columns(labels))))


def with_stage(file: ProjectFile, classes: Sequence[str], modules: Sequence[str]) -> ProjectFile:
    """With a further verifying stage, after the others. Raises NotFound, UsageError."""
    return file.changed(file.recipe.verified(file.recipe.columns(classes), modules))


def without_stage(file: ProjectFile, classes: Sequence[str]) -> ProjectFile:
    """Without the verifying stages of exactly these classes, in any order. Raises NotFound when there is none."""
    stages = file.recipe.named_stages()
    wanted = {find_class(label, file.classes) for label in classes}
    if not any(set(labels) == wanted for labels, _ in stages):
        there = "; ".join(",".join(labels) for labels, _ in stages)
        raise NotFound(
            f"no stage verifies {', '.join(classes)}.",
            kind="no-stage",
            hint=f"there is one for {there}." if there else "the project verifies no classes.",
            classes=list(classes),
        )
    return _without_unused_models(file, file.changed(file.recipe.unverified(file.recipe.columns(classes))))


def duplicate_label(label: str, ref: str) -> Conflict:
    """The error for a class to add whose label is taken by ``ref``."""
    return Conflict(
        f"the project has a class {shown(label)} already: {ref}.",
        kind="duplicate-label",
        hint="give the new one another label (--as LABEL), or put it in its place: "
        f"modhub swap {quoted_label(label)}=REF.",
        label=label,
    )


def _without_unused_models(before: ProjectFile, file: ProjectFile) -> ProjectFile:
    """Without the short names that ``before`` used and nothing does any more."""
    gone = _used_models(before) - _used_models(file)
    return file.changed(file.recipe, models={name: to for name, to in file.models.items() if name not in gone})


def _used_models(file: ProjectFile) -> set[str]:
    used: set[str] = set()
    for ref in file.recipe.every_module:
        base = ref.partition("@")[0].partition(":")[0].strip()
        while base in file.models and base not in used:
            used.add(base)
            base = file.models[base].partition("@")[0].strip()
    return used
