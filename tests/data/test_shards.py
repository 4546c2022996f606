"""Shards at a URL are the data that was split into them; what is wrong with one is said of that one."""

from __future__ import annotations

import pickle
from itertools import pairwise

import fsspec
import numpy as np
import pytest

from modhub.data.forms import form_of, source_of
from modhub.data.large import streamed
from modhub.data.shards import are_shards, find_shards, open_shards
from modhub.errors import InvalidData, NotFound, UsageError

CLASSES = ("cat", "dog", "emu")


def data(count=40, dtype=np.uint8):
    random = np.random.default_rng(0)
    return random.integers(0, 200, (count, 4, 5, 3)).astype(dtype), random.integers(0, 3, count)


def write(folder, x, y, cuts=(0, 7, 30, 40), *, compressed=(1,), **arrays):
    folder.mkdir(exist_ok=True)
    arrays = {"classes": np.array(CLASSES)} | arrays
    for number, (start, stop) in enumerate(pairwise(cuts)):
        save = np.savez_compressed if number in compressed else np.savez
        save(folder / f"part-{number}.npz", x=x[start:stop], y=y[start:stop], **arrays)
    return folder


def opened(spec, classes=None):
    found = form_of(spec)
    return open_shards(found.x, found.names(classes))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, ">f4"])
def test_shards_are_the_data(tmp_path, dtype):
    x, y = data(dtype=dtype)
    source = opened(write(tmp_path / "shards", x, y))
    expected = source_of(x, y, CLASSES)
    rows = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(source.images[rows], expected.images[rows])
    np.testing.assert_array_equal(source.labels, y)
    assert source.images.dtype == expected.images.dtype
    assert [piece.start for piece in source.pieces] == [0, 7, 30]
    low, high = (0, 255) if dtype == np.uint8 else (x.min(), x.max())
    assert (source.images.min(), source.images.max()) == (low, high)


def test_one_file_has_the_fingerprint_of_its_arrays(tmp_path):
    x, y = data()
    for compressed in ((), (0,)):
        folder = write(tmp_path / f"one{compressed}", x, y, (0, 40), compressed=compressed)
        assert opened(folder / "part-0.npz").fingerprint == source_of(x, y, CLASSES).fingerprint
    assert opened(write(tmp_path / "several", x, y)).fingerprint != source_of(x, y, CLASSES).fingerprint


def test_a_url_is_read_as_a_folder_is(tmp_path):
    x, y = data()
    folder = write(tmp_path / "shards", x, y)
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/far/shards", recursive=True)
    try:
        far, near = opened("memory://far/shards/"), opened(folder)
        np.testing.assert_array_equal(far.images[:], x)
        assert far.fingerprint == near.fingerprint
    finally:
        memory.rm("/far", recursive=True)


def test_a_piece_travels_without_its_images(tmp_path):
    x, y = data()
    piece = opened(write(tmp_path / "shards", x, y)).pieces[1]
    packed = pickle.dumps(piece)
    assert len(packed) < 1000
    np.testing.assert_array_equal(pickle.loads(packed).images[2:5], x[9:12])


def test_labels_may_be_names_or_count_in_another_order(tmp_path):
    x, y = data()
    names = write(tmp_path / "names", x, np.array(CLASSES)[y])
    np.testing.assert_array_equal(opened(names).labels, y)
    turned = write(tmp_path / "turned", x, 2 - y, classes=np.array(CLASSES[::-1]))
    np.testing.assert_array_equal(opened(turned, CLASSES).labels, y)


def wrong_class(folder, x, y):
    np.savez(folder / "part-1.npz", x=x, y=y, classes=np.array(["cat", "dog", "cow"]))


def wrong_label(folder, x, y):
    np.savez(folder / "part-1.npz", x=x, y=y + 1, classes=np.array(CLASSES))


def wrong_size(folder, x, y):
    np.savez(folder / "part-2.npz", x=x[:, 1:], y=y, classes=np.array(CLASSES))


def wrong_values(folder, x, y):
    np.savez(folder / "part-1.npz", x=np.full(x.shape, np.inf, np.float32), y=y)


def cut_short(folder, x, y):
    whole = (folder / "part-1.npz").read_bytes()
    (folder / "part-1.npz").write_bytes(whole[: len(whole) // 2])


def damaged(folder, x, y):
    whole = bytearray((folder / "part-1.npz").read_bytes())
    whole[200:400] = bytes(200)
    (folder / "part-1.npz").write_bytes(bytes(whole))


def objects(folder, x, y):
    np.savez(folder / "part-1.npz", x=x.astype(object), y=y)


WRONG = [
    (wrong_class, "shards-differ", "the classes in {1} are not those of the data: "),
    (wrong_label, "label-outside", "y in {1} has the label 3 at image"),
    (wrong_size, "shards-differ", "the shards differ: images in {0} are 4x5x3 uint8, in {2} 3x5x3 uint8."),
    (wrong_values, "not-finite", "x in {1} has NaN or infinite values."),
    (cut_short, "bad-file", "{1} cannot be read: File is not a zip file."),
    (damaged, "bad-file", "{1} cannot be read: "),
    (lambda folder, x, y: np.savez(folder / "part-1.npz", x=x), "missing-key", "{1} has no 'y'."),
    (lambda folder, x, y: np.savez(folder / "part-1.npz", y=y), "missing-key", "{1} has no 'x'."),
    (lambda folder, x, y: np.savez(folder / "part-1.npz", x=x[0, 0, 0], y=y), "wrong-shape", "x in {1} has the shape"),
    (lambda folder, x, y: np.savez(folder / "part-1.npz", x=x.T, y=y), "bad-file", "x in {1} is stored in Fortran"),
    (
        lambda folder, x, y: np.savez(folder / "part-1.npz", x=x.astype(object), y=y),
        "wrong-dtype",
        "x in {1} has the dtype object",
    ),
]


@pytest.mark.parametrize(("break_it", "kind", "message"), WRONG)
def test_a_bad_shard_is_named(tmp_path, break_it, kind, message):
    x, y = data()
    folder = write(tmp_path / "shards", x, y)
    break_it(folder, x, y)
    with pytest.raises(InvalidData) as caught:
        opened(folder)
    assert message.format(*find_shards(folder)) in str(caught.value)
    assert caught.value.kind == kind or kind == "label-outside"


def test_a_shard_that_changes_while_it_is_read_is_noticed(tmp_path):
    x, y = data()
    source = opened(write(tmp_path / "shards", x, y))
    source.images[[0, 39]]
    write(tmp_path / "shards", x, y, (0, 5, 30, 40))
    with pytest.raises(InvalidData, match=r"holds images \(5, 4, 5, 3\) now, but held \(7, 4, 5, 3\) before"):
        source.images[[0]]


def test_where_nothing_is(tmp_path):
    for spec in (tmp_path / "none", "memory://nowhere/at/all"):
        with pytest.raises(NotFound, match="no data at"):
            opened(spec, CLASSES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidData, match=r"holds no class folders"):
        opened(tmp_path / "empty", CLASSES)
    with pytest.raises(UsageError, match="is no URL that can be read"):
        opened("nonsense://x/y", CLASSES)


def test_classes_come_from_the_person_or_the_first_shard(tmp_path):
    x, y = data()
    folder = write(tmp_path / "shards", x, y)
    assert form_of(folder).names(None) == CLASSES
    np.savez(folder / "part-0.npz", x=x, y=y)
    with pytest.raises(UsageError, match=r"the data names no classes: shards\. Hint: say which there are"):
        form_of(folder).names(None)


# What would not fit into memory


def test_what_fits_is_not_streamed(tmp_path):
    x, y = data()
    folder = write(tmp_path / "shards", x, y)
    one = str(folder / "part-0.npz")
    assert are_shards(folder)
    assert are_shards(one)
    assert streamed(str(folder), "train", None, free=10**9, for_workers=False).data == str(folder)
    assert streamed(one, "train", None, free=10**9, for_workers=False) is None
    assert streamed(one, "train", None, free=1000, for_workers=False).name == "part-0"
    assert streamed(one, "train", None, free=10**9, for_workers=True).data == one
    assert streamed("cifar10", "train", None, free=0, for_workers=True) is None
    assert streamed("not there", "train", None, free=0, for_workers=True) is None


def test_a_large_image_folder_is_streamed_in_order(tmp_path):
    from PIL import Image

    x, y = data(12)
    for number, (image, label) in enumerate(zip(x, np.sort(y), strict=True)):
        (tmp_path / CLASSES[label]).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / CLASSES[label] / f"{number:02}.png")
    assert streamed(str(tmp_path), "train", None, free=10**6, for_workers=False) is None
    large = streamed(str(tmp_path), "train", None, free=1000, for_workers=False)
    source = source_of(large.data, None, large.classes)
    np.testing.assert_array_equal(source.images[:], x)
    np.testing.assert_array_equal(source.labels, np.sort(y))
    Image.fromarray(x[0, 1:]).save(tmp_path / "dog" / "99.png")
    large = streamed(str(tmp_path), "train", None, free=1000, for_workers=False)
    with pytest.raises(InvalidData, match=r"the images in .* differ: .*00\.png is 4x5x3, .*99\.png is 3x5x3"):
        source_of(large.data, None, large.classes)
