"""Explain: why a composite answers as it does for one image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.composition.composite import Composite
from modhub.composition.explanation import Explanation, explanation_of
from modhub.data.fitting import Fitting
from modhub.data.given import Fit
from modhub.data.unlabelled import load_images
from modhub.errors import InvalidData, UsageError
from modhub.installation.context import RegistryUrls
from modhub.ops.compose import Composable, compose
from modhub.spec.contract import check_images, size_text
from modhub.spec.input_contract import InputContract


def explain(
    what: Composable | Iterable[Composable],
    image: ArrayLike | str | Path,
    *,
    index: int | None = None,
    fit: Fit = "none",
    background: str = "white",
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
) -> Explanation:
    """Which module said what about one image and where in it, how the vote went, and which nodes fired in each layer.

    ``what``: a composite, or names and modules as in ``compose``. ``image``: one raw image (H, W, C) or array, or a
    file: a picture, or an .npz with x, .npy or .csv of numbers, of which ``index`` chooses one. ``fit`` and
    ``background`` bring a picture of any size and mode to what the composite takes, as ``load_images`` does.
    ``print(explanation.verdict)`` says it in words.

    Raises InvalidData, NotFound, UsageError.

    >>> import modhub
    >>> import numpy as np
    >>> explanation = modhub.explain(["cifar10/r20:cat", "cifar10/r20:ship"], np.zeros((32, 32, 3), np.uint8))
    >>> sorted(said.label for said in explanation.ranked())
    ['cat', 'ship']
    """
    composite = what if isinstance(what, Composite) else compose(what, registry=registry, cache=cache)
    contract = composite.plan.contract
    if isinstance(image, (str, Path)):
        found = load_images(image, fit=fit, contract=contract, background=background)[0]
        pixels = one_image(found, contract, index, str(image))
    else:
        pixels = one_image(image, contract, index)
        pixels = Fitting(fit, contract, background).array(pixels[None])[0][0] if fit != "none" else pixels
    return explained_by(composite, pixels)


def explained_by(composite: Composite, image: NDArray[Any]) -> Explanation:
    """The composite's explanation of one raw image (H, W, C). Raises InvalidData for one that it does not take.

    What is explained is every module under its own masks; raises UsageError for a composite that runs otherwise.
    """
    if not composite.plan.is_exact:
        raise UsageError(
            f"only modules that run isolated in float32 are explained, not {composite.plan.settings.mode} in "
            f"{composite.plan.settings.dtype}: what fires for a module does so under its own masks.",
            kind="inexact-explanation",
            hint="explain composite.in_mode(); on the command line give --mode isolated --dtype float32.",
            mode=composite.plan.settings.mode,
            dtype=composite.plan.settings.dtype,
        )
    check_images(image[None], composite.plan.contract, what="the pixels of the image")
    from modhub.engine.explain import watched  # imports keras, after all that can be refused

    return explanation_of(composite.plan, *watched(composite.plan, image))


def one_image(image: ArrayLike, contract: InputContract, index: int | None = None, what: str = "x") -> NDArray[Any]:
    """One raw image (H, W, C), or array, of one or several; ``what`` they are called. Raises InvalidData, UsageError.

    How many axes one has, ``contract`` says; a grey image may lack its last.
    """
    given, axes = np.asarray(image), len(contract.shape)
    one_more = given[..., None] if axes == 3 and given.ndim == 2 else given
    images = one_more[None] if one_more.ndim == axes else one_more
    if images.ndim != axes + 1 or not images.size:
        raise InvalidData(
            f"the {'image' if axes == 3 else 'array'} has the shape {given.shape}; wanted "
            f"{'height x width x channels' if axes == 3 else size_text(contract)}.",
            kind="wrong-shape",
            hint="give one raw image." if axes == 3 else "give one array of that shape.",
            shape=list(given.shape),
        )
    if index is None and len(images) > 1:
        raise UsageError(
            f"{what} holds {len(images):,} images; one is explained at a time.",
            kind="several-images",
            hint="choose one: --index 0 is the first (index=0).",
            images=len(images),
        )
    if index is not None and not 0 <= index < len(images):
        raise UsageError(
            f"{what} has no image {index}; it holds {len(images):,}.",
            kind="no-such-image",
            hint=f"choose 0 to {len(images) - 1}.",
            images=len(images),
        )
    chosen: NDArray[Any] = images[index or 0]
    return chosen
