"""A site of registries as they are now, file by file: what ``modhub ui`` shows.

All models are read once, for the lists and the search; of a model that somebody looks at, its masks too. Whether
anything was published is asked again and again, as often as is cheap where the registry lies. Importing this module
needs the extra ``ui``; ``ops.site.check_site_extra`` says whether it is there.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from threading import Thread
from typing import TYPE_CHECKING, Final

from modhub.composition.fitting import contract_key, fitting_tables
from modhub.errors import ModhubError, NotFound
from modhub.limits import MAX_MANIFEST_BYTES
from modhub.ops.site import open_site_reader, site_shell, site_source
from modhub.registry.objects import get_object
from modhub.site.content import ShownModel
from modhub.site.front_pages import SiteSummary, front_files
from modhub.site.model_pages import module_html, module_slugs, overlap_png, release_html
from modhub.site.shell import CONTENT_POLICY, SiteShell, asset_files, asset_folder
from modhub.spec.digests import sha256
from modhub.spec.layout import CATALOG, RECORDS, RELEASES, SIGNATURES, catalog_path, notices_path
from modhub.spec.log import record

if TYPE_CHECKING:
    from modhub.installation.context import RegistryUrls
    from modhub.ops.site_reading import SiteReader
    from modhub.registry.reader import RegistryReader

#: Looking whether anything changed takes at most one part of this many of the time.
_SHARE_OF_TIME: Final = 10
#: Seconds of reading beyond which a page does not wait for it, but shows what was read before.
_PATIENCE: Final = 2.0
#: Models whose masks and figures are kept for the next page about them.
_MOST_MODELS: Final = 16
_OF_MODEL: Final = re.compile(r"models/([^/]+/[^/]+)/(?:(versions|modules)/([^/]+)|index)\.(html|png)")


@dataclass(frozen=True, eq=False)
class _Read:
    """Registries as they were when their ``state`` was this: the files of no single model, and ``reader`` for the rest.

    ``seconds`` is how long reading took.
    """

    state: Hashable
    reader: SiteReader
    files: dict[str, bytes]
    seconds: float


class LiveSite:
    """The files of a site, each made when it is asked for. For one thread at a time.

    ``policy`` is the Content-Security-Policy that the pages keep, ``assets`` the folder of their scripts and styles.
    """

    policy: str = CONTENT_POLICY
    assets: str = asset_folder()

    def __init__(
        self, registry: RegistryUrls, *, title: str | None = None, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self._registry = registry
        self._title = title
        self._models: OrderedDict[str, ShownModel] = OrderedDict()
        self._reading: Thread | None = None
        self._next_look = 0.0
        self._shell, self._read = self._read_all(progress)

    def file(self, path: str, *, look_again: bool = False) -> bytes | None:
        """The file at ``path``, None where there is none. ``look_again``: something new may have been published.

        Raises RegistryUnreachable.
        """
        if look_again:
            self._look()
        found = self._read.files.get(path)
        return self._model_file(path) if found is None else found

    def missing(self, path: str) -> bytes:
        """The page for a ``path`` at which there is nothing."""
        return self._shell.page("missing.html", path)

    def failed(self, path: str, error: ModhubError) -> bytes:
        """The page that says why ``path`` cannot be shown."""
        return self._shell.page("failed.html", path, error=error)

    # Reading

    def _look(self) -> None:
        """Read again where anything has changed, at once where that is quick."""
        begun = time.monotonic()
        if begun < self._next_look or (self._reading is not None and self._reading.is_alive()):
            return
        state = _state_of(self._read.reader)
        self._next_look = time.monotonic() + (_SHARE_OF_TIME - 1) * (time.monotonic() - begun)
        if state == self._read.state:
            return
        if self._read.seconds < _PATIENCE:
            self._take(*self._read_all())
        else:
            self._reading = Thread(target=self._read_behind, daemon=True)
            self._reading.start()

    def _read_behind(self) -> None:
        """Read again while pages show what was read before; they go on so where that fails, and it is tried again."""
        try:
            self._take(*self._read_all())
        except ModhubError as error:
            record("ui", "the registry cannot be read again: %s", error)

    def _take(self, shell: SiteShell, read: _Read) -> None:
        self._shell, self._read = shell, read
        self._models = OrderedDict()

    def _read_all(self, progress: Callable[[int, int], None] | None = None) -> tuple[SiteShell, _Read]:
        begun = time.monotonic()
        reader = open_site_reader(self._registry)
        # First, so that what is published meanwhile is seen the next time.
        state = _state_of(reader)
        shell = replace(site_shell(reader, title=self._title), is_live=True)
        quick = replace(reader, quick=True)
        summary = SiteSummary()
        for count, model in enumerate(quick.models(), 1):
            summary.add(model, None if model.chosen is None else contract_key(model.chosen.content.contract))
            if progress is not None:
                progress(count, len(quick.names))
        summary.end(quick.problems)
        tables = fitting_tables(summary.columns.contracts).to_dict()
        files = {f"{asset_folder()}/{name}": data for name, data in asset_files().items()}
        files |= dict(front_files(shell, summary, tables, place=site_source(reader)))
        return shell, _Read(state, reader, files, time.monotonic() - begun)

    # Models

    def _model_file(self, path: str) -> bytes | None:
        found = _OF_MODEL.fullmatch(path)
        if found is None or found[1] not in self._read.reader.names:
            return None
        model = self._model(found[1])
        kind, name, ending = found[2], found[3], found[4]
        if kind == "modules":
            return module_html(self._shell, model, name, path) if name in module_slugs(model) else None
        if kind == "versions":
            release = next((each for each in model.releases if each.version == name), None)
            if release is None:
                return None
            return overlap_png(release) if ending == "png" else release_html(self._shell, model, release, path)
        if model.chosen is None:
            return self._shell.page("model.html", path, model=model)
        return release_html(self._shell, model, model.chosen, path)

    def _model(self, name: str) -> ShownModel:
        models, reader = self._models, self._read.reader
        if name not in models:
            models[name] = reader.model(name)
        models.move_to_end(name)
        while len(models) > _MOST_MODELS:
            models.popitem(last=False)
        return models[name]


def open_live_site(
    registry: RegistryUrls = None, *, title: str | None = None, progress: Callable[[int, int], None] | None = None
) -> LiveSite:
    """The site of the registries given, or of all that a call would look in, read and ready to be shown.

    ``progress`` is told how many models are read, of how many. Raises RegistryUnreachable.
    """
    return LiveSite(registry, title=title, progress=progress)


def _state_of(reader: SiteReader) -> Hashable:
    """Equal as long as nothing was published, said or taken away: all but the derived files is written once."""
    return tuple((registry.url, tuple(_identifying(registry))) for registry in reader.registries)


def _identifying(registry: RegistryReader) -> Iterator[Hashable]:
    store = registry.store
    if store.capabilities.can_list:
        for folder in (RELEASES, RECORDS, SIGNATURES):
            yield from store.list(folder)
        return
    namespaces = {name.partition("/")[0] for name in registry.models()}
    for path in (CATALOG, *(each for name in sorted(namespaces) for each in (catalog_path(name), notices_path(name)))):
        try:
            yield sha256(get_object(store, path, max_bytes=MAX_MANIFEST_BYTES))
        except NotFound:
            yield None
