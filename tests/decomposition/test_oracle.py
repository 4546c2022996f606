"""The oracle itself: its forward pass is Keras's, and its algorithms give what can be worked out by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.oracle.forward import features, forward, is_exact, logits
from tests.oracle.fuzzing import fuzz
from tests.oracle.keras_models import build, outputs_of_calls, styles
from tests.oracle.networks import examples, networks


@fuzz(15)
@given(st.data())
def test_every_call_computes_what_keras_computes(data):
    network = data.draw(networks())
    images = data.draw(examples(network, most=1)).images
    values = [forward(network.architecture, network.weights, image) for image in images]
    assume(all(is_exact(value) for value in values))
    theirs = outputs_of_calls(network)(images, training=False)
    for call, tensor in zip(network.architecture.calls, theirs, strict=True):
        ours = np.stack([value[call.id] for value in values])
        np.testing.assert_array_equal(ours, np.asarray(tensor), err_msg=call.id)


@fuzz(10)
@given(st.data())
def test_every_style_of_writing_a_model_is_the_same_function(data):
    network = data.draw(networks())
    images = data.draw(examples(network, most=1)).images
    vectors = [features(network.architecture, network.weights, image) for image in images]
    scores = np.array([logits(network.weights["head/kernel"], network.weights["head/bias"], v) for v in vectors])
    model = build(network, data.draw(styles(network)))
    theirs = np.asarray(model(images, training=False))
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares = shifted / shifted.sum(axis=1, keepdims=True)
    ours = {"logits": scores, "softmax": shares, "sigmoid": shares[:, 1:]}[network.architecture.head]
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)
