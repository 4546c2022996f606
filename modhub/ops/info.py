"""What one release, a folder of modules or a classifier's file says of itself. Loads no neural network library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.installation.context import Places
from modhub.registry.signers import SigningStatus, status_in
from modhub.signing.policy import Trust
from modhub.spec.folder_refs import ClassifierRef, classifier_ref, folder_ref
from modhub.spec.refs import ModelRef

if TYPE_CHECKING:
    from modhub.installation.classifier_file import KeptClassifier
    from modhub.installation.context import RegistryUrls
    from modhub.spec.manifest import Manifest


@dataclass(frozen=True)
class Details:
    """A release as ``info`` shows it: its manifest, the classes asked for, and where it was found.

    Of modules in a ``folder`` on this machine, which are no release yet, ``ref`` and ``registry`` are None. ``yanked``
    says what of it was yanked, and why. ``signing`` says who signed it; None of what is in a folder.
    """

    ref: ModelRef | None
    registry: str | None
    manifest: Manifest
    slugs: tuple[str, ...]
    folder: Path | None = None
    yanked: tuple[str, ...] = ()
    signing: SigningStatus | None = None


@dataclass(frozen=True)
class KeptDetails:
    """A classifier's file as ``info`` shows it: what it keeps, its ``size`` in bytes, and the columns asked for."""

    file: Path
    size: int
    kept: KeptClassifier
    columns: tuple[int, ...]


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
        signing=status_in(source, places.cache, first.ref.release, manifest.digest, Trust(places.config.trust)),
    )


def _kept(ref: ClassifierRef) -> KeptDetails:
    from modhub.installation.classifier_file import read_classifier  # recipes and TOML, which releases do without

    kept = read_classifier(ref.file)
    recipe = kept.recipe
    columns = range(len(recipe.classes)) if ref.label is None else [recipe.column(ref.label)]
    return KeptDetails(ref.file, ref.file.stat().st_size, kept, tuple(columns))
