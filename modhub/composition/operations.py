"""Operations on plans: each gives a new plan and leaves the old one as it was. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from modhub.composition.plan import Member, Plan, Verifier, make_plan
from modhub.errors import Conflict, UsageError, shown
from modhub.limits import MAX_DISPLAY_NAME_CHARS
from modhub.package.decomposition import with_digests
from modhub.package.module import Head, Module
from modhub.spec.manifest import Derivation
from modhub.spec.schema import TEXT_PATTERN
from modhub.spec.text import composed


def added(plan: Plan, members: Iterable[Member], verifiers: Iterable[Verifier] = ()) -> Plan:
    """The plan with further members behind the others, and with verifiers whose columns count in those members."""
    shift = len(plan.members)
    moved = [replace(verifier, columns=tuple(shift + column for column in verifier.columns)) for verifier in verifiers]
    return _made(plan, [*plan.members, *members], [*plan.verifiers, *moved])


def removed(plan: Plan, label: str) -> Plan:
    """The plan without one class. Raises NotFound, and UsageError when nothing would be left."""
    column = plan.column(label)
    if len(plan.members) == 1:
        raise UsageError(
            f"{label!r} is the composite's only class; nothing would be left.",
            kind="empty",
            hint="add another class first.",
        )
    return _selected(plan, [other for other in range(len(plan.members)) if other != column])


def restricted(plan: Plan, labels: Sequence[str]) -> Plan:
    """The plan with these classes only, in this order. Raises NotFound, and UsageError for none or one named twice."""
    columns = _distinct_columns(plan, labels, "restrict")
    if not columns:
        raise UsageError("no class was named to keep.", kind="empty", hint="name at least one.")
    return _selected(plan, columns)


def swapped(plan: Plan, label: str, module: Module) -> Plan:
    """The plan with ``module`` in the place of one class, which keeps its label. Raises NotFound, Incompatible.

    Where other members share that label, it goes on as its module's full name; swapping back restores every label.
    """
    column = plan.column(label)
    old = plan.members[column]
    return _relabelled(plan, column, module, old.own_label or old.module.name)


def on_scale_of(module: Module, old: Module) -> Module:
    """``module`` with its margins on the scale of ``old``, by the threshold and Platt scale that both carry.

    Two networks' margins need not be comparable. ``sigmoid(scale (m - threshold))`` is a probability in both, so the
    margin that means the same to ``old`` is ``(scale / scale_old) (m - threshold) + threshold_old``: another head, the
    same masks. The answers of the module alone stay; in a vote it counts as the one in whose place it stands.
    """
    factor = np.float32(module.scale / old.scale)
    kernel, bias = module.head.kernel * factor, module.head.bias * factor
    bias[0] += np.float32(old.threshold - module.scale / old.scale * module.threshold)
    lineage = Derivation(module=module.ref, digest=module.digest, strategy="match", against=(old.digest,))
    head = Head(kernel.astype(np.float32), bias.astype(np.float32))
    (made,) = with_digests(
        [
            replace(
                module,
                head=head,
                threshold=old.threshold,
                scale=old.scale,
                derived_from=(*module.derived_from, lineage),
            )
        ]
    )
    return made


def renamed(plan: Plan, label: str, name: str) -> Plan:
    """The plan with another label for one class. Raises NotFound, and Conflict when another class has it."""
    column, name = plan.column(label), composed(name)
    if not name.strip() or len(name) > MAX_DISPLAY_NAME_CHARS or not re.match(TEXT_PATTERN, name):
        raise UsageError(
            f"{shown(name)} cannot be a label.",
            kind="bad-label",
            hint=f"use 1 to {MAX_DISPLAY_NAME_CHARS} characters, without control characters.",
            label=name,
        )
    others = [member for other, member in enumerate(plan.members) if other != column]
    if same := [member.module.ref for member in others if composed(member.own_label or member.module.name) == name]:
        raise Conflict(
            f"the composite has a class {name!r} already: {', '.join(same)}.",
            kind="duplicate-label",
            hint="choose another label, or remove or rename that class first.",
            label=name,
            modules=same,
        )
    return _relabelled(plan, column, plan.members[column].module, name)


def verified(plan: Plan, labels: Sequence[str], modules: Sequence[Module]) -> Plan:
    """The plan in which ``modules`` decide again whenever one of ``labels`` has won.

    Modules go to the labels of the same name or slug when all do, else to them in order. Raises NotFound, UsageError.
    """
    columns = _distinct_columns(plan, labels, "verify")
    names = [plan.labels[column] for column in columns]
    if len(columns) < 2:
        raise UsageError(
            f"{len(columns)} class was named to verify{': ' + names[0] if names else ''}.",
            kind="bad-verifier",
            hint="name at least two, between which the modules decide.",
            classes=names,
        )
    if len(modules) != len(columns):
        raise UsageError(
            f"{len(modules)} modules cannot verify {len(columns)} classes ({', '.join(names)}): "
            f"{', '.join(module.ref for module in modules) or 'none'}.",
            kind="bad-verifier",
            hint="name one module for each of the classes.",
            classes=names,
            modules=[module.ref for module in modules],
        )
    stage = Verifier(tuple(columns), _by_name(plan, columns, modules))
    return _made(plan, plan.members, [*plan.verifiers, stage])


def _by_name(plan: Plan, columns: Sequence[int], modules: Sequence[Module]) -> tuple[Module, ...]:
    by_name: Mapping[str, Module] = {name: module for module in modules for name in (module.slug, module.name)}
    found = [by_name.get(plan.labels[column]) or by_name.get(plan.modules[column].name) for column in columns]
    matched = [module for module in found if module is not None]
    if len({id(module) for module in matched}) == len(modules):
        return tuple(matched)
    return tuple(modules)


def _distinct_columns(plan: Plan, labels: Sequence[str], verb: str) -> list[int]:
    if isinstance(labels, str):
        raise UsageError(f"a list of classes is needed, not the one name {labels!r}.", kind="bad-classes")
    columns = [plan.column(label) for label in labels]
    for position, column in enumerate(columns):
        if column in columns[:position]:
            raise UsageError(
                f"{plan.labels[column]!r} is named twice to {verb}.", kind="duplicate-class", hint="name it once."
            )
    return columns


def _selected(plan: Plan, columns: Sequence[int]) -> Plan:
    """The members in ``columns``, in that order; verifiers decide among what is left, and go when that is one class."""
    place = {column: position for position, column in enumerate(columns)}
    verifiers = []
    for verifier in plan.verifiers:
        kept = [
            (place[column], module)
            for column, module in zip(verifier.columns, verifier.modules, strict=True)
            if column in place
        ]
        if len(kept) > 1:
            verifiers.append(Verifier(tuple(at for at, _ in kept), tuple(module for _, module in kept)))
    return _made(plan, [plan.members[column] for column in columns], verifiers)


def _relabelled(plan: Plan, column: int, module: Module, label: str) -> Plan:
    members = list(plan.members)
    members[column] = Member(module, label if label != module.name else None)
    return _made(plan, members, plan.verifiers)


def _made(plan: Plan, members: Iterable[Member], verifiers: Sequence[Verifier]) -> Plan:
    return make_plan(members, adapt=plan.adapt, size=plan.size, verifiers=verifiers, mode=plan.mode, dtype=plan.dtype)
