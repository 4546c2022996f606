"""The plan of a composite: which modules, under which labels, through which adapters. Pure, frozen, printable.

A label is a class's display name. Where two members would carry the same label, both get their full name instead
(``cifar10/r56:cat`` and ``cifar100/r20:cat``), never a silent merge. The operations on plans are in ``operations``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.adapters import Adapter, adapter_between, image_contract, joint_contract
from modhub.composition.modes import RunMode, way_of
from modhub.composition.recipe import ClassifierSettings, Recipe, no_such_class
from modhub.composition.scales import Counting, counting_of
from modhub.composition.votes import Prediction, check_margins, decided
from modhub.errors import Conflict, UsageError
from modhub.package.module import Module
from modhub.spec.contract import check_same_input, input_text, range_text
from modhub.spec.html import HtmlTable, as_html
from modhub.spec.input_contract import ArrayContract, InputContract
from modhub.spec.text import find_class, in_short

#: Adapters, stages and the like that a notebook shows.
_MOST_FIELDS: Final = 20


@dataclass(frozen=True)
class Plan:
    """A recipe of modules that can work together. ``labels`` are distinct, columns in their order."""

    recipe: Recipe[Module]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The recipe's; where several are equal, the full names of their modules."""
        return _distinct_labels(self.recipe)

    @property
    def modules(self) -> tuple[Module, ...]:
        return self.recipe.modules

    @property
    def settings(self) -> ClassifierSettings:
        return self.recipe.settings

    @cached_property
    def recognisers(self) -> tuple[Module, ...]:
        """All modules that run: the classes', then the stages' in order."""
        return self.recipe.every_module

    @cached_property
    def contract(self) -> InputContract:
        """The raw images, or arrays, that the composite takes."""
        contracts = [module.origin.contract for module in self.recognisers]
        settings = self.settings
        return contracts[0] if settings.adapt is None else joint_contract(contracts, settings.size)

    @cached_property
    def _adapters(self) -> dict[str, Adapter | None]:
        adapt = self.settings.adapt
        if adapt is None:
            return {}
        return {
            module.origin.fingerprint: adapter_between(self.contract, module.origin.contract, adapt, what=module.ref)
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
        return tuple(
            way_of(self.settings.mode, [self.recognisers[position] for position in group]) for group in self.groups()
        )

    @cached_property
    def counting(self) -> Counting:
        """How the margins of ``modules`` count in the vote."""
        return counting_of(self.modules, self.settings.vote)

    @cached_property
    def divisors(self) -> tuple[float, ...]:
        """What the margins of ``recognisers`` are divided by before they vote: the classes', then each stage's."""
        stages = (counting_of(stage.modules, self.settings.vote) for stage in self.recipe.stages)
        return tuple(divisor for each in (self.counting, *stages) for divisor in each.divisors)

    @property
    def is_exact(self) -> bool:
        """Whether every module answers as it does alone, to float32's rounding."""
        same = all(
            len({self.recognisers[position].keep.key() for position in group}) == 1
            for group, way in zip(self.groups(), self.ways, strict=True)
            if way.fused
        )
        return same and self.settings.dtype == "float32"

    def running(self) -> list[str]:
        """How trunks run, a line each; nothing where all run isolated in float32 because that is the default."""
        mode, dtype = self.settings.mode, self.settings.dtype
        lines = [] if mode == "isolated" else [str(way) for way in self.ways]
        return lines + ([] if dtype == "float32" else [f"trunks in {dtype}, heads in float32"])

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
        raise no_such_class(label, self.labels)

    def prediction(self, margins: NDArray[np.float32]) -> Prediction:
        """What margins of all ``recognisers``, float32 (N, recognisers), come to when stages and votes have decided.

        Raises UnsupportedModel, kind ``not-finite``, naming a module that answers NaN or infinity.
        """
        counted, verifying = self.counted(margins)
        return Prediction(
            classes=self.labels,
            margins=decided(counted, verifying, [stage.columns for stage in self.recipe.stages]),
            module_margins=margins[:, : len(self.modules)],
            thresholds=np.array([module.threshold for module in self.modules]),
            scales=np.array([module.scale for module in self.modules]),
            temperature=self.counting.temperature,
            reject=self.settings.reject,
        )

    def counted(self, margins: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Margins of all ``recognisers``, float32 (N, recognisers), as they count: the classes', and the stages'.

        Raises as ``prediction`` does.
        """
        check_margins(margins, self.recognisers)
        divisors = np.array(self.divisors)
        if (divisors != 1).any():
            margins = (margins / divisors).astype(np.float32)
            check_margins(margins, self.recognisers)
        return margins[:, : len(self.modules)], margins[:, len(self.modules) :]

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "input": _input_fields(self.contract),
            "adapt": self.settings.adapt,
            "trunks": len(self.groups()),
            "mode": self.settings.mode,
            "dtype": self.settings.dtype,
            "vote": self.settings.vote,
            "counting": self.counting.to_dict(),
            "ways": [{"releases": list(w.releases), "fused": w.fused, "why": w.why} for w in self.ways],
            "members": [
                {"label": label, **self._described(module)}
                for label, module in zip(self.labels, self.modules, strict=True)
            ],
            "verifiers": [
                {
                    "classes": [self.labels[column] for column in stage.columns],
                    "modules": [self._described(module) for module in stage.modules],
                }
                for stage in self.recipe.stages
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
        """One line: how many classes on how many networks, and what they take."""
        contract = self.contract
        return (
            f"{len(self.labels)} classes on {len(self.groups())} trunk(s); "
            f"input {input_text(contract)}, {range_text(contract)}"
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
                " | ".join(self.labels[column] for column in stage.columns),
                ", ".join(module.ref for module in stage.modules),
            )
            for stage in self.recipe.stages
        ]

    def __repr__(self) -> str:
        return f"<Plan of {self.summary}: {in_short(self.labels)}>"

    def _repr_html_(self) -> str:
        return self.html("Plan")

    def html(self, title: str) -> str:
        """For notebooks: what runs, and which module is behind which label."""
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.unusual().items())
        fields = [("classes", self.summary), *([("settings", settings)] if settings else [])]
        fields += [("vote", text) for text in self.counting.remarks]
        fields += [("running", text) for text in self.running()]
        fields += [(f"adapter of {names}", text) for names, text in self.adapted()]
        fields += [(f"between {classes}", f"decide again: {modules}") for classes, modules in self.stages()]
        rows = ([label, module.ref] for label, module in zip(self.labels, self.modules, strict=True))
        return as_html(title, fields[:_MOST_FIELDS], [HtmlTable(["label", "module"], rows, len(self.labels), texts=2)])

    def __str__(self) -> str:
        width = max(len(label) for label in self.labels)
        lines = [self.summary]
        lines += [f"  {label:<{width}}  {m.ref}" for label, m in zip(self.labels, self.modules, strict=True)]
        lines += self.counting.remarks
        lines += [f"adapter of {names}: {text}" for names, text in self.adapted()]
        lines += [f"between {classes} decide again: {modules}" for classes, modules in self.stages()]
        lines += self.running()
        return "\n".join(lines)


def make_plan(recipe: Recipe[Module]) -> Plan:
    """Check that the modules of ``recipe`` can work together.

    Raises UsageError for a recipe without classes, and for settings that cannot be; Conflict for a module named twice;
    Incompatible for inputs that differ, unless ``adapt`` lets every module see the images through an adapter.
    """
    settings = recipe.settings.checked()
    if not recipe.classes:
        raise UsageError(
            "no modules were given.",
            kind="empty",
            hint='name at least one, for example compose(["c10:cat", "c100:apple"]).',
        )
    plan = Plan(recipe)
    if settings.adapt is None:
        first = recipe.modules[0]
        for module in plan.recognisers[1:]:
            check_same_input(first.ref, first.origin.contract, module.ref, module.origin.contract)
    else:
        for module in plan.recognisers:
            image_contract(module.origin.contract, what=module.ref)
        for module in plan.recognisers:
            plan.adapter(module)
    _check_distinct(recipe.modules)
    return plan


def _input_fields(contract: InputContract) -> dict[str, Any]:
    """What a classifier takes, as plain values."""
    values = {"value_range": list(contract.value_range)}
    if isinstance(contract, ArrayContract):
        return {"kind": contract.kind, "shape": list(contract.shape), **values}
    return {
        "height": contract.height,
        "width": contract.width,
        "channels": contract.channels,
        **values,
        "colour": contract.given_colour,
    }


def natural_classes(modules: Iterable[Module]) -> tuple[tuple[str, Module], ...]:
    """Classes of a recipe: each module under its class's own name."""
    return tuple((module.name, module) for module in modules)


def _check_distinct(modules: Sequence[Module]) -> None:
    seen: dict[tuple[str, str, int], str] = {}
    for module in modules:
        key = (module.origin.fingerprint, module.digest, module.index)
        if key in seen:
            raise Conflict(
                f"{module.ref} is named twice" + ("." if seen[key] == module.ref else f", once as {seen[key]}."),
                kind="duplicate-module",
                hint="name every module once.",
                module=module.ref,
            )
        seen[key] = module.ref


def _distinct_labels(recipe: Recipe[Module]) -> tuple[str, ...]:
    wanted = list(recipe.labels)
    for name in (lambda m: m.ref.partition("@")[0], lambda m: m.ref, lambda m: f"{m.ref} {m.digest[7:19]}"):
        twice = {label for label, count in Counter(wanted).items() if count > 1}
        wanted = [
            name(module) if label in twice else label for label, module in zip(wanted, recipe.modules, strict=True)
        ]
    return tuple(wanted)
