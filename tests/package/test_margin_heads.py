"""The margin of a head, alone and as one layer of many, is the difference of its two outputs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modhub.package.module import Head, MarginHead


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 7), st.integers(1, 5))
def test_margins_are_concerned_minus_unconcerned(seed, features, images, modules):
    random = np.random.default_rng(seed)
    heads = [
        Head(random.normal(size=(features, 2)).astype(np.float32), random.normal(size=2).astype(np.float32))
        for _ in range(modules)
    ]
    h = random.normal(size=(images, features)).astype(np.float32)
    together = MarginHead.of(heads).margins(h)
    assert (together.dtype, together.shape) == (np.float32, (images, modules))
    for column, head in enumerate(heads):
        outputs = h.astype(np.float64) @ head.kernel.astype(np.float64) + head.bias
        np.testing.assert_allclose(together[:, column], outputs[:, 0] - outputs[:, 1], rtol=1e-4, atol=1e-4)
        alone = head.margins(h)
        assert (alone.dtype, alone.shape) == (np.float32, (images,))
        np.testing.assert_allclose(alone, together[:, column], rtol=1e-4, atol=1e-4)
