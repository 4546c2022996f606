"""All files of a site, one after the other, of models that are read while they are written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modhub.site.content import ShownModel, SiteProblem
from modhub.site.front_pages import SiteSummary, front_files
from modhub.site.model_pages import model_files
from modhub.site.shell import SiteShell, asset_files, asset_folder
from modhub.spec.input_contract import InputContract


@dataclass(eq=False)
class SiteFiles:
    """Paths and bytes of a site's files, to be gone through once.

    ``models`` come by name, in no more memory than one takes. ``key_of`` is equal for contracts that are alike to a
    classifier, and ``tables_of`` says which of those fit each other. ``others`` are problems of no single model, known
    when all models were read. The page by which people enter is the last.
    """

    shell: SiteShell
    models: Iterable[ShownModel]
    key_of: Callable[[InputContract], Hashable]
    tables_of: Callable[[Sequence[InputContract]], Mapping[str, Any]]
    others: Sequence[SiteProblem] = ()
    place: str | None = None
    quick: bool = False
    done: Callable[[int], None] = lambda count: None
    summary: SiteSummary = field(default_factory=SiteSummary)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        # Before the pages that load them, as each page of a bucket can be read as soon as it is there.
        for name, data in asset_files().items():
            yield f"{asset_folder()}/{name}", data
        for count, model in enumerate(self.models, 1):
            self.summary.add(model, None if model.chosen is None else self.key_of(model.chosen.content.contract))
            yield from model_files(self.shell, model)
            self.done(count)
        self.summary.end(self.others)
        tables = self.tables_of(self.summary.columns.contracts)
        yield from front_files(self.shell, self.summary, tables, place=self.place, quick=self.quick)
