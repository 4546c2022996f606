"""Releases for all requests are chosen so that one image serves every module."""

from __future__ import annotations

import time

import pytest
from catalogs_in_memory import (
    GONE,
    GREY,
    LARGE,
    SMALL,
    UNIT,
    YANKED,
    Release,
    catalog,
    refs,
    resolved_together,
    takes,
    two,
)
from named import pins_of
from synthetic import release

from modhub.cache.cache import Cache
from modhub.cache.catalog import CacheCatalog
from modhub.errors import Conflict, InvalidRef, NotFound, UsageError
from modhub.installation.install import install_pinned
from modhub.registry.writer import Registry
from modhub.resolve.catalog import all_modules
from modhub.resolve.together import resolve_together
from modhub.spec.contract import NamedContract
from modhub.spec.manifest import digest_of
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store

# What is chosen


def test_when_the_newest_fit_they_are_taken_and_nothing_else_is_read():
    place = catalog({"a/net@1.0.0": SMALL, "a/net@1.1.0": LARGE, "b/net@1.0.0": SMALL, "b/net@1.1.0": LARGE})
    asked = ["a/net:cat", "b/net", "a/net:dog"]
    assert resolved_together(asked, place) == refs(pins_of(asked, [place], {}))
    assert place.contracts == ["a/net@1.1.0", "b/net@1.1.0"]


def test_where_newest_first_fails_an_older_version_is_found():
    place = two()
    assert resolved_together(["a/net:cat", "b/net:dog"], place) == ["a/net:cat@1.0.0", "b/net:dog@1.1.0"]
    # Either of the two may give way; the first is asked for more, and has nothing.
    assert place.contracts == ["a/net@2.0.0", "b/net@1.1.0", "b/net@1.0.0", "a/net@1.0.0"]


def test_resolve_itself_still_takes_the_newest_of_each():
    place = two()
    assert refs(pins_of(["a/net:cat", "b/net:dog"], [place], {})) == ["a/net:cat@2.0.0", "b/net:dog@1.1.0"]
    assert place.contracts == []


def test_as_few_requests_as_can_be_do_without_their_first_choice():
    place = catalog(
        {f"{name}/net@{version}": each for name in "bc" for version, each in [("1.0.0", LARGE), ("2.0.0", SMALL)]}
        | {"a/net@1.0.0": SMALL, "a/net@2.0.0": LARGE}
    )
    assert resolved_together(["a/net:cat", "b/net:cat", "c/net:cat"], place) == [
        "a/net:cat@1.0.0",
        "b/net:cat@2.0.0",
        "c/net:cat@2.0.0",
    ]


def test_with_as_few_either_way_the_first_request_keeps_the_newest():
    place = catalog({f"{name}/net@{v}.0.0": each for name, order in (("a", (SMALL, LARGE)), ("b", (LARGE, SMALL)))
                     for v, each in enumerate(order, 1)})  # fmt: skip
    assert resolved_together(["a/net:cat", "b/net:cat"], place) == ["a/net:cat@2.0.0", "b/net:cat@1.0.0"]
    assert resolved_together(["b/net:cat", "a/net:cat"], place) == ["b/net:cat@2.0.0", "a/net:cat@1.0.0"]


def test_also_when_the_first_request_gets_its_first_choice_either_way_not():
    releases = {"a/net@3.0.0": GREY, "a/net@2.0.0": SMALL, "a/net@1.0.0": LARGE}
    for name, contract in zip("bcde", (LARGE, LARGE, SMALL, SMALL), strict=True):
        other = SMALL if contract is LARGE else LARGE
        releases |= {f"{name}/net@2.0.0": contract, f"{name}/net@1.0.0": other}
    chosen = resolved_together([f"{name}/net:cat" for name in "abcde"], catalog(releases))
    assert [ref[-5:] for ref in chosen] == ["2.0.0", "1.0.0", "1.0.0", "2.0.0", "2.0.0"]


def test_images_that_are_no_first_choice_are_found_too():
    place = catalog(
        {"a/net@1.0.0": UNIT, "a/net@2.0.0": GREY, "a/net@3.0.0": LARGE}
        | {"b/net@1.0.0": GREY, "b/net@2.0.0": UNIT, "b/net@3.0.0": SMALL}
    )
    assert resolved_together(["a/net:cat", "b/net:cat"], place) == ["a/net:cat@2.0.0", "b/net:cat@1.0.0"]
    assert resolved_together(["b/net:cat", "a/net:cat"], place) == ["b/net:cat@2.0.0", "a/net:cat@1.0.0"]


def test_two_ranges_of_one_model_may_give_two_versions():
    place = catalog({"a/net@1.0.0": SMALL, "a/net@1.5.0": SMALL, "a/net@2.0.0": SMALL})
    assert resolved_together(["a/net:cat@^1", "a/net:dog", "a/net:cat@1.0.0"], place) == [
        "a/net:cat@1.5.0",
        "a/net:dog@2.0.0",
        "a/net:cat@1.0.0",
    ]


def test_an_older_version_without_the_class_is_passed_over():
    place = two(**{"a/net@1.0.0": Release(SMALL, ["dog"]), "a/net@0.9.0": SMALL})
    assert resolved_together(["a/net:cat", "a/net:dog", "b/net:dog"], place) == [
        "a/net:cat@0.9.0",
        "a/net:dog@1.0.0",
        "b/net:dog@1.1.0",
    ]


def test_data_type_and_preprocessing_never_conflict():
    other = takes(dtype="float32", rescale=1 / 255, mean=(0.5,), std=(0.2, 0.3, 0.4))
    place = catalog({"a/net@1.0.0": SMALL, "b/net@1.0.0": other})
    assert resolved_together(["a/net:cat", "b/net:cat"], place) == ["a/net:cat@1.0.0", "b/net:cat@1.0.0"]


def test_with_adapters_contracts_are_not_even_read():
    place = two()
    assert resolved_together(["a/net:cat", "b/net:dog"], place, adapt=True) == ["a/net:cat@2.0.0", "b/net:dog@1.1.0"]
    assert resolved_together(["a/net:cat"], place, adapt=True, fixed=[NamedContract("x", SMALL)]) == ["a/net:cat@2.0.0"]
    assert place.contracts == []


def test_fixed_contracts_decide():
    assert resolved_together(["a/net:cat"], two(), fixed=[NamedContract("x", SMALL)]) == ["a/net:cat@1.0.0"]
    assert resolved_together(["a/net:cat"], two(), fixed=[NamedContract("x", LARGE), NamedContract("y", LARGE)]) == [
        "a/net:cat@2.0.0"
    ]


def test_a_nearer_catalog_comes_first_and_a_farther_one_is_asked_when_nothing_there_fits():
    near = catalog({"a/net@1.0.0": LARGE, "b/net@1.0.0": SMALL}, "near")
    far = catalog({"a/net@0.5.0": SMALL, "a/net@1.0.0": SMALL, "a/net@3.0.0": SMALL}, "far")
    pins = all_modules(resolve_together(["a/net:cat", "b/net:cat"], [near, far], {}))
    # What 1.0.0 is, the nearer one says.
    assert [(str(pin.ref), pin.registry) for pin in pins] == [
        ("a/net:cat@3.0.0", "memory://far"),
        ("b/net:cat@1.0.0", "memory://near"),
    ]
    assert resolved_together(["a/net:cat@<3", "b/net:cat"], [near, far]) == ["a/net:cat@0.5.0", "b/net:cat@1.0.0"]
    near.withdrawn["a/net@0.5.0"] = YANKED
    assert resolved_together(["a/net:cat@<3", "b/net:cat"], [near, far]) == ["a/net:cat@0.5.0", "b/net:cat@1.0.0"]


def test_aliases_are_looked_up_once():
    place = catalog({"a/net@1.0.0": SMALL}, targets={"short": "a/net"})
    assert resolved_together(["short:cat", "short:dog"], place) == ["a/net:cat@1.0.0", "a/net:dog@1.0.0"]
    assert resolve_together(["short:cat"], [place], {})[0].modules[0].aliases == ("short",)


# What a lockfile pins


def locked(*texts):
    return [ModelRef(*text.partition("@")[0].split("/"), text.partition("@")[2]) for text in texts]


def test_a_locked_release_is_kept_although_there_is_a_newer():
    place = two()
    assert resolved_together(["b/net:cat"], place, prefer=locked("b/net@1.0.0", "a/net@2.0.0")) == ["b/net:cat@1.0.0"]
    assert place.summaries == ["b/net@1.0.0"]


def test_of_two_locked_releases_the_newer_that_satisfies_is_kept():
    place = catalog({f"a/net@{version}": SMALL for version in ("1.0.0", "1.1.0", "1.10.0", "2.0.0")})
    prefer = locked("a/net@1.1.0", "a/net@1.10.0", "a/net@1.0.0")
    assert resolved_together(["a/net:cat@^1", "a/net:cat@~1.0"], place, prefer=prefer) == [
        "a/net:cat@1.10.0",
        "a/net:cat@1.0.0",
    ]


def test_a_locked_release_is_kept_when_it_was_yanked_but_not_when_it_was_taken_down():
    place = catalog({"a/net@1.0.0": SMALL, "a/net@1.1.0": SMALL})
    place.withdrawn["a/net@1.1.0"] = YANKED
    assert resolved_together(["a/net:cat"], place) == ["a/net:cat@1.0.0"]
    assert resolved_together(["a/net:cat"], place, prefer=locked("a/net@1.1.0")) == ["a/net:cat@1.1.0"]
    assert resolved_together(["a/net:cat@1.1.0"], place, prefer=locked("a/net@1.1.0")) == ["a/net:cat@1.1.0"]
    place.withdrawn["a/net@1.1.0"] = GONE
    assert resolved_together(["a/net:cat"], place, prefer=locked("a/net@1.1.0")) == ["a/net:cat@1.0.0"]


@pytest.mark.parametrize("asked", ["b/net:cat@>1.0.0", "b/net:wolf"])
def test_a_locked_release_that_does_not_satisfy_is_no_help(asked):
    place = two(**{"b/net@1.1.0": Release(SMALL, ["cat", "wolf"])})
    assert resolved_together([asked], place, prefer=locked("b/net@1.0.0"))[0].endswith("@1.1.0")


def test_a_locked_release_that_is_nowhere_is_no_help():
    assert resolved_together(["b/net:cat"], two(), prefer=locked("b/net@1.0.5")) == ["b/net:cat@1.1.0"]


def test_a_lock_gives_way_where_it_makes_the_rest_impossible():
    prefer = locked("a/net@2.0.0", "b/net@1.0.0")
    assert resolved_together(["a/net:cat", "b/net:cat"], two(), prefer=prefer) == ["a/net:cat@1.0.0", "b/net:cat@1.0.0"]


# In places that are real


def test_a_registry_and_then_the_cache_alone_say_what_releases_take(tmp_path):
    registry, cache = Registry(open_store(str(tmp_path / "registry"))), Cache(tmp_path / "cache")
    for name, version, high in [("me/net", "1.0.0", 255), ("me/net", "1.1.0", 1), ("you/net", "1.0.0", 255)]:
        manifest, blobs = release(name, version, seed=high)
        contract = manifest.content.contract.model_copy(update={"value_range": (0.0, float(high))})
        content = manifest.content.model_copy(update={"contract": contract})
        registry.publish(manifest.model_copy(update={"content": content, "digest": digest_of(content)}), blobs)
    assert registry.contract(ModelRef("me", "net", "1.1.0")).value_range == (0, 1)
    asked = ["me/net:cat", "you/net:dog"]
    pins = all_modules(resolve_together(asked, [registry, CacheCatalog(cache)], {}))
    assert refs(pins) == ["me/net:cat@1.0.0", "you/net:dog@1.0.0"]
    install_pinned([*pins, *pins_of(["me/net:cat"], [registry], {})], [registry], cache)
    assert resolved_together(asked, CacheCatalog(cache)) == refs(pins)
    assert CacheCatalog(cache).contract(ModelRef("me", "net", "1.1.0")).value_range == (0, 1)


# The errors of resolving


@pytest.mark.parametrize("adapt", [False, True])
@pytest.mark.parametrize(
    ("asked", "aliases", "kind", "error"),
    [
        (["b/net:cat", "x:cat"], {"x": "y", "y": "x"}, "alias-loop", Conflict),
        (["b/net:cat@^7"], {}, "no-version", NotFound),
        (["a/net:cat@^1"], {}, "yanked", NotFound),
        (["b/net:wolf"], {}, "no-class", NotFound),
        (["b/network:cat"], {}, "no-model", NotFound),
        (["b/net@@"], {}, "invalid-ref", InvalidRef),
        ([], {}, "no-names", UsageError),
        ("b/net:cat", {}, "no-names", UsageError),
    ],
)
def test_errors_are_those_of_resolving(asked, aliases, kind, error, adapt):
    place = two()
    place.withdrawn["a/net@1.0.0"] = YANKED
    with pytest.raises(error) as expected:
        pins_of(asked, [place], aliases)
    with pytest.raises(error) as caught:
        resolve_together(asked, [place], aliases, adapt=adapt)
    assert caught.value.kind == kind
    assert (str(caught.value), caught.value.data) == (str(expected.value), expected.value.data)


def test_time_does_not_grow_with_the_square_of_the_withdrawn_versions():
    """3,000 of them took a minute and a half when each was chosen among all that were left."""
    names = [f"a/net@1.{number}.0" for number in range(3000)]
    place = catalog(dict.fromkeys(names, SMALL), withdrawn=dict.fromkeys(names[1:], YANKED))
    started = time.monotonic()
    assert resolved_together(["a/net:cat"], place) == refs(pins_of(["a/net:cat"], [place], {})) == ["a/net:cat@1.0.0"]
    assert time.monotonic() - started < 5
