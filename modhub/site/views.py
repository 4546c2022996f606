"""What the pages of a release and its modules show, as rows and fields; the templates only place them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from shlex import quote

from modhub.site.content import ShownModel, ShownNotice, ShownRelease
from modhub.site.search_data import precision_of, recall_of
from modhub.spec.contract import input_text, range_text
from modhub.spec.input_contract import InputContract
from modhub.spec.manifest import Content, ModuleRecord
from modhub.spec.text import kept_share, percent

#: Classes that an overlap matrix shows as a table; more are a picture.
MOST_CELLS = 30


@dataclass(frozen=True)
class ModuleLine:
    """One class of a release: its module's figures, and the module most like it."""

    name: str
    slug: str
    recall: float | None
    precision: float | None
    kept: float
    jaccard: float
    yanked: str | None
    notices: tuple[ShownNotice, ...]
    nearest: tuple[str, float] | None


@dataclass(frozen=True)
class SiteBand:
    """The share of one site's ``nodes`` that the modules keep: the mean over all, the least and the most."""

    id: str
    shape: str
    nodes: int
    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class StageRow:
    """Nodes of one module at one site, by what was done with them."""

    id: str
    nodes: int
    concern: int
    tangled: int
    removed: int
    kept: int

    @property
    def share(self) -> float:
        return kept_share(self.kept, self.nodes)


@dataclass(frozen=True)
class VersionRow:
    """One version of a module; None for what it does not have."""

    release: ShownRelease
    module: ModuleRecord | None
    kept: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True)
class VersionPair:
    """What differs between two versions of a module. ``toggled`` nodes are kept by only one; None: not comparable."""

    older: str
    newer: str
    toggled: int | None
    nodes: int
    kept: int
    recall: float | None
    precision: float | None
    same_network: bool


def class_rows(release: ShownRelease) -> list[ModuleLine]:
    """The rows of a release, in the order of its classes."""
    content = release.content
    nodes = nodes_of(content)
    return [
        ModuleLine(
            name=module.name,
            slug=module.slug,
            recall=recall_of(module),
            precision=precision_of(module),
            kept=kept_share(sum(module.stages.kept), nodes),
            jaccard=module.jaccard,
            yanked=release.yanked_classes.get(module.slug),
            notices=tuple(each for each in release.notices if each.slug == module.slug),
            nearest=_nearest(release, position),
        )
        for position, module in sorted(enumerate(content.modules), key=lambda each: each[1].index)
    ]


def _nearest(release: ShownRelease, position: int) -> tuple[str, float] | None:
    if release.overlap is None or len(release.content.modules) < 2:
        return None
    row = release.overlap[position]
    value, other = max((value, -other) for other, value in enumerate(row) if other != position)
    return release.content.modules[-other].name, value


def nodes_of(content: Content) -> int:
    """All nodes on which masks sit."""
    return sum(prod(site.shape) for site in content.sites)


def site_bands(content: Content) -> list[SiteBand]:
    """One row a site, in the order of the network."""
    rows = []
    for number, site in enumerate(content.sites):
        nodes = prod(site.shape)
        kept = [module.stages.kept[number] / nodes for module in content.modules]
        shape = "x".join(map(str, site.shape))
        rows.append(SiteBand(site.id, shape, nodes, sum(kept) / len(kept), min(kept), max(kept)))
    return rows


def stage_rows(content: Content, module: ModuleRecord) -> list[StageRow]:
    """One row a site of one module."""
    stages = module.stages
    return [
        StageRow(
            site.id,
            prod(site.shape),
            stages.concern[number],
            stages.tangled[number],
            stages.last_conv[number] + stages.input[number],
            stages.kept[number],
        )
        for number, site in enumerate(content.sites)
    ]


def version_rows(model: ShownModel, slug: str) -> list[VersionRow]:
    """A module's versions, the newest first."""
    rows = []
    for release in model.releases:
        module = next((each for each in release.content.modules if each.slug == slug), None)
        if module is not None:
            rows.append(VersionRow(release, module, sum(module.stages.kept), recall_of(module), precision_of(module)))
    return rows


def version_pairs(model: ShownModel, slug: str) -> list[VersionPair]:
    """What differs between the versions of a module that were compared, the newest first."""
    rows = {row.release.version: row for row in version_rows(model, slug)}
    pairs = []
    for (older, newer), toggled in model.toggled.items():
        if older not in rows or newer not in rows:
            continue
        before, after = rows[older], rows[newer]
        pairs.append(
            VersionPair(
                older,
                newer,
                toggled.get(slug),
                nodes_of(after.release.content),
                after.kept - before.kept,
                _change(before.recall, after.recall),
                _change(before.precision, after.precision),
                before.release.content.origin.weights == after.release.content.origin.weights,
            )
        )
    return pairs


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def contract_fields(contract: InputContract) -> Iterator[tuple[str, str]]:
    """What modules take, and what they do to it."""
    yield "input", input_text(contract)
    yield "values", f"{range_text(contract)}, {contract.dtype}"
    if contract.rescale != 1:
        yield "rescaled by", f"{contract.rescale:.6g}"
    for title, numbers in (("mean", contract.mean), ("std", contract.std)):
        if numbers:
            yield title, ", ".join(f"{number:.4g}" for number in numbers)


def registry_option(model: ShownModel) -> str:
    """What a command needs to find the model, with a space before it; nothing where it is found without."""
    return "" if model.source is None else f" --registry {quote(model.source)}"


def use_lines(model: ShownModel, ref: str, shown: Sequence[str]) -> list[tuple[str, str]]:
    """What a person copies, each with what it is for: ``ref`` installed, and the modules ``shown`` composed."""
    place = registry_option(model)
    given = "" if model.source is None else f", registry={model.source!r}"
    names = ", ".join(f'"{each}"' for each in shown)
    return [
        ("Install", f"modhub install {ref}{place}"),
        ("Compose in Python", f"modhub.compose([{names}]{given})"),
        ("Classify photos", f"modhub predict {' '.join(shown)} --images photos/{place}"),
        ("Add to a project", f"modhub add {shown[0]}{place}"),
    ]


def change_text(change: float | None) -> str:
    """``+0.021`` in points: ``+2.1``; a dash for None."""
    return "-" if change is None else f"{100 * change:+.1f}"


def accuracy_lines(content: Content) -> list[tuple[str, str]]:
    """On what the network was measured, and how often its first answer was right."""
    return [(each.data, f"{percent(each.top_1)} of {each.examples:,}") for each in content.origin.accuracy]
