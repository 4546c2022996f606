"""Running a composite's plan: one masked trunk an origin, columns put back in the plan's order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.composition.plan import Plan
from modhub.engine.masked import OriginRunner


class PlanRunner:
    """Isolated inference: every module keeps its own masks, exactly as if it ran alone."""

    def __init__(self, plan: Plan) -> None:
        every = plan.recognisers
        self._width = len(every)
        self._groups = [
            (
                positions,
                OriginRunner(
                    every[positions[0]].origin,
                    [every[position] for position in positions],
                    plan.adapter(every[positions[0]]),
                ),
            )
            for positions in plan.groups()
        ]

    def margins(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """Margins of raw images (N, H, W, C); float32 (N, recognisers)."""
        result = np.empty((len(images), self._width), np.float32)
        for positions, runner in self._groups:
            result[:, positions] = runner.margins(images, batch_size)
        return result
