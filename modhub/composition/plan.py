"""The plan of a composite: which modules, under which labels, through which adapters. Pure, frozen, printable.

A label is a class's display name. Where two members would carry the same label, both get their full name instead
(``cifar10/r56:cat`` and ``cifar100/r20:cat``), never a silent merge. The operations on plans are in ``operations``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from modhub.composition.adapters import Adapt, Adapter, adapter_between, check_adapt, joint_contract
from modhub.composition.modes import Dtype, Mode, RunMode, check_dtype, check_mode, way_of
from modhub.errors import Conflict, NotFound, UsageError, did_you_mean
from modhub.package.module import Module
from modhub.spec.contract import check_same_input, range_text, size_text
from modhub.spec.manifest import InputContract
from modhub.spec.text import find_class


@dataclass(frozen=True)
class Member:
    """One module in a composite. ``own_label`` was chosen, or kept by a swap; None means its class's name."""

    module: Module
    own_label: str | None = None


@dataclass(frozen=True)
class Verifier:
    """When one of the members in ``columns`` wins, ``modules`` decide between these again; one module a column.

    The paper's fourth option for a faulty class (section 2, Figure 1).
    """

    columns: tuple[int, ...]
    modules: tuple[Module, ...]


@dataclass(frozen=True)
class Plan:
    """Members in column order, with their labels; ``verifiers`` decide again, one after the other.

    ``adapt`` names how images are made to fit modules that take others; None means that all take the same. ``mode`` and
    ``dtype`` say how trunks run, see ``modes``.
    """

    members: tuple[Member, ...]
    labels: tuple[str, ...]
    adapt: Adapt | None = None
    size: tuple[int, int] | None = None
    verifiers: tuple[Verifier, ...] = ()
    mode: Mode = "isolated"
    dtype: Dtype = "float32"

    @property
    def modules(self) -> tuple[Module, ...]:
        return tuple(member.module for member in self.members)

    @cached_property
    def recognisers(self) -> tuple[Module, ...]:
        """All modules that run: the members', then the verifiers' in order."""
        return self.modules + tuple(module for verifier in self.verifiers for module in verifier.modules)

    @cached_property
    def contract(self) -> InputContract:
        """The raw images that the composite takes."""
        contracts = [module.origin.contract for module in self.recognisers]
        return contracts[0] if self.adapt is None else joint_contract(contracts, self.size)

    @cached_property
    def _adapters(self) -> dict[str, Adapter | None]:
        if self.adapt is None:
            return {}
        return {
            module.origin.fingerprint: adapter_between(
                self.contract, module.origin.contract, self.adapt, what=module.ref
            )
            for module in {module.origin.fingerprint: module for module in self.recognisers}.values()
        }

    def adapter(self, module: Module) -> Adapter | None:
        """What makes the composite's images fit ``module``; None when they fit as they are."""
        return self._adapters.get(module.origin.fingerprint)

    def groups(self) -> list[list[int]]:
        """Positions of the recognisers, those of one origin together, in order of first appearance."""
        found: dict[str, list[int]] = {}
        for position, module in enumerate(self.recognisers):
            found.setdefault(module.origin.fingerprint, []).append(position)
        return list(found.values())

    @cached_property
    def ways(self) -> tuple[RunMode, ...]:
        """How each of ``groups`` runs."""
        return tuple(way_of(self.mode, [self.recognisers[position] for position in group]) for group in self.groups())

    @property
    def is_exact(self) -> bool:
        """Whether every module answers as it does alone, to float32's rounding."""
        same = all(
            len({self.recognisers[position].keep.key() for position in group}) == 1
            for group, way in zip(self.groups(), self.ways, strict=True)
            if way.fused
        )
        return same and self.dtype == "float32"

    def running(self) -> list[str]:
        """How trunks run, a line each; nothing where all run isolated in float32 because that is the default."""
        lines = [] if self.mode == "isolated" else [str(way) for way in self.ways]
        return lines + ([] if self.dtype == "float32" else [f"trunks in {self.dtype}, heads in float32"])

    def column(self, label: str) -> int:
        """The column of ``label``; also found by slug or full name when that names one member. Raises NotFound."""
        if (same := find_class(label, self.labels)) is not None:
            return self.labels.index(same)
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
        contract = self.contract
        return {
            "input": {
                "height": contract.height,
                "width": contract.width,
                "channels": contract.channels,
                "value_range": list(contract.value_range),
                "colour": contract.colour,
            },
            "adapt": self.adapt,
            "trunks": len(self.groups()),
            "mode": self.mode,
            "dtype": self.dtype,
            "ways": [{"releases": list(w.releases), "fused": w.fused, "why": w.why} for w in self.ways],
            "members": [
                {"label": label, **self._described(module)}
                for label, module in zip(self.labels, self.modules, strict=True)
            ],
            "verifiers": [
                {
                    "classes": [self.labels[column] for column in verifier.columns],
                    "modules": [self._described(module) for module in verifier.modules],
                }
                for verifier in self.verifiers
            ],
        }

    def _described(self, module: Module) -> dict[str, Any]:
        adapter = self.adapter(module)
        return {
            "module": module.ref,
            "class": module.name,
            "digest": module.digest,
            "adapter": None if adapter is None else {"steps": list(adapter.steps), "costs": list(adapter.costs)},
        }

    @property
    def summary(self) -> str:
        """One line: how many classes on how many networks, and what images they take."""
        contract = self.contract
        return (
            f"{len(self.members)} classes on {len(self.groups())} trunk(s); "
            f"input {size_text(contract)} {contract.colour}, {range_text(contract)}"
        )

    def adapted(self) -> list[tuple[str, str]]:
        """For each origin that needs an adapter: its modules' labels, and what the adapter does and costs."""
        found = []
        for positions in self.groups():
            adapter = self.adapter(self.recognisers[positions[0]])
            if adapter is not None:
                names = [self.recogniser_name(position) for position in positions]
                more = f" and {len(names) - 3} more" if len(names) > 4 else ""
                found.append((", ".join(names[:3] if more else names) + more, str(adapter)))
        return found

    def recogniser_name(self, position: int) -> str:
        """A member's label; a verifier's full name."""
        return self.labels[position] if position < len(self.labels) else self.recognisers[position].ref

    def stages(self) -> list[tuple[str, str]]:
        """For each verifier: the classes between which it decides, and its modules."""
        return [
            (
                " | ".join(self.labels[column] for column in verifier.columns),
                ", ".join(module.ref for module in verifier.modules),
            )
            for verifier in self.verifiers
        ]

    def __str__(self) -> str:
        width = max(len(label) for label in self.labels)
        lines = [self.summary]
        lines += [f"  {label:<{width}}  {m.ref}" for label, m in zip(self.labels, self.modules, strict=True)]
        lines += [f"adapter of {names}: {text}" for names, text in self.adapted()]
        lines += [f"between {classes} decide again: {modules}" for classes, modules in self.stages()]
        lines += self.running()
        return "\n".join(lines)


def make_plan(
    members: Iterable[Member],
    *,
    adapt: str | None = None,
    size: tuple[int, int] | None = None,
    verifiers: Sequence[Verifier] = (),
    mode: str = "isolated",
    dtype: str = "float32",
) -> Plan:
    """Check that the members can work together and label them.

    Raises UsageError for an empty list, Conflict for a module named twice, and Incompatible for inputs that differ,
    unless ``adapt`` (``resize``, ``crop`` or ``letterbox``) lets every module see the images through an adapter.
    ``size`` is the height and width of the composite's images then, by default the largest that a module takes.
    """
    chosen = tuple(members)
    how, run_in, compute_in = check_adapt(adapt, size), check_mode(mode), check_dtype(dtype)
    if not chosen:
        raise UsageError(
            "no modules were given.",
            kind="empty",
            hint='name at least one, for example compose(["c10:cat", "c100:apple"]).',
        )
    shown_size = size and (size[0], size[1])
    plan = Plan(chosen, _labels(chosen), how, shown_size, tuple(verifiers), run_in, compute_in)
    if how is None:
        first = chosen[0].module
        for module in plan.recognisers[1:]:
            check_same_input(first.ref, first.origin.contract, module.ref, module.origin.contract)
    else:
        for module in plan.recognisers:
            plan.adapter(module)
    _check_distinct(chosen)
    return plan


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
