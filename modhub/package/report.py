"""What decomposition did, per class and site: nodes kept, what each stage removed, indices, ratio, threshold."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from typing import Any, Final

from modhub.package.module import Module
from modhub.package.overlap import mean_between
from modhub.spec.compact_text import compact_lines
from modhub.spec.html import HtmlTable, as_html
from modhub.spec.manifest import Compacted
from modhub.spec.text import in_short, kept_share

_HEADERS: Final = (
    *("class", "kept", "CI", "TI +", "BLC -", "BI -", "JI", "JI weights", "TI ratio", "threshold", "scale"),
)


@dataclass(frozen=True)
class SiteRow:
    """Nodes of one class at one site. ``kept = concern + tangled - last_conv - input``."""

    cls: str
    site: str
    nodes: int
    concern: int
    tangled: int
    last_conv: int
    input: int
    kept: int


@dataclass(frozen=True)
class ReportRow:
    """One class over all sites. ``ratio`` is unconcerned inputs per concerned one; the rest as in ModuleRecord."""

    cls: str
    nodes: int
    concern: int
    tangled: int
    last_conv: int
    input: int
    kept: int
    jaccard: float
    jaccard_weights: float
    concerned: int
    unconcerned: int
    ratio: float
    threshold: float
    scale: float


@dataclass(frozen=True, eq=False)
class Report:
    """Printable; ``classes`` and ``sites`` are the rows, ``to_dict`` plain values.

    Of a compact network ``compacted`` says what it is against the one from which it was made, over whose nodes the
    modules' Jaccard indices are counted.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    modules: Sequence[Module]
    compacted: Compacted | None = None

    @property
    def classes(self) -> list[ReportRow]:
        """One row a class, in class order."""
        nodes = sum(prod(shape) for shape in self.shapes.values())
        return [_class_row(module, nodes) for module in self.modules]

    @property
    def sites(self) -> list[SiteRow]:
        """One row a class and site, classes outermost."""
        return list(self._site_rows())

    def _site_rows(self) -> Iterator[SiteRow]:
        for module in self.modules:
            stages = module.stages
            columns = zip(
                self.shapes.items(),
                stages.concern,
                stages.tangled,
                stages.last_conv,
                stages.input,
                stages.kept,
                strict=True,
            )
            for (site, shape), concern, tangled, last_conv, to_input, kept in columns:
                yield SiteRow(module.name, site, prod(shape), concern, tangled, last_conv, to_input, kept)

    @property
    def jaccard(self) -> float:
        """Mean Jaccard index over the modules."""
        return sum(module.jaccard for module in self.modules) / len(self.modules)

    @cached_property
    def jaccard_between(self) -> float | None:
        """Mean Jaccard index of two of the modules; None where there is one alone, or no mask."""
        return mean_between([module.keep for module in self.modules]) if self.shapes else None

    @property
    def distinctness(self) -> str:
        """In words, how much the modules differ from their network, and from each other."""
        if not self.shapes:
            return "no ReLU: each is the whole network with a head of its own"
        between = "" if self.jaccard_between is None else f", {self.jaccard_between:.3f} between two modules"
        return f"mean JI {self.jaccard:.3f}{between}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "jaccard": self.jaccard,
            "jaccard_between": self.jaccard_between,
            "compacted": None if self.compacted is None else self.compacted.model_dump(mode="json"),
            "classes": [asdict(row) for row in self.classes],
            "sites": [asdict(row) for row in self.sites],
        }

    def __repr__(self) -> str:
        names = in_short(module.name for module in self.modules)
        return f"<Report of {in_short([self.name])}: {len(self.modules):,} modules, {self.distinctness}: {names}>"

    def _repr_html_(self) -> str:
        title = f"{self.name}: {len(self.modules):,} modules, {self.distinctness}"
        rows = ([row.cls, *_cells(row)] for row in self.classes)
        fields = [] if self.compacted is None else [("compact", line) for line in compact_lines(self.compacted)]
        return as_html(title, fields, [HtmlTable(_HEADERS, rows, len(self.modules))])

    def __str__(self) -> str:
        from rich.console import Console  # rich is for printing a report alone
        from rich.table import Table

        table = Table(title=f"{self.name}: {len(self.modules)} modules, {self.distinctness}")
        for header in _HEADERS:
            table.add_column(header, justify="left" if header == "class" else "right")
        for row in self.classes:
            table.add_row(row.cls, *_cells(row))
        console = Console(file=io.StringIO(), width=120)
        if self.compacted is not None:
            table.caption = "\n".join(compact_lines(self.compacted))
        console.print(table)
        return str(console.file.getvalue()).rstrip()  # type: ignore[attr-defined]


def _cells(row: ReportRow) -> list[str]:
    """All columns but the class."""
    return [
        f"{kept_share(row.kept, row.nodes):.2%}",
        *(f"{count:,}" for count in (row.concern, row.tangled, row.last_conv, row.input)),
        f"{row.jaccard:.3f}",
        f"{row.jaccard_weights:.3f}",
        f"1:{row.ratio:.2f}",
        f"{row.threshold:.3f}",
        f"{row.scale:.3f}",
    ]


def _class_row(module: Module, nodes: int) -> ReportRow:
    stages = module.stages
    return ReportRow(
        cls=module.name,
        nodes=nodes,
        concern=sum(stages.concern),
        tangled=sum(stages.tangled),
        last_conv=sum(stages.last_conv),
        input=sum(stages.input),
        kept=sum(stages.kept),
        jaccard=module.jaccard,
        jaccard_weights=module.jaccard_weights,
        concerned=module.concerned,
        unconcerned=module.unconcerned,
        ratio=module.unconcerned / module.concerned,
        threshold=module.threshold,
        scale=module.scale,
    )
