"""Residual branches that can be left out whole: what is added to a tensor that is there without them."""

from __future__ import annotations

from dataclasses import dataclass

from modhub.spec.architecture import INPUT, Architecture, Call
from modhub.spec.layers import Conv2D, Dense
from modhub.spec.rearrangements import Add


@dataclass(frozen=True)
class Block:
    """An Add call ``sum`` of the tensor ``skip`` and a branch, whose ``calls``, in order, nothing else reads."""

    sum: str
    skip: str
    calls: tuple[str, ...]


def blocks_of(architecture: Architecture) -> tuple[Block, ...]:
    """All blocks whose branch can go, in execution order."""
    by_id = {call.id: call for call in architecture.calls}
    readers = architecture.consumers()
    found = []
    for call in architecture.calls:
        if not isinstance(architecture.layer_of(call), Add) or len(set(call.inputs)) != 2 or len(call.inputs) != 2:
            continue
        for skip, end in (call.inputs, call.inputs[::-1]):
            branch = _branch(by_id, readers, skip, end, call, architecture.features)
            if branch and any(isinstance(architecture.layer_of(by_id[name]), Conv2D | Dense) for name in branch):
                ordered = tuple(each.id for each in architecture.calls if each.id in branch)
                found.append(Block(call.id, skip, ordered))
                break
    return tuple(found)


def _branch(
    by_id: dict[str, Call], readers: dict[str, list[Call]], skip: str, end: str, total: Call, features: str
) -> set[str]:
    """The calls from ``skip`` (left out) to ``end``, when they read nothing else and nothing else reads them."""
    inside: set[str] = set()
    waiting = [end]
    while waiting:
        name = waiting.pop()
        if name == skip or name in inside:
            continue
        if name in (INPUT, features):
            return set()
        inside.add(name)
        waiting.extend(by_id[name].inputs)
    if end not in inside:
        return set()
    allowed = inside | {total.id}
    if any(reader.id not in allowed for name in inside for reader in readers[name]):
        return set()
    return inside
