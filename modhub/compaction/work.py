"""How networks are made smaller, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modhub.compaction.checkpoints import Checkpoints
from modhub.compaction.selecting import Selection


@dataclass(frozen=True)
class Work:
    """See ``modhub.compact``. With ``polish`` networks are trained afterwards, for ``steps`` or as many as suit them,
    while ``seconds_left`` says that there is time of ``minutes`` in all, with ``checkpoints`` from which it goes on;
    with ``use_labels`` a head of several networks is corrected by the images' labels."""

    strategy: Selection
    polish: bool
    seed: int
    steps: int | None = None
    use_labels: bool = False
    seconds_left: Callable[[], float] | None = None
    checkpoints: Checkpoints | None = None
    minutes: float | None = None

    @property
    def finishes(self) -> bool:
        """Whether anything follows the closed form."""
        return self.polish or self.use_labels
