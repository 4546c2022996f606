"""The settings of a decomposition, beside the network and its data, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pydantic import ValidationError

from modhub.errors import UsageError, plain
from modhub.spec.input_contract import TrainedColor
from modhub.spec.manifest import DecomposeOptions

#: Where images are observed: in this process, or on a Ray cluster.
EngineName = Literal["local", "ray"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


@dataclass(frozen=True)
class DecomposeSettings:
    """The keywords of ``modhub.decompose``, where each is explained. ``options`` are those that a release records.

    ``name`` is ``namespace/model``; ``dataset`` and ``validation_dataset`` name what is observed and measured on.
    """

    name: str
    dataset: str
    validation_dataset: str
    options: DecomposeOptions = field(default_factory=DecomposeOptions)
    rescale: float = 1.0
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    color: TrainedColor = "rgb"
    keep_rescale: bool = False
    engine: EngineName = "local"
    workers: int | None = None
    steps: int | None = None
    validation_steps: int | None = None


def decompose_options(**options: Any) -> DecomposeOptions:
    """The options as they are recorded. Raises UsageError, kind ``bad-option``, for a value that cannot be."""
    try:
        return DecomposeOptions(**options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(
            f"{first['loc'][0]} is {plain(repr(options[str(first['loc'][0])]))}: {first['msg']}.",
            kind="bad-option",
            hint="see help(modhub.decompose).",
        ) from None
