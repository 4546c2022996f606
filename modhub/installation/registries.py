"""The registries of a call: those given, else configured, else the local one; starter last."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from modhub.errors import ModhubError, RegistryUnreachable, UsageError
from modhub.registry.reader import RegistryReader
from modhub.registry.unreachable import UnreachableRegistry
from modhub.settings.values import Config
from modhub.signing.policy import Trust
from modhub.spec.layout import MARKER
from modhub.spec.refs import ModelRef
from modhub.spec.text import in_short
from modhub.spec.url import RegistryUrl
from modhub.storage import files
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store

if TYPE_CHECKING:
    from modhub.registry.writer import Registry
    from modhub.storage.store import Store


STARTER_FOLDER: Final = Path(__file__).parents[1] / "starter" / "registry"


def registries(
    given: str | Sequence[str] | None,
    config: Config,
    *,
    skip_missing: bool = False,
    stand_ins: bool = False,
    trust: Trust | None = None,
) -> list[RegistryReader]:
    """The registries to read, in the order in which they are searched; the starter comes last.

    ``given``, else MODHUB_REGISTRY, else the configured ones, else the user's local one, which counts as empty until
    something is published there. One that cannot be read, among others that can, is warned of and becomes an
    UnreachableRegistry: what nearer ones have is had all the same. Raises RegistryUnreachable, kind ``no-registry``
    among others, when none can be read. ``stand_ins`` accepts that too, and ``skip_missing`` leaves out those that do
    not exist or that the network does not reach, for work that the cache may be able to do alone. ``trust`` is whom to
    believe when signatures are required; the starter is trusted as the package that it came in.
    """
    stores, is_default = _chosen(given, config)
    found: list[RegistryReader] = []
    for store in stores:
        registry = RegistryReader(store, trust=trust)
        try:
            registry.check()
        except RegistryUnreachable as error:
            if skip_missing and error.kind in ("no-registry", "unreachable"):
                continue
            if error.kind != "no-registry" or not is_default:
                registry = UnreachableRegistry(store.url, error, trust=trust)
        found.append(registry)
    unread = [registry for registry in found if isinstance(registry, UnreachableRegistry)]
    if unread and len(unread) == len(found) and not stand_ins:
        raise unread[0].error
    for registry in unread:
        warnings.warn(f"{registry.error.message} Going on without it.", stacklevel=3)
    starter = _starter()
    if (STARTER_FOLDER / MARKER).is_file() and starter.url not in {registry.url for registry in found}:
        found.append(starter)
    return found


def opened_registries(config: Config) -> list[RegistryReader]:
    """Those that ``registries`` would look at when nothing is given, whether they can be read or not; starter last."""
    return [*map(RegistryReader, _chosen(None, config)[0]), _starter()]


def publishing_registry(given: str | Sequence[str] | None, config: Config) -> Registry:
    """The registry to publish to: the one given, else the first that ``registries`` would read. It may not exist yet.

    Raises UsageError when several are given: a publication goes to one.
    """
    if not isinstance(given, str) and given is not None and len(given) > 1:
        raise UsageError(
            f"a publication goes to one registry, but {len(given)} were given: {in_short(map(RegistryUrl, given))}.",
            kind="several-registries",
            hint="publish once for each.",
        )
    from modhub.registry.writer import Registry  # few write, and reading needs half of it

    return Registry(_chosen(given, config)[0][0])


def is_bundled(ref: ModelRef, digest: str) -> bool:
    """Whether the registry inside the package has this very release, whatever a marker in a cache says."""
    try:
        return _starter().manifest(ref).digest == digest
    except ModhubError:
        return False


def _starter() -> RegistryReader:
    return RegistryReader(LocalStore(STARTER_FOLDER, writable=False), name="starter")


def is_starter(url: str) -> bool:
    """Whether this is the registry inside the package."""
    return url == str(files.absolute(STARTER_FOLDER))


def default_registry() -> Path:
    """The folder of the user's own registry, which is used when nothing else is said."""
    return platformdirs.user_data_path("modhub", appauthor=False) / "registry"


def _chosen(given: str | Sequence[str] | None, config: Config) -> tuple[list[Store], bool]:
    """The stores of the registries without the starter, and whether they are the default because none was named."""
    urls: list[str] = [given] if isinstance(given, str) else list(given or config.registry_urls)
    urls = [config.named_registry(url) for url in urls]
    opened = [open_store(url) for url in urls or [str(default_registry())]]
    return list({store.url: store for store in opened}.values()), not urls
