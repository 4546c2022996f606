"""Arrays that are no images: rows of numbers in .npz, .npy and .csv files, and signals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modhub.data.arrays import as_images
from modhub.data.forms import as_image_data, source_of
from modhub.data.images import load_data
from modhub.data.rows import in_chunks, in_memory, with_shape
from modhub.data.shards import open_shards
from modhub.data.tables import read_table
from modhub.data.unlabelled import load_images
from modhub.errors import InvalidData, UsageError

ROWS = [[1.0, 2.5], [3.0, -4.0]]


@pytest.mark.parametrize(
    "text",
    [
        "1,2.5\n3,-4\n",
        "age,size\n1,2.5\n3,-4\n",
        '"age";"size"\n"1";2.5\n3;-4',
        "\ufeff1\t2.5\r\n3\t-4\r\n",
        "1,2.5\n\n3,-4e0\n",
        "# 1,size\n1,2.5\n3,-4\n",
    ],
)
def test_a_table_of_numbers_may_have_a_header_and_other_delimiters(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text, encoding="utf-8")
    found, names = load_images(file)
    assert found.tolist() == ROWS
    assert found.dtype == np.float32
    assert names == ("x[0]", "x[1]")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"1,2\n3\n", "line 2 has 1 columns, those before it 2."),
        (b"1,x\n2,3\n", "line 1, column 2 holds 'x'."),
        (b"a,b\n1,2\n3,\n", "line 3, column 2 holds ''."),
        (b"a,b\n", "has the shape (0, 1)"),
        (b"", "has the shape (0, 1)"),
        (b"1,nan\n", "has NaN or infinite values in 1 of 1 images"),
        (b"1e60,1\n", "has NaN or infinite values in 1 of 1 images"),
        (b"\xff\xfe1,2", "it is no UTF-8 text."),
    ],
)
def test_a_table_that_is_none_names_the_place(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(InvalidData) as caught:
        read_table(file)
    assert str(file) in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["a,label,b\n1,no,2.5\n3,yes,-4\n", "class;a;b\nno;1;2.5\nyes;3;-4"])
def test_a_column_of_labels_makes_a_table_data(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text)
    for data in (load_data(file), as_image_data(file), as_image_data(str(file))):
        assert data.x.tolist() == ROWS
        assert (data.y.tolist(), data.classes, data.name) == ([0, 1], ("no", "yes"), "rows")
    assert load_data(file, classes=["yes", "no"]).y.tolist() == [1, 0]
    source = source_of(file, None, ("yes", "no"))
    assert (source.images.shape, source.labels.tolist()) == ((2, 2), [1, 0])


def test_labels_of_a_table_that_are_numbers_need_names(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b,target\n1,2.5,1\n3,-4,0\n")
    assert load_data(file, classes=["no", "yes"]).y.tolist() == [1, 0]
    assert as_image_data(file, classes=["no", "yes"]).labels.tolist() == ["yes", "no"]
    with pytest.raises(UsageError, match="the labels of rows are numbers, and nothing says what they stand for"):
        load_data(file)
    file.write_text("a,b,target\n1,2.5,no\n3,x,yes\n")
    with pytest.raises(InvalidData, match="line 3, column 2 holds 'x'"):
        load_data(file)


def test_npy_files_hold_arrays_and_never_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array(ROWS))
    assert load_images(tmp_path / "x.npy")[0].tolist() == ROWS
    np.save(tmp_path / "objects.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(InvalidData, match="allow_pickle"):
        read_table(tmp_path / "objects.npy")


def test_rows_of_whole_numbers_are_numbers() -> None:
    assert as_images(np.array([[1, 2]])).dtype == np.float32
    assert as_images(np.array([[True, False]])).tolist() == [[1.0, 0.0]]
    assert as_images(np.array([[1, 2]], np.uint8)).dtype == np.uint8


def test_signals_lose_the_channel_that_grey_images_are_given(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    labels = np.array([0, 1, 0, 1])
    np.savez(tmp_path / "x.npz", x=x, y=labels, classes=["a", "b"])
    batches = [(x[:2], labels[:2]), (x[2:], labels[2:])]
    for source in (
        in_memory(as_images(x), labels, ("a", "b")),
        source_of(iter(batches), None, ("a", "b")),
        open_shards([str(tmp_path / "x.npz")], ("a", "b")),
    ):
        own = source.with_shape((3, 2))
        assert own.images.shape == (4, 3, 2)
        assert len(own.images) == 4
        assert (own.images.min(), own.images.max()) == (0, 23)
        np.testing.assert_array_equal(own.images[np.array([2, 0])], x[[2, 0]])
        np.testing.assert_array_equal(np.concatenate(list(in_chunks(own.pieces[0].images))), x)
        assert own.fingerprint == source.fingerprint
    assert with_shape(as_images(x), (3, 2, 1)).shape == (4, 3, 2, 1)
    assert with_shape(as_images(x[:, 0]), (2,)).shape == (4, 2)
