"""Masks on tensors, and what modules of one origin have together: the union of masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import ops
from modhub.engine.run.network import Visitor
from modhub.package.module import Masks, Module, PackedMasks


def mask_tensors(masks: Masks, sites: Iterable[str]) -> dict[str, Any]:
    """The masks at ``sites`` as boolean tensors, where Keras computes."""
    return {site: ops.convert_to_tensor(masks[site]) for site in sites}


def masking(masks: Mapping[str, Any]) -> Visitor:
    """Lets pass what the masks (tensors of the sites' shapes) keep: a visitor for ``Network.run``."""
    return lambda call, output: output * ops.cast(masks[call], output.dtype) if call in masks else output


def on_all_sites(modules: Sequence[Module]) -> list[Module]:
    """The modules with masks on every site where one of them has any: full ones where a module has none.

    Modules of one origin may come from decompositions that observed different tensors.
    """
    shapes = {site: shape for module in modules for site, shape in module.keep.shapes.items()}
    full = {site: np.ones(shape, bool) for site, shape in shapes.items()}
    return [
        module if set(module.keep) == set(shapes) else replace(module, keep=PackedMasks.of(full | dict(module.keep)))
        for module in modules
    ]


def union_of(modules: Sequence[Module]) -> dict[str, NDArray[np.bool_]]:
    """By site, the nodes that at least one of the modules keeps; they have masks on the same sites."""
    return {site: np.logical_or.reduce([module.keep[site] for module in modules]) for site in modules[0].keep}
