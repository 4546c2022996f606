"""What one release, a folder of modules or a classifier's file says of itself. Loads no neural network library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modhub.errors import IntegrityError, RegistryUnreachable
from modhub.installation.context import Places
from modhub.registry.signers import SigningStatus, status_in
from modhub.signing.policy import Trust
from modhub.spec.compact_text import compact_lines
from modhub.spec.folder_refs import ClassifierRef, classifier_ref, folder_ref
from modhub.spec.html import HtmlTable, as_html
from modhub.spec.refs import ModelRef
from modhub.spec.text import in_short, percent

if TYPE_CHECKING:
    from modhub.advisories.matching import Remark
    from modhub.installation.classifier_file import KeptClassifier
    from modhub.installation.context import RegistryUrls
    from modhub.registry.reader import RegistryReader
    from modhub.spec.manifest import Manifest


#: Yanks that a notebook shows.
_MOST_YANKED: Final = 10


@dataclass(frozen=True)
class SmallerRelease:
    """A compact release made of another, and the share of the multiply-adds that it keeps."""

    ref: str
    flops: float


@dataclass(frozen=True)
class Details:
    """A release as ``info`` shows it: its manifest, the classes asked for, and where it was found.

    Of modules in a ``folder`` on this machine, which are no release yet, ``ref`` and ``registry`` are None. ``yanked``
    says what of it was yanked, and why; ``remarks`` what else registries say against it. ``signing`` says who signed
    it; None of what is in a folder. ``compact`` are releases of the same namespace and registry that were made of it,
    the newest version of each.
    """

    ref: ModelRef | None
    registry: str | None
    manifest: Manifest
    slugs: tuple[str, ...]
    folder: Path | None = None
    yanked: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    signing: SigningStatus | None = None
    compact: tuple[SmallerRelease, ...] = ()

    def __repr__(self) -> str:
        place = self.registry or self.folder
        return f"<Details of {self.ref or self.manifest.content.name} in {place}: {in_short(self.slugs)}>"

    def _repr_html_(self) -> str:
        content = self.manifest.content
        accuracies = ((f"top-1 on {each.data}", percent(each.top_1)) for each in content.origin.accuracy)
        fields = [
            ("classes", f"{len(self.slugs):,} of {len(content.origin.classes):,}"),
            ("data set", content.origin.dataset.name),
            ("input", "x".join(map(str, content.contract.shape))),
            *accuracies,
            *(("compact", line) for line in ([] if content.compacted is None else compact_lines(content.compacted))),
            *(("smaller", f"{each.ref}, {percent(each.flops)} of the multiply-adds") for each in self.compact),
            ("digest", self.manifest.digest),
            ("from", str(self.registry or self.folder)),
            *(("yanked", text) for text in self.yanked[:_MOST_YANKED]),
        ]
        shown = [module for module in content.modules if module.slug in self.slugs]
        rows = ([each.name, each.slug, f"{each.jaccard:.3f}"] for each in shown)
        table = HtmlTable(["class", "module", "JI"], rows, len(shown), texts=2)
        return as_html(str(self.ref or content.name), fields, [table])


@dataclass(frozen=True)
class KeptDetails:
    """A classifier's file as ``info`` shows it: what it keeps, its ``size`` in bytes, and the columns asked for."""

    file: Path
    size: int
    kept: KeptClassifier
    columns: tuple[int, ...]

    def __repr__(self) -> str:
        labels = in_short(self.kept.classes[column].label for column in self.columns)
        return f"<KeptDetails of {in_short([str(self.file)])}, {self.size:,} bytes: {labels}>"

    def _repr_html_(self) -> str:
        kept = self.kept
        shown = [kept.classes[column] for column in self.columns]
        rows = ([each.label, kept.release_of(each).ref(each.slug)] for each in shown)
        fields = [("bundle", "all bytes are in the file" if kept.bundle else "none"), ("size", f"{self.size:,} bytes")]
        return as_html(str(self.file), fields, [HtmlTable(["label", "module"], rows, len(shown), texts=2)])


def info(ref: str, *, registry: RegistryUrls = None, cache: str | Path | None = None) -> Details | KeptDetails:
    """Everything a release, a folder of modules or a classifier's file says of itself, or of one of its classes.

    Of a file nothing is installed. Raises NotFound, IntegrityError.

    >>> import modhub
    >>> details = modhub.info("cifar10/r56:cat")
    >>> details.slugs, details.manifest.content.contract.shape
    (('cat',), (32, 32, 3))
    """
    if (file := classifier_ref(ref)) is not None:
        return _kept(file)
    if (found := folder_ref(ref)) is not None:
        from modhub.package.local import manifest_and_slugs  # what names of releases can do without

        return Details(None, None, *manifest_and_slugs(found), found.folder)
    places = Places.open(registry, cache)
    (named,) = places.resolve([ref], even_yanked=True)
    first = named.modules[0]
    source = next((r for r in places.registries if r.url == first.registry), None)
    manifest = source.manifest(first.ref.release) if source else places.cache.manifest(first.digest)
    yanked = dict.fromkeys(pin.yanked for pin in named.modules if pin.yanked is not None)
    return Details(
        first.ref.release,
        first.registry,
        manifest,
        tuple(pin.ref.cls for pin in named.modules),
        yanked=tuple(yanked),
        remarks=tuple(remark for remark in places.remarks(named.modules) if remark.kind != "yanked"),
        signing=status_in(source, places.cache, first.ref.release, manifest.digest, Trust(places.config.trust)),
        compact=() if source is None else _smaller(source, first.ref.release),
    )


def _smaller(source: RegistryReader, ref: ModelRef) -> tuple[SmallerRelease, ...]:
    """Of one namespace only, whose catalog is one small file."""
    try:
        entries = source.catalogued(ref.namespace)
    except (RegistryUnreachable, IntegrityError):
        return ()
    found = [(each.ref.name, each.release.compacted) for each in entries]
    return tuple(
        SmallerRelease(name, compacted.flops)
        for name, compacted in found
        if compacted is not None and ref.name in compacted.of
    )


def _kept(ref: ClassifierRef) -> KeptDetails:
    from modhub.installation.classifier_file import read_classifier  # recipes and TOML, which releases do without

    kept = read_classifier(ref.file)
    recipe = kept.recipe
    columns = range(len(recipe.classes)) if ref.label is None else [recipe.column(ref.label)]
    return KeptDetails(ref.file, ref.file.stat().st_size, kept, tuple(columns))
