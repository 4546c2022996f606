"""However the data comes, in arrays, batches or files, the modules are the same; and memory does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.data.forms import source_of
from modhub.data.rows import Piece
from modhub.decomposition.sampling import Observed, draw, observed, pack, segments
from modhub.decomposition.sites import find_sites
from modhub.engine.decompose import probe
from modhub.engine.decompose.decompose import _networks
from modhub.engine.decompose.observe import LocalObserver, observe_piece
from modhub.errors import InvalidData
from modhub.spec.manifest import DecomposeOptions
from tests.small_origins import bars, bars_model, fitted_model, plain_features, quadrants, quadrants_model

ROOT = Path(__file__).resolve().parents[2]


def digest(model, x, y=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return modhub.decompose(
            model, x, y, name="me/net", rescale=1 / 255, **({"batch_size": 32} | options)
        ).package.manifest.digest


@pytest.mark.parametrize("options", [{}, {"delta": "q30", "backtrack": "input"}, {"observe": "conv"}])
def test_batches_give_what_arrays_give(options):
    data, held_out = quadrants(), quadrants(seed=9)
    options |= {"classes": data.classes, "samples_per_class": 20}
    in_arrays = digest(quadrants_model(), data.x, data.y, validation=(held_out.x, held_out.y), **options)
    for size in (1, 50, 500):
        batches = ((data.x[at : at + size], data.y[at : at + size]) for at in range(0, len(data.x), size))
        validation = [(held_out.x[at : at + size], held_out.y[at : at + size]) for at in range(0, 120, size)]
        assert digest(quadrants_model(), batches, validation=validation, **options) == in_arrays


def test_a_network_that_is_decomposed_again_is_not_compiled_again_and_gives_the_same():
    data = quadrants()
    model = fitted_model(data, plain_features, seed=5)
    first = digest(model, data.x, data.y, classes=data.classes)
    network = _networks[model][1]
    compiled = dict(network.compiled)
    assert compiled
    assert digest(model, data.x, data.y, classes=data.classes) == first
    assert _networks[model][1] is network
    assert network.compiled == compiled
    # Trained further, it is another network.
    model.set_weights([weights * 1.01 for weights in model.get_weights()])
    assert digest(model, data.x, data.y, classes=data.classes) != first
    assert _networks[model][1] is not network


def test_pieces_of_any_size_give_the_same_bits():
    data = bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        decomposition = modhub.decompose(
            bars_model(), data.x, data.y, classes=data.classes, name="me/net", rescale=1 / 255
        )
    origin, options = decomposition.origin, DecomposeOptions()
    network = probe.Network(origin.architecture, origin.weights)
    sample = draw(data.y, 3, 1000, 0)
    parts = segments(sample)
    whole = LocalObserver(origin, network, [Piece(0, data.x)]).activity(sample, parts, options)
    pieces = [Piece(start, data.x[start:stop]) for start, stop in ((0, 11), (11, 12), (12, 70), (70, 90))]
    reported = []
    activity, logits = LocalObserver(origin, network, pieces, lambda *n: reported.append(n)).activity(
        sample, parts, options
    )
    np.testing.assert_array_equal(activity.rows, whole[0].rows)
    np.testing.assert_array_equal(logits.of(np.arange(90)), whole[1].of(np.arange(90)))
    assert reported == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_lose_nothing_and_report_every_batch(threads):
    data = quadrants()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        origin = modhub.decompose(
            quadrants_model(), data.x, data.y, classes=data.classes, name="me/net", rescale=1 / 255
        ).origin
    network, sites = probe.Network(origin.architecture, origin.weights), find_sites(origin.architecture, "relu")
    sample = draw(data.y, 4, 1000, 0)
    parts = segments(sample)
    reported = []
    batches = pack(sample, parts, 8)
    activity, logits = probe.observe(
        network,
        origin.weights,
        origin.contract,
        sites,
        parts,
        batches,
        data.x,
        lambda *n: reported.append(n),
        threads=threads,
    )
    assert reported == [(n + 1, len(batches.images)) for n in range(len(batches.images))]
    rows, bits, again = observe_piece(network, origin, sites, observed(sample, parts), data.x, 8)
    np.testing.assert_array_equal(bits, activity.rows[rows])
    np.testing.assert_array_equal(again, logits)
    kernel = origin.weights["head/kernel"]
    assert logits.shape == (120, kernel.shape[1])


def test_an_error_in_a_thread_ends_the_pass():
    def run(number):
        if number == 3:
            raise InvalidData("the disk went away.")
        return number

    results = probe._in_order(run, 50, 4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InvalidData, match="the disk went away"):
        next(results)


def test_what_is_observed_of_a_piece_keeps_its_order():
    everything = Observed(np.array([9, 4, 7, 1, 5]), np.array([0, 0, 1, 2, 2]))
    share = everything.within(4, 8)
    np.testing.assert_array_equal(share.inputs, [0, 3, 1])
    np.testing.assert_array_equal(share.rows, [0, 1, 2])


MEMORY = """
import json, warnings
from pathlib import Path
import numpy as np
import keras
import modhub
from tests.small_origins import fitted_model, Data
warnings.simplefilter("ignore")
SIDE, COUNT, EACH = 256, 1500, 50
def batch(number):
    random = np.random.default_rng(number)
    y = random.integers(0, 2, EACH)
    x = random.integers(0, 100, (EACH, SIDE, SIDE, 3), dtype=np.uint8)
    x[y == 1, : SIDE // 2] += 120
    return x, y
def features(image):
    x = keras.layers.Conv2D(4, 8, strides=8, activation="relu")(image)
    return keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(x))
x, y = batch(0)
model = fitted_model(Data(x, y, ("dark", "light")), features)
options = dict(classes=("dark", "light"), name="me/net", rescale=1 / 255, samples_per_class=30, batch_size=32)
few = modhub.decompose(model, x, y, **options)
def resident(what):
    # Not getrusage's, which a process has from the one that started it.
    return int(Path("/proc/self/status").read_text().partition(what + ":")[2].split()[0]) / 1024
def grown(decompose):
    # The peak begins anew, from what is resident now.
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    return decompose().package.manifest.digest, resident("VmHWM") - before
def in_arrays():
    x, y = (np.concatenate(parts) for parts in zip(*map(batch, range(COUNT // EACH))))
    return modhub.decompose(model, x, y, **options)
one, of_batches = grown(lambda: modhub.decompose(model, map(batch, range(COUNT // EACH)), **options))
other, of_arrays = grown(in_arrays)
print(json.dumps([one == other, of_batches, of_arrays]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").is_file(), reason="only Linux has a process's peak in a file")
def test_memory_does_not_grow_with_data_in_batches():
    """Peak resident memory of a child process, beyond what it had before: 281 MiB of images, 9 MiB a batch.

    Working memory and late threads take some batches' worth, more of it from run to run. Whoever keeps the images is
    far above half of them, as the arrays show.
    """
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    equal, in_batches, in_arrays = json.loads(done.stdout.splitlines()[-1])
    assert equal
    assert in_arrays > 281
    assert in_batches < 140


def test_endless_batches_of_keras_and_tensorflow_are_read_once_or_refused():
    import keras
    import tensorflow as tf
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    x, y = np.zeros((30, 8, 8, 3), np.uint8), np.arange(30) % 2

    class Numbered(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, number):
            return x, y

    once = tf.data.Dataset.from_tensor_slices((x, y))
    for made, count in (
        (ImageDataGenerator().flow(x, y, batch_size=7), 30),
        (Numbered(), 90),
        (once.batch(7), 30),
        (once.repeat(2).batch(7), 60),
        (once.filter(lambda image, label: label > 0).batch(7), 15),
    ):
        assert len(source_of(made, None, ("a", "b")).labels) == count
    with pytest.raises(InvalidData, match="repeats for ever"):
        source_of(once.repeat().batch(7), None, ("a", "b"))
