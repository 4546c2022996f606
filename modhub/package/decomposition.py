"""All modules of one origin, and their passage to and from a manifest with blobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from modhub.errors import IntegrityError
from modhub.package.codec import (
    Expected,
    check_arrays,
    decode,
    decode_module,
    decode_weights,
    encode_module,
    most_bytes,
    wanted_module,
    wanted_weights,
)
from modhub.package.folder import Package, load_blob, load_manifest, save_package
from modhub.package.module import Made, Module, Origin
from modhub.package.packing import packed
from modhub.package.readme import card_file_of, with_card
from modhub.package.report import Report
from modhub.package.weights import shared_weights
from modhub.spec.architecture import Architecture, shapes_of
from modhub.spec.card import CardFile
from modhub.spec.compact_text import compact_lines
from modhub.spec.contract import input_text, range_text
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.folder_refs import folder_ref
from modhub.spec.html import HtmlTable, as_html
from modhub.spec.input_contract import InputContract
from modhub.spec.manifest import (
    Compacted,
    Content,
    Dataset,
    DecomposeOptions,
    EnergySpent,
    FusedAgreement,
    Manifest,
    ModuleRecord,
    Provenance,
    SiteRecord,
    StoredBlob,
)
from modhub.spec.text import in_short
from modhub.storage.verify import VerifiedBlob

#: Verified stored bytes of a blob, by its decoded digest and its record.
ReadBlob = Callable[[str, StoredBlob], VerifiedBlob]


@dataclass(frozen=True, eq=False)
class Decomposition:
    """What ``decompose`` gives and ``load`` reads: the modules of one origin, in class order, not yet published.

    ``card`` is what people say of them, None for nothing.

    With ``model``, ``x`` and ``y`` as in the example of ``modhub.decompose``:

    >>> import modhub
    >>> classes = ["left", "middle", "right"]
    >>> stripes = modhub.decompose(model, x, y, classes=classes, name="me/stripes", rescale=1 / 255)
    >>> stripes.save("stripes.modules").name
    'stripes.modules'
    >>> [module.name for module in modhub.load("stripes.modules").modules] == classes
    True
    >>> modhub.compose([stripes, "cifar10/r20:cat"], adapt="resize").classes
    ['left', 'middle', 'right', 'cat']
    """

    origin: Origin
    modules: tuple[Module, ...]
    dataset: Dataset
    options: DecomposeOptions
    sites: tuple[SiteRecord, ...]
    provenance: Provenance
    card: CardFile | None = None
    #: How the network was made smaller, where it was.
    compacted: Compacted | None = None

    def __repr__(self) -> str:
        names = in_short(module.name for module in self.modules)
        return f"<Decomposition {self.name}: {len(self.modules):,} modules, of {names}>"

    def _repr_html_(self) -> str:
        contract, data = self.origin.contract, self.dataset
        fields = [
            ("modules", f"{len(self.modules):,} of {len(self.origin.classes):,} classes, {self.report().distinctness}"),
            ("input", f"{input_text(contract)}, {range_text(contract)}"),
            ("observed", f"{data.examples:,} images of {data.name}"),
            ("made", f"{self.provenance.created} by {self.provenance.tool}"),
            *(("compact", line) for line in (compact_lines(self.compacted) if self.compacted else ())),
        ]
        rows = ([each.name, each.slug, f"{each.jaccard:.3f}", f"{each.threshold:.3f}"] for each in self.modules)
        table = HtmlTable(["class", "module", "JI", "threshold"], rows, len(self.modules), texts=2)
        return as_html(f"Decomposition {self.name}", fields, [table])

    @property
    def name(self) -> str:
        return self.origin.name

    def report(self) -> Report:
        """Per class and site the nodes kept and what each stage removed; printable."""
        shapes = {site.id: site.shape for site in self.sites}
        return Report(self.origin.name, shapes, self.modules, self.compacted)

    def save(self, folder: str | Path) -> Path:
        """Write the package folder that ``load`` and ``publish`` read. Raises Conflict when something else is there."""
        return save_package(self.package, Path(folder))

    def with_energy(self, energy: EnergySpent | None) -> Decomposition:
        """With the energy that decomposing took in its provenance; None changes nothing."""
        if energy is None:
            return self
        return replace(self, provenance=self.provenance.model_copy(update={"energy": energy}))

    def with_card(self, card: CardFile) -> Decomposition:
        """With this card, in the place of the one that it may have."""
        said = card.card.model_copy(update={"readme": None})
        made = Made(self.dataset, self.options, self.provenance, said, self.compacted)
        modules = tuple(replace(module, license=card.card.license, made=made) for module in self.modules)
        return replace(self, modules=modules, card=card)

    def with_compacted(self, compacted: Compacted, seconds: float) -> Decomposition:
        """With how its network was made smaller, and the processor time that this took; the modules' Jaccard indices
        are counted over the nodes of the networks from which it was made."""
        provenance = self.provenance.model_copy(update={"processor_seconds": seconds})
        card = None if self.card is None else self.card.card.model_copy(update={"readme": None})
        made = Made(self.dataset, self.options, provenance, card, compacted)
        nodes = compacted.origin_nodes
        modules = tuple(
            replace(module, made=made, jaccard=sum(module.stages.kept) / nodes if nodes else module.jaccard)
            for module in self.modules
        )
        return replace(self, modules=modules, provenance=provenance, compacted=compacted)

    @cached_property
    def package(self) -> Package:
        """The manifest, without a version, and the stored blobs."""
        made = Made(self.dataset, self.options, self.provenance, compacted=self.compacted)
        package = packed(self.modules, made, self.sites, version=None, fused=_fused(self.modules))
        return package if self.card is None else with_card(package, self.card)


def trunk_fingerprint(architecture: Architecture, weights: str, contract: InputContract) -> str:
    """What makes two modules share a trunk: architecture, digest of the weights blob, and preprocessing."""
    value = [architecture.model_dump(mode="json"), weights, contract.model_dump(mode="json")]
    return sha256(canonical_json(value))


def origin_from(manifest: Manifest, read_blob: ReadBlob, *, always: bool = False) -> Origin:
    """The origin of a release, sharing its weights with every other of the same; read only where none has them.

    ``always`` reads and decodes them even so.
    """
    content = manifest.content
    record = content.origin
    if tuple(record.architecture.input_shape) != content.contract.shape:
        raise IntegrityError(
            f"{content.name} takes {input_text(content.contract)}, but its network reads "
            f"{tuple(record.architecture.input_shape)}.",
            kind="bad-architecture",
        )
    wanted = wanted_weights(record.architecture, len(record.classes))
    weights = shared_weights(
        record.weights,
        lambda: decode_weights(_decoded(manifest, record.weights, read_blob, wanted), wanted),
        always=always,
    )
    check_arrays(weights, wanted, "weights")
    return Origin(
        namespace=content.namespace,
        model=content.model,
        classes=record.classes,
        architecture=record.architecture,
        weights=weights,
        contract=content.contract,
        fingerprint=trunk_fingerprint(record.architecture, record.weights, content.contract),
        accuracy=record.accuracy,
        vote=record.vote,
    )


def modules_from(
    manifest: Manifest, read_blob: ReadBlob, slugs: Iterable[str] | None = None, *, origin: Origin | None = None
) -> list[Module]:
    """The modules with the given slugs, in that order; all of them without. Reads the weights and their blobs only.

    ``origin`` saves reading the weights again. Raises IntegrityError when anything does not fit the architecture.
    """
    content = manifest.content
    origin = origin or origin_from(manifest, read_blob)
    shapes = shapes_of(content.origin.architecture)
    sites = {site.id: tuple(site.shape) for site in content.sites}
    for site, shape in sites.items():
        if shapes.get(site) != shape:
            raise IntegrityError(
                f"{content.name} has a mask of {shape} at {site!r}; the architecture gives {shapes.get(site)}.",
                kind="bad-architecture",
            )
    by_slug = {record.slug: record for record in content.modules}
    chosen = content.modules if slugs is None else [by_slug[slug] for slug in slugs]
    features = shapes[content.origin.architecture.features][0]
    wanted = wanted_module(sites, features)
    card = None if content.card is None else content.card.model_copy(update={"readme": None})
    made = Made(content.origin.dataset, content.options, manifest.provenance, card, content.compacted)
    return [
        _module(origin, record, content, _decoded(manifest, record.blob, read_blob, wanted), sites, features, made)
        for record in chosen
    ]


def decomposition_from(manifest: Manifest, read_blob: ReadBlob) -> Decomposition:
    """The whole decomposition behind a manifest; every blob is read, since what does not decode is never published."""
    content = manifest.content
    modules = modules_from(manifest, read_blob, origin=origin_from(manifest, read_blob, always=True))
    return Decomposition(
        origin=modules[0].origin,
        modules=tuple(modules),
        dataset=content.origin.dataset,
        options=content.options,
        sites=content.sites,
        provenance=manifest.provenance,
        card=card_file_of(manifest, read_blob),
        compacted=content.compacted,
    )


def without_modules(manifest: Manifest, origin: Origin) -> Decomposition:
    """What surrounds the modules of a release, for others of the same origin; without its README."""
    content = manifest.content
    card = None if content.card is None else CardFile(content.card)
    return Decomposition(
        origin=origin,
        modules=(),
        dataset=content.origin.dataset,
        options=content.options,
        sites=content.sites,
        provenance=manifest.provenance,
        card=card,
        compacted=content.compacted,
    )


def decomposition_here(part: object) -> Decomposition | None:
    """The whole decomposition in the folder that ``part`` names; None for what is no ref of a folder. Raises as
    ``folder_ref`` does, NotFound, IntegrityError, Incompatible."""
    found = folder_ref(part) if isinstance(part, str) else None
    if found is None:
        return None
    return decomposition_from(load_manifest(found.folder), lambda _, record: load_blob(found.folder, record))


def _decoded(manifest: Manifest, digest: str, read_blob: ReadBlob, wanted: Expected) -> bytes:
    record = manifest.blobs[digest]
    return decode(read_blob(digest, record), digest, most=most_bytes(wanted, record.size))


def _fused(modules: Sequence[Module]) -> FusedAgreement | None:
    """What was measured of exactly these modules together; None when that is not known."""
    found = modules[0].fused
    same = found is not None and found.classes == len(modules) and all(module.fused == found for module in modules)
    return found if same else None


def _module(
    origin: Origin,
    record: ModuleRecord,
    content: Content,
    decoded: bytes,
    sites: Mapping[str, tuple[int, ...]],
    features: int,
    made: Made,
) -> Module:
    head, keep, concern = decode_module(decoded, sites, features)
    return Module(
        origin=origin,
        index=record.index,
        name=record.name,
        slug=record.slug,
        keep=keep,
        concern=concern,
        head=head,
        threshold=record.threshold,
        scale=record.scale,
        concerned=record.concerned,
        unconcerned=record.unconcerned,
        stages=record.stages,
        jaccard=record.jaccard,
        jaccard_weights=record.jaccard_weights,
        digest=record.blob,
        version=content.version,
        metrics=record.metrics,
        derived_from=record.derived_from,
        fused=content.fused,
        license=None if content.card is None else content.card.license,
        made=made,
    )


def with_digests(modules: Sequence[Module]) -> tuple[Module, ...]:
    """The modules with the digest of their own blob filled in; one that changed loses what was measured before."""
    return tuple(_with_digest(module, sha256(encode_module(module))) for module in modules)


def _with_digest(module: Module, digest: str) -> Module:
    is_changed = module.digest not in ("", digest)
    if is_changed:
        return replace(module, digest=digest, fused=None, pin=None)
    return replace(module, digest=digest)
