"""One class, however its name is given: bytes, other Unicode forms, mappings and arrays of each kind mean the same."""

from __future__ import annotations

import enum
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modhub.data.classes import as_labels, class_name, class_names
from modhub.data.forms import as_image_data
from modhub.data.images import load_data
from modhub.errors import InvalidData, UsageError
from modhub.evaluation.labels import columns_of
from modhub.project import edits
from modhub.project.manifest import read_project
from modhub.project.rewriting import rewritten

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
NAMES = (NFC, "dog", "fox")


class Pet(str, enum.Enum):  # noqa: UP042 - whose str() is not its value
    CAFE = NFC
    DOG = "dog"
    FOX = "fox"


class Tensor:
    """As TensorFlow's and JAX's values are: no sequence of Python's, but an array when it is asked for."""

    def __init__(self, value):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        return np.array(self.value, dtype=dtype)


WAYS = [
    list(NAMES),
    [NFD, "dog", "fox"],
    [name.encode() for name in NAMES],
    np.array([name.encode() for name in NAMES]),
    np.array(NAMES),
    np.array(NAMES, dtype=object),
    np.array([NFD.encode(), "dog", bytearray(b"fox")], dtype=object),
    np.array(NAMES, dtype=np.dtypes.StringDType()),
    iter(NAMES),
    {name: number for number, name in enumerate(NAMES)}.keys(),
    {"fox": 2, NFD: 0, "dog": 1},
    {"fox": np.int64(2), NFC.encode(): np.int64(0), "dog": np.int64(1)},
    {2: "fox", 0: NFC, 1: "dog"},
    {"2": "fox", "0": NFC, "1": "dog"},
    list(Pet),
    Tensor([name.encode() for name in NAMES]),
    [Tensor(name.encode()) for name in NAMES],
]


@pytest.mark.parametrize("given_as", WAYS, ids=lambda way: type(way).__name__)
def test_names_are_the_same_however_they_are_given(given_as):
    names = class_names(given_as)
    assert names == NAMES
    assert {type(name) for name in names} == {str}


def test_series_of_pandas_are_names_or_a_mapping():
    pandas = pytest.importorskip("pandas")
    for dtype in (object, "string", "category"):
        assert class_names(pandas.Series(NAMES, dtype=dtype)) == NAMES
        labels = as_labels(pandas.Series(["dog", NFD, "dog"], dtype=dtype), NAMES, count=3)
        assert labels.tolist() == [1, 0, 1]
    assert class_names(pandas.Index(NAMES)) == NAMES
    assert class_names(pandas.Series({"fox": 2, NFC: 0, "dog": 1})) == NAMES
    assert as_labels(pandas.Series([2, 0], dtype="Int64"), NAMES, count=2).tolist() == [2, 0]
    with pytest.raises(InvalidData, match="is no class name but of the type"):
        as_labels(pandas.Series(["dog", None], dtype="string"), NAMES, count=2)


@pytest.mark.parametrize(
    "given_as",
    [
        {"cat", "dog"},
        frozenset(("cat", "dog")),
        None,
        "cat",
        b"cat",
        7,
        [None, "dog"],
        ["cat", 3.5],
        ["cat", True],
        ["cat", float("nan")],
        ["cat", ["dog"]],
        [b"caf\xe9", "dog"],
        {"cat": 0, "dog": 2},
        {"cat": 0, "dog": 0},
        {"cat": 1, "dog": 2},
        {"cat": True, "dog": False},
        {0: 1, 1: 0},
        {},
        [],
        np.array([["cat"], ["dog"]]),
        np.array([0.5, 1.5]),
        [NFC, NFD],
        ["cat", b"cat"],
        ["cat", " "],
    ],
    ids=lambda way: type(way).__name__,
)
def test_what_is_no_list_of_names_is_refused(given_as):
    with pytest.raises(InvalidData) as caught:
        class_names(given_as)
    assert caught.value.kind == "bad-class-name"
    assert caught.value.hint


@given(st.permutations(range(12)))
def test_a_mapping_counts_by_its_indices(order):
    names = [f"class {number}" for number in range(12)]
    by_name = {names[number]: number for number in order}
    assert class_names(by_name) == class_names({number: names[number] for number in order}) == tuple(names)


@given(st.text(min_size=1))
def test_text_and_its_bytes_are_one_name_in_nfc(text):
    try:
        as_bytes = text.encode()
    except UnicodeEncodeError:
        return
    assert class_name(text, "x") == class_name(as_bytes, "x") == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "y",
    [
        [NFC, "dog", NFD],
        np.array([NFD, "dog", NFC]),
        np.array([NFC.encode(), b"dog", NFC.encode()]),
        np.array([NFD, b"dog", NFC], dtype=object),
        np.array([NFC, "dog", NFC], dtype=np.dtypes.StringDType())[:, None],
        np.array([0, 1, 0], dtype=object),
        [0, np.int64(1), 0],
        Tensor([0, 1, 0]),
        [Pet.CAFE, Pet.DOG, Pet.CAFE],
        np.array([0.0, 1.0, 0.0], np.float32),
        np.array([[0.0], [1.0], [0.0]]),
        np.array([False, True, False]),
        np.eye(3)[[0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [1, 0, 0]],
    ],
    ids=lambda way: type(way).__name__,
)
@pytest.mark.parametrize("classes", [NAMES, (NFD, "dog", "fox")])
def test_labels_are_the_same_however_they_are_given(y, classes):
    labels = as_labels(y, classes, count=3)
    assert labels.tolist() == [0, 1, 0]
    assert labels.dtype == np.int64


@pytest.mark.parametrize(
    ("y", "hint"),
    [
        (np.array([1.0, 1.5]), "astype(str)"),
        (np.array([np.nan, 1.0]), "astype(str)"),
        (np.array([[0.2, 0.7, 0.1], [0, 1, 0]]), "y.argmax(axis=1)"),
        (np.array([[1, 1, 0], [0, 1, 0]]), "a single 1 among zeros"),
        (np.array(["dog", None], dtype=object), "missing or other values need a name first"),
        (["dog", 1], "names alone"),
        (["dog", ["fox"]], ""),
        ({"dog": 0, "fox": 1}, "give a list or an array"),
        ({"dog", "fox"}, "give a list or an array"),
        (np.array([b"caf\xe9", b"dog"]), "latin-1"),
        (["dog", "dgo"], "did you mean dog?"),
    ],
)
def test_labels_that_are_neither_names_nor_indices_say_what_helps(y, hint):
    with pytest.raises(InvalidData) as caught:
        as_labels(y, NAMES, count=2)
    assert hint in (caught.value.hint or "")


def test_data_of_names_as_objects_needs_no_list_of_classes():
    x = np.zeros((3, 8, 8, 3), np.uint8)
    for y in (np.array(["dog", NFD, NFC], dtype=object), [b"dog", NFC.encode(), NFC.encode()]):
        data = as_image_data((x, y))
        assert data.classes == (NFC, "dog")
        assert data.y.tolist() == [1, 0, 0]
    with pytest.raises(UsageError, match="the labels are numbers"):
        as_image_data((x, [0, 1, 0]))


def test_folders_of_one_unicode_form_are_the_classes_of_another(tmp_path):
    for name in (NFD, "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    assert load_data(tmp_path).classes == (NFC, "dog")
    assert load_data(tmp_path, classes=["dog", NFC]).y.tolist() == [1, 0]
    assert len(load_data(tmp_path).restrict([NFD])) == 1
    (tmp_path / NFC).mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / NFC / "1.png")
    with pytest.raises(InvalidData, match="twice"):
        load_data(tmp_path)


def test_an_npz_of_bytes_has_the_names_that_they_spell(tmp_path):
    names = np.array([name.encode() for name in NAMES])
    np.savez(tmp_path / "pets.npz", x=np.zeros((3, 8, 8, 3), np.uint8), y=names[[2, 0, 1]], classes=names)
    data = load_data(tmp_path / "pets.npz")
    assert (data.classes, data.y.tolist()) == (NAMES, [2, 0, 1])


def test_evaluation_matches_unicode_forms_and_never_names_without_a_slug():
    assert columns_of([NFD, "dog"], ["dog", NFC]) == [1, 0]
    assert columns_of(["猫"], ["犬"]) == [None]
    hangul = [unicodedata.normalize(form, "고양이") for form in ("NFC", "NFD")]
    assert columns_of(hangul[:1], hangul[1:]) == [0]


PROJECT = f"""[project]
name = "pets"

[classes]
{NFD!r} = "me/net:cafe"
dog = "me/net:dog"

[[verify]]
classes = ["{NFC}", "dog"]
modules = ["me/two:cafe", "me/two:dog"]
"""


def test_a_project_is_edited_by_labels_in_either_form():
    file = read_project(PROJECT.encode())
    assert file.verify[0].classes == tuple(file.classes)
    for after, labels in (
        (edits.without_classes(file, [NFC]), ["dog"]),
        (edits.with_only(file, ["dog", NFC]), ["dog", NFD]),
        (edits.with_modules(file, {NFC: "me/other:cafe"}), [NFD, "dog"]),
        (edits.without_stage(file, [NFD, "dog"]), [NFD, "dog"]),
    ):
        assert list(after.classes) == labels
        assert read_project(rewritten(PROJECT, after).encode()) == after
    assert edits.with_modules(file, {NFC: "me/other:cafe"}).classes[NFD] == "me/other:cafe"
    assert not edits.without_stage(file, [NFD, "dog"]).verify
    tea = read_project(PROJECT.replace(NFD, "tea").replace(NFC, "tea").encode())
    assert NFC in edits.with_classes(tea, {NFD: "a/b:c"}).classes
    with pytest.raises(UsageError, match=r"line 6: the class .* occurs twice, its accents written in two ways"):
        read_project(PROJECT.replace("dog = ", f'"{NFC}" = ').encode())
