"""Adapters on tensors: the same linear maps once as operations, to run, and once as standard layers, to export."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.composition.adapters import Adapter
from modhub.engine.library import keras, ops
from modhub.engine.run.network import preprocess
from modhub.spec.input_contract import InputContract


def prepared(images: Any, contract: InputContract, adapter: Adapter | None) -> Any:
    """Raw images of a composite, (N, H, W, C), as a network takes them: through the adapter, where there is one."""
    return preprocess(images if adapter is None else adapted(images, adapter), contract)


def adapted(images: Any, adapter: Adapter) -> Any:
    """Raw images (N, H, W, C) of the composite as raw images (N, h, w, c) of a module, float32."""
    x = ops.cast(images, "float32")
    if adapter.rows is not None and adapter.columns is not None:
        # Black is 0 while sizes change, because the letterbox fills up with zeros.
        x = x - np.float32(adapter.black)
        x = ops.einsum("bhwc,Hh->bHwc", x, adapter.rows.astype(np.float32))
        x = ops.einsum("bhwc,Ww->bhWc", x, adapter.columns.astype(np.float32))
        x = x + np.float32(adapter.black)
    if adapter.colour is not None:
        x = ops.matmul(x, adapter.colour.astype(np.float32))
    if (adapter.scale, adapter.offset) != (1.0, 0.0):
        x = x * np.float32(adapter.scale) + np.float32(adapter.offset)
    return x


def through_layers(images: Any, adapter: Adapter, prefix: str) -> Any:
    """``adapted`` by frozen standard layers on symbolic images, named with ``prefix``."""
    x = images

    def rescaled(scale: float, offset: float, name: str) -> Any:
        if (scale, offset) == (1.0, 0.0):
            return x
        return keras.layers.Rescaling(scale, offset, dtype="float32", name=f"{prefix}{name}")(x)

    if adapter.rows is not None and adapter.columns is not None:
        x = rescaled(1.0, -adapter.black, "from_black")
        x = _through(x, "bhwc,hH->bHwc", adapter.rows.T, f"{prefix}rows")
        x = _through(x, "bhwc,wW->bhWc", adapter.columns.T, f"{prefix}columns")
        x = rescaled(1.0, adapter.black, "to_black")
    if adapter.colour is not None:
        x = _through(x, "bhwc,cC->bhwC", adapter.colour, f"{prefix}colour")
    return rescaled(adapter.scale, adapter.offset, "value_range")


def turned_around(images: Any, prefix: str) -> Any:
    """RGB as BGR by a frozen standard layer on symbolic images, named with ``prefix``."""
    return _through(images, "bhwc,cC->bhwC", np.eye(3)[::-1], f"{prefix}bgr")


def _through(x: Any, equation: str, matrix: NDArray[np.float64], name: str) -> Any:
    axis = equation[1:4].index(equation.split(",")[1][0])
    shape = list(x.shape[1:])
    shape[axis] = matrix.shape[1]
    layer = keras.layers.EinsumDense(equation, output_shape=shape, trainable=False, dtype="float32", name=name)
    layer.build(x.shape)
    layer.set_weights([matrix.astype(np.float32)])
    return layer(x)
