"""The plan of a composite: which modules, under which labels, grouped by origin. Pure, frozen, printable.

A label is a class's display name. Where two members would carry the same label, both get their full name instead
(``cifar10/r56:cat`` and ``cifar100/r20:cat``), never a silent merge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modhub.compat import check_same_input
from modhub.errors import Conflict, NotFound, UsageError, did_you_mean
from modhub.module import Module


@dataclass(frozen=True)
class Member:
    """One module in a composite. ``own_label`` was chosen, or kept by a swap; None means its class's name."""

    module: Module
    own_label: str | None = None


@dataclass(frozen=True)
class Plan:
    """Members in column order, with their labels."""

    members: tuple[Member, ...]
    labels: tuple[str, ...]

    @property
    def modules(self) -> tuple[Module, ...]:
        return tuple(member.module for member in self.members)

    def groups(self) -> list[list[int]]:
        """Columns of the members, those of one origin together, in order of first appearance."""
        found: dict[str, list[int]] = {}
        for column, module in enumerate(self.modules):
            found.setdefault(module.origin.fingerprint, []).append(column)
        return list(found.values())

    def column(self, label: str) -> int:
        """The column of ``label``; also found by slug or full name when that names one member. Raises NotFound."""
        if label in self.labels:
            return self.labels.index(label)
        found = [
            column
            for column, module in enumerate(self.modules)
            if label in (module.slug, module.ref, module.ref.partition("@")[0])
        ]
        if len(found) == 1:
            return found[0]
        raise NotFound(
            f"the composite has no class {label!r}; it has {', '.join(self.labels)}.",
            kind="unknown-class",
            hint=did_you_mean(label, self.labels),
            label=label,
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values."""
        contract = self.modules[0].origin.contract
        return {
            "input": {
                "height": contract.height,
                "width": contract.width,
                "channels": contract.channels,
                "value_range": list(contract.value_range),
                "colour": contract.colour,
            },
            "trunks": len(self.groups()),
            "members": [
                {"label": label, "module": module.ref, "class": module.name, "digest": module.digest}
                for label, module in zip(self.labels, self.modules, strict=True)
            ],
        }

    def __str__(self) -> str:
        width = max(len(label) for label in self.labels)
        contract = self.modules[0].origin.contract
        low, high = contract.value_range
        lines = [
            f"{len(self.members)} classes on {len(self.groups())} trunk(s); "
            f"input {contract.height}x{contract.width}x{contract.channels} {contract.colour}, {low:g}..{high:g}"
        ]
        lines += [f"  {label:<{width}}  {m.ref}" for label, m in zip(self.labels, self.modules, strict=True)]
        return "\n".join(lines)


def make_plan(members: Iterable[Member]) -> Plan:
    """Check that the members can work together and label them.

    Raises UsageError for an empty list, Conflict for a module named twice, Incompatible for inputs that differ.
    """
    chosen = tuple(members)
    if not chosen:
        raise UsageError(
            "no modules were given.",
            kind="empty",
            hint='name at least one, for example compose(["c10:cat", "c100:apple"]).',
        )
    first = chosen[0].module
    for member in chosen[1:]:
        check_same_input(first.ref, first.origin.contract, member.module.ref, member.module.origin.contract)
    _check_distinct(chosen)
    return Plan(chosen, _labels(chosen))


def _check_distinct(members: Sequence[Member]) -> None:
    seen: dict[tuple[str, str, int], str] = {}
    for member in members:
        module = member.module
        key = (module.origin.fingerprint, module.digest, module.index)
        if key in seen:
            raise Conflict(
                f"{module.ref} is named twice" + ("." if seen[key] == module.ref else f", once as {seen[key]}."),
                kind="duplicate-module",
                hint="name every module once.",
                module=module.ref,
            )
        seen[key] = module.ref


def _labels(members: Sequence[Member]) -> tuple[str, ...]:
    wanted = [member.own_label or member.module.name for member in members]
    for name in (lambda m: m.ref.partition("@")[0], lambda m: m.ref, lambda m: f"{m.ref} {m.digest[7:19]}"):
        twice = {label for label, count in Counter(wanted).items() if count > 1}
        wanted = [
            name(member.module) if label in twice else label for label, member in zip(wanted, members, strict=True)
        ]
    return tuple(wanted)


def added(plan: Plan, members: Iterable[Member]) -> Plan:
    """The plan with further members behind the others."""
    return make_plan([*plan.members, *members])


def removed(plan: Plan, label: str) -> Plan:
    """The plan without one class. Raises NotFound, and UsageError when nothing would be left."""
    column = plan.column(label)
    if len(plan.members) == 1:
        raise UsageError(
            f"{label!r} is the composite's only class; nothing would be left.",
            kind="empty",
            hint="add another class first.",
        )
    return make_plan([member for other, member in enumerate(plan.members) if other != column])


def swapped(plan: Plan, label: str, module: Module) -> Plan:
    """The plan with ``module`` in the place of one class, which keeps its label. Raises NotFound, Incompatible.

    Where other members share that label, it goes on as its module's full name; swapping back restores every label.
    """
    column = plan.column(label)
    old = plan.members[column]
    own = old.own_label or old.module.name
    members = list(plan.members)
    members[column] = Member(module, own if own != module.name else None)
    return make_plan(members)
