"""Which inputs fit each other, and through which adapters, as tables: what the planner says, for any choice of modules.

A browser that lets people compose must say what ``modhub compose`` would say. So the rules are not written again in
its language: they are asked here, for every contract that a registry has, and a page looks the answers up. That works
because joining is a fold: the joint contract of some modules and one more depends on their joint contract alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from modhub.composition.adapters import joint_contract, steps_between
from modhub.composition.recipe import ADAPTS, Adapt
from modhub.errors import Incompatible
from modhub.spec.contract import check_same_input, input_key, input_text, range_text
from modhub.spec.input_contract import ArrayContract, ImageContract, InputContract

#: Answers about adapters, for each way to adapt, that tables may have; beyond, no page says what adapters do.
MOST_ANSWERS: Final = 60_000
#: Where a table has no joint contract: one of the two takes arrays, which nothing adapts.
NO_JOINT: Final = -1
#: Stands in messages for the module whose contract was looked up.
SUBJECT: Final = "this module"


@dataclass(frozen=True)
class FittingTables:
    """Answers by the positions of contracts.

    ``texts`` are the contracts for people. ``groups``: contracts with equal numbers take one input. ``reasons`` says
    for two groups, by ``first * groups + second``, why they do not. ``joints`` are the inputs of classifiers with
    adapters, for people, of contract ``c`` alone ``alone[c]``; ``joined[j][c]`` is the joint of ``j`` and ``c``.
    ``adapters[way][j][c]`` is the position in ``words`` of what an adapter from ``j`` to ``c`` does, -1 where none is
    needed, and a word that begins with ``!`` says that there is none. ``no_joint`` says why something has no joint
    contract. ``complete`` is False where there are too many contracts for all but texts and groups.
    """

    texts: tuple[str, ...]
    groups: tuple[int, ...]
    reasons: tuple[str, ...]
    joints: tuple[str, ...]
    alone: tuple[int, ...]
    joined: tuple[tuple[int, ...], ...]
    adapters: dict[Adapt, tuple[tuple[int, ...], ...]]
    words: tuple[str, ...]
    no_joint: str
    complete: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def contract_key(contract: InputContract) -> tuple[Any, ...]:
    """Equal for contracts of which these tables say the same: all but dtype and preprocessing."""
    if isinstance(contract, ArrayContract):
        return "array", contract.shape, contract.value_range
    return contract.colour, contract.shape, contract.value_range


def fitting_tables(contracts: Sequence[InputContract]) -> FittingTables:
    """The tables of ``contracts``, whose keys are distinct; positions are theirs."""
    numbers: dict[tuple[str, str, str], int] = {}
    groups = tuple(numbers.setdefault(input_key(contract), len(numbers)) for contract in contracts)
    # Reasons are as many as the groups squared, whatever adapters there are.
    found = _joints(contracts) if len(numbers) ** 2 <= MOST_ANSWERS else None
    known, (joints, alone, joined) = (contracts, found) if found is not None else ((), ([], (), ()))
    words: dict[str, int] = {}
    adapters = {
        way: tuple(tuple(_adapter(joint, each, way, words) for each in known) for joint in joints) for way in ADAPTS
    }
    return FittingTables(
        texts=tuple(_text(contract) for contract in contracts),
        groups=groups,
        reasons=_reasons(known, groups),
        joints=tuple(_text(joint) for joint in joints),
        alone=alone,
        joined=joined,
        adapters=adapters,
        words=tuple(words),
        no_joint=_why_no_joint(),
        complete=found is not None,
    )


def _text(contract: InputContract) -> str:
    return f"{input_text(contract)}, {range_text(contract)}"


def _why_no_joint() -> str:
    try:
        joint_contract([ArrayContract(shape=(1,), dtype="float32", value_range=(0, 1))])
    except Incompatible as error:
        return error.message.partition(" takes ")[0] + " takes an array."
    return ""


def _reasons(contracts: Sequence[InputContract], groups: Sequence[int]) -> tuple[str, ...]:
    """For every two groups in what they differ, empty for one with itself."""
    first = {group: contract for contract, group in reversed(list(zip(contracts, groups, strict=False)))}
    return tuple(_reason(first[one], first[other]) for one in range(len(first)) for other in range(len(first)))


def _reason(contract: InputContract, other: InputContract) -> str:
    try:
        check_same_input("a", contract, "b", other)
    except Incompatible as error:
        return ", ".join(f"{each['field']} {each['first']} vs {each['second']}" for each in error.data["mismatches"])
    return ""


_Joints = tuple[list[ImageContract], tuple[int, ...], tuple[tuple[int, ...], ...]]


def _joints(contracts: Sequence[InputContract]) -> _Joints | None:
    """All joint contracts that there can be; of each contract alone its own; and of each with each contract.

    None where they are too many.
    """
    found: dict[tuple[Any, ...], int] = {}
    joints: list[ImageContract] = []

    def number(*parts: InputContract) -> int:
        if any(isinstance(part, ArrayContract) for part in parts):
            return NO_JOINT
        joint = joint_contract(parts)
        if (position := found.setdefault(contract_key(joint), len(joints))) == len(joints):
            joints.append(joint)
        return position

    alone = tuple(number(contract) for contract in contracts)
    joined: list[tuple[int, ...]] = []
    while len(joined) < len(joints):
        if len(joints) * len(contracts) > MOST_ANSWERS:
            return None
        joint = joints[len(joined)]
        joined.append(tuple(number(joint, contract) for contract in contracts))
    return joints, alone, tuple(joined)


def _adapter(joint: ImageContract, contract: InputContract, way: Adapt, words: dict[str, int]) -> int:
    if isinstance(contract, ArrayContract):
        return NO_JOINT
    try:
        steps = steps_between(joint, contract, way, what=SUBJECT)
        text = "" if steps is None else str(steps)
    except Incompatible as error:
        text = f"!{error.message}"
    return words.setdefault(text, len(words)) if text else -1
