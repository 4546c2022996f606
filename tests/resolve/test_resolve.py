"""Names as typed become modules of exact releases, or an error that says what there is."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from named import pins_of
from semantic_version import Version

from modhub.errors import Conflict, InvalidRef, NotFound, UsageError
from modhub.resolve.resolver import resolve
from modhub.resolve.together import resolve_together
from modhub.spec.digests import sha256
from modhub.spec.refs import ModuleRef, Request, in_order, select_version, slug_of
from modhub.spec.registry_files import IndexEntry, Withdrawal


@dataclass
class Shelf:
    """A catalog in memory: releases as {"me/net": {"1.0.0": [classes]}}."""

    name: str
    releases: dict[str, dict[str, list[str]]]
    targets: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    withdrawn: dict[str, Withdrawal] = field(default_factory=dict)
    yanked: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def url(self):
        return f"memory://{self.name}"

    def versions(self, namespace, model):
        return in_order(self.releases.get(f"{namespace}/{model}", {}))

    def models(self, namespace=None):
        return sorted(name for name in self.releases if namespace in (None, name.split("/")[0]))

    def alias(self, name):
        return self.targets.get(name)

    def alias_names(self):
        return sorted(self.targets)

    def withdrawal(self, ref):
        return self.withdrawn.get(str(ref))

    def yanked_classes(self, ref):
        return self.yanked.get(str(ref), {})

    def summary(self, ref):
        self.asked.append(str(ref))
        classes = self.releases[ref.name][ref.version]
        return IndexEntry(
            version=ref.version,
            digest=sha256(f"{self.name} {ref}".encode()),
            size=1,
            classes=tuple(classes),
            slugs=tuple(map(slug_of, classes)),
            dataset="tiny",
            input_shape=(4, 4, 1),
        )


ANIMALS = ["airplane", "cat", "potter's wheel", "Sea Horse"]
MAIN = Shelf(
    "main",
    {
        "cifar10/r56": {"1.0.0": ANIMALS, "1.2.0": ANIMALS, "2.0.0-rc.1": ANIMALS},
        "cifar10/r20": {"1.0.0": ANIMALS},
        "digits/cnn": {"0.1.0": ["0", "1"]},
        "wip/net": {"0.1.0-alpha": ["x", "y"]},
    },
    {"c10": "cifar10/r56", "gone": "no/where"},
)
FAR = Shelf(
    "far",
    {"cifar10/r56": {"1.2.0": ANIMALS, "3.0.0": ["far cat"]}, "cifar100/r20": {"1.0.0": ["apple", "cat"]}},
    {"c10": "cifar100/r20", "c100": "cifar100/r20"},
)


def refs(names, catalogs=(MAIN, FAR), aliases=None):
    return [str(pin.ref) for pin in pins_of(names, catalogs, aliases or {})]


def test_what_a_name_meant_stays_together():
    """Also where the same release is named before and after, whole or one class of it: a flat list cannot say which."""
    typed = ["c10:cat", "c10", "cifar10/r56:airplane", "c10", "digits"]
    named = resolve(typed, [MAIN], {})
    assert [str(each.request) for each in named] == typed
    assert [[pin.ref.cls for pin in each.modules] for each in named] == [
        ["cat"],
        ["airplane", "cat", "potters-wheel", "sea-horse"],
        ["airplane"],
        ["airplane", "cat", "potters-wheel", "sea-horse"],
        ["0", "1"],
    ]
    assert resolve_together(typed[:4], [MAIN], {}, adapt=True) == named[:4]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cifar10/r56:cat", "cifar10/r56:cat@1.2.0"),
        ("cifar10/r56:cat@1.0.0", "cifar10/r56:cat@1.0.0"),
        ("cifar10/r56:cat@^1", "cifar10/r56:cat@1.2.0"),
        ("cifar10/r56:cat@~1.0", "cifar10/r56:cat@1.0.0"),
        ("cifar10/r56:cat@>=1,<1.1", "cifar10/r56:cat@1.0.0"),
        ("cifar10/r56:cat@2.0.0-rc.1", "cifar10/r56:cat@2.0.0-rc.1"),
        ("cifar10/r56:cat@>=2.0.0-a", "cifar10/r56:cat@2.0.0-rc.1"),
        ("cifar10/r56:far-cat@^3", "cifar10/r56:far-cat@3.0.0"),
        ("c10:cat", "cifar10/r56:cat@1.2.0"),
        ("c100:apple", "cifar100/r20:apple@1.0.0"),
        ("digits:1", "digits/cnn:1@0.1.0"),
        ("cifar10/r56:potter's wheel", "cifar10/r56:potters-wheel@1.2.0"),
        ("cifar10/r56:potters-wheel", "cifar10/r56:potters-wheel@1.2.0"),
        ("cifar10/r56:Sea Horse", "cifar10/r56:sea-horse@1.2.0"),
        ("cifar10/r56:SEA HORSE", "cifar10/r56:sea-horse@1.2.0"),
    ],
)
def test_names(typed, meant):
    assert refs([typed]) == [meant]


def test_a_pin_says_where_and_what(request):
    [pin] = pins_of(["c10:potter's wheel"], [MAIN, FAR], {})
    assert pin.ref == ModuleRef("cifar10", "r56", "potters-wheel", "1.2.0")
    assert (pin.name, pin.registry, pin.aliases) == ("potter's wheel", "memory://main", ("c10",))
    assert pin.digest == sha256(b"main cifar10/r56@1.2.0")


def test_no_class_means_every_class_in_the_order_of_its_index():
    assert refs(["cifar10/r56"]) == [f"cifar10/r56:{slug_of(name)}@1.2.0" for name in ANIMALS]


def test_order_and_repetition_are_kept():
    assert refs(["digits:1", "c100:cat", "digits:1"]) == [
        "digits/cnn:1@0.1.0",
        "cifar100/r20:cat@1.0.0",
        "digits/cnn:1@0.1.0",
    ]


def test_requests_may_come_parsed():
    assert refs([Request("cifar10/r56", "cat", "1.0.0")]) == ["cifar10/r56:cat@1.0.0"]


def test_the_first_registry_with_a_satisfying_version_wins_although_a_later_one_has_a_newer():
    assert pins_of(["cifar10/r56:cat"], [MAIN, FAR], {})[0].registry == "memory://main"
    assert pins_of(["cifar10/r56:far-cat@^3"], [MAIN, FAR], {})[0].registry == "memory://far"
    assert refs(["cifar10/r56:far cat"], [FAR, MAIN]) == ["cifar10/r56:far-cat@3.0.0"]


def test_the_users_alias_comes_before_any_registrys():
    assert refs(["c10:apple"], aliases={"c10": "cifar100/r20"}) == ["cifar100/r20:apple@1.0.0"]
    assert refs(["c10:cat"], [FAR, MAIN]) == ["cifar100/r20:cat@1.0.0"]


def test_an_alias_may_lead_to_another():
    [pin] = pins_of(["mine:cat"], [MAIN], {"mine": "ours", "ours": "c10"})
    assert (str(pin.ref), pin.aliases) == ("cifar10/r56:cat@1.2.0", ("mine", "ours", "c10"))


@pytest.mark.parametrize(
    ("aliases", "circle"),
    [
        ({"a": "a"}, "a -> a"),
        ({"a": "b", "b": "a"}, "a -> b -> a"),
        ({"a": "b", "b": "c", "c": "b"}, "a -> b -> c -> b"),
    ],
)
def test_a_circle_of_aliases_is_an_error(aliases, circle):
    with pytest.raises(Conflict, match=rf"leads in a circle: {circle}\.") as caught:
        pins_of(["a:cat"], [MAIN], aliases)
    assert caught.value.kind == "alias-loop"


def test_an_alias_that_is_more_than_a_model_is_an_error():
    with pytest.raises(InvalidRef, match="'a' stands for 'cifar10/r56:cat'"):
        pins_of(["a"], [MAIN], {"a": "cifar10/r56:cat"})


def test_a_namespace_with_several_models_lists_them():
    with pytest.raises(Conflict) as caught:
        pins_of(["cifar10:cat"], [MAIN, FAR], {})
    assert caught.value.kind == "ambiguous-name"
    assert caught.value.data["candidates"] == ["cifar10/r20", "cifar10/r56"]
    assert str(caught.value) == (
        "'cifar10:cat' could mean several models: cifar10/r20, cifar10/r56. "
        "Hint: write the model, for example cifar10/r20:cat."
    )


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("cifar10/r65:cat", "did you mean cifar10/r56"),
        ("c101:cat", "did you mean c10"),
        ("cifar1000:cat", "did you mean cifar100"),
        ("somebody-else-entirely/r20", "did you mean cifar10/r20 or cifar100/r20?"),
        ("digitz:1", "did you mean digits"),
        ("zzzzzz", "modhub search"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(typed, hint):
    with pytest.raises(NotFound) as caught:
        pins_of([typed], [MAIN, FAR], {})
    assert caught.value.kind == "no-model"
    assert "main, far" in str(caught.value)
    assert hint in caught.value.hint


def test_users_aliases_are_suggested_too():
    with pytest.raises(NotFound, match="did you mean favourite"):
        pins_of(["favorite:cat"], [MAIN], {"favourite": "cifar10/r56"})


def test_an_alias_to_nowhere_names_its_target():
    with pytest.raises(NotFound, match="'no/where', for which 'gone' stands, is not in any"):
        pins_of(["gone:cat"], [MAIN], {})


def test_an_unknown_class_suggests_or_lists():
    with pytest.raises(NotFound, match=r"cifar10/r56@1\.2\.0 has no class 'cta'. Hint: did you mean cat\?") as caught:
        pins_of(["c10:cta"], [MAIN], {})
    assert caught.value.kind == "no-class"
    with pytest.raises(NotFound, match="it has 0, 1"):
        pins_of(["digits:banana"], [MAIN], {})


def test_an_unsatisfied_range_lists_what_there_is():
    with pytest.raises(NotFound) as caught:
        pins_of(["cifar10/r56:cat@^7"], [MAIN, FAR], {})
    assert caught.value.kind == "no-version"
    assert "cifar10/r56 has no version ^7. There is: 1.0.0, 1.2.0, 2.0.0-rc.1 in main; 1.2.0, 3.0.0 in far." in str(
        caught.value
    )
    assert caught.value.data["versions"] == ["1.0.0", "1.2.0", "2.0.0-rc.1", "3.0.0"]


def test_a_pre_release_alone_has_to_be_asked_for():
    with pytest.raises(NotFound, match=r"no release that is not a pre-release.*0\.1\.0-alpha") as caught:
        pins_of(["wip/net:x"], [MAIN], {})
    assert "wip/net@0.1.0-alpha" in caught.value.hint
    assert refs(["wip/net:x@0.1.0-alpha"]) == ["wip/net:x@0.1.0-alpha"]


@pytest.mark.parametrize("names", [[], (), "cifar10/r56:cat", ""])
def test_no_list_of_names_is_a_usage_error(names):
    with pytest.raises(UsageError) as caught:
        pins_of(names, [MAIN], {})
    assert caught.value.kind == "no-names"


def test_one_release_is_read_once_for_all_its_classes():
    shelf = Shelf("counting", MAIN.releases, MAIN.targets)
    pins_of(["c10:cat", "cifar10/r56:airplane", "c10"], [shelf], {})
    assert shelf.asked == ["cifar10/r56@1.2.0"]


VERSIONS = st.builds(
    lambda numbers, pre: ".".join(map(str, numbers)) + (f"-rc.{pre}" if pre else ""),
    st.tuples(*[st.integers(0, 3)] * 3),
    st.integers(0, 2),
)


@given(st.lists(VERSIONS, unique=True), st.none() | VERSIONS | st.sampled_from(["^1", "~1.2", ">=1,<2", "*", "<=2.1"]))
def test_selecting_a_version(versions, wanted):
    """Against the definition: the newest, by precedence, of those that are allowed."""
    chosen = select_version(versions, wanted)
    full = [version for version in versions if "-" not in version]
    numbers = {version: tuple(map(int, version.split("."))) for version in full}
    allowed = {
        None: lambda n: True,
        "*": lambda n: True,
        "^1": lambda n: n[0] == 1,
        "~1.2": lambda n: n[:2] == (1, 2),
        ">=1,<2": lambda n: n[0] == 1,
        "<=2.1": lambda n: n[:2] <= (2, 1),
    }
    if wanted in allowed:
        assert chosen == max(filter(lambda v: allowed[wanted](numbers[v]), full), key=numbers.get, default=None)
    else:
        assert chosen == (wanted if wanted in versions else None)


@given(st.lists(VERSIONS, unique=True))
def test_order_of_versions(versions):
    ordered = in_order(versions)
    assert sorted(ordered) == sorted(versions)
    assert all(Version(one) <= Version(other) for one, other in pairwise(ordered))


@given(st.lists(st.tuples(*[st.integers(0, 12)] * 3), unique=True))
def test_order_of_versions_of_three_numbers(numbers):
    found = in_order([".".join(map(str, each)) for each in numbers])
    assert found == [".".join(map(str, each)) for each in sorted(numbers)]


# Yanked and taken down

YANKED = Withdrawal("yanked", "answers wolf for dog.")
GONE = Withdrawal("taken-down", "its images were not ours.")


def shelf(withdrawn, versions=("1.0.0", "1.1.0", "1.2.0"), name="main"):
    return Shelf(name, {"me/net": {version: ["cat"] for version in versions}}, withdrawn=withdrawn)


@pytest.mark.parametrize("withdrawal", [YANKED, GONE])
@pytest.mark.parametrize("wanted", ["me/net:cat", "me/net:cat@^1", "me/net:cat@>=1.1"])
def test_a_withdrawn_release_is_skipped(wanted, withdrawal):
    assert refs([wanted], [shelf({"me/net@1.2.0": withdrawal})]) == ["me/net:cat@1.1.0"]


def test_an_exact_pin_of_a_yanked_release_is_given_and_says_so():
    """As PEP 592 has it for Python packages."""
    (pin,) = pins_of(["me/net:cat@1.2.0"], [shelf({"me/net@1.2.0": YANKED})], {})
    assert (str(pin.ref), pin.yanked) == ("me/net:cat@1.2.0", "me/net@1.2.0 is yanked: answers wolf for dog.")


def test_an_exact_pin_of_what_was_taken_down_says_why_and_what_else_there_is():
    with pytest.raises(NotFound) as caught:
        refs(["me/net:cat@1.2.0"], [shelf({"me/net@1.2.0": GONE})])
    assert caught.value.kind == "taken-down"
    assert str(caught.value) == "me/net@1.2.0 is taken down: its images were not ours. Hint: there is 1.0.0, 1.1.0."


def two_classes(**yanked):
    """me/net with cat and owl, of which these are yanked: {"v1_1_0": {"cat": why}}."""
    named = {f"me/net@{version[1:].replace('_', '.')}": classes for version, classes in yanked.items()}
    return Shelf("main", {"me/net": {"1.0.0": ["cat", "owl"], "1.1.0": ["cat", "owl"]}}, yanked=named)


@pytest.mark.parametrize("wanted", ["me/net:cat", "me/net:cat@^1"])
def test_a_class_that_was_yanked_alone_is_skipped_and_the_others_are_not(wanted):
    place = two_classes(v1_1_0={"cat": "answers wolf"})
    assert refs([wanted, "me/net:owl"], [place]) == ["me/net:cat@1.0.0", "me/net:owl@1.1.0"]
    assert refs_together([wanted], [place]) == ["me/net:cat@1.0.0"]


def refs_together(requests, catalogs):
    chosen = resolve_together(requests, catalogs, {}, adapt=True)
    return [str(pin.ref) for named in chosen for pin in named.modules]


def test_a_whole_release_is_given_without_the_class_that_was_yanked():
    place = two_classes(v1_1_0={"cat": "answers wolf"})
    (named,) = resolve(["me/net"], [place], {})
    assert [str(pin.ref) for pin in named.modules] == ["me/net:owl@1.1.0"]
    assert named.left_out == ("me/net:cat@1.1.0 is yanked: answers wolf",)
    (named,) = resolve(["me/net@1.1.0"], [place], {})
    assert [pin.yanked for pin in named.modules] == ["me/net:cat@1.1.0 is yanked: answers wolf", None]
    assert refs(["me/net"], [two_classes(v1_1_0={"cat": "a", "owl": "b"})]) == ["me/net:cat@1.0.0", "me/net:owl@1.0.0"]


def test_when_a_class_is_yanked_everywhere_its_reason_is_given():
    place = two_classes(v1_0_0={"cat": "old"}, v1_1_0={"cat": "answers wolf"})
    with pytest.raises(NotFound, match=r"me/net:cat@1\.1\.0 is yanked, and so is 1 older one: answers wolf") as caught:
        refs(["me/net:cat"], [place])
    assert caught.value.kind == "yanked"
    (named,) = resolve(["me/net:cat"], [place], {}, even_yanked=True)
    assert [(str(pin.ref), pin.yanked) for pin in named.modules] == [
        ("me/net:cat@1.1.0", "me/net:cat@1.1.0 is yanked: answers wolf")
    ]


def test_when_everything_is_withdrawn_the_newest_reason_is_given():
    place = shelf({"me/net@1.0.0": YANKED, "me/net@1.1.0": YANKED, "me/net@1.2.0": GONE})
    with pytest.raises(NotFound) as caught:
        refs(["me/net"], [place])
    assert caught.value.kind == "taken-down"
    assert str(caught.value) == (
        "me/net@1.2.0 is taken down, and so are 2 older ones: its images were not ours. "
        "Hint: its model has no other version."
    )


def test_a_nearer_registrys_yank_counts_for_the_same_release_farther_on():
    near, far = shelf({"me/net@1.2.0": YANKED}, versions=["1.2.0"]), shelf({}, name="far")
    assert refs(["me/net:cat"], [near, far]) == ["me/net:cat@1.1.0"]
    assert refs(["me/net:cat"], [far, near]) == ["me/net:cat@1.2.0"]
