"""Operations on plans, by label: each gives a new plan and leaves the old one as it was. Pure.

What an operation does to classes and stages is the recipe's to say; here labels become columns, and the result is
checked as any plan is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from modhub.composition.plan import Plan, make_plan
from modhub.composition.recipe import MarginScale, Stage, matched_by_name
from modhub.composition.scales import MATCHED
from modhub.errors import UsageError, shown
from modhub.package.decomposition import with_digests
from modhub.package.module import Head, Module
from modhub.spec.manifest import Derivation


def added(plan: Plan, classes: Iterable[tuple[str, Module]], stages: Iterable[Stage[Module]] = ()) -> Plan:
    """The plan with further classes after the others, and with stages whose columns count in those."""
    return make_plan(plan.recipe.added(classes, stages))


def removed(plan: Plan, label: str) -> Plan:
    """The plan without one class. Raises NotFound, and UsageError when nothing would be left."""
    column = plan.column(label)
    if len(plan.labels) == 1:
        raise UsageError(
            f"{label!r} is the composite's only class; nothing would be left.",
            kind="empty",
            hint="add another class first.",
        )
    return make_plan(plan.recipe.without([column]))


def restricted(plan: Plan, labels: Sequence[str]) -> Plan:
    """The plan with these classes only, in this order. Raises NotFound, and UsageError for none or one named twice."""
    return make_plan(plan.recipe.restricted(_columns(plan, labels)))


def swapped(plan: Plan, label: str, module: Module) -> Plan:
    """The plan with ``module`` in the place of one class, which keeps its label. Raises NotFound, Incompatible.

    Where other classes share that label, it goes on as its module's full name; swapping back restores every label.
    """
    return make_plan(plan.recipe.swapped({plan.column(label): module}))


def on_scale_of(module: Module, old: Module) -> Module:
    """``module`` with its margins on the scale of ``old``, by the threshold and Platt scale that both carry."""
    return on_scale(module, MarginScale(old.threshold, old.scale), against=(old.digest,))


def on_scale(module: Module, wanted: MarginScale, against: tuple[str, ...] = ()) -> Module:
    """``module`` with its margins on another scale; ``against``: digests of the modules that have it.

    Two networks' margins need not be comparable. ``sigmoid(scale (m - threshold))`` is a probability in both, so the
    margin that means the same there is ``(scale / wanted.scale) (m - threshold) + wanted.threshold``: another head, the
    same masks. The answers of the module alone stay; in a vote it counts as the module that it replaces.
    """
    factor = np.float32(module.scale / wanted.scale)
    kernel, bias = module.head.kernel * factor, module.head.bias * factor
    bias[0] += np.float32(wanted.threshold - module.scale / wanted.scale * module.threshold)
    lineage = Derivation(module=module.ref, digest=module.digest, strategy=MATCHED, against=against)
    head = Head(kernel.astype(np.float32), bias.astype(np.float32))
    (made,) = with_digests(
        [
            replace(
                module,
                head=head,
                threshold=wanted.threshold,
                scale=wanted.scale,
                derived_from=(*module.derived_from, lineage),
                pin=None,
            )
        ]
    )
    return made


def renamed(plan: Plan, label: str, name: str) -> Plan:
    """The plan with another label for one class. Raises NotFound, and Conflict when another class has it."""
    return make_plan(plan.recipe.renamed({plan.column(label): name}))


def verified(plan: Plan, labels: Sequence[str], modules: Sequence[Module]) -> Plan:
    """The plan in which ``modules`` decide again whenever one of ``labels`` has won.

    Modules go to the labels of the same name or slug when all do, else to them in order. Raises NotFound, UsageError.
    """
    columns = _columns(plan, labels)
    wanted = [(plan.labels[column], plan.modules[column].name) for column in columns]
    in_order = matched_by_name(wanted, modules, lambda module: (module.slug, module.name))
    return make_plan(plan.recipe.verified(columns, in_order))


def _columns(plan: Plan, labels: Sequence[str]) -> list[int]:
    if isinstance(labels, str):
        raise UsageError(f"a list of classes is needed, not the one name {shown(labels)}.", kind="bad-classes")
    return [plan.column(label) for label in labels]
