"""A registry as a web site: read, made page by page, and written whole, into a folder or a registry's own store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from modhub.composition.fitting import contract_key, fitting_tables
from modhub.errors import UsageError
from modhub.installation.registries import is_starter, registries
from modhub.ops.site_places import SiteFolder, SiteInStore
from modhub.ops.site_reading import SiteReader
from modhub.registry.reader import RegistryReader
from modhub.settings.config import load_config, load_trust
from modhub.signing.policy import Trust
from modhub.spec.layout import SITE
from modhub.spec.url import is_url
from modhub.storage import files
from modhub.storage.urls import open_store

if TYPE_CHECKING:
    from modhub.installation.context import RegistryUrls
    from modhub.site.content import SiteProblem
    from modhub.site.files import SiteFiles
    from modhub.site.shell import SiteShell

_MODULES: Final = ("jinja2", "markdown_it")


@dataclass(frozen=True)
class BuiltSite:
    """What ``build_site`` wrote, where to, and the ``problems`` that it named: what of the registry is damaged."""

    place: str
    files: int
    size: int
    models: int
    modules: int
    problems: tuple[SiteProblem, ...]

    def __repr__(self) -> str:
        return f"<BuiltSite of {self.models:,} models in {self.files:,} files, {len(self.problems):,} problems>"


def build_site(
    out: str | Path | None = None,
    *,
    registry: RegistryUrls = None,
    title: str | None = None,
    base_url: str | None = None,
    force: bool = False,
    quick: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> BuiltSite:
    """Write a web site that shows a registry, or several: search, releases, modules, and a composer.

    ``out`` is a folder, which is made or, when it holds a site and with ``force``, replaced as a whole; or the URL of a
    bucket; None puts it into the folder ``site`` of the (one) registry itself. The files can be served from anywhere,
    from a subfolder too. ``title`` is what the site is called; ``base_url`` where it will be served, for a list of its
    pages. ``quick`` reads no masks, so overlaps and toggled nodes are left out. ``progress`` is told how many models
    are done, of how many. The same registry gives the same bytes.

    What is damaged is named on the page and in ``problems``, and the rest is written. Raises UsageError, kinds
    ``missing-extra``, ``several-registries`` and ``bad-url``; Conflict, kinds ``output-exists`` and ``not-a-site``;
    RegistryUnreachable, StorageError.

    >>> import modhub
    >>> site = modhub.build_site("site", quick=True)
    >>> site.models, site.modules, site.problems
    (5, 140, ())
    """
    check_site_extra()
    reader = open_site_reader(registry, quick=quick)
    place = _place(out, reader)
    place.check_free(force=force)
    made = site_files(reader, title=title, base_url=base_url, progress=progress)
    count, size = place.write(made)
    counts = made.summary.counts
    return BuiltSite(str(place), count, size, counts["models"], counts["modules"], tuple(made.summary.problems))


def check_site_extra() -> None:
    """Raise UsageError, kind ``missing-extra``, without what pages are made with."""
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"pages are made with {' and '.join(missing)}, which is not installed.",
            kind="missing-extra",
            hint="pip install 'modhub[ui]'",
        )


def open_site_reader(registry: RegistryUrls, *, quick: bool = False) -> SiteReader:
    """What is to be shown: the registries given, and no others, or else all that a call would look in."""
    config = load_config()
    trust = load_trust(config)
    if registry is None:
        opened = registries(None, config, trust=trust)
    else:
        given = [registry] if isinstance(registry, str) else list(registry)
        opened = [RegistryReader(open_store(config.named_registry(url)), trust=trust) for url in given]
        for each in opened:
            each.check()
    return SiteReader(opened, Trust(config.trust), quick)


def site_files(
    reader: SiteReader,
    *,
    title: str | None = None,
    base_url: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SiteFiles:
    """The files of the site of what ``reader`` reads, which are made while they are gone through."""
    total = len(reader.names)
    made: SiteFiles = import_module("modhub.site.files").SiteFiles(  # with Jinja2, which is an extra
        site_shell(reader, title=title, base_url=base_url),
        reader.models(),
        contract_key,
        lambda contracts: fitting_tables(contracts).to_dict(),
        reader.problems,
        site_source(reader),
        reader.quick,
        (lambda count: None) if progress is None else (lambda count: progress(count, total)),
    )
    return made


def site_shell(reader: SiteReader, *, title: str | None = None, base_url: str | None = None) -> SiteShell:
    """What is around all pages."""
    made: SiteShell = import_module("modhub.site.shell").SiteShell(
        title or _title(reader), f"modhub {version('modhub')}", _checked_base(base_url)
    )
    return made


def site_source(reader: SiteReader) -> str | None:
    """What ``--registry`` has to say for people who want what the site shows; None for registries of this machine.

    The starter registry is there without being named.
    """
    urls = [registry.url for registry in reader.registries if not is_starter(registry.url)]
    return urls[0] if len(urls) == 1 and is_url(urls[0]) else None


def _title(reader: SiteReader) -> str:
    """A registry's own name, as its URL ends; of several what they are together."""
    if len(reader.registries) != 1:
        return "modhub"
    return reader.registries[0].url.rstrip("/").rpartition("/")[2] or "modhub"


def _checked_base(base_url: str | None) -> str | None:
    if base_url is None:
        return None
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(
            f"{base_url[:200]!r} is no address of a site.",
            kind="bad-url",
            hint="give one such as https://host/modules.",
        )
    return base_url.rstrip("/")


# Where it goes


def _place(out: str | Path | None, reader: SiteReader) -> SiteFolder | SiteInStore:
    if out is None:
        if len(reader.registries) != 1:
            raise UsageError(
                f"a site goes into one registry, and {len(reader.registries)} are shown.",
                kind="several-registries",
                hint="name one with --registry, or a folder with --out.",
            )
        return SiteInStore(reader.registries[0].store, f"{SITE}/")
    if isinstance(out, str) and is_url(out):
        return SiteInStore(open_store(out))
    return SiteFolder(files.absolute(out))
