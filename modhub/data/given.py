"""What people hand over, as types: images, labels, class names and batches in the forms that ``modhub.data`` reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

from numpy.typing import ArrayLike, NDArray

#: Class names in the order of a model's outputs, or a mapping between names and indices, either way round.
ClassNames = Sequence[str] | Mapping[str, int] | Mapping[int, str] | NDArray[Any]
#: LabelledBatches (x, y) of raw images and labels, as a generator or a ``tf.data.Dataset`` gives them.
LabelledBatches = Iterable[tuple[ArrayLike, ArrayLike]]
#: Raw images (N, H, W, C) with their labels apart, or one thing that holds both; ``modhub.data.forms`` lists them.
TrainingData = ArrayLike | LabelledBatches | Mapping[str, ArrayLike] | str | Path
#: One number, or one for each channel.
ChannelNumbers = float | Sequence[float]

#: Which part of data that has both.
Split = Literal["train", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)

#: How pictures are brought to a size: ``resize`` stretches to it, ``crop`` fills it and keeps the middle, ``letterbox``
#: keeps all and fills up with black; ``none`` takes pictures that fit as they are.
Fit = Literal["resize", "crop", "letterbox", "none"]
FITS: Final[tuple[Fit, ...]] = get_args(Fit)
