"""Every picture in a folder is read, refused by name or warned of; and in a path no character means anything else."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from modhub.data.fitting import Fitting
from modhub.data.forms import form_of, source_of
from modhub.data.images import load_data
from modhub.data.large import streamed
from modhub.data.picture_reader import PictureReader
from modhub.data.shards import are_shards, find_shards, open_shards
from modhub.data.unlabelled import load_images
from modhub.errors import InvalidData, UsageError
from modhub.package.folder import load_package, save_package
from modhub.spec.contract import contract_of
from modhub.storage.urls import open_store
from tests.package.test_folder import package

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)
ODD = ["a::b", "a#b", "50%25", "what?", " two  blanks ", "[x]*", "a&b=c", "été", "~x", "s3:x"]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for cls in ("cat", "dog"):
        (tmp_path / "pets" / cls).mkdir(parents=True)
        PICTURE.save(tmp_path / "pets" / cls / "1.png")
    return tmp_path / "pets"


def names(pets: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = load_data(pets).paths
    assert paths is not None
    return [path for path in paths if path not in ("cat/1.png", "dog/1.png")]


@pytest.mark.parametrize("name", ["2.gif", "2.JPE", "2.jfif", "2.jpeg", "2.pnm", "2", "2.jpg_large", "2.backup"])
def test_pictures_are_read_whatever_their_names_end_in(pets: Path, name: str) -> None:
    kind = {"gif": "GIF", "pnm": "PPM"}.get(name.rpartition(".")[2], "JPEG")
    PICTURE.save(pets / "cat" / name, kind)
    assert names(pets) == [f"cat/{name}"]


@pytest.mark.parametrize("name", ["._1.png", ".DS_Store", ".hidden.png", "Thumbs.db", "notes.txt", "labels.csv"])
def test_what_is_no_picture_or_hidden_is_none(pets: Path, name: str) -> None:
    (pets / "cat" / name).write_bytes(b"\0\x05\x16\x07 nothing")
    (pets / name).write_bytes(b"\0\x05\x16\x07 nothing")
    (pets / "__MACOSX" / "cat").mkdir(parents=True)
    assert names(pets) == []
    assert load_images(pets / "cat")[1] == ("1.png",)


@pytest.mark.parametrize("name", ["2.heic", "2.avif", "2.svg", "2.NEF", "2.jxl", "2.png"])
def test_pictures_that_cannot_be_read_are_named(pets: Path, name: str) -> None:
    (pets / "dog" / name).write_bytes(b"whatever")
    with pytest.raises(InvalidData, match=r"dog/2\.\w+ cannot be read as an image.*convert it to PNG or JPEG"):
        load_data(pets)


def test_pictures_in_other_places_are_told(pets: Path) -> None:
    PICTURE.save(pets / "stray.png")
    with pytest.warns(UserWarning, match="are left out") as told:
        assert len(load_data(pets)) == 2
    texts = [str(each.message) for each in told]
    assert texts == [f"1 pictures lie beside the class folders of {pets} and are left out: stray.png."]


def test_folders_in_class_folders_belong_to_the_class(pets: Path) -> None:
    (pets / "cat" / "more" / "deep").mkdir(parents=True)
    PICTURE.save(pets / "cat" / "more" / "deep" / "9.png")
    (pets / "cat" / "more" / "round").symlink_to(pets / "cat")
    assert names(pets) == ["cat/more/deep/9.png"]


@pytest.mark.parametrize("name", ["2.gif", "2.tif", "2.webp", "2.png"])
def test_several_frames_are_not_one_picture(pets: Path, name: str) -> None:
    PICTURE.save(pets / "cat" / name, save_all=True, append_images=[PICTURE.rotate(90), PICTURE.rotate(180)])
    with pytest.raises(InvalidData, match="holds 3 frames; one picture a file is supported"):
        load_data(pets)


def test_transparency_in_a_palette_is_transparency(pets: Path) -> None:
    palette = PICTURE.quantize(16)
    palette.save(pets / "cat" / "2.png")
    assert names(pets) == ["cat/2.png"]
    used = int(np.asarray(palette)[0, 0])
    palette.save(pets / "cat" / "2.png", transparency=used)
    with pytest.raises(InvalidData, match="has the colour mode P with transparent pixels") as caught:
        load_data(pets)
    assert caught.value.kind == "bad-mode"
    PICTURE.save(pets / "cat" / "2.png", transparency=tuple(int(value) for value in PIXELS[3, 3]))
    with pytest.raises(InvalidData, match="has the colour mode RGB with transparent pixels"):
        load_data(pets)


def test_transparency_that_no_pixel_has_is_none(pets: Path) -> None:
    palette = Image.fromarray(np.zeros((8, 8), np.uint8), "P")
    palette.putpalette([9, 9, 9, 1, 1, 1])
    palette.save(pets / "cat" / "2.gif", transparency=1)
    assert names(pets) == ["cat/2.gif"]


@pytest.mark.parametrize("name", ODD)
def test_paths_are_paths(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = np.stack([PIXELS] * 4), np.array([0, 1, 0, 1])
    shards = Path(name)
    shards.mkdir()
    for number in (0, 1):
        np.savez(shards / f"{number}{name}.npz", x=x, y=y, classes=["cat", "dog"])
    (shards / "._0.npz").write_bytes(b"a resource fork")
    (shards / ".DS_Store").write_bytes(b"")
    for spec in (f"./{name}", str(tmp_path / name), tmp_path / name):
        assert are_shards(spec)
        found = form_of(spec)
        assert len(open_shards(found.x, found.names(None)).labels) == 8
    (one,) = find_shards(tmp_path / name / f"0{name}.npz")
    assert len(open_shards([one], ("cat", "dog")).labels) == 4
    assert len(load_data(tmp_path / name / f"0{name}.npz")) == 4
    for cls in (f"{name}1", f"{name}2"):
        (shards / "pictures" / cls).mkdir(parents=True)
        PICTURE.save(shards / "pictures" / cls / f"{name}.png")
    data = load_data(shards / "pictures")
    assert data.classes == (f"{name}1", f"{name}2")
    large = streamed(str(shards / "pictures"), "train", None, free=100, for_workers=False)
    assert large is not None
    assert len(source_of(large.data, None, data.classes).labels) == 2


@pytest.mark.parametrize("name", ODD)
def test_registries_and_packages_may_lie_anywhere(tmp_path: Path, name: str) -> None:
    store = open_store(str(tmp_path / name))
    store.put_if_absent("blobs/sha256/aa/bb", b"here")
    assert (tmp_path / name / "blobs" / "sha256" / "aa" / "bb").read_bytes() == b"here"
    folder = tmp_path / f"{name}.modules"
    folder.mkdir()
    (folder / ".DS_Store").write_bytes(b"")
    save_package(package(), folder)
    assert load_package(folder).manifest == package().manifest


@pytest.mark.parametrize("url", ["s3://bucket::file:///etc", "memory://a::b", "simplecache::s3://bucket/x"])
def test_chained_urls_stay_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_store(url)


def test_pipes_and_programs_are_refused(pets: Path) -> None:
    os.mkfifo(pets / "pipe.png")
    with pytest.raises(InvalidData, match=r"pipe\.png cannot be read as an image: it is not a plain file"):
        load_images(pets / "pipe.png")
    PICTURE.save(pets / "drawn", "EPS")
    with pytest.raises(InvalidData, match="drawn cannot be read as an image: EPS is a program, and none is run"):
        load_images(pets / "drawn")


def test_heic_without_its_library_names_the_extra(pets: Path) -> None:
    pillow_heif.from_pillow(PICTURE.resize((64, 64))).save(pets / "cat" / "2.jpg", format="HEIF")
    assert load_images(pets / "cat" / "2.jpg")[0].shape == (1, 64, 64, 3), "whatever it is called"
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from modhub.data.unlabelled import load_images\n"
        f"load_images({str(pets / 'cat' / '2.jpg')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "HEIC needs a library that is not installed. Hint: pip install 'modhub[heic]'" in done.stderr


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "HEIF", "WEBP"])
def test_a_sent_picture_is_read_as_its_file(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "photo"
    PICTURE.save(file, kind)
    fitting = Fitting("crop", contract_of(np.zeros((1, 6, 4, 3), np.uint8), rescale=1.0, mean=None, std=None))
    of_file = PictureReader(fitting).read(file, "photo")
    of_bytes = PictureReader(fitting).read_bytes(file.read_bytes(), "photo")
    assert np.array_equal(of_file, of_bytes)


def test_a_sent_picture_is_bounded_before_it_is_decoded(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    PICTURE.save(file)
    reader = PictureReader(
        Fitting("resize", contract_of(np.zeros((1, 4, 4, 3), np.uint8), rescale=1.0, mean=None, std=None))
    )
    # Without its second half it could not be decoded.
    half = file.read_bytes()[: file.stat().st_size // 2]
    with pytest.raises(InvalidData, match=r"photo\.png has 8 x 8 pixels; at most 63 are taken") as caught:
        reader.read_bytes(half, "photo.png", max_pixels=63)
    assert caught.value.kind == "too-large"
    for data in (half, b"", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\0\0\0\x18ftypheic"):
        with pytest.raises(InvalidData, match=r"photo\.png cannot be read as an image") as caught:
            reader.read_bytes(data, "photo.png")
        assert caught.value.kind == "bad-file"
        assert "object at" not in str(caught.value)


def test_what_is_read_in_batches_is_fitted_and_accounted_for_as_the_rest(pets: Path) -> None:
    for number in range(70):
        PICTURE.resize((8 + number, 9)).save(pets / "dog" / f"more {number}.png")
    (pets / "dog" / "bad.png").write_bytes(b"bad")
    (pets / "cat" / "notes.txt").write_text("none")
    contract = contract_of(np.zeros((1, 8, 8, 3), np.uint8), rescale=1.0, mean=None, std=None)
    readers = [PictureReader(Fitting("crop", contract), strict=False) for _ in range(2)]
    whole = load_data(pets, reader=readers[0])
    large = streamed(str(pets), "train", None, free=1, for_workers=False, reader=readers[1])
    assert large is not None
    source = source_of(large.data, None, large.classes)
    assert np.array_equal(source.images[:], whole.x)
    assert np.array_equal(source.labels, whole.y)
    assert readers[0].to_dict() == readers[1].to_dict()
    assert [each.name for each in readers[1].skipped] == ["dog/bad.png"]
    assert readers[1].left_out == ["cat/notes.txt"]
    assert readers[1].summary() == (
        "72 images read: 70 cropped to 8x8, 1 skipped, 1 left out as no images (cat/notes.txt)"
    )
    with pytest.raises(InvalidData, match=r"bad\.png cannot be read"):
        load_data(pets, reader=PictureReader(Fitting("crop", contract)))
