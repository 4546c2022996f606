"""Drawing sizes, options and numbers of random Keras models."""

from __future__ import annotations

from typing import Any

import numpy as np


class Numbers:
    """Draws sizes, options and arrays from one seeded generator."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def of(self, *options: Any) -> Any:
        """One of the options."""
        return options[self.random.integers(len(options))]

    def array(self, *shape: int, least: float = -1.0) -> np.ndarray:
        """Float32 of ``shape``, between ``least`` and 1."""
        return self.random.uniform(least, 1.0, shape).astype("float32")
