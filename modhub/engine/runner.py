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
        self._width = len(plan.members)
        self._groups = [
            (columns, OriginRunner(plan.modules[columns[0]].origin, [plan.modules[column] for column in columns]))
            for columns in plan.groups()
        ]

    def margins(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """Margins of raw images (N, H, W, C); float32 (N, k)."""
        result = np.empty((len(images), self._width), np.float32)
        for columns, runner in self._groups:
            result[:, columns] = runner.margins(images, batch_size)
        return result
