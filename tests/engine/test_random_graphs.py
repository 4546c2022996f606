"""Random Keras models of everything that can be read: the reading, masked and not, is what slow literal code computes.

The model answers through Keras; what was read of it, all rewritten, answers through the interpreter in
``tests.oracle``, which goes position by position in plain Python. The engine's masked network is compared with that
interpreter under random masks. ``MODHUB_FUZZ_EXAMPLES=500`` tries so many more graphs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.decomposition.sites import find_sites
from modhub.engine.read import layer_rules, operation_rules
from modhub.engine.read.graph import layer_calls
from modhub.engine.read.reader import Reading, read_model
from modhub.engine.run.compiled import FEW
from modhub.engine.run.isolated import MaskedNetwork
from modhub.engine.run.network import Network
from modhub.spec.input_contract import ImageContract
from modhub.spec.layers import ElementFunction, Layer
from tests.oracle.drawing import Numbers
from tests.oracle.forward import features, logits
from tests.oracle.fuzzing import fuzz
from tests.oracle.keras_pieces import AUGMENTATIONS, IMAGES, MAPS, SIGNALS, VECTORS, L

SHAPE = (6, 6, 3)
PIECES = MAPS | IMAGES | SIGNALS | AUGMENTATIONS
#: Pieces of one graph.
LENGTH = 7


def model_of(chosen: list[str], vector: str, behind: list[str], seed: int) -> keras.Model:
    """A classifier of the ``chosen`` pieces on images, ``vector``, and the pieces ``behind`` it, weights drawn."""
    n = Numbers(np.random.default_rng(seed))
    image = keras.Input(SHAPE)
    tensor, before = image, image
    for name in chosen:
        # Now and then a piece reads what stood before the last one, and both go on as one.
        beside = n.of(True, False, False, False)
        made = PIECES[name](_of_fair_size(before if beside else tensor, n), n)
        before, tensor = tensor, _gated(tensor, made) if beside else made
    tensor = VECTORS[vector](_of_fair_size(tensor, n), n)
    for name in behind:
        tensor = MAPS[name](tensor, n)
    model = keras.Model(image, L.Dense(3)(tensor))
    _draw_weights(model, n)
    return model


def _gated(tensor: Any, other: Any) -> Any:
    """The tensor times what ``other``, of any size, says of each channel."""
    gate = L.Conv2D(tensor.shape[-1], 1, activation="relu")(other)
    return tensor * L.GlobalAveragePooling2D(keepdims=True)(gate)


def _of_fair_size(tensor: Any, n: Numbers) -> Any:
    """The tensor made larger or smaller, so that any piece can take it and the interpreter comes to an end."""
    rows, columns, channels = tensor.shape[1:]
    if channels > 6 or rows * columns * channels > 300:
        tensor = L.Conv2D(4, 1, activation=n.of(None, "relu"))(tensor)
    if rows > 9 or columns > 9:
        tensor = L.MaxPooling2D((2 if rows > 9 else 1, 2 if columns > 9 else 1))(tensor)
    if rows < 3 or columns < 3:
        tensor = L.UpSampling2D((-(-3 // rows), -(-3 // columns)))(tensor)
    return tensor


def _draw_weights(model: Any, n: Numbers) -> None:
    for layer in model._flatten_layers():
        if isinstance(layer, keras.Model | L.Normalization):
            continue
        for variable in layer.weights:
            if variable.name == "seed_generator_state":
                continue
            spread = 1.5 / np.sqrt(max(1, np.prod(variable.shape[:-1]))) if len(variable.shape) > 1 else 1.0
            least = 0.5 if "variance" in variable.name else -1.0
            variable.assign(spread * n.array(*variable.shape, least=least))


def images_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (2, *SHAPE)).astype("float32")


def assert_close(found: Any, expected: Any, what: str) -> None:
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * max(1e-3, np.abs(expected).max()), err_msg=what)


def assert_reads_right(model: keras.Model, seed: int) -> Reading:
    """The model's answers, those of the reading, and those of the reading under masks, are the interpreter's."""
    reading, images = read_model(model), images_of(seed)
    architecture, weights = reading.architecture, reading.weights
    kernel, bias = weights["head/kernel"], weights["head/bias"]
    literal = [logits(kernel, bias, features(architecture, weights, image)) for image in images]
    assert_close(model(images, training=False), literal, "what was read is not the model")
    contract = ImageContract(
        height=SHAPE[0], width=SHAPE[1], channels=SHAPE[2], dtype="float32", value_range=(-1.0, 1.0), colour="rgb"
    )
    network, random = Network(architecture, weights), np.random.default_rng(seed)
    for observe in ("relu", "conv"):
        masks = {site.id: random.random(site.shape) < 0.6 for site in find_sites(architecture, observe)}
        runner = MaskedNetwork(network, contract, masks, after=FEW)
        runner.set_masks(masks)
        slow = [features(architecture, weights, image, masks) for image in images]
        assert_close(runner.features(images, 2), slow, f"the masked network ({observe})")
    return reading


def chains() -> Iterator[tuple[list[str], str, list[str]]]:
    """All pieces, shuffled, in graphs of a few; each way to a vector, and behind it pieces for vectors."""
    random = np.random.default_rng(4)
    names, vectors, maps = (random.permutation(list(pieces)).tolist() for pieces in (PIECES, VECTORS, MAPS))
    for number, first in enumerate(range(0, len(names), LENGTH)):
        behind = [maps[(2 * number + k) % len(maps)] for k in range(2)]
        yield names[first : first + LENGTH], vectors[number % len(vectors)], behind


GRAPHS = list(chains())


@pytest.fixture(scope="module")
def seen() -> Counter:
    """The rules that the graphs below went through, and the kinds and functions that they were read into."""
    return Counter()


@pytest.mark.parametrize("number", range(len(GRAPHS)))
def test_every_piece_is_read_as_the_interpreter_computes_it(number, seen):
    model = model_of(*GRAPHS[number], seed=number)
    reading = assert_reads_right(model, number)
    seen.update(call.type for call in layer_calls(model)[0])
    for layer in reading.architecture.layers.values():
        seen[f"kind {layer.kind}"] += 1
        seen[f"function {getattr(layer, 'function', None)}"] += 1


def test_no_rule_kind_or_function_is_left_out(seen):
    """What the graphs above are worth. A new rule needs a piece in ``keras_pieces``."""
    if not seen:
        pytest.skip("needs the graphs above")
    kinds = [k for layer in get_args(get_args(Layer)[0]) for k in get_args(layer.model_fields["kind"].annotation)]
    refused = layer_rules.RULES[keras.layers.Embedding]
    wanted = {kind.__name__ for kind, rule in layer_rules.RULES.items() if rule is not refused}
    wanted |= set(operation_rules.RULES)
    wanted |= {f"kind {kind}" for kind in kinds} | {f"function {name}" for name in get_args(ElementFunction)}
    missing = wanted - set(seen)
    assert not missing, f"no piece uses {sorted(missing)}"


@fuzz(6)
@given(st.data())
def test_random_graphs_are_read_as_the_interpreter_computes_them(data):
    chosen = data.draw(st.lists(st.sampled_from(sorted(PIECES)), min_size=1, max_size=LENGTH + 3))
    vector = data.draw(st.sampled_from(sorted(VECTORS)))
    behind = data.draw(st.lists(st.sampled_from(sorted(MAPS)), max_size=3))
    seed = data.draw(st.integers(0, 2**31 - 1))
    assert_reads_right(model_of(chosen, vector, behind, seed), seed)
