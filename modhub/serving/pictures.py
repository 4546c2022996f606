"""What clients send as images, in whatever form, as the classifier takes them: the one way from bytes to an array."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.data.arrays import Images
from modhub.data.picture_reader import PictureReader, different_images
from modhub.data.predicted import given_images
from modhub.errors import InvalidData, Refused
from modhub.serving.answers import late

#: How a picture begins that is written as a URL with its bytes inside.
_DATA_URL: Final = "data:"
_FORMS: Final = "a picture in base64, or nested lists of numbers, height x width x channels"


@dataclass(frozen=True)
class PictureBounds:
    """What the pictures of one request may take, as they are sent: ``pixels`` each, ``together`` all of them, until the
    clock (``time.monotonic``, seconds) says ``until``."""

    pixels: int
    together: int
    until: float

    def read(self, data: bytes, name: str, reader: PictureReader) -> Images | None:
        """The pixels (H, W, C) of one picture. Raises InvalidData, and Refused, kinds ``late`` and ``too-large``."""
        if time.monotonic() > self.until:
            raise late("the pictures were not read in time.")
        left = max(self.together, self.pixels) - reader.pixels
        try:
            return reader.read_bytes(data, name, max_pixels=min(self.pixels, left))
        except InvalidData as error:
            if error.kind != "too-large" or error.data["pixels"] > self.pixels:
                raise
            raise Refused(
                f"the pictures have more than {max(self.together, self.pixels):,} pixels together, with {name}.",
                kind="too-large",
                hint="send fewer or smaller images at once.",
            ) from None


def pictures_of(files: Sequence[tuple[str, bytes]], reader: PictureReader, bounds: PictureBounds) -> Images:
    """Encoded pictures, each with the name that messages call it, fitted: (N, H, W, C).

    Raises InvalidData, and as ``PictureBounds.read``.
    """
    images: list[Images] = []
    for name, data in files:
        image = bounds.read(data, name, reader)
        if image is None:
            raise InvalidData(f"{name} cannot be read.", kind="bad-file", hint="send a PNG or JPEG.")
        if images and image.shape != images[0].shape:
            raise different_images("the request", files[0][0], images[0], name, image)
        images.append(image)
    stacked: Images = np.stack(images)  # type: ignore[assignment]
    return stacked


def json_of(data: bytes) -> Any:
    """Untrusted bytes as JSON. Raises InvalidData, kind ``bad-json``."""
    try:
        return json.loads(data)
    # The last is nesting without end.
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise InvalidData(f"the request is no JSON: {reason}.", kind="bad-json", hint="send valid JSON.") from None


def images_in_json(value: Any, reader: PictureReader, bounds: PictureBounds, most_images: int) -> Images:
    """``{"image": ...}`` or ``{"images": [...]}`` as the classifier takes it: (N, H, W, C).

    An image is a text, base64 of an encoded picture, or nested lists of numbers; ``inputs`` is another word for
    ``images``, for rows of numbers. Raises InvalidData.
    """
    if not isinstance(value, dict) or len(value.keys() & {"image", "images", "inputs"}) != 1:
        raise _bad_request("the JSON has to be one object with image, images or inputs.")
    given = [value["image"]] if "image" in value else value.get("images", value.get("inputs"))
    if not isinstance(given, list) or not given:
        raise _bad_request("images has to be a list with at least one image.")
    if len(given) > most_images:
        # Before anything is decoded; the service says it again for every form.
        return np.zeros((len(given), 1, 1, 1), np.uint8)
    if all(isinstance(each, str) for each in given):
        named = [(f"image {number}", decoded(text, f"image {number}")) for number, text in enumerate(given)]
        return pictures_of(named, reader, bounds)
    if not all(isinstance(each, list) for each in given):
        raise _bad_request("every image has to be of one form.")
    return fitted_numbers(as_array(given), reader)


def decoded(text: str, name: str) -> bytes:
    """Base64, maybe as a ``data:`` URL, as bytes. Raises InvalidData, kind ``bad-base64``."""
    if text.startswith(_DATA_URL):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidData(f"{name} is no base64.", kind="bad-base64", hint=f"send {_FORMS}.") from None


def as_array(values: Sequence[Any]) -> NDArray[Any]:
    """Nested lists of numbers as an array: uint8 where all are whole numbers of 0 to 255, else float32.

    Raises InvalidData, kind ``wrong-shape``.
    """
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError, RecursionError):
        array = np.empty(0, object)
    if array.dtype.kind not in "iuf":
        raise InvalidData(
            "the images are no nested lists of numbers, all of one shape.", kind="wrong-shape", hint=f"send {_FORMS}."
        )
    return as_given(array)


def as_given(array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers of 0 to 255 as uint8, all other numbers as float32."""
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255:
        return array.astype(np.uint8, copy=False)
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def fitted_numbers(array: NDArray[Any], reader: PictureReader) -> Images:
    """Raw images or rows (N, ...) as the classifier takes them, uint8 of another size fitted. Raises InvalidData."""
    parts = list(given_images(array, reader, what="the images"))
    return parts[0].images


def _bad_request(reason: str) -> InvalidData:
    return InvalidData(reason, kind="bad-request", hint=f'for example {{"image": IMAGE}}, where IMAGE is {_FORMS}.')
