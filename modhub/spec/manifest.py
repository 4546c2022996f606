"""A release on disk, as pydantic models, and the bytes it becomes.

A release is one JSON manifest. ``content`` is what the modules are; its canonical JSON's digest is the release's
identity. Beside it stand the blob table (how each decoded blob is stored) and the provenance, which may differ between
two publications of the same content. ``checksum`` covers every byte of the file.

Invariants: a manifest read by ``read_manifest`` has passed its checksum, its digest and this schema; unknown fields
survive a round trip; a newer format is refused by name before anything else is looked at.
"""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from modhub.errors import IntegrityError
from modhub.limits import (
    MAX_BLOB_BYTES,
    MAX_CLASSES,
    MAX_DECODED_BYTES,
    MAX_EXTENT,
    MAX_LAYERS,
    MAX_MANIFEST_BYTES,
)
from modhub.spec.architecture import Architecture, LayerName
from modhub.spec.card import Card
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.input_contract import InputContract
from modhub.spec.measured_cost import MeasuredCost
from modhub.spec.schema import (
    Count,
    DigestText,
    DisplayName,
    Divisor32,
    Length,
    Name,
    PositiveCount,
    Share,
    Stored,
    VersionText,
    checked_object,
    invalid,
    with_checksum,
)

#: The newest format of a release that this version of modhub reads and writes.
MANIFEST_FORMAT: Final = 3


class Accuracy(Stored):
    """Shares of ``examples`` inputs of the data set ``data`` whose class was answered (first, or among five)."""

    data: DisplayName
    examples: Count
    top_1: Share
    top_5: Share


class Dataset(Stored):
    """The data that decomposition observed. ``fingerprint`` is of all images, labels and classes given (FORMAT.md)."""

    name: DisplayName
    examples: Count
    fingerprint: DigestText


class VoteRecord(Stored):
    """How an origin's margins vote beside others': divided by ``margin_scale``, the mean over the observed inputs of an
    input's largest margin. ``softmax(margins / temperature)`` is a probability, fitted on ``examples`` inputs of
    ``data``."""

    margin_scale: Divisor32
    temperature: Divisor32
    data: DisplayName
    examples: PositiveCount


class OriginRecord(Stored):
    """The trained network and its classes, in output order. ``weights`` is the decoded digest of the shared blob."""

    dataset: Dataset
    classes: Annotated[tuple[DisplayName, ...], Field(min_length=2, max_length=MAX_CLASSES)]
    architecture: Architecture
    weights: DigestText
    accuracy: tuple[Accuracy, ...] = ()
    #: Left out of the file where it is not known, so that manifests from before it are written as they were read.
    vote: VoteRecord | None = Field(default=None, exclude_if=lambda value: value is None)


#: On what masks sit: every ReLU's output, or every convolution's own.
Observe = Literal["relu", "conv"]
#: How far nodes are removed that only other classes need: not at all, at the last convolution, back to the input.
Backtrack = Literal["none", "last-conv", "input"]
#: The paper's rule for dead features, as its text says it or as its algorithm is printed.
Rule = Literal["text", "printed"]
#: A number, or a quantile such as ``"q95"``.
Delta = float | str


class DecomposeOptions(Stored):
    """How the network was decomposed. ``delta`` is a number or a quantile such as ``q95``."""

    observe: Observe = "relu"
    backtrack: Backtrack = "last-conv"
    rule: Rule = "text"
    delta: Annotated[float, Field(ge=0)] | Annotated[str, StringConstraints(pattern=r"^q[0-9]{1,2}(\.[0-9]+)?$")] = 0.5
    samples_per_class: PositiveCount = 1000
    seed: Count = 0
    batch_size: Annotated[int, Field(ge=1, le=MAX_EXTENT)] = 256


class SiteRecord(Stored):
    """A tensor on which masks sit: the output of the call ``id``, per image."""

    id: LayerName
    shape: Annotated[tuple[Length, ...], Field(min_length=1, max_length=3)]


class Stages(Stored):
    """Nodes of one module at each site, in the order of ``content.sites``.

    ``concern``: active for the class (CI). ``tangled``: added by TI. ``last_conv``, ``input``: removed by backtracking.
    ``kept`` is ``concern + tangled - last_conv - input``.
    """

    concern: tuple[Count, ...]
    tangled: tuple[Count, ...]
    last_conv: tuple[Count, ...]
    input: tuple[Count, ...]
    kept: tuple[Count, ...]


class Metric(Stored):
    """Precision and recall of one module on a named data set: in the vote, and alone at its own threshold."""

    data: DisplayName
    examples: Count
    vote_recall: Share
    vote_precision: Share
    own_recall: Share
    own_precision: Share


class Derivation(Stored):
    """Where an updated module comes from: the module that was updated, by name and the digest of its blob.

    ``strategy`` says how, ``against`` are the digests of the modules whose classes its origin never saw, ``examples``
    how many labelled images fitted it. What is empty is left out of the file.
    """

    module: str
    digest: DigestText
    strategy: Literal["tangle", "remove", "calibrate", "offset", "match"] | None = Field(
        default=None, exclude_if=lambda v: v is None
    )
    against: tuple[DigestText, ...] = Field(default=(), exclude_if=lambda v: not v)
    examples: Count = Field(default=0, exclude_if=lambda v: not v)


class ModuleRecord(Stored):
    """One module. ``blob`` is the decoded digest of its masks and head; positive means ``margin > threshold``,
    and the calibrated probability is ``sigmoid(scale * (margin - threshold))``. ``jaccard`` is its overlap with the
    origin's active nodes; of a compact network's module the nodes that it keeps, of all those of the networks from
    which that was made. ``jaccard_weights`` is the 2020 work's index over weight values of its own network."""

    index: Annotated[int, Field(ge=0, lt=MAX_CLASSES)]
    name: DisplayName
    slug: Name
    blob: DigestText
    threshold: float
    scale: Annotated[float, Field(gt=0)]
    concerned: Count
    unconcerned: Count
    stages: Stages
    jaccard: Share
    jaccard_weights: Share
    metrics: tuple[Metric, ...] = ()
    derived_from: tuple[Derivation, ...] = ()


class FusedAgreement(Stored):
    """How the release's modules answer in one pass under the union of their masks, against each under its own masks.

    All ``classes`` voted, on ``examples`` images of ``data``: ``labels`` is the share of equal answers, ``margin`` the
    largest difference of any margin. Of a part of the classes it is no bound, only what was measured of all.
    """

    data: DisplayName
    examples: PositiveCount
    classes: Annotated[int, Field(ge=1, le=MAX_CLASSES)]
    labels: Share
    margin: Annotated[float, Field(ge=0)]


class CompactedFrom(Stored):
    """A network from which a compact one was made: its name, the fingerprint of its trunk, and the digests of the
    ``modules`` whose classes were taken, none where it was a model without modules."""

    name: DisplayName
    trunk: DigestText
    modules: Annotated[tuple[DigestText, ...], Field(max_length=MAX_CLASSES)] = Field(
        default=(), exclude_if=lambda value: not value
    )


class Unthinned(Stored):
    """A layer whose channels all had to stay, and why."""

    layer: LayerName
    reason: DisplayName


class Compacted(Stored):
    """How the release's network was made smaller, and what it is against what it was made of.

    ``asked`` is how much of the ``budget`` was asked for: a share of multiply-adds or parameters, or at most so many
    points, bytes or milliseconds. ``flops`` (multiply-adds of an image), ``parameters`` and ``nodes``
    (at ReLUs: the Jaccard index of the networks) are shares of all networks in ``of`` together, which had
    ``origin_nodes``. ``explained`` is R2 of the centred logits, and ``points`` by how many percentage points fewer of
    ``points_images`` images are answered right, both on images that were set aside; ``validation`` is the cost on
    images with which nothing was made. ``polish_steps`` is 0 for weights in closed form; with ``labels`` the network
    of several was fitted to labels too. ``unthinned`` are the layers of the network out of which no channel could be
    taken.
    """

    of: Annotated[tuple[CompactedFrom, ...], Field(min_length=1, max_length=MAX_CLASSES)]
    select: DisplayName
    budget: Literal["flops", "parameters", "points", "bytes", "milliseconds"]
    asked: Annotated[float, Field(ge=0)]
    images: PositiveCount
    seed: Count
    polish_steps: Count
    labels: bool = Field(default=False, exclude_if=lambda value: not value)
    flops: Share
    parameters: Share
    nodes: Share
    origin_nodes: Count
    explained: Annotated[float, Field(le=1)]
    points: Annotated[float, Field(ge=-100, le=100)]
    points_images: PositiveCount
    unthinned: Annotated[tuple[Unthinned, ...], Field(max_length=MAX_LAYERS)] = Field(
        default=(), exclude_if=lambda value: not value
    )
    validation: MeasuredCost | None = Field(default=None, exclude_if=lambda value: value is None)


class Content(Stored):
    """What a release is. The digest of its canonical JSON is the release's identity."""

    namespace: Name
    model: Name
    version: VersionText | None
    origin: OriginRecord
    contract: InputContract
    options: DecomposeOptions
    sites: tuple[SiteRecord, ...]
    modules: Annotated[tuple[ModuleRecord, ...], Field(min_length=1, max_length=MAX_CLASSES)]
    #: Left out of the file where it was not measured, so that manifests from before it are written as they were read.
    fused: FusedAgreement | None = Field(default=None, exclude_if=lambda value: value is None)
    #: What people say of the release; inside the content, so that a signature and a lock cover the licence.
    card: Card | None = Field(default=None, exclude_if=lambda value: value is None)
    #: Left out of the file where the network is one that was trained.
    compacted: Compacted | None = Field(default=None, exclude_if=lambda value: value is None)
    #: The mean Jaccard index of two modules of the release; left out where there is one module, or no mask.
    jaccard_between: Share | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        slugs = {module.slug for module in self.modules}
        indices = {module.index for module in self.modules}
        if len(slugs) < len(self.modules) or len(indices) < len(self.modules):
            raise ValueError("two modules with one slug or one index")
        if max(indices) >= len(self.origin.classes):
            raise ValueError("a module's index is beyond the origin's classes")
        if any(len(module.stages.kept) != len(self.sites) for module in self.modules):
            raise ValueError("a module counts nodes for other sites than the release has")
        return self

    @property
    def name(self) -> str:
        return f"{self.namespace}/{self.model}"


class StoredBlob(Stored):
    """How a blob is stored: the digest and size of the compressed bytes, and the decoded size, in bytes."""

    sha256: DigestText
    size: Annotated[int, Field(ge=1, le=MAX_BLOB_BYTES)]
    decoded_size: Annotated[int, Field(ge=1, le=MAX_DECODED_BYTES)]


class EnergySpent(Stored):
    """What decomposing took: ``kwh`` with the data centre's factor (the paper's p_t), kilograms of CO2e, wall
    seconds, and ``source``, in words, where the watts come from: counters or an estimate."""

    seconds: Annotated[float, Field(ge=0)]
    kwh: Annotated[float, Field(ge=0)]
    co2e_kg: Annotated[float, Field(ge=0)]
    source: DisplayName


class Provenance(Stored):
    """When and by what the release was made (UTC, ISO 8601), and what decided the last bits of its activations.

    Equal masks from equal input are promised inside one environment only: one ``backend`` at the same ``versions``.
    ``energy`` stands there when a meter ran.
    """

    created: str
    tool: str
    backend: str
    versions: dict[str, str]
    #: Left out of the file when there is none, so that manifests from before it are written as they were read.
    energy: EnergySpent | None = Field(default=None, exclude_if=lambda value: value is None)
    #: Of making a compact network, where one was made.
    processor_seconds: Annotated[float, Field(ge=0)] | None = Field(
        default=None, exclude_if=lambda value: value is None
    )


class Manifest(Stored):
    """One release on disk. ``digest`` is the content's; ``blobs`` maps decoded digests to stored bytes."""

    format: int
    digest: DigestText
    content: Content
    blobs: dict[DigestText, StoredBlob]
    provenance: Provenance

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.format < format_of(self.content):
            raise ValueError(f"what it holds needs format {format_of(self.content)}, but it says {self.format}")
        named = {self.content.origin.weights} | {module.blob for module in self.content.modules}
        if self.content.card is not None and self.content.card.readme is not None:
            named.add(self.content.card.readme)
        if missing := named - set(self.blobs):
            raise ValueError(f"the blob table lacks {sorted(missing)[0]}")
        return self


def format_of(content: Content) -> int:
    """The first format of a release that has all that ``content`` uses: what a release is published in.

    Format 2 has further kinds of layer, releases of networks without any ReLU, whose modules have no masks, and vectors
    of more than ``MAX_EXTENT`` values. Format 3 has contracts of arrays, and of images of networks trained on BGR.
    """
    layers = content.origin.architecture.layers.values()
    is_wide = any(max(site.shape) > MAX_EXTENT for site in content.sites)
    own = 1 if content.sites and not is_wide else 2
    return max(own, content.contract.since, *(layer.format for layer in layers))


def digest_of(content: Content) -> str:
    """The identity of a release: the digest of its content's canonical JSON."""
    return sha256(canonical_json(content.model_dump(mode="json")))


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest as the bytes of its file: canonical JSON with a checksum over all the rest."""
    return with_checksum(manifest.model_dump(mode="json"))


#: The bytes that were read last, and their manifest: a registry and the cache often have the same.
_latest: list[tuple[bytes, Manifest]] = []


def read_manifest(data: bytes, *, what: str) -> Manifest:
    """Untrusted bytes as a Manifest.

    Raises IntegrityError when any byte differs from what ``write_manifest`` wrote, and Incompatible for a format newer
    than this version reads. ``what`` names the file in messages.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise IntegrityError(
            f"{what} has {len(data)} bytes; a manifest has at most {MAX_MANIFEST_BYTES}.", kind="too-large", what=what
        )
    latest = _latest[:]
    if latest and latest[0][0] == data:
        return latest[0][1]
    value, fields = checked_object(data, what=what, newest=MANIFEST_FORMAT)
    try:
        manifest = Manifest.model_validate(value)
    except ValidationError as error:
        raise invalid(what, error) from error
    actual = sha256(fields["content"])
    if manifest.digest != actual:
        raise IntegrityError(
            f"{what} says its content is {manifest.digest}, but it is {actual}.",
            kind="bad-digest",
            what=what,
            expected=manifest.digest,
            actual=actual,
        )
    _latest[:] = [(data, manifest)]
    return manifest
