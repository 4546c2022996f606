"""Every form in which people have labelled images is read as the arrays are."""

from __future__ import annotations

import csv
import itertools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modhub.data.fitting import Fitting
from modhub.data.forms import as_image_data, form_of, source_of
from modhub.data.images import ImageData
from modhub.data.picture_reader import PictureReader
from modhub.errors import InvalidData, ModhubError, NotFound, UsageError
from modhub.spec.contract import contract_of

CLASSES = ("cat", "dog", "fox")
COUNT = 30
X = np.random.default_rng(0).integers(0, 256, (COUNT, 4, 5, 3), np.uint8)
Y = np.sort(np.random.default_rng(1).integers(0, 3, COUNT))
NAMES = np.array(CLASSES)[Y]


def in_folder(folder: Path) -> Path:
    for number, (image, name) in enumerate(zip(X, NAMES, strict=True)):
        (folder / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "photos" / name / f"{number:02}.png")
    return folder / "photos"


def in_csv(
    folder: Path, header: tuple[str, ...] = ("path", "label"), labels: Any = NAMES, delimiter: str = ","
) -> Path:
    files = sorted(in_folder(folder).rglob("*.png"))
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([header] if header else [])
        writer.writerows((each.relative_to(folder), label) for each, label in zip(files, labels, strict=True))
    return folder / "list.csv"


def in_npz(folder: Path) -> Path:
    np.savez(folder / "data.npz", x=X, y=Y, classes=np.array(CLASSES))
    return folder / "data.npz"


def in_shards(folder: Path) -> Path:
    for number, rows in enumerate((slice(0, 7), slice(7, COUNT))):
        np.savez(folder / f"{number}.npz", x=X[rows], y=Y[rows], classes=np.array(CLASSES))
    return folder


def batches(size: int = 7, labels: Any = Y) -> Iterator[tuple[Any, Any]]:
    return ((X[at : at + size], labels[at : at + size]) for at in range(0, COUNT, size))


def of_directory(folder: Path, **options: Any) -> Any:
    import keras

    return keras.utils.image_dataset_from_directory(
        in_folder(folder), image_size=(4, 5), batch_size=7, shuffle=False, verbose=False, **options
    )


def tensors(batched: bool, labels: Any = Y) -> Any:
    import tensorflow as tf

    made = tf.data.Dataset.from_tensor_slices((X, labels))
    return made.batch(7) if batched else made


def numbered(folder: Path) -> Any:
    import keras

    class Numbered(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 5

        def __getitem__(self, number: int) -> tuple[Any, Any]:
            return X[number * 7 : number * 7 + 7], np.eye(3, dtype="float32")[Y[number * 7 : number * 7 + 7]]

    return Numbered()


def flow(folder: Path) -> Any:
    """Endless, and float32 as Keras' generators give pixels."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator().flow(X, Y, batch_size=7, shuffle=False)


def from_directory(folder: Path) -> Any:
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator()
    return generator.flow_from_directory(in_folder(folder), target_size=(4, 5), batch_size=7, shuffle=False)


#: What makes the data, and whether it says itself what its numbers stand for.
FORMS: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "arrays and classes": (lambda folder: (X, Y, CLASSES), True),
    "arrays, class_indices": (lambda folder: (X, Y, {"dog": 1, "cat": 0, "fox": 2}), True),
    "arrays and names": (lambda folder: (X, NAMES), True),
    "arrays, one-hot": (lambda folder: (X, np.eye(3)[Y], CLASSES), True),
    "lists": (lambda folder: (list(X), Y.tolist(), CLASSES), True),
    "a mapping": (lambda folder: {"x": X, "y": Y, "classes": CLASSES}, True),
    "ImageData": (lambda folder: ImageData(X, Y, CLASSES, "mine"), True),
    "an npz": (in_npz, True),
    "an opened npz": (lambda folder: np.load(in_npz(folder)), True),
    "shards": (in_shards, True),
    "an npz and classes": (lambda folder: (in_npz(folder), CLASSES), True),
    "class folders and classes": (lambda folder: (in_folder(folder), CLASSES), True),
    "class folders": (in_folder, True),
    "a csv of paths": (in_csv, True),
    "a csv without a header": (lambda folder: in_csv(folder, ()), True),
    "a csv with semicolons": (lambda folder: in_csv(folder, ("Filename", "Class"), delimiter=";"), True),
    "a csv of numbers": (lambda folder: in_csv(folder, labels=Y), False),
    "paths and names": (lambda folder: (sorted(in_folder(folder).rglob("*.png")), NAMES), True),
    "paths and numbers": (lambda folder: (list(map(str, sorted(in_folder(folder).rglob("*.png")))), Y), False),
    "opened pictures": (lambda folder: ([Image.fromarray(each) for each in X], Y.tolist()), False),
    "a generator": (lambda folder: batches(), False),
    "a generator of names": (lambda folder: batches(labels=NAMES), True),
    "a list of batches of unequal length": (lambda folder: list(batches(11)), False),
    "two lists of batches": (lambda folder: ([X[:4], X[4:]], [Y[:4], Y[4:]]), False),
    "batches and classes": (lambda folder: (batches(), CLASSES), True),
    "a list of examples": (lambda folder: list(zip(X, Y, strict=True)), False),
    "examples one-hot": (lambda folder: list(zip(X, np.eye(3)[Y], strict=True)), False),
    "examples of paths": (lambda folder: zip(sorted(in_folder(folder).rglob("*.png")), NAMES, strict=True), True),
    "batches with weights": (lambda folder: ((x, y, np.ones(len(x))) for x, y in batches()), False),
    "batches as mappings": (lambda folder: ({"image": x, "label": y} for x, y in batches()), False),
    "tf.data in batches": (lambda folder: tensors(True), False),
    "tf.data one by one": (lambda folder: tensors(False), False),
    "tf.data one-hot": (lambda folder: tensors(False, np.eye(3)[Y]), False),
    "tf.data of names": (lambda folder: tensors(True, NAMES), True),
    "PyDataset": (numbered, False),
    "ImageDataGenerator": (flow, False),
    "flow_from_directory": (from_directory, True),
    "image_dataset_from_directory": (of_directory, True),
    "the same, one-hot": (lambda folder: of_directory(folder, label_mode="categorical"), True),
}
#: What Keras gives is float32.
FLOATS = {"ImageDataGenerator", "flow_from_directory", "image_dataset_from_directory", "the same, one-hot"}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_what_the_arrays_give(name: str, tmp_path: Path) -> None:
    make, knows_classes = FORMS[name]
    expected = X.astype(np.float32) if name in FLOATS else X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in (
            as_image_data(make(tmp_path), classes=None if knows_classes else CLASSES),
            source_of(make(tmp_path), None, CLASSES),
        ):
            images, labels = (data.x, data.y) if isinstance(data, ImageData) else (data.images[:], data.labels)
            np.testing.assert_array_equal(images, expected)
            assert images.dtype == expected.dtype
            np.testing.assert_array_equal(labels, Y)
            assert not isinstance(data, ImageData) or data.classes == CLASSES
        if not knows_classes:
            with pytest.raises(UsageError, match="numbers, and nothing says what they stand for"):
                as_image_data(make(tmp_path))


@pytest.mark.parametrize(
    "name", ["arrays and classes", "class folders", "an npz", "shards", "flow_from_directory", "batches and classes"]
)
def test_numbers_count_in_the_datas_own_classes_whatever_order_was_asked_for(name: str, tmp_path: Path) -> None:
    asked = ("fox", "cat", "dog")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = source_of(FORMS[name][0](tmp_path), None, asked)
        assert [asked[label] for label in source.labels] == NAMES.tolist()
        # What a loader calls otherwise is renamed; all else has to know its classes.
        renamed = ("Katze", "Hund", "Fuchs")
        if name == "flow_from_directory":
            np.testing.assert_array_equal(source_of(from_directory(tmp_path), None, renamed).labels, Y)
        with pytest.raises(InvalidData, match=r"is not among the classes|are not those of the data"):
            source_of(FORMS[name][0](tmp_path), None, ("cat", "dog", "wolf"))


def test_pandas_labels_and_torch_tensors() -> None:
    pandas = pytest.importorskip("pandas")
    for y in (pandas.Series(NAMES), pandas.Series(Y), pandas.Series(NAMES, dtype="category"), pandas.array(NAMES)):
        np.testing.assert_array_equal(source_of(X, y, CLASSES).labels, Y)


class Tensor:
    """What a tensor of torch does when it lies on an accelerator and is part of a graph."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.ndim = array, array.shape, array.ndim
        self.dtype = self

    is_floating_point, itemsize = True, 4

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> Any:
        return self.array

    def __array__(self, *_: Any) -> Any:
        raise TypeError("can't convert a tensor that requires grad, or lies on an accelerator")


Tensor.__module__ = "torch"


def test_tensors_of_torch_come_from_where_they_lie_and_their_channels_last() -> None:
    x, y = Tensor(np.moveaxis(X, -1, 1)), Tensor(Y)
    loader = [[Tensor(np.moveaxis(a, -1, 1)), Tensor(b)] for a, b in batches()]
    single = [(Tensor(np.moveaxis(a, -1, 0)), b) for a, b in zip(X, Y, strict=True)]
    for source in (source_of(x, y, CLASSES), source_of(loader, None, CLASSES), source_of(single, None, CLASSES)):
        np.testing.assert_array_equal(source.images[:], X)
        np.testing.assert_array_equal(source.labels, Y)


def test_a_torch_loader() -> None:
    torch = pytest.importorskip("torch")
    made = torch.utils.data.TensorDataset(torch.tensor(np.moveaxis(X, -1, 1)), torch.tensor(Y))
    for data in (made, torch.utils.data.DataLoader(made, batch_size=7)):
        np.testing.assert_array_equal(source_of(data, None, CLASSES).images[:], X)


@pytest.mark.parametrize("fit", ["resize", "crop", "letterbox"])
def test_images_of_mixed_sizes_are_fitted_one_by_one(fit: Any, tmp_path: Path) -> None:
    sizes = [(4, 5), (9, 7), (6, 6)]
    random = np.random.default_rng(2)
    arrays = [random.integers(0, 256, (*sizes[number % 3], 3), np.uint8) for number in range(9)]
    labels = [number % 3 for number in range(9)]
    paths = []
    for number, array in enumerate(arrays):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(array).save(paths[-1])
    contract = contract_of(X[:1], rescale=1.0, mean=None, std=None)
    expected = np.stack([Fitting(fit, contract).array(array[None])[0][0] for array in arrays])
    for data in (
        (arrays, labels),
        (paths, labels),
        ([Image.fromarray(array) for array in arrays], labels),
        list(zip(arrays, labels, strict=True)),
        zip(paths, labels, strict=True),
        [(arrays[:4], labels[:4]), (arrays[4:], labels[4:])],
        [(np.stack(arrays[0::3]), [0, 0, 0]), (np.stack(arrays[1::3]), [1] * 3), (np.stack(arrays[2::3]), [2] * 3)],
    ):
        source = source_of(data, None, CLASSES, reader=PictureReader(Fitting(fit, contract)))
        order = np.argsort(source.labels, kind="stable")
        np.testing.assert_array_equal(source.images[order], expected[np.argsort(labels, kind="stable")])
    for data in ((arrays, labels), list(zip(arrays, labels, strict=True)), (paths, labels)):
        with pytest.raises(InvalidData) as caught:
            source_of(data, None, CLASSES)
        assert caught.value.kind in ("mixed-images", "wrong-shape")
        assert "resize" in str(caught.value.hint)


def test_a_bad_picture_is_skipped_with_its_label(tmp_path: Path) -> None:
    paths = sorted(in_folder(tmp_path).rglob("*.png"))
    paths[3].write_bytes(b"no picture")
    reader = PictureReader(strict=False)
    data = as_image_data((paths, NAMES), reader=reader)
    np.testing.assert_array_equal(data.x, np.delete(X, 3, axis=0))
    np.testing.assert_array_equal(data.labels, np.delete(NAMES, 3))
    assert [each.name for each in reader.skipped] == [str(paths[3])]


class Endless:
    """As an unbounded stream: it says nothing of its length."""

    def __iter__(self) -> Iterator[Any]:
        return itertools.cycle(batches())


def test_what_never_ends_is_bounded_by_steps_in_memory_too() -> None:
    import tensorflow as tf

    assert len(as_image_data((Endless(), CLASSES), steps=3)) == 21
    forever = tensors(True).repeat()
    with pytest.raises(InvalidData, match="repeats for ever"):
        as_image_data((forever, CLASSES))
    assert len(as_image_data((forever, CLASSES), steps=2)) == 14
    assert forever.cardinality() == tf.data.INFINITE_CARDINALITY


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a number": (lambda folder: 7, "the data has the type int."),
    "bytes": (lambda folder: b"x", "the data has the type bytes."),
    "images alone": (lambda folder: X, "the data has images, but no labels."),
    "a function": (lambda folder: batches, "the data has the type function."),
    "a mapping without labels": (lambda folder: {"x": X}, "the data has the type dict."),
    "a set": (lambda folder: (X, set(NAMES)), "y is a set"),
    "half the labels": (lambda folder: (X, Y[:15], CLASSES), "y has 15 labels for 30 images."),
    "half the paths": (lambda folder: (["a.png"], ["cat", "dog"]), "y has 2 labels for 1 paths."),
    "a path that is not there": (lambda folder: (["a.png"], ["cat"]), "a.png cannot be read as an image"),
    "a place that is not there": (lambda folder: folder / "none", "no data at"),
    "batches of images alone": (lambda folder: [X], "batch 0: it is a ndarray, not a pair"),
    "batches of other mappings": (lambda folder: [{"pixels": X}], "batch 0: it is a mapping of pixels, not a pair"),
    "a csv that names what is not there": (lambda folder: in_csv(folder / "a").rename(folder / "b.csv"), "line 2 of"),
    "a generator and labels": (lambda folder: (batches(), Y), "type generator, and their labels were given apart"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_labelled_data_is_refused_with_what_is_taken(name: str, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    (tmp_path / "a").mkdir()
    with pytest.raises(ModhubError) as caught:
        as_image_data(make(tmp_path))
    assert isinstance(caught.value, (UsageError, InvalidData, NotFound))
    assert message in str(caught.value)
    assert caught.value.hint or "labels for" in message
    if caught.value.kind == "bad-data" and "batch" not in message:
        for word in ("arrays", "npz", "folder", "CSV", "tf.data.Dataset", "torch", "generator", "list"):
            assert word in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no pictures"),
        ("path,label\n", "names no pictures"),
        ("path,label\nphotos/cat/00.png\n", "line 2 has 1 columns"),
        ("path,label\nphotos/cat/00.png,3\n", "numbers, and nothing says what they stand for"),
        (b"\xff\xfe", "no UTF-8 text"),
    ],
)
def test_a_csv_that_is_no_list_of_pictures(tmp_path: Path, text: str | bytes, message: str) -> None:
    in_folder(tmp_path)
    (tmp_path / "list.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModhubError, match=message):
        form_of(tmp_path / "list.csv")
