"""The pages that are about a registry as a whole: search, composer, lists, and the data and assets that they load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from modhub.limits import MAX_DISPLAY_NAME_CHARS
from modhub.site import paths
from modhub.site.content import ShownModel, SiteProblem
from modhub.site.search_data import SearchColumns
from modhub.site.shell import SiteShell
from modhub.spec.contract import input_text
from modhub.spec.digests import canonical_json


@dataclass(frozen=True)
class ListedModel:
    """One line of a list of models. ``version`` is None where all are withdrawn."""

    name: str
    version: str | None
    classes: int
    dataset: str
    input: str
    top_1: float | None
    license: str | None
    is_advised: bool
    is_deprecated: bool

    @property
    def model(self) -> str:
        return self.name.partition("/")[2]


@dataclass
class SiteSummary:
    """What of all models is kept while their pages are written one after the other."""

    columns: SearchColumns = field(default_factory=SearchColumns)
    models: dict[str, list[ListedModel]] = field(default_factory=dict)
    problems: list[SiteProblem] = field(default_factory=list)
    registries: dict[str, None] = field(default_factory=dict)

    def add(self, model: ShownModel, contract_key: Any) -> None:
        """A model, in the order of names; ``contract_key`` of its chosen release, see ``SearchColumns.add``."""
        self.columns.add(model, contract_key)
        self.registries.setdefault(model.registry)
        self.problems += model.problems
        self.problems += (problem for release in model.releases for problem in release.problems)
        self.models.setdefault(model.namespace, []).append(_listed(model))

    def end(self, others: Sequence[SiteProblem]) -> None:
        """All models were read, in any order and some at the same time; ``others`` are the problems of none of them."""
        self.problems = sorted({*others, *self.problems}, key=lambda each: (each.name, each.kind, each.message))

    @property
    def counts(self) -> dict[str, int]:
        """How many models, modules and problems there are."""
        models = sum(map(len, self.models.values()))
        return {"models": models, "modules": self.columns.modules, "problems": len(self.problems)}


def _listed(model: ShownModel) -> ListedModel:
    release = model.chosen or (model.releases[0] if model.releases else None)
    if release is None:
        return ListedModel(model.name, None, 0, "-", "-", None, None, False, False)
    content, kinds = release.content, {notice.kind for notice in release.notices}
    return ListedModel(
        model.name,
        release.version if model.chosen is not None else None,
        len(content.modules),
        content.origin.dataset.name,
        input_text(content.contract),
        content.origin.accuracy[-1].top_1 if content.origin.accuracy else None,
        content.card.license if content.card else None,
        "advisory" in kinds,
        "deprecated" in kinds,
    )


def front_files(
    shell: SiteShell, summary: SiteSummary, tables: Mapping[str, Any], *, place: str | None = None, quick: bool = False
) -> Iterator[tuple[str, bytes]]:
    """Paths and bytes of all that is of no single model, but assets; the first page, by which people enter, is last.

    ``tables`` say which contracts fit each other; ``place`` is the URL that commands need to find the registry.
    """
    counts = summary.counts
    files = dict(summary.columns.files(tables))
    folder = data_folder(files)
    for name, data in files.items():
        yield f"{folder}/{name}", data
    for namespace, models in summary.models.items():
        path = paths.namespace_page(namespace)
        yield path, shell.page("namespace.html", path, namespace=namespace, models=models)
    namespaces = [(name, len(models)) for name, models in summary.models.items()]
    yield paths.MODELS, shell.page("models.html", paths.MODELS, namespaces=namespaces, counts=counts)
    yield (
        paths.ABOUT,
        shell.page(
            "about.html",
            paths.ABOUT,
            registries=list(summary.registries) or [shell.title],
            problems=summary.problems,
            counts=counts,
            quick=quick,
        ),
    )
    yield paths.COMPOSER, composer_html(shell, folder, place)
    if shell.base_url is not None:
        yield "sitemap.txt", _sitemap(shell.base_url, summary)
    yield paths.HOME, search_html(shell, folder, counts)


def data_folder(files: Mapping[str, bytes]) -> str:
    """Where the search files lie: a folder named by what is in them, so that an old page finds its own."""
    digest = sha256(canonical_json({name: sha256(data).hexdigest() for name, data in files.items()}))
    return f"data/{digest.hexdigest()[:12]}"


def search_html(shell: SiteShell, data: str, counts: Mapping[str, int]) -> bytes:
    """The search page, which loads the files in the folder ``data``."""
    return shell.page("index.html", paths.HOME, data=data, counts=counts)


def composer_html(shell: SiteShell, data: str, place: str | None) -> bytes:
    """The composer, which loads the files in the folder ``data``; live it asks modhub itself, too."""
    template = "compose_live.html" if shell.is_live else "compose.html"
    return shell.page(template, paths.COMPOSER, data=data, place=place, longest=MAX_DISPLAY_NAME_CHARS)


def _sitemap(base_url: str, summary: SiteSummary) -> bytes:
    pages: Sequence[str] = [paths.HOME, paths.MODELS]
    pages = [*pages, *(paths.model_page(each.name) for models in summary.models.values() for each in models)]
    return "".join(f"{base_url}/{page}\n" for page in pages).encode()
