"""load_data: what .npz files and folders become, and what each kind of unusable data is told."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from modhub.data.images import ImageData, load_data
from modhub.data.npz import read_small
from modhub.data.unlabelled import load_images
from modhub.errors import InvalidData, NotFound, UsageError

CLASSES = np.array(["cat", "dog", "owl"])
LABELS = np.array([0, 1, 2, 0, 1, 2])

Save = Callable[..., Path]
Pixels = NDArray[np.uint8]


def message(spec: object, **options: object) -> str:
    with pytest.raises(InvalidData) as raised:
        load_data(spec, **options)  # type: ignore[arg-type]
    return str(raised.value)


def test_an_npz_gives_its_images_labels_and_classes(save_npz: Save, pixels: Pixels) -> None:
    data = load_data(save_npz(x=pixels, y=LABELS, classes=CLASSES))
    assert data.x.dtype == np.uint8
    assert np.array_equal(data.x, pixels)
    assert data.y.dtype == np.int64
    assert data.y.tolist() == LABELS.tolist()
    assert data.labels.tolist() == ["cat", "dog", "owl", "cat", "dog", "owl"]
    assert (data.classes, data.name, data.paths, len(data)) == (("cat", "dog", "owl"), "pets", None, 6)


def test_images_without_a_channel_axis_are_grey(save_npz: Save, pixels: Pixels) -> None:
    assert load_data(save_npz(x=pixels[..., 0], y=LABELS, classes=CLASSES)).x.shape == (6, 4, 5, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.dtype(">f4")])
def test_floats_become_native_float32_with_their_values(save_npz: Save, pixels: Pixels, dtype: np.dtype) -> None:
    x = load_data(save_npz(x=pixels.astype(dtype), y=LABELS, classes=CLASSES)).x
    assert x.dtype == np.float32
    assert x.dtype.isnative
    assert np.array_equal(x, pixels)


def test_labels_may_be_names_bytes_small_integers_or_a_column(save_npz: Save, pixels: Pixels) -> None:
    for y in (CLASSES[LABELS], CLASSES[LABELS].astype("S"), LABELS.astype(np.uint8), LABELS[:, None]):
        assert load_data(save_npz(x=pixels, y=y, classes=CLASSES)).y.tolist() == LABELS.tolist()


def test_given_classes_set_the_order_of_the_labels(save_npz: Save, pixels: Pixels) -> None:
    data = load_data(save_npz(x=pixels, y=LABELS, classes=CLASSES), classes=["owl", "cat", "emu", "dog"])
    assert [data.classes[label] for label in data.y] == CLASSES[LABELS].tolist()
    assert data.classes == ("owl", "cat", "emu", "dog")


def test_given_classes_stand_in_for_missing_ones(save_npz: Save, pixels: Pixels) -> None:
    assert load_data(save_npz(x=pixels, y=LABELS), classes=["a", "b", "c"]).classes == ("a", "b", "c")


def test_given_classes_must_name_every_class_with_an_image(save_npz: Save, pixels: Pixels) -> None:
    assert "'owl' is not among the classes" in message(
        save_npz(x=pixels, y=LABELS, classes=CLASSES), classes=["cat", "dog"]
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"y": None}, "has no 'y'; it has x, classes. Hint: save it with np.savez(path, x=..., y=..., classes=...)"),
        ({"classes": None}, "has no 'classes'"),
        ({"x": np.zeros((6, 4, 5, 3), np.int64)}, "dtype int64; images are uint8 or float32"),
        ({"x": np.zeros((6, 4, 5, 3), bool)}, "dtype bool"),
        ({"x": np.zeros(6, np.uint8)}, "shape (6,); images are N x height x width x channels"),
        ({"x": np.zeros((0, 4, 5, 3), np.uint8)}, "shape (0, 4, 5, 3)"),
        ({"x": np.zeros((6, 3, 32, 32), np.uint8)}, "channels come last here. Hint: use x.transpose(0, 2, 3, 1)"),
        ({"x": np.where(np.arange(6) == 4, np.nan, 0.5).reshape(6, 1, 1, 1)}, "in 1 of 6 images, first in image 4"),
        ({"x": np.full((6, 2, 2, 1), 1e300)}, "NaN or infinite values in 6 of 6 images"),
        ({"y": np.array([0, 1, 2, 0, 3, 2])}, "the label 3 at image 4, outside the 3 classes (0 to 2)"),
        ({"y": np.array([0, 1, 2, -1, 1, 2])}, "the label -1 at image 3"),
        ({"y": np.eye(6, 4)}, "shape (6, 4); labels are one index or name an image. Hint: one-hot"),
        ({"y": np.eye(6, 3)}, "has the row [0.0, 0.0, 0.0] at image 3, which is not one-hot."),
        ({"y": LABELS / 2}, "dtype float64; labels are integers or class names"),
        ({"y": LABELS[:5]}, "has 5 labels for 6 images"),
        ({"y": np.array(["cat", "dgo", "owl", "cat", "dog", "owl"])}, "'dgo' is not among the classes. Hint: did you"),
        ({"classes": np.array(["cat", "dog", "cat"])}, "hold the name 'cat' twice"),
        ({"classes": np.array(["cat", "", "owl"])}, "hold an empty name"),
        ({"classes": np.array([["cat"], ["dog"]])}, "no list of names: dtype <U3, shape (2, 1)"),
        ({"classes": np.array([0.5, 1.5])}, "no list of names: dtype float64"),
        ({"classes": np.array(["cat", "dog", "owl"], object)}, "classes in"),
    ],
)
def test_an_npz_that_cannot_be_used_says_why(
    save_npz: Save, pixels: Pixels, change: dict[str, object], expected: str
) -> None:
    arrays = {"x": pixels, "y": LABELS, "classes": CLASSES} | change
    path = save_npz(**{key: value for key, value in arrays.items() if value is not None})
    text = message(path)
    assert expected in text
    assert str(path) in text


def test_nothing_in_an_npz_is_unpickled(tmp_path: Path, pixels: Pixels) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    path = tmp_path / "evil.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in {"x": pixels, "y": LABELS}.items():
            with archive.open(f"{key}.npy", "w") as file:
                np.lib.format.write_array(file, value)
        archive.writestr("classes.npy", header.getvalue() + pickle.dumps([Payload()]))
    assert "Python objects are never loaded" in message(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("damage", ["empty", "truncated", "zeroed", "an array"])
def test_a_damaged_npz_is_named(save_npz: Save, pixels: Pixels, damage: str) -> None:
    path = save_npz(x=pixels, y=LABELS, classes=CLASSES)
    good = path.read_bytes()
    if damage == "an array":
        with path.open("wb") as file:
            np.save(file, pixels)
    else:
        path.write_bytes({"empty": b"", "truncated": good[:-40], "zeroed": good[:200] + bytes(60) + good[260:]}[damage])
    assert str(path) in message(path)


@pytest.fixture(scope="module")
def damaged_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "damaged.npz"


@given(junk=st.binary(max_size=300), place=st.integers(0, 1000))
def test_no_damage_of_an_npz_escapes_as_another_error(damaged_file: Path, junk: bytes, place: int) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros((2, 3, 3), np.uint8), y=np.array([0, 1]), classes=np.array(["a", "b"]))
    good = buffer.getvalue()
    damaged_file.write_bytes(good[:place] + junk + good[place + len(junk) :])
    with contextlib.suppress(InvalidData):
        assert load_data(damaged_file).x.shape == (2, 3, 3, 1)


def test_a_folder_gives_sorted_classes_and_paths(pets: Path, pixels: Pixels) -> None:
    data = load_data(pets)
    assert (data.classes, data.name) == (("cat", "dog"), "pets")
    assert data.y.tolist() == [0, 0, 1, 1, 1, 1]
    assert np.array_equal(data.x, pixels[[4, 5, 0, 1, 2, 3]])
    assert data.paths is not None
    assert data.paths[2] == str(Path("dog") / "0.PNG")
    reordered = load_data(str(pets), classes=["dog", "cat"])
    assert reordered.classes == ("dog", "cat")
    assert reordered.y.tolist() == [1, 1, 0, 0, 0, 0]


def test_train_and_test_folders_are_chosen_by_split(pets: Path) -> None:
    root = pets.parent / "both"
    root.mkdir()
    pets.rename(root / "train")
    assert (load_data(root).name, len(load_data(root))) == ("both_train", 6)
    assert f"has train/ but no test/ with class folders. Hint: add {root / 'test'}" in message(root, split="test")


def test_a_class_may_be_called_train(pets: Path) -> None:
    (pets / "dog").rename(pets / "train")
    assert load_data(pets).classes == ("cat", "train")
    assert load_data(pets, split="test").classes == ("cat", "train")


def test_bilevel_and_palette_images_keep_their_colours(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    for mode, name in {"P": "colour", "1": "bilevel"}.items():
        (tmp_path / name / "only").mkdir(parents=True)
        Image.fromarray(colours).convert(mode, palette=Image.Palette.ADAPTIVE).save(tmp_path / name / "only" / "0.png")
    assert np.array_equal(load_data(tmp_path / "colour").x[0], colours)
    assert load_data(tmp_path / "bilevel").x.shape == (1, 1, 2, 1)


def test_the_first_two_images_that_differ_are_named_with_both_sizes(pets: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels[0, :, :, 0]).save(pets / "dog" / "2.PNG")
    Image.fromarray(pixels[0, :2]).save(pets / "dog" / "3.PNG")
    text = message(pets)
    assert f"{Path('cat') / '0.PNG'} is 4x5x3, {Path('dog') / '2.PNG'} is 4x5x1 (height x width x channels)" in text
    assert "Hint: bring all images to one size and colour mode" in text


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "I;16", "LA"])
def test_a_colour_mode_that_would_lose_something_is_refused(tmp_path: Path, mode: str) -> None:
    (tmp_path / "cat").mkdir()
    Image.new(mode, (4, 4)).save(tmp_path / "cat" / "0.tif")
    assert f"{tmp_path / 'cat' / '0.tif'} has the colour mode {mode}" in message(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", "truncated"])
def test_a_broken_image_is_named(pets: Path, content: bytes | str) -> None:
    file = pets / "dog" / "1.PNG"
    file.write_bytes(file.read_bytes()[:-30] if isinstance(content, str) else content)
    assert f"{file} cannot be read as an image" in message(pets)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(
    suffix=st.sampled_from(["png", "jpg", "bmp", "tif", "webp", "ppm"]),
    junk=st.binary(min_size=1, max_size=40),
    place=st.integers(0, 600),
)
def test_no_damage_of_an_image_escapes_as_another_error(
    damaged_file: Path, suffix: str, junk: bytes, place: int
) -> None:
    buffer = io.BytesIO()
    image = np.arange(12 * 12 * 3, dtype=np.uint8).reshape(12, 12, 3)
    Image.fromarray(image).save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
    good = buffer.getvalue()
    file = damaged_file.with_suffix(f".{suffix}")
    file.write_bytes(good[:place] + junk + good[place + len(junk) :])
    with contextlib.suppress(InvalidData):
        load_images(file)


def test_an_empty_class_folder_is_named(pets: Path) -> None:
    (pets / "emu").mkdir()
    assert f"the class folder {pets / 'emu'} holds no images" in message(pets)


def test_a_folder_without_class_folders_says_so(pets: Path) -> None:
    assert f"{pets / 'dog'} holds no class folders" in message(pets / "dog")


def test_a_file_that_is_no_npz_says_what_is_taken(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("1,2")
    assert "is no .npz file, no folder and no CSV file. Hint: give cifar10 or cifar100, an .npz" in message(
        tmp_path / "data.txt"
    )
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(NotFound, match=r"line 1 of .* names .*, which is not there\. Hint: write the columns path and"):
        load_data(tmp_path / "data.csv")


def test_a_spec_that_is_not_there_suggests_a_name() -> None:
    with pytest.raises(NotFound, match=r"no data at 'cifar-10'\. Hint: did you mean cifar10"):
        load_data("cifar-10")
    with pytest.raises(NotFound, match=r"no data at 'nowhere\.npz'\. Hint: give cifar10 or cifar100"):
        load_data("nowhere.npz")


def test_another_split_is_a_usage_error(pets: Path) -> None:
    with pytest.raises(UsageError, match=r"'val' is not a split of the data\. Hint: use train or test"):
        load_data(pets, split="val")  # type: ignore[arg-type]


def test_a_named_data_set_goes_to_the_loader_given(save_npz: Save, pixels: Pixels) -> None:
    stored = load_data(save_npz(x=pixels, y=LABELS, classes=CLASSES))
    asked = []

    def datasets(name: str, split: str) -> ImageData:
        asked.append((name, split))
        return stored

    assert load_data("cifar100", split="test", datasets=datasets) is stored
    assert load_data("cifar10", datasets=datasets, classes=["owl", "dog", "cat"]).y.tolist() == [2, 1, 0, 2, 1, 0]
    assert asked == [("cifar100", "test"), ("cifar10", "train")]
    with pytest.raises(UsageError, match="no loader of named data sets"):
        load_data("cifar10")


def test_restrict_and_take_keep_images_labels_and_paths_together(pets: Path) -> None:
    data = load_data(pets)
    dogs = data.restrict(["dog"])
    assert dogs.classes == ("dog",)
    assert dogs.y.tolist() == [0] * 4
    assert np.array_equal(dogs.x, data.x[2:])
    assert dogs.paths == data.paths[2:]  # type: ignore[index]
    assert data.restrict(["dog", "cat"]).y.tolist() == [1, 1, 0, 0, 0, 0]
    some = data.take([5, 0])
    assert some.y.tolist() == [1, 0]
    assert np.array_equal(some.x, data.x[[5, 0]])
    assert some.paths == (data.paths[5], data.paths[0])  # type: ignore[index]
    with pytest.raises(InvalidData, match=r"'dogs' is not among the classes\. Hint: did you mean dog"):
        data.restrict(["dogs"])


def test_loading_an_npz_imports_neither_keras_nor_pillow(save_npz: Save, pixels: Pixels) -> None:
    path = save_npz(x=pixels, y=LABELS, classes=CLASSES)
    code = (
        "import sys; from modhub.data.images import load_data; from modhub.engine.datasets import load_dataset\n"
        f"load_data({str(path)!r}, datasets=load_dataset)\n"
        "print(sorted({'keras', 'tensorflow', 'PIL'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


# Labels and classes that are bombs


def zeros_of(path, **members):
    """An .npz of headers and as many zeros behind each as are given: (shape, dtype, bytes)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (shape, dtype, size) in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_2_0(
                    member, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
                )
                for _ in range(size // 2**20):
                    member.write(bytes(2**20))
                member.write(bytes(size % 2**20))
    return path


SMALL_X = ((3, 4, 4, 1), np.uint8, 48)
SMALL_Y = ((3,), np.int64, 24)
SMALL_CLASSES = ((2,), "<U3", 24)


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"x": SMALL_X, "y": ((2**23,), np.int64, 2**26), "classes": SMALL_CLASSES}, "too-large"),
        ({"x": SMALL_X, "y": ((3, 2**23), np.uint8, 3 * 2**23), "classes": SMALL_CLASSES}, "too-large"),
        ({"x": SMALL_X, "y": SMALL_Y, "classes": ((2, 2**14, 2**10), "<U2", 2**28)}, "too-large"),
        ({"x": SMALL_X, "y": SMALL_Y, "classes": ((2,), "<U33554432", 2**28)}, "too-large"),
        ({"x": SMALL_X, "y": ((2**50,), np.int64, 24), "classes": SMALL_CLASSES}, "bad-file"),
        ({"x": SMALL_X, "y": SMALL_Y, "classes": ((2**40,), "<U3", 24)}, "bad-file"),
        ({"x": ((2**40, 4, 4, 1), np.uint8, 48), "y": SMALL_Y, "classes": SMALL_CLASSES}, "bad-file"),
    ],
)
def test_labels_and_classes_that_unpack_to_far_more_are_refused_before_they_are(tmp_path, members, kind):
    path = zeros_of(tmp_path / "bomb.npz", **members)
    assert path.stat().st_size < 2**20
    for read in (lambda: load_data(str(path)), lambda: read_small(path.as_uri(), ["y", "classes"])):
        with pytest.raises(InvalidData) as caught:
            read()
        assert caught.value.kind == kind, caught.value


def test_long_names_and_labels_as_names_are_no_bombs(tmp_path):
    names = np.array(["a" * 500, "b" * 500])
    np.savez_compressed(
        tmp_path / "d.npz", x=np.zeros((200, 4, 4), np.uint8), y=names[np.arange(200) % 2], classes=names
    )
    assert load_data(str(tmp_path / "d.npz")).y.tolist() == [0, 1] * 100
