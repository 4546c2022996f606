"""The data's classes as the classifier's: names, then slugs, never a guess; and every message for what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.errors import InvalidData
from modhub.evaluation.labels import columns_of, match_labels
from modhub.spec.refs import slug_of


@pytest.mark.parametrize(
    ("classes", "labels", "columns"),
    [
        (["cat", "dog"], ["dog", "cat"], [1, 0]),
        (["Potter's Wheel", "cat"], ["cat", "potter's wheel"], [1, 0]),
        (["cat"], ["Cat", "CAT"], [None]),
        (["Cat", "CAT"], ["cat"], [None, None]),
        (["Cat", "cat"], ["cat", "dog"], [None, 0]),
        (["cat", "Cat"], ["Cat", "cat"], [1, 0]),
        (["fox"], ["cat", "dog"], [None]),
    ],
)
def test_names_then_slugs(classes, labels, columns):
    assert columns_of(classes, labels) == columns


names = st.lists(st.sampled_from(["cat", "Cat", "dog", "DOG", "fox", "a b", "a-b", "A B"]), unique=True, max_size=6)


@given(names, names)
def test_no_column_is_given_twice(classes, labels):
    columns = columns_of(classes, labels)
    found = [column for column in columns if column is not None]
    assert len(found) == len(set(found))
    for name, column in zip(classes, columns, strict=True):
        if name in labels:
            assert column == labels.index(name)
        elif column is not None:
            assert slug_of(labels[column]) == slug_of(name)


@pytest.mark.parametrize(
    ("classes", "labels", "recognised", "columns"),
    [
        # A label goes before what a module was made for, also where both would do.
        (["cat", "dog"], ["dog", "cat"], ["cat", "dog"], [1, 0]),
        (["horse", "cat"], ["pony", "cat"], ["horse", "cat"], [0, 1]),
        (["Horse "], ["pony"], ["horse"], [0]),
        # A module whose label is in the data already is no second column for its class.
        (["apple", "orange"], ["apple"], ["orange"], [0, None]),
        # Two modules for one class: only its label can say which.
        (["cat"], ["kitty", "tom"], ["cat", "cat"], [None]),
        (["cat", "tom"], ["kitty", "tom"], ["cat", "cat"], [None, 1]),
        (["Cat", "CAT"], ["kitty"], ["cat"], [None, None]),
        (["猫"], ["x"], ["犬"], [None]),
    ],
)
def test_then_what_modules_recognise(classes, labels, recognised, columns):
    assert columns_of(classes, labels, recognised) == columns


@given(names, names, st.randoms())
def test_recognised_classes_only_add_to_what_labels_say(classes, labels, random):
    recognised = [random.choice(["cat", "dog", "fox", "a b", "owl"]) for _ in labels]
    by_label, found = columns_of(classes, labels), columns_of(classes, labels, recognised)
    assert len({column for column in found if column is not None}) == sum(column is not None for column in found)
    for name, before, column in zip(classes, by_label, found, strict=True):
        if before is not None:
            assert column == before
        elif column is not None:
            assert slug_of(recognised[column]) == slug_of(name)
            assert [slug_of(each) for each in recognised].count(slug_of(name)) >= 1


def match(y, classes, labels, drop_unknown=False):
    return match_labels(np.array(y), classes, labels, data="photos", what="me/net", drop_unknown=drop_unknown)


def test_rows_and_truth():
    found = match([0, 1, 2, 1], ["dog", "fox", "cat"], ["cat", "dog"], drop_unknown=True)
    assert found.rows.tolist() == [0, 2]
    assert found.truth.tolist() == [1, 0]
    assert found.left_out == {"fox": 2}


def test_classes_without_images_do_not_matter():
    assert match([0, 2], ["dog", "fox", "cat"], ["cat", "dog"]).left_out == {}


@pytest.mark.parametrize(
    ("y", "classes", "labels", "drop", "kind", "message"),
    [
        (
            [0, 1, 1, 2],
            ["cat", "trcuk", "dog"],
            ["cat", "dog", "truck"],
            False,
            "labels-do-not-match",
            "photos has images of 1 class(es) that me/net does not know: 'trcuk' (2 images); it knows 'cat', 'dog', "
            "'truck'. Hint: 'trcuk': did you mean truck?; or leave those images out with drop_unknown=True "
            "(--drop-unknown).",
        ),
        (
            [0, 1],
            ["zebra", "yak"],
            ["cat", "dog"],
            True,
            "labels-do-not-match",
            "photos has images of 2 class(es) that me/net does not know: 'zebra' (1 images), 'yak' (1 images); it "
            "knows 'cat', 'dog'. Hint: rename the data's classes, or the classifier's labels.",
        ),
        ([], ["cat", "dog"], ["cat", "dog"], False, "no-images", "photos has no images. Hint: give at least one"),
        (
            [1, 1],
            ["cat", "dog"],
            ["cat", "dog"],
            False,
            "one-class",
            "photos has images of one class only: 'dog'. Hint: give images of at least two classes",
        ),
        (
            [1, 1, 0],
            ["zebra", "dog"],
            ["cat", "dog"],
            True,
            "one-class",
            "photos has images of one class only that me/net knows: 'dog'.",
        ),
    ],
)
def test_labels_that_do_not_match(y, classes, labels, drop, kind, message):
    with pytest.raises(InvalidData) as raised:
        match(np.array(y, np.int64), classes, labels, drop)
    assert raised.value.kind == kind
    assert message in str(raised.value)


def test_a_hundred_unknown_classes_make_a_short_message():
    classes = [f"thing {number}" for number in range(100)]
    with pytest.raises(InvalidData) as raised:
        match(np.arange(100), classes, ["cat", *classes[:2]])
    assert "and 93 more" in str(raised.value)
    assert len(raised.value.data["unknown"]) == 98
