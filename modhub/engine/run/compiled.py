"""Functions of tensors, compiled for the backend that Keras runs on.

Results stay where they were computed until ``to_numpy``: what one function gives, another takes, and an accelerator
works on the next batch while the last one's result is fetched.

float32 is computed as float32: accelerators would round the factors of every product to 10 bits (TensorFloat-32), from
which other masks and margins follow than from the same network on another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from modhub.engine.library import keras, ops
from modhub.engine.run.devices import has_accelerator

Function = Callable[..., Any]

#: Whether models in training compile their step with XLA: jax runs op by op otherwise. TensorFlow's graphs on a
#: processor are as fast without and compile in a tenth of the time; torch needs a compiler of C++ for it.
JIT_COMPILE: Final = keras.backend.backend() == "jax"


#: Calls that a function which may be called only once or twice runs op by op: compiling takes as long as several.
FEW: Final = 2


def compiled(function: Function, *, after: int = 0) -> Function:
    """``function`` of tensors, or trees of them, compiled; it takes numpy arrays too.

    Variables that it reads are constants of it, and must not change. It is traced once for each shape of its arguments
    and, where the backend can, only once more for all numbers of images. torch runs it as it is, without gradients.

    TensorFlow compiles it ``after`` so many calls, which run op by op.
    """
    backend = keras.backend.backend()
    run = _COMPILERS[backend](function)
    if not after or backend != "tensorflow":
        return run
    left = iter(range(after))
    return lambda *arguments: run(*arguments) if next(left, None) is None else _plainly(function, *arguments)


def _plainly(function: Function, *arguments: Any) -> Any:
    """Op by op by TensorFlow."""
    with _exact_factors():
        return function(*arguments)


def to_numpy(tensors: Any) -> Any:
    """A tree of tensors as numpy arrays."""
    return keras.tree.map_structure(ops.convert_to_numpy, tensors)


def fetched(results: Iterable[Any]) -> Iterator[Any]:
    """Results as numpy arrays, each fetched when the next one is under way."""
    waiting: list[Any] = []
    for result in results:
        waiting.append(result)
        if len(waiting) > 1:
            yield to_numpy(waiting.pop(0))
    yield from map(to_numpy, waiting)


def _by_tensorflow(function: Function) -> Function:
    import tensorflow as tf  # one backend of three is installed, maybe

    run: Function = tf.function(function, autograph=False, reduce_retracing=True, jit_compile=False)
    # It takes several networks that are compiled once each for one that is traced again and again, and says so.
    run._omit_frequent_tracing_warning = True  # type: ignore[attr-defined]
    if not has_accelerator():
        return run

    def exactly(*arguments: Any) -> Any:
        with _exact_factors():
            return run(*arguments)

    return exactly


@contextmanager
def _exact_factors() -> Iterator[None]:
    """TensorFlow without TensorFloat-32, where there is an accelerator to have it."""
    if not has_accelerator():
        yield
        return
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _by_jax(function: Function) -> Function:
    import jax

    run = jax.jit(function)

    def exactly(*arguments: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return run(*arguments)

    return exactly


def _by_torch(function: Function) -> Function:
    import torch

    def exactly(*arguments: Any) -> Any:
        cudnn = torch.backends.cudnn
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            with torch.no_grad(), cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False):
                return function(*keras.tree.map_structure(ops.convert_to_tensor, arguments))
        finally:
            torch.set_float32_matmul_precision(before)

    return exactly


_COMPILERS: dict[str, Callable[[Function], Function]] = {
    "tensorflow": _by_tensorflow,
    "jax": _by_jax,
    "torch": _by_torch,
}
