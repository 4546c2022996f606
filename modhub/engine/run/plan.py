"""Running a composite's plan: one trunk an origin, columns put back in the plan's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.composition.plan import Plan
from modhub.engine.run.fused import FusedRunner
from modhub.engine.run.isolated import OriginRunner
from modhub.spec.log import timing
from modhub.storage.progress import told_of


class PlanRunner:
    """Runs every origin's modules as the plan says: isolated, exactly as if each ran alone, or fused."""

    def __init__(self, plan: Plan) -> None:
        every = plan.recognisers
        self._width = len(every)
        self._groups: list[tuple[list[int], FusedRunner | OriginRunner]] = []
        for positions, way in zip(plan.groups(), plan.ways, strict=True):
            modules = [every[position] for position in positions]
            make = FusedRunner if way.fused else OriginRunner
            with timing("engine", "built %s for %d modules", modules[0].origin.name, len(modules)):
                runner = make(modules[0].origin, modules, plan.adapter(modules[0]), plan.settings.dtype)
            self._groups.append((positions, runner))

    def margins(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """Margins of raw images (N, H, W, C); float32 (N, recognisers)."""
        result = np.empty((len(images), self._width), np.float32)
        for number, (positions, runner) in enumerate(self._groups):
            with timing("engine", "asked %d modules about %d images", len(positions), len(images)):
                result[:, positions] = runner.margins(images, batch_size, self._telling(number, len(images)))
        return result

    def _telling(self, number: int, images: int) -> Callable[[int], None] | None:
        """What tells how far all networks are, called with the images that network ``number`` has done."""
        progress = told_of("classifying", "images")
        if progress is None:
            return None
        return lambda done: progress((number * images + done) // len(self._groups), images)
