"""A classifier's answer to one photo, and where in it each module sees its class, as values that a page draws."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.composite import Composite
from modhub.composition.plan import Plan
from modhub.data.fitting import Fitting
from modhub.data.given import FITS, Fit
from modhub.data.picture_reader import PictureReader
from modhub.errors import UsageError, plain
from modhub.ops.explain import explained_by

#: What messages call the picture: its file's name is nobody's business here.
PHOTO: Final = "the photo"
#: Modules whose maps are sent, those of the largest margins.
MOST_MAPS: Final = 12


@dataclass(frozen=True)
class PhotoOptions:
    """How a photo is brought to what the classifier takes, see ``Fitting``."""

    fit: Fit = "crop"
    background: str = "white"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> PhotoOptions:
        """Those of a query. Raises UsageError, kind ``bad-fit``."""
        wanted = query.get("fit", cls.fit)
        fit = next((each for each in FITS if each == wanted), None)
        if fit is None:
            raise UsageError(f"fit is {plain(repr(wanted))}.", kind="bad-fit", hint=f"use {', '.join(FITS)}.")
        return cls(fit, query.get("background", cls.background))


@dataclass(frozen=True, eq=False)
class Photo:
    """Raw pixels (H, W, C) as the classifier takes them, and what was done to get them."""

    pixels: NDArray[Any]
    done: tuple[str, ...]


def photo_of(data: bytes, plan: Plan, options: PhotoOptions) -> Photo:
    """The photo in the bytes of its file. Raises InvalidData, also for one of too many pixels, and UsageError."""
    reader = PictureReader(Fitting(options.fit, plan.contract, options.background))
    pixels = reader.read_bytes(data, PHOTO)
    assert pixels is not None  # the reader is strict
    return Photo(pixels, tuple(reader.done))


def answer_to(composite: Composite, photo: Photo) -> dict[str, Any]:
    """What ``composite.predict`` says of the photo, the largest margin first, with the pixels that it was asked about.

    Raises as ``predict``.
    """
    prediction = composite.predict(photo.pixels[np.newaxis])
    order = np.argsort(-prediction.margins[0], kind="stable")
    members = [
        {
            "label": prediction.classes[column],
            "module": composite.plan.modules[column].ref,
            "probability": float(prediction.probabilities[0, column]),
            "margin": float(prediction.margins[0, column]),
            "module_margin": float(prediction.module_margins[0, column]),
            "module_score": float(prediction.module_scores[0, column]),
            "threshold": float(prediction.thresholds[column]),
            "positive": bool(prediction.positive[0, column]),
        }
        for column in order
    ]
    return {
        "label": prediction.labels[0],
        "rejected": bool(prediction.rejected[0]),
        "members": members,
        "photo": _picture(photo, composite.plan),
    }


def maps_of(composite: Composite, photo: Photo) -> dict[str, Any]:
    """The verdict in words, and of the largest margins the maps of where their modules see their classes.

    A map's parts (rows, columns) are in units of the margins as they vote; its ``box`` is the part of the photo that it
    covers, in shares of the photo's height and width. Raises as ``explained_by``.
    """
    plan = composite.plan
    explanation = explained_by(composite, photo.pixels)
    modules = dict(zip(plan.labels, plan.modules, strict=True))
    maps = [
        {
            "label": said.label,
            "counted": said.counted,
            "layer": said.seen.layer,
            "exact": said.seen.is_exact,
            "parts": (said.seen.parts / said.divisor).tolist(),
            "box": _box(plan, modules[said.label].origin.contract.shape),
        }
        for said in explanation.ranked()[:MOST_MAPS]
        if said.seen is not None
    ]
    return {"verdict": str(explanation.verdict), "maps": maps, "remarks": explanation.remarks()}


def _box(plan: Plan, wanted: Sequence[int]) -> dict[str, float]:
    """The part of the classifier's image that a module of ``wanted`` height and width sees, see ``adapters``."""
    ratios = [out / have for have, out in zip(plan.contract.shape[:2], wanted, strict=False)]
    adapt = plan.settings.adapt
    if adapt not in ("crop", "letterbox"):
        return {"top": 0.0, "left": 0.0, "height": 1.0, "width": 1.0}
    ratio = (max if adapt == "crop" else min)(ratios)
    height, width = (own / ratio for own in ratios)
    return {"top": (1 - height) / 2, "left": (1 - width) / 2, "height": height, "width": width}


def _picture(photo: Photo, plan: Plan) -> dict[str, Any]:
    """The pixels as bytes of red, green and blue, row by row, in base64."""
    low, high = plan.contract.value_range
    scaled = (photo.pixels.astype(np.float64) - low) / (high - low)
    pixels = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3)) if pixels.shape[2] == 1 else pixels
    return {
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "rgb": b64encode(np.ascontiguousarray(pixels).tobytes()).decode(),
        "done": list(photo.done),
    }
