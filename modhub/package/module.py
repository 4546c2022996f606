"""A module in memory: the values that decomposition makes, packages store and composites run.

Everything is immutable and holds arrays only; nothing here knows keras or files. Masks are boolean arrays by site id,
in each site's shape (rows, columns, channels) or (units,); True keeps the node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.spec.architecture import Architecture
from modhub.spec.card import Card
from modhub.spec.contract import input_text, range_text
from modhub.spec.html import as_html
from modhub.spec.input_contract import InputContract
from modhub.spec.manifest import (
    Accuracy,
    Compacted,
    Dataset,
    DecomposeOptions,
    Derivation,
    FusedAgreement,
    Metric,
    Provenance,
    Stages,
    VoteRecord,
)
from modhub.spec.text import in_short, kept_share, percent

Weights = Mapping[str, NDArray[np.float32]]
Masks = Mapping[str, NDArray[np.bool_]]


class PackedMasks(Mapping[str, NDArray[np.bool_]]):
    """Masks by site at one bit a node; a site is unpacked when it is looked up.

    ``bits`` holds one uint8 array a site, most significant bit first, its nodes in C order.
    """

    def __init__(self, bits: Mapping[str, NDArray[np.uint8]], shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.bits = dict(bits)
        self.shapes = {site: tuple(shapes[site]) for site in self.bits}

    @classmethod
    def of(cls, masks: Masks) -> PackedMasks:
        """Boolean masks, packed; packed ones as they are."""
        if isinstance(masks, cls):
            return masks
        bits = {site: np.packbits(mask) for site, mask in masks.items()}
        return cls(bits, {site: mask.shape for site, mask in masks.items()})

    def __getitem__(self, site: str) -> NDArray[np.bool_]:
        shape = self.shapes[site]
        return np.unpackbits(self.bits[site], count=prod(shape)).astype(bool).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.bits)

    def __len__(self) -> int:
        return len(self.bits)

    def key(self) -> bytes:
        """Equal for equal masks of one architecture."""
        return b"".join(site.encode() + b"\0" + bits.tobytes() for site, bits in self.bits.items())


@dataclass(frozen=True, eq=False)
class Origin:
    """A trained network with its classes and input contract.

    ``weights`` are named ``<layer>/<weight>`` as ``architecture.weight_shapes`` lists them, plus ``head/kernel``
    (features, classes) and ``head/bias`` (classes,); float32. ``fingerprint`` is the digest of the encoded weights
    blob: two modules with equal fingerprints share one trunk. ``vote`` is how its margins vote beside those of others.
    """

    namespace: str
    model: str
    classes: tuple[str, ...]
    architecture: Architecture
    weights: Weights
    contract: InputContract
    fingerprint: str
    accuracy: tuple[Accuracy, ...] = ()
    vote: VoteRecord | None = None

    @property
    def name(self) -> str:
        return f"{self.namespace}/{self.model}"

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        # Unpickled arrays could be written to, and every module of the origin shares them.
        for array in self.weights.values():
            array.setflags(write=False)

    def __deepcopy__(self, memo: object) -> Origin:
        """Itself: nothing of it changes."""
        return self


@dataclass(frozen=True)
class ReleasePin:
    """The published release that a module is in, unchanged: its digest, and the URL of the registry it came from."""

    digest: str
    registry: str


@dataclass(frozen=True)
class Made:
    """How a module came to be: the data observed, the options, when by what, and what people say of its release.

    ``card`` is without a README. ``compacted`` says how the network was made smaller, where it was.
    """

    dataset: Dataset
    options: DecomposeOptions
    provenance: Provenance
    card: Card | None = None
    compacted: Compacted | None = None


@dataclass(frozen=True, eq=False)
class Head:
    """Two outputs, concerned and unconcerned: kernel float32 (features, 2), bias float32 (2,)."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def margin_kernel(self) -> NDArray[np.float32]:
        """``w_c - w_uc``, shape (features,)."""
        return self.kernel[:, 0] - self.kernel[:, 1]

    @property
    def margin_bias(self) -> np.float32:
        return np.float32(self.bias[0] - self.bias[1])

    def margins(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(w_c - w_uc) . h + (b_c - b_uc)`` of features h (N, F); float32 (N,)."""
        return np.asarray(features @ self.margin_kernel + self.margin_bias)


@dataclass(frozen=True, eq=False)
class MarginHead:
    """The margins of several modules as one layer: ``kernel`` float32 (features, modules), ``bias`` (modules,)."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def of(cls, heads: Sequence[Head]) -> MarginHead:
        """Of one head or more, in their order."""
        kernel = np.stack([head.margin_kernel for head in heads], axis=1)
        return cls(kernel, np.array([head.margin_bias for head in heads], np.float32))

    def margins(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(w_c - w_uc) . h + (b_c - b_uc)`` of features h (N, F); float32 (N, modules)."""
        return np.asarray(features @ self.kernel + self.bias)


@dataclass(frozen=True, eq=False)
class Module:
    """The recogniser of one class.

    ``keep`` is the mask, ``concern`` the activity of the class alone (needed by an update). ``version`` is None until
    the module is published. ``digest`` identifies the module's own blob (masks and head). ``fused`` was measured of all
    modules of its release together; ``license`` is what the release states, None for nothing. ``pin`` says which
    release it is in, None when it was not installed from one or was changed since; ``made`` how it was made.

    >>> import modhub
    >>> cat = modhub.compose("cifar10/r20:cat").modules[0]
    >>> cat.name, cat.origin.name, cat.origin.contract.shape
    ('cat', 'cifar10/r20', (32, 32, 3))
    """

    origin: Origin
    index: int
    name: str
    slug: str
    keep: PackedMasks
    concern: PackedMasks
    head: Head
    threshold: float
    scale: float
    concerned: int
    unconcerned: int
    stages: Stages
    jaccard: float
    jaccard_weights: float
    digest: str = ""
    version: str | None = None
    metrics: tuple[Metric, ...] = ()
    derived_from: tuple[Derivation, ...] = field(default=())
    fused: FusedAgreement | None = None
    license: str | None = None
    pin: ReleasePin | None = None
    made: Made | None = None

    def __deepcopy__(self, memo: object) -> Module:
        """Itself: nothing of it changes."""
        return self

    def __repr__(self) -> str:
        origin, taken = self.origin, input_text(self.origin.contract)
        return f"<Module {self.ref}: {in_short([self.name])}, one of {len(origin.classes):,} classes; input {taken}>"

    def _repr_html_(self) -> str:
        return as_html(f"Module {self.ref}", self._fields())

    def _fields(self) -> Iterator[tuple[str, str]]:
        origin = self.origin
        nodes = sum(prod(shape) for shape in self.keep.shapes.values())
        yield "class", f"{self.name}, one of {len(origin.classes):,} of {origin.name}"
        yield "input", f"{input_text(origin.contract)}, {range_text(origin.contract)}"
        if nodes:
            yield (
                "kept",
                f"{percent(kept_share(sum(self.stages.kept), nodes))} of {nodes:,} nodes, JI {self.jaccard:.3f}",
            )
        for metric in self.metrics[-1:]:
            yield (
                f"on {metric.data}",
                f"recall {percent(metric.vote_recall)}, precision {percent(metric.vote_precision)} in the vote; "
                f"alone {percent(metric.own_recall)} and {percent(metric.own_precision)}",
            )
        if self.license:
            yield "licence", self.license
        if self.pin is not None:
            yield "from", f"{self.pin.registry}, {self.pin.digest}"

    @property
    def ref(self) -> str:
        """``namespace/model:class`` and the version where there is one."""
        return f"{self.origin.name}:{self.slug}" + (f"@{self.version}" if self.version else "")

    @property
    def release(self) -> str:
        """``namespace/model`` and the version where there is one."""
        return self.origin.name + (f"@{self.version}" if self.version else "")
