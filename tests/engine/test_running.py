"""Running modules: together as alone, whatever the batch, the dtype and the order; and exported to plain Keras."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from modhub import compose
from modhub.decomposition.calibration import fit_platt
from modhub.decomposition.sampling import draw
from modhub.engine.read.check import logits_of
from modhub.engine.run.isolated import MaskedNetwork, equal_masks, masked_sites
from modhub.engine.run.network import Network, preprocess
from modhub.errors import IntegrityError
from modhub.package.decomposition import with_digests
from modhub.package.module import PackedMasks
from tests.small_origins import (
    bar_modules,
    bars,
    bars_model,
    decomposed,
    quadrant_modules,
    quadrants,
    quadrants_model,
    with_random_masks,
)
from tests.thinning import ALL

IMAGES = quadrants(each=8, seed=9).x


def masked_modules():
    """The quadrants' modules under random masks of their own, the last two under equal ones."""
    one, two, three, four = [with_random_masks(m, seed=k) for k, m in enumerate(quadrant_modules().modules)]
    return [one, two, three, with_digests([replace(four, keep=three.keep)])[0]]


def margins_by_hand(module, images):
    """One module alone, call by call and without compiling; the head in numpy."""
    network = Network(module.origin.architecture, module.origin.weights)

    def mask(call, output):
        return np.asarray(output) * module.keep[call] if call in module.keep else output

    tensors = network.advance({"input": preprocess(images, module.origin.contract)}, mask)
    features = np.asarray(tensors[module.origin.architecture.features], np.float64)
    kernel, bias = module.head.kernel.astype(np.float64), module.head.bias.astype(np.float64)
    return features @ (kernel[:, 0] - kernel[:, 1]) + bias[0] - bias[1]


def origin_margins(module, images):
    logits = logits_of(module.origin, module.origin.contract, images, 16).astype(np.float64)
    own = logits[:, module.index]
    return own - (logits.sum(axis=1) - own) / (logits.shape[1] - 1)


# Margins


def test_together_every_module_answers_as_alone_and_not_as_its_origin():
    modules = masked_modules()
    together = compose(modules).predict(IMAGES).margins
    for column, module in enumerate(modules):
        alone = compose([module]).predict(IMAGES).margins[:, 0]
        np.testing.assert_allclose(together[:, column], alone, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(together[:, column], margins_by_hand(module, IMAGES), atol=1e-4, rtol=1e-5)
        assert np.abs(together[:, column] - origin_margins(module, IMAGES)).max() > 0.1


def test_backtracked_masks_change_what_decompose_fitted_on():
    """The modules of a quantile delta: some nodes of the last hidden layer are gone, and answers change with them."""
    decomposition = quadrant_modules()
    assert all(sum(module.stages.last_conv) > 0 for module in decomposition.modules)
    margins = compose(list(decomposition.modules)).predict(IMAGES).margins
    for column, module in enumerate(decomposition.modules):
        np.testing.assert_allclose(margins[:, column], margins_by_hand(module, IMAGES), atol=1e-4, rtol=1e-5)
        assert np.abs(margins[:, column] - origin_margins(module, IMAGES)).max() > 0.1


@pytest.mark.parametrize("options", [{"delta": "q30"}, {"observe": "conv", "backtrack": "none"}])
def test_threshold_and_scale_are_fitted_to_the_modules_own_answers(options):
    """Not to its origin's: masks of both kinds change margins on inputs that were observed."""
    data = quadrants()
    sample = draw(data.y, len(data.classes), 1000, 0)
    for module in decomposed(quadrants_model(), data, "shapes/quadrants", **options).modules:
        yes, no = data.x[sample.indices[module.index]], data.x[sample.unconcerned(module.index)]
        own = fit_platt(margins_by_hand(module, yes), margins_by_hand(module, no))
        np.testing.assert_allclose((module.threshold, module.scale), own, rtol=1e-3)


def test_without_backtracking_a_module_answers_as_its_origin_on_what_it_observed():
    data = quadrants()
    decomposition = decomposed(quadrants_model(), data, "shapes/quadrants", backtrack="none")
    margins = compose(list(decomposition.modules)).predict(data.x).margins
    for column, module in enumerate(decomposition.modules):
        own = data.y == module.index
        np.testing.assert_allclose(margins[own, column], origin_margins(module, data.x[own]), atol=1e-4, rtol=1e-5)


def test_full_masks_give_the_origins_vote():
    full = [
        replace(module, keep=PackedMasks.of({site: np.ones_like(mask) for site, mask in module.keep.items()}))
        for module in quadrant_modules().modules
    ]
    margins = compose(with_digests(full)).predict(IMAGES).margins
    expected = quadrants_model().predict(IMAGES / np.float32(255), verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(margins.argmax(axis=1), expected)


def test_empty_masks_leave_the_bias():
    module = quadrant_modules().modules[0]
    empty = replace(module, keep=PackedMasks.of({site: np.zeros_like(mask) for site, mask in module.keep.items()}))
    margins = compose(with_digests([empty])).predict(IMAGES).margins
    np.testing.assert_allclose(margins[:, 0], float(module.head.margin_bias), rtol=1e-6)


def test_modules_of_several_origins_keep_their_columns():
    one, two, three, _ = masked_modules()
    horizontal, vertical, _ = bar_modules().modules
    mixed = [horizontal, one, two, vertical, three]
    composite = compose(mixed)
    assert composite.plan.groups() == [[0, 3], [1, 2, 4]]
    found = composite.predict(IMAGES)
    margins = found.margins
    for column, module in enumerate(mixed):
        own = margins_by_hand(module, IMAGES)
        np.testing.assert_allclose(found.module_margins[:, column], own, atol=1e-4, rtol=1e-5)
        np.testing.assert_allclose(margins[:, column], own / module.origin.vote.margin_scale, atol=1e-4, rtol=1e-5)
    backwards = compose(mixed[::-1]).predict(IMAGES).margins
    np.testing.assert_allclose(backwards[:, ::-1], margins, atol=1e-5, rtol=1e-5)


def test_modules_under_one_origins_weights_but_another_preprocessing_do_not_share_a_trunk():
    module = quadrant_modules().modules[0]
    contract = module.origin.contract.model_copy(update={"rescale": 1 / 128, "mean": (0.5,), "std": (2.0,)})
    other = replace(module, origin=replace(module.origin, contract=contract, fingerprint="sha256:" + "1" * 64))
    margins = compose([module, other]).predict(IMAGES).module_margins
    np.testing.assert_allclose(margins[:, 1], margins_by_hand(other, IMAGES), atol=1e-4, rtol=1e-5)
    assert np.abs(margins[:, 0] - margins[:, 1]).max() > 0.1


# One run for equal masks


def test_equal_masks_share_a_run():
    modules = masked_modules()
    assert equal_masks(modules) == [[0], [1], [2, 3]]
    assert equal_masks([modules[2], modules[0], modules[3], modules[1]]) == [[0, 2], [1], [3]]


def test_masks_are_equal_by_their_bits_and_not_by_their_object():
    module = quadrant_modules().modules[0]
    again = replace(module, keep=PackedMasks.of({site: mask.copy() for site, mask in module.keep.items()}))
    flipped = {site: mask.copy() for site, mask in module.keep.items()}
    last = flipped[list(flipped)[-1]].reshape(-1)
    last[-1] = ~last[-1]
    other = replace(module, keep=PackedMasks.of(flipped))
    assert equal_masks([module, again, other]) == [[0, 1], [2]]


class CountingNetwork(Network):
    """Counts how often it is run: under a compiled function, once a trace."""

    runs = 0

    def run(self, images, visit=None):
        self.runs += 1
        return super().run(images, visit)


def test_another_module_is_another_assignment_and_never_another_trace():
    modules = masked_modules()
    origin = modules[0].origin
    network = CountingNetwork(origin.architecture, origin.weights)
    masked = MaskedNetwork(network, origin.contract, masked_sites(modules))
    found, runs = [], []
    for module in modules:
        masked.set_masks(module.keep)
        found.append(masked.features(IMAGES, len(IMAGES)) @ module.head.margin_kernel + module.head.margin_bias)
        runs.append(network.runs)
    assert runs == [runs[0]] * len(modules)
    expected = [margins_by_hand(module, IMAGES) for module in modules]
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-5)


def test_sites_where_no_module_lacks_a_node_carry_no_mask():
    module = quadrant_modules().modules[0]
    site = next(iter(module.keep))
    full = replace(
        module,
        keep=PackedMasks.of({s: np.ones_like(m) if s == site else m for s, m in module.keep.items()}),
    )
    assert site not in masked_sites([full])
    assert site in masked_sites([full, with_random_masks(module, 0)])


# Batches and dtypes


def test_the_batch_size_does_not_matter():
    composite = compose([*masked_modules(), *bar_modules().modules])
    whole = composite.predict(IMAGES, batch_size=256)
    for batch_size in (1, 7, 32):
        part = composite.predict(IMAGES, batch_size=batch_size)
        assert part.labels == whole.labels
        np.testing.assert_allclose(part.margins, whole.margins, atol=1e-5, rtol=1e-5)


def test_one_image_and_none():
    composite = compose(masked_modules())
    one = composite.predict(IMAGES[3:4])
    np.testing.assert_allclose(one.margins, composite.predict(IMAGES).margins[3:4], atol=1e-5, rtol=1e-5)
    assert len(one.labels) == 1
    none = composite.predict(IMAGES[:0])
    assert none.labels == []
    assert none.margins.shape == (0, 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_numbers_are_the_same_in_any_dtype(dtype):
    composite = compose(masked_modules())
    np.testing.assert_array_equal(composite.predict(IMAGES.astype(dtype)).margins, composite.predict(IMAGES).margins)


# Export


def test_the_exported_model_answers_as_the_composite():
    contract = quadrant_modules().origin.contract.model_copy(update={"mean": (0.3,), "std": (0.7,)})
    one, two, three, four = masked_modules()
    other = replace(two, origin=replace(two.origin, contract=contract, fingerprint="sha256:" + "1" * 64))
    composite = compose([bar_modules().modules[2], one, other, three, four, bar_modules().modules[0]])
    exported = composite.to_keras()
    margins = composite.predict(IMAGES).margins
    np.testing.assert_allclose(exported.predict(IMAGES.astype("float32"), verbose=0), margins, atol=1e-4, rtol=1e-5)
    assert exported.output_shape == (None, 6)
    assert exported.trainable_weights == []


def test_a_single_module_can_be_exported():
    composite = compose(masked_modules()[:1])
    exported = composite.to_keras().predict(IMAGES, verbose=0)
    np.testing.assert_allclose(exported, composite.predict(IMAGES).margins, atol=1e-5, rtol=1e-5)


def test_equal_masks_are_exported_once():
    modules = masked_modules()
    shared = compose(modules[2:]).to_keras()
    apart = compose(modules[:2]).to_keras()
    masks = [[layer for layer in m.layers if isinstance(layer, keras.layers.EinsumDense)] for m in (shared, apart)]
    assert len(masks[1]) == 2 * len(masks[0]) > 0


_WITHOUT_MODHUB = """
import sys, numpy, keras
assert not any("modhub" in name for name in sys.modules)
try:
    import modhub
except ImportError:
    pass
else:
    raise SystemExit("modhub is on the path")
folder = sys.argv[1]
model = keras.models.load_model(folder + "/net.keras", safe_mode=True)
data = numpy.load(folder + "/data.npz")
found = model.predict(data["x"], verbose=0)
print(float(numpy.abs(found - data["margins"]).max()))
"""


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow" and not ALL, reason="tests/export says so of files that TensorFlow reads"
)
def test_the_exported_file_needs_no_modhub(tmp_path):
    composite = compose([*masked_modules(), *bar_modules().modules])
    composite.to_keras().save(tmp_path / "net.keras")
    np.savez(tmp_path / "data.npz", x=IMAGES.astype("float32"), margins=composite.predict(IMAGES).margins)
    # A meta path finder that comes first hides an installed modhub; -I drops PYTHONPATH and the working folder.
    hide = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] == 'modhub': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", hide + _WITHOUT_MODHUB, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[-1]) < 1e-4


# The network itself


def test_a_network_checks_its_weights_before_it_builds():
    origin = quadrant_modules().origin
    missing = {name: value for name, value in origin.weights.items() if name != "conv/kernel"}
    with pytest.raises(
        IntegrityError, match=r"the weight conv/kernel is missing; the architecture wants \(3, 3, 5, 5\)"
    ):
        Network(origin.architecture, missing)
    wrong = {**origin.weights, "norm/gamma": np.ones(4, np.float32)}
    with pytest.raises(
        IntegrityError, match=r"the weight norm/gamma has the shape \(4,\); the architecture wants \(5,\)"
    ):
        Network(origin.architecture, wrong)


# Determinism


def test_decomposing_twice_gives_the_same_release():
    first, second = (
        decomposed(bars_model(), bars(), "lines/bars", seed=4, samples_per_class=12).package.manifest for _ in range(2)
    )
    assert first.digest == second.digest
    other = decomposed(bars_model(), bars(), "lines/bars", seed=5, samples_per_class=12).package.manifest
    assert other.digest != first.digest
