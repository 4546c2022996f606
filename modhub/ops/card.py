"""A release's card: what its publisher says of it, and what its manifest says."""

from __future__ import annotations

from pathlib import Path

from modhub.cards.document import ReleaseCard
from modhub.cards.read import card_file
from modhub.errors import NotFound
from modhub.installation.context import Places, RegistryUrls
from modhub.package.folder import load_blob, load_manifest, load_package, save_package
from modhub.package.readme import readme_of, with_card
from modhub.spec.folder_refs import folder_ref


def card(ref: str, *, registry: RegistryUrls = None, cache: str | Path | None = None) -> ReleaseCard:
    """The card of a release, or of a folder of modules. Nothing is installed for it.

    A release that only the cache has comes without its README, which installing does not bring along. Raises NotFound,
    IntegrityError.

    >>> import modhub
    >>> starter = modhub.card("cifar10/r56@1.1.0")
    >>> starter.name, str(starter).splitlines()[0], starter.card.license
    ('cifar10/r56@1.1.0', '# cifar10/r56@1.1.0', None)
    """
    if (found := folder_ref(ref)) is not None:
        manifest = load_manifest(found.folder)
        readme = readme_of(manifest, lambda _, record: load_blob(found.folder, record))
        return ReleaseCard(manifest.content.name, manifest, readme.decode())
    places = Places.open(registry, cache)
    (named,) = places.resolve([ref], even_yanked=True)
    first = named.modules[0]
    source = next((place for place in places.registries if place.url == first.registry), None)
    if source is None:
        manifest = places.cache.manifest(first.digest)
        try:
            readme = readme_of(manifest, lambda _, record: places.cache.blob(record))
        except NotFound:
            readme = b""
    else:
        manifest = source.manifest(first.ref.release)
        readme = readme_of(manifest, lambda _, record: source.blob(record))
    return ReleaseCard(str(first.ref.release), manifest, readme.decode())


def put_card(folder: str | Path, readme: str | Path) -> ReleaseCard:
    """Put the card in the file ``readme`` into a folder of modules, in the place of the one that it may have.

    Raises NotFound, IntegrityError, and UsageError, kind ``bad-card``.
    """
    given = card_file(readme)
    package = with_card(load_package(Path(folder)), given)
    save_package(package, Path(folder))
    return ReleaseCard(package.manifest.content.name, package.manifest, given.readme.decode())
