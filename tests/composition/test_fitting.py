"""The tables that pages look up say what the planner says, for any choice of modules."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from modhub.composition.adapters import adapter_between, joint_contract
from modhub.composition.fitting import MOST_ANSWERS, NO_JOINT, SUBJECT, FittingTables, contract_key, fitting_tables
from modhub.composition.recipe import ADAPTS
from modhub.errors import Incompatible
from modhub.spec.contract import check_same_input, input_text, range_text
from modhub.spec.input_contract import ArrayContract, ImageContract, InputContract

COLOURS = {"rgb": 3, "bgr": 3, "grey": 1, "other": 5}


def image(size: tuple[int, int], colour: str, high: float) -> ImageContract:
    return ImageContract(
        height=size[0],
        width=size[1],
        channels=COLOURS[colour],
        colour=colour,
        dtype="float32",
        value_range=(0, high),
    )


contracts = st.one_of(
    st.builds(
        image,
        st.tuples(st.sampled_from([28, 32, 64]), st.sampled_from([28, 32])),
        st.sampled_from(sorted(COLOURS)),
        st.sampled_from([1.0, 255.0]),
    ),
    st.builds(
        lambda axes, high: ArrayContract(shape=axes, dtype="float32", value_range=(0, high)),
        st.sampled_from([(784,), (28, 28)]),
        st.sampled_from([1.0, 7.5]),
    ),
)


def distinct(found: list[InputContract]) -> list[InputContract]:
    return list({contract_key(contract): contract for contract in found}.values())


def text(contract: InputContract) -> str:
    return f"{input_text(contract)}, {range_text(contract)}"


def refusal(check: Callable[[], object]) -> str | None:
    """Why it is refused; None when it is not."""
    try:
        check()
    except Incompatible as error:
        return error.message
    return None


def walked(tables: FittingTables, numbers: list[int]) -> int:
    """The joint of contracts, found as a page finds it."""
    joint = tables.alone[numbers[0]]
    for number in numbers[1:]:
        joint = NO_JOINT if joint == NO_JOINT else tables.joined[joint][number]
    return joint


@settings(max_examples=60, deadline=None)
@example(
    [
        ArrayContract(shape=(784,), dtype="float32", value_range=(0, 1)),
        *(image((28, 28), c, 1.0) for c in ("bgr", "rgb")),
    ]
)
@given(st.lists(contracts, min_size=1, max_size=6))
def test_groups_and_reasons_are_those_of_the_planner(found: list[InputContract]) -> None:
    known = distinct(found)
    tables = fitting_tables(known)
    assert tables.complete
    groups = max(tables.groups) + 1
    for number, contract in enumerate(known):
        for other_number, other in enumerate(known):
            reason = tables.reasons[tables.groups[number] * groups + tables.groups[other_number]]
            refused = refusal(lambda: check_same_input("a", contract, "b", other))  # noqa: B023
            assert (tables.groups[number] == tables.groups[other_number]) == (refused is None)
            assert refused == (f"cannot compose a with b: {reason}." if reason else None)


@settings(max_examples=60, deadline=None)
@given(st.lists(contracts, min_size=1, max_size=6), st.data())
def test_adapters_are_those_of_the_planner_for_any_sequence(found: list[InputContract], data: st.DataObject) -> None:
    known = distinct(found)
    tables = fitting_tables(known)
    numbers = data.draw(st.lists(st.integers(0, len(known) - 1), min_size=1, max_size=8))
    members = [known[number] for number in numbers]
    joint = walked(tables, numbers)
    refused = refusal(lambda: joint_contract(members))
    assert (refused is not None) == (joint == NO_JOINT)
    if refused is not None:
        assert refused.startswith(tables.no_joint.partition(" takes ")[0])
        return
    wanted = joint_contract(members)
    assert tables.joints[joint] == text(wanted)
    for adapt in ADAPTS:
        for number, member in zip(numbers, members, strict=True):
            word = tables.adapters[adapt][joint][number]
            refused = refusal(lambda: adapter_between(wanted, member, adapt, what=SUBJECT))  # noqa: B023
            if refused is None:
                adapter = adapter_between(wanted, member, adapt, what=SUBJECT)
                assert (tables.words[word] if word >= 0 else None) == (None if adapter is None else str(adapter))
            else:
                assert tables.words[word] == f"!{refused}"


def test_too_many_contracts_are_said_to_be_too_many_and_take_no_memory() -> None:
    many = [image((10 + number, 300 - number % 7), "rgb", 1 + number % 5) for number in range(200)]
    tables = fitting_tables(many)
    assert not tables.complete
    assert (tables.joints, tables.joined, tables.words) == ((), (), ())
    assert len(tables.texts) == len(tables.groups) == 200
    few = fitting_tables([image((65_536, 65_536), "rgb", 1), image((8, 8), "grey", 1)])
    assert few.complete
    arrays = fitting_tables([ArrayContract(shape=(n,), dtype="float32", value_range=(0, 1)) for n in range(1, 300)])
    assert (arrays.complete, arrays.reasons) == (False, ())
    assert MOST_ANSWERS < 200**2 * 200
