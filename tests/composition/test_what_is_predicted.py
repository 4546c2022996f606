"""Whatever form images are handed over in, the answers are those for the array; what holds none is refused early."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import modhub
from modhub.composition.composite import Composite
from modhub.data.tensors import is_array
from modhub.errors import InvalidData, ModhubError, NotFound, UsageError
from tests.small_origins import quadrant_modules, quadrants

X, Y, CLASSES = quadrants(each=4).x, quadrants(each=4).y, quadrants(each=4).classes


@cache
def composite() -> Composite:
    return modhub.compose(quadrant_modules())


def pictures() -> list[Image.Image]:
    return [Image.fromarray(image[..., 0]) for image in X]


class Numbered(keras.utils.PyDataset):
    """Batches by number, as Keras' own loaders give them."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        return X[4 * number : 4 * number + 4], Y[4 * number : 4 * number + 4]


def of_tensorflow(batch: int | None, *, labels: bool, mapping: bool = False) -> Any:
    import tensorflow as tf

    parts: Any = {"image": X, "label": Y} if mapping else (X, Y) if labels else X
    found = tf.data.Dataset.from_tensor_slices(parts)
    return found if batch is None else found.batch(batch)


def tensor() -> Any:
    import tensorflow as tf

    return tf.constant(X)


FORMS: dict[str, Callable[[], Any]] = {
    "a list of arrays": lambda: list(X),
    "grey without an axis for it": lambda: iter([X[:5, ..., 0], X[5:, ..., 0]]),
    "a tensor": tensor,
    "pictures": pictures,
    "a generator of pictures": lambda: iter(pictures()),
    "a generator of images": lambda: (image for image in X),
    "a generator of batches": lambda: (batch for batch in np.array_split(X, 3)),
    "a generator of pairs": lambda: ((batch, 0) for batch in np.array_split(X, 3)),
    "a list of batches": lambda: [X[:5], X[5:]],
    "a list of pairs, as a data set of torch's": lambda: list(zip(X, Y, strict=True)),
    "lists, as a loader of torch's": lambda: ([X[n : n + 4], Y[n : n + 4]] for n in (0, 4, 8, 12)),
    "tf.data": lambda: of_tensorflow(3, labels=False),
    "tf.data with labels": lambda: of_tensorflow(5, labels=True),
    "tf.data one by one": lambda: of_tensorflow(None, labels=True),
    "tf.data of mappings": lambda: of_tensorflow(4, labels=True, mapping=True),
    "a PyDataset": Numbered,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_what_the_array_gives(form: str) -> None:
    expected = composite().predict(X)
    found = composite().predict(FORMS[form]())
    np.testing.assert_allclose(found.margins, expected.margins, atol=1e-5)
    assert (found.labels, found.images) == (expected.labels, None)


def test_files_give_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = composite().predict(X).margins
    Path("some").mkdir()
    for number, picture in enumerate(pictures()):
        picture.save(f"some/{number:02d}.png")
    np.savez("x.npz", x=X)
    paths = sorted(map(str, Path("some").iterdir()))
    for what in ("some", Path("some"), "some/*.png", paths, [Path(path) for path in paths], iter(paths)):
        found = composite().predict(what)
        np.testing.assert_allclose(found.margins, expected, atol=1e-5)
        assert [Path(row.image or "").name for row in found] == [Path(path).name for path in paths]
    assert composite().predict("x.npz").images == tuple(f"x[{n}]" for n in range(16))
    assert composite().predict("some/03.png")[0].image == "03.png"
    with pytest.raises(NotFound):
        composite().predict("nothing/*.png")


def test_pictures_of_any_size_are_fitted() -> None:
    large = [picture.resize((31 + n, 20 + n)).convert("RGBA") for n, picture in enumerate(pictures())]
    assert composite().predict(large, fit="resize").labels == composite().predict(X).labels
    assert composite().predict(iter(large), fit="letterbox", background="#000").margins.shape == (16, 4)
    one = composite().predict(large[0], fit="crop")
    assert len(one) == 1
    with pytest.raises(InvalidData):
        composite().predict(large)


def test_what_does_not_fit_is_refused_before_a_network_is_loaded(tmp_path: Path) -> None:
    fresh = modhub.compose(quadrant_modules())
    Image.new("L", (9, 9)).save(tmp_path / "nine.png")
    for bad in (X[:, :7], X[0], iter([X[:3, :5]]), tmp_path / "nine.png", Image.new("L", (9, 9)), X.astype("U3")):
        with pytest.raises(ModhubError) as caught:
            fresh.predict(bad)
        assert caught.value.kind in ("wrong-shape", "wrong-dtype")
    assert "_runner" not in vars(fresh)


@pytest.mark.parametrize(
    "bad",
    [None, 5, b"bytes", {}, {"x": X}, object, [], (), [["a"]], "", iter(())],
    ids=lambda bad: type(bad).__name__,
)
def test_what_holds_no_images_is_refused(bad: object) -> None:
    with pytest.raises((UsageError, InvalidData, NotFound)) as caught:
        composite().predict(bad)
    assert len(str(caught.value)) < 1_000


def test_what_never_ends_is_refused_or_read_once() -> None:
    with pytest.raises(InvalidData, match="repeats for ever") as caught:
        composite().predict(of_tensorflow(3, labels=False).repeat())
    assert caught.value.kind == "endless-data"
    assert "steps" not in str(caught.value)

    class Loader:
        """As Keras' older generators: of a length, and never ending when iterated."""

        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Any:
            return itertools.cycle([X[:8], X[8:]])

    assert len(composite().predict(Loader())) == 16


def test_pillow_is_no_array() -> None:
    """Pillow's pictures have an interface of arrays, which is not what decides here."""
    assert not is_array(pictures()[0])
