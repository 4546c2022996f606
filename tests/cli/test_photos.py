"""Pictures of every kind through the command: answered as if somebody had prepared each by hand with Pillow."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, features

import modhub
from modhub.data.unlabelled import load_images
from modhub.errors import InvalidData
from tests.cli.running import Result, Workshop, plain_environment

Run = Callable[..., Result]
Hand = Callable[[Image.Image], Image.Image]
T = Image.Transpose
#: What turns the stored pixels upright, as the EXIF standard says.
UPRIGHT = {
    2: T.FLIP_LEFT_RIGHT,
    3: T.ROTATE_180,
    4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE,
    6: T.ROTATE_270,
    7: T.TRANSVERSE,
    8: T.ROTATE_90,
}
RANDOM = np.random.default_rng(0)


def scene(height: int = 48, width: int = 64) -> Image.Image:
    """An RGB picture of soft colours that looks another way when it is turned."""
    coarse = Image.fromarray(RANDOM.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def with_alpha(image: Image.Image) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(image.size)
    image = image.copy()
    image.putalpha(ramp)
    return image


def sixteen(image: Image.Image) -> Image.Image:
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    return Image.fromarray(grey * 256 + grey[::-1])


def rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def on_white(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")


def eight_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8)).convert("RGB")


def turned(orientation: int) -> Hand:
    return lambda image: rgb(image).transpose(UPRIGHT[orientation]) if orientation > 1 else rgb(image)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


class Album:
    """A folder of pictures, each with what it is when it was prepared by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prepared: dict[str, Image.Image] = {}
        self.bad: list[str] = []

    def add(self, name: str, image: Image.Image, hand: Hand = rgb, kind: str | None = None, **options: Any) -> None:
        """Save ``image``; ``hand`` prepares what a plain reader of that file gets, before any turning."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, kind, **options)
        data = io.BytesIO()
        options.pop("exif", None)  # so that no reader turns it
        image.save(data, kind or Image.registered_extensions()[path.suffix.lower()], **options)
        data.seek(0)
        self.prepared[name] = hand(Image.open(data))

    def spoil(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)
        self.bad.append(name)

    def prepared_for(self, names: list[str], size: tuple[int, int]) -> np.ndarray:
        return np.stack([np.asarray(self.prepared[name].resize(size, Image.Resampling.BILINEAR)) for name in names])


@pytest.fixture
def album(tmp_path: Path) -> Album:
    """60 files: 55 pictures of every mode, size, orientation and format, and 5 that nobody can read."""
    album = Album(tmp_path / "photos")
    for height, width in ((32, 32), (1, 1), (7, 300), (300, 7), (640, 480), (33, 31), (20, 1000)):
        album.add(f"sizes/{height}x{width}.png", scene(height, width))
    for orientation in range(1, 9):
        album.add(f"turned/{orientation}.jpg", scene(), turned(orientation), exif=exif(orientation))
    album.add("turned/6.png", scene(), turned(6), exif=exif(6))
    album.add("turned/8.webp", scene(), turned(8), exif=exif(8).tobytes())
    album.add("turned/3.tif", scene(), turned(3), exif=exif(3))
    album.add("grey/l.png", scene().convert("L"))
    album.add("grey/1.png", scene().convert("1"))
    album.add("grey/la.png", with_alpha(scene().convert("L")), on_white)
    album.add("grey/16.png", sixteen(scene()), eight_bits)
    album.add("grey/16.tif", sixteen(scene()), eight_bits)
    album.add(
        "grey/16b.tif",
        Image.frombytes("I;16B", (64, 48), np.asarray(sixteen(scene())).astype(">u2").tobytes()),
        eight_bits,
    )
    album.add("clear/rgba.png", with_alpha(scene()), on_white)
    album.add("clear/rgba.webp", with_alpha(scene()), on_white, lossless=True)
    album.add("clear/rgba.tif", with_alpha(scene()), on_white)
    album.add("clear/opaque.png", scene().convert("RGBA"))
    indexed = scene().quantize(16)
    album.add("clear/index.png", indexed, on_white, transparency=int(np.asarray(indexed)[0, 0]))
    album.add("clear/bytes.png", indexed, on_white, transparency=bytes(range(0, 256, 16)))
    album.add("clear/index.gif", indexed, on_white, transparency=int(np.asarray(indexed)[9, 9]))
    few = scene().quantize(6).convert("RGB")
    album.add("clear/colour.png", few, on_white, transparency=few.getpixel((0, 0)))
    grey = few.convert("L")
    album.add("clear/shade.png", grey, on_white, transparency=grey.getpixel((5, 5)))
    album.add("modes/cmyk.jpg", scene().convert("CMYK"))
    album.add("modes/cmyk.tif", scene().convert("CMYK"))
    album.add("modes/ycbcr.tif", scene().convert("YCbCr"))
    album.add("modes/p.png", scene().quantize(32))
    album.add("modes/p.gif", scene().quantize(32))
    album.add("modes/p.bmp", scene().quantize(32))
    for kind in ("gif", "png", "webp", "tif"):
        more = {"save_all": True, "append_images": [scene(), scene()]}
        album.add(f"moving/several.{kind}", scene(), **more)
    album.add("ends/a.jfif", scene())
    album.add("ends/a.jpe", scene())
    album.add("ends/A.JPG", scene())
    album.add("ends/a.jpg_large", scene(), kind="JPEG")
    album.add("ends/no_end", scene(), kind="PNG")
    album.add("ends/two  blanks [x]*.png", scene())
    album.add("ends/a.ppm", scene())
    album.add("ends/a.tga", scene())
    album.add("ends/a.jp2", scene())
    album.add("a.webp", scene())
    # Nothing here registers HEIC with Pillow: that is the command's part.
    pillow_heif.from_pillow(scene()).save(album.folder / "a.heic")
    album.prepared["a.heic"] = pillow_heif.open_heif(album.folder / "a.heic").to_pillow()
    album.add(f"a.{'avif' if features.check('avif') else 'png'}", scene())
    half = (album.folder / "sizes" / "640x480.png").read_bytes()
    album.spoil("empty.png", b"")
    album.spoil("words.jpg", b"this is no picture")
    album.spoil("half.png", half[: len(half) // 2])
    album.spoil("raw.nef", b"II*\0" + bytes(100))
    Image.fromarray(np.zeros((8, 8), np.float32)).save(album.folder / "floats.tif")
    album.bad.append("floats.tif")
    (album.folder / "notes.txt").write_text("no picture")
    return album


def test_every_picture_is_answered_as_prepared_by_hand(run: Run, album: Album) -> None:
    files = [path for path in album.folder.rglob("*") if path.is_file() and path.name != "notes.txt"]
    assert len(files) == 60
    found = run("predict", "cifar10/r20", "--images", album.folder, "--json")
    assert found.code == 0
    rows = found.document["images"]
    names = [row["image"] for row in rows]
    assert names == sorted(album.prepared, key=lambda name: Path(name).parts)
    expected = modhub.compose("cifar10/r20").predict(album.prepared_for(names, (32, 32)))
    assert [row["label"] for row in rows] == expected.labels
    assert len(set(expected.labels)) > 3, "the pictures tell modules apart"
    np.testing.assert_allclose([row["top"][0]["margin"] for row in rows], expected.margins.max(axis=1), atol=1e-3)
    skipped = found.document["pictures"]["skipped"]
    assert sorted(each["image"] for each in skipped) == sorted(album.bad)
    assert all(f"skipped {name}: " in found.err for name in album.bad)
    assert found.document["pictures"]["left_out"] == ["notes.txt"]
    assert "55 images read: " in found.err
    for part in ("resized to 32x32", "10 turned upright", "4 first frame taken", "5 skipped", "1 left out"):
        assert part in found.err
    stopped = run("predict", "cifar10/r20", "--images", album.folder, "--strict")
    assert (stopped.code, stopped.out) == (1, "")
    assert "cannot be read as an image" in stopped.err


def test_files_folders_patterns_and_standard_input_add_up(run: Run, workshop: Workshop, monkeypatch) -> None:
    photos = Path("photos")
    (photos / "deep" / "er").mkdir(parents=True)
    for name in ("a.png", "deep/b.png", "deep/er/c.jpg", "[d].png"):
        scene().save(photos / name)
    scene().save("e.png")
    scene().save("f.png")
    refs = ("predict", "me/net", "--registry", workshop.registry, "--json")

    def names(*arguments: object) -> list[str]:
        return [row["image"] for row in run(*refs, *arguments).document["images"]]

    assert names("--images", "photos") == ["[d].png", "a.png", "deep/b.png", "deep/er/c.jpg"]
    assert names("--images", "e.png") == ["e.png"]
    assert names("--images", "photos/deep", "--images", "e.png") == [
        "photos/deep/b.png",
        "photos/deep/er/c.jpg",
        "e.png",
    ]
    assert names("--images", "photos/**/*.png") == ["photos/[d].png", "photos/a.png", "photos/deep/b.png"]
    assert names("--images", "photos/[d].png") == ["[d].png"], "what is there is no pattern"
    assert names("--images", "e.png", "f.png") == ["e.png", "f.png"], "a pattern that the shell expanded"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"e.png\n\nphotos/a.png\r\ngone.png\n")))
    listed = run(*refs, "--images", "-")
    assert [row["image"] for row in listed.document["images"]] == ["e.png", "photos/a.png"]
    assert [each["image"] for each in listed.document["pictures"]["skipped"]] == ["gone.png"]
    assert "skipped gone.png: no images at 'gone.png'" in listed.err
    assert run(*refs, "--images", "gone.png").code == 3
    assert run(*refs, "--images", "photos/*.bmp").code == 3
    both = run(*refs, "--images", workshop["test.npz"], "--images", "e.png").document["images"]
    assert (len(both), both[0]["image"], both[-1]["image"]) == (61, f"{workshop['test.npz']} x[0]", "e.png")


def test_what_does_not_fit_is_refused_before_a_network_is_loaded(tmp_path: Path) -> None:
    scene().save(tmp_path / "large.png")
    code = (
        "import sys; from modhub.cli import main\n"
        "code = main(['predict', 'cifar10/r20:cat', '--images', 'large.png', '--fit', 'none'])\n"
        "print(code, 'keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=plain_environment()
    )
    assert done.stdout == "1 False\n"
    assert "error: large.png is 48x64x3; the modules take 32x32x3" in done.stderr
    assert "--fit resize" in done.stderr


def test_fits_and_backgrounds_are_what_they_say(run: Run, workshop: Workshop) -> None:
    with_alpha(scene(40, 80)).save("clear.png")
    refs = ("predict", "me/net", "--registry", workshop.registry, "--images", "clear.png")
    composite = modhub.compose("me/net", registry=workshop.registry)
    for fit in ("resize", "crop", "letterbox"):
        for colour in ("white", "#003366"):
            found = run(*refs, "--fit", fit, "--background", colour, "--json").document["images"][0]
            x, _ = load_images("clear.png", fit=fit, contract=composite.plan.contract, background=colour)
            expected = composite.predict(x)
            assert found["top"][0]["margin"] == pytest.approx(float(expected.margins.max()), abs=1e-4)
    for arguments in (("--background", "no colour"), ("--background", "#ff000080"), ("--fit", "squeeze")):
        assert run(*refs, *arguments).code == 2
    scene(12, 12).convert("L").save("exact.png")
    assert run(*refs[:-1], "exact.png").err == "", "nothing was done, so nothing is said"


def test_labelled_folders_are_fitted_and_their_bad_files_named(run: Run, workshop: Workshop) -> None:
    from tests.cli import origin

    x, y = origin.images(90, 5)
    for number, (image, label) in enumerate(zip(x[..., 0], y, strict=True)):
        place = Path("data") / origin.CLASSES[label] / f"of {number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        # Larger by a whole factor and back is the same picture.
        Image.fromarray(image).resize((36, 36), Image.Resampling.NEAREST).convert("RGBA").save(place / f"{number}.png")
    (Path("data") / "cat" / "bad.jpg").write_bytes(b"bad")
    evaluated = run("evaluate", "me/net", "--registry", workshop.registry, "--data", "data", "--json")
    assert evaluated.code == 0
    assert evaluated.document["images"] == 90
    assert evaluated.document["top_1"]["value"] > 0.9
    assert [each["image"] for each in evaluated.document["pictures"]["skipped"]] == ["cat/bad.jpg"]
    assert "90 images read: 90 resized to 12x12, 1 skipped" in evaluated.err
    model = run("evaluate", workshop["net.keras"], "--rescale", "1/255", "--data", "data", "--json")
    assert model.document["images"] == 90
    cut = run(
        *("decompose", workshop["net.keras"], "--data", "data", "--validation", "data", "--rescale", "1/255"),
        *("--as", "me/photos", "--json"),
    )
    assert cut.code == 0
    assert len(cut.document["classes"]) == 3
    assert "180 images read: 180 resized to 12x12, 2 skipped" in cut.err
    for command in (
        ("evaluate", "me/net", "--registry", workshop.registry, "--data", "data"),
        ("decompose", workshop["net.keras"], "--data", "data", "--rescale", "1/255", "--as", "me/strict"),
    ):
        assert run(*command, "--strict").code == 1
    assert not Path("strict.modules").exists()
    explained = run("explain", Path("data") / "cat" / "of 0" / "0.png", "me/net", "--registry", workshop.registry)
    assert explained.code == 0
    assert "1 image read: 1 resized to 12x12" in explained.err


def test_python_fits_only_when_asked(workshop: Workshop, tmp_path: Path) -> None:
    composite = modhub.compose("me/net", registry=workshop.registry)
    scene().save(tmp_path / "a.png")
    with pytest.raises(InvalidData, match=r"are 48x64x3; the modules take 12x12x1.*fit=\"resize\""):
        composite.predict(load_images(tmp_path / "a.png")[0])
    x, _ = load_images(tmp_path / "a.png", fit="crop", contract=composite.plan.contract)
    raw, _ = load_images(tmp_path / "a.png")
    assert np.array_equal(composite.predict(raw, fit="crop").margins, composite.predict(x).margins)
    explained = modhub.explain(composite, tmp_path / "a.png", fit="crop")
    assert explained.verdict.label == composite.predict(x).labels[0]
    found = modhub.evaluate(composite, (np.concatenate([raw, raw]), ["cat", "dog"]), fit="letterbox")
    assert found.images == 2
