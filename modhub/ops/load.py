"""Load what was saved on this machine: the file of a classifier, or a folder of modules."""

from __future__ import annotations

from pathlib import Path

from modhub.composition.composite import Composite
from modhub.composition.plan import make_plan
from modhub.installation.backend import InstalledBackend
from modhub.installation.context import RegistryUrls
from modhub.package.decomposition import Decomposition, decomposition_from
from modhub.package.folder import load_blob, load_manifest
from modhub.spec.folder_refs import is_classifier_name
from modhub.spec.places import is_file, is_folder


def load(
    path: str | Path, *, registry: RegistryUrls = None, cache: str | Path | None = None
) -> Decomposition | Composite:
    """Read back what was saved: a classifier's file (``Composite.save``), or a folder (``Decomposition.save``).

    A classifier without a bundle has its modules installed by their digests, from the cache or else from ``registry``,
    the configured registries without it. Nothing in a file is executed, and nothing is used before its digest was
    checked. Raises NotFound, which names what is missing where, IntegrityError, Incompatible, UsageError.

    >>> import modhub
    >>> pets = modhub.compose(["cifar10/r20:cat", "cifar10/r20:dog"])
    >>> modhub.load(pets.save("pets.modhub", bundle=True)).classes
    ['cat', 'dog']
    """
    place = Path(path)
    if (is_classifier_name(place) and not is_folder(place)) or is_file(place):
        return kept_classifier(place, registry=registry, cache=cache)
    return decomposition_from(load_manifest(place), lambda _, record: load_blob(place, record))


def kept_classifier(file: Path, *, registry: RegistryUrls = None, cache: str | Path | None = None) -> Composite:
    """The classifier in a file. Raises as ``load``."""
    backend = InstalledBackend(registry, cache)
    return Composite(make_plan(backend.kept(file)), backend)
