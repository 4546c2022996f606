"""Arrays of other libraries as numpy's, without importing any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.errors import InvalidData

#: Channels that a picture may have, where torch has them behind the first axis.
_CHANNELS: Final = (1, 3, 4)


def array_of(values: object, what: str = "x") -> NDArray[Any]:
    """``values`` as numpy has them: from lists, and from tensors of any library, wherever they lie.

    torch keeps the channels of images before their rows; where a tensor cannot be meant otherwise, they come last here.
    Raises InvalidData, kind ``wrong-shape``, for a list of parts of different shapes.
    """
    if is_of_torch(values):
        return _of_torch(values)
    if isinstance(values, list | tuple) and values and is_of_torch(values[0]):
        values = [_of_torch(each) for each in values]
    try:
        return np.asarray(values)
    except ValueError:
        raise InvalidData(
            f"{what} is a list of parts of different shapes.",
            kind="wrong-shape",
            hint='bring them to one size, then numpy.stack them; fit="resize" does so with pictures and uint8 images.',
        ) from None


def is_of_torch(value: object) -> bool:
    """Whether ``value`` is a tensor of torch."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def is_array(value: object) -> bool:
    """Whether ``value`` is an array or a tensor of some library, whatever it holds."""
    return hasattr(value, "__array__") and hasattr(value, "ndim")


def are_arrays(values: object) -> bool:
    """Whether ``values`` are a list of arrays or tensors, which may have different shapes."""
    return isinstance(values, list | tuple) and bool(values) and all(map(is_array, values))


def same_shapes(arrays: Sequence[Any]) -> bool:
    """Whether all arrays can be rows of one."""
    return len({tuple(each.shape) for each in arrays}) == 1


def _of_torch(tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    if not tensor.dtype.is_floating_point or tensor.dtype.itemsize > 2:
        array = np.asarray(tensor.numpy())
    else:
        # numpy has no bfloat16.
        array = np.asarray(tensor.float().numpy())
    is_channels_first = array.ndim in (3, 4) and array.shape[-3] in _CHANNELS and array.shape[-1] not in _CHANNELS
    return np.moveaxis(array, -3, -1) if is_channels_first else array
