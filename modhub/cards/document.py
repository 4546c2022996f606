"""A release's card as one Markdown document: what its publisher says, and what the manifest says of itself.

The publisher's README goes in as it is; every other text from a manifest is escaped, so that a class called
``[x](http://...)`` is a class and no link. What a terminal must not see is for who prints it to take out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from modhub.cards.front_matter import markdown_of
from modhub.spec.card import Card
from modhub.spec.compact_text import compact_lines
from modhub.spec.contract import input_text, range_text
from modhub.spec.manifest import Content, Manifest, ModuleRecord
from modhub.spec.text import kept_share, percent

#: Classes that are listed, and named in what one can run.
_MOST_ROWS: Final = 100
_NAMED: Final = 2
#: What Markdown, or the HTML in it, would take for its own.
_MARKS: Final = re.compile(r"([\\`*_\[\]|<>~]|^[#+-](?=\s)|(?<=^[0-9])[.)](?=\s))")


@dataclass(frozen=True)
class ReleaseCard:
    """What ``modhub.card`` gives. ``name`` is ``namespace/model@version``, or a folder's model without a version;
    ``readme`` the README as it was published, its front matter included, empty where there is none.

    ``str(card)`` is the whole card as Markdown, which notebooks show as such.
    """

    name: str
    manifest: Manifest
    readme: str

    @property
    def card(self) -> Card:
        """What the publisher said, in fields; an empty one where there is no card."""
        return self.manifest.content.card or Card()

    def __str__(self) -> str:
        return "\n\n".join(_parts(self)) + "\n"

    def _repr_markdown_(self) -> str:
        return str(self)

    def to_dict(self) -> dict[str, Any]:
        """The fields, the README and the whole document, as plain values."""
        return {
            "ref": self.name,
            "digest": self.manifest.digest,
            "card": self.card.model_dump(mode="json"),
            "readme": self.readme,
            "markdown": str(self),
        }


def _parts(card: ReleaseCard) -> Iterator[str]:
    content = card.manifest.content
    yield f"# {escaped(card.name)}"
    if card.card.description:
        yield _paragraphs(card.card.description)
    yield _table(("field", "value"), [*_said(card.card), *_facts(card.manifest)])
    for title, text in (("Intended use", card.card.intended_use), ("Limits", card.card.limits)):
        if text:
            yield f"## {title}\n\n{_paragraphs(text)}"
    yield f"## Classes\n\n{_classes(content)}"
    if any(module.derived_from for module in content.modules):
        yield f"## Lineage\n\n{_lineage(content)}"
    yield f"## Use\n\n{_use(card.name, content)}"
    if card.card.reported:
        rows = [(escaped(each.data or "-"), escaped(each.metric), escaped(each.value)) for each in card.card.reported]
        yield "## Figures that its publisher reports\n\n" + _table(("data", "metric", "value"), rows[:_MOST_ROWS])
    # Last, so that nothing in it can be taken for what modhub says.
    if body := markdown_of(card.readme).strip():
        yield f"## From its publisher\n\n{body}"


def _said(card: Card) -> Iterator[tuple[str, str]]:
    """What the publisher said, one row a field that is there."""
    if card.license:
        name = f" ({escaped(card.license_name)})" if card.license_name else ""
        link = f", <{card.license_url}>" if card.license_url else ""
        yield "licence", f"{escaped(card.license)}{name}{link}"
    else:
        yield "licence", "none stated"
    for title, values in (
        ("authors", card.authors),
        ("keywords", card.keywords),
        ("languages", card.languages),
        ("made from", card.base_models),
    ):
        if values:
            yield title, ", ".join(map(escaped, values))
    if card.training_data:
        yield (
            "trained on",
            ", ".join(
                escaped(data.name) + (f" ({escaped(data.license)})" if data.license else "")
                for data in card.training_data
            ),
        )
    for name, url in card.links.items():
        yield escaped(name), f"<{url}>"


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    content, made = manifest.content, manifest.provenance
    data, options, contract = content.origin.dataset, content.options, content.contract
    yield "classes", f"{len(content.modules):,} of {len(content.origin.classes):,}"
    steps = [f"rescale {contract.rescale:.6g}"] if contract.rescale != 1 else []
    for title, numbers in (("mean", contract.mean), ("std", contract.std)):
        steps += [f"{title} {', '.join(f'{number:.4g}' for number in numbers)}"] if numbers else []
    applied = f"; the modules apply {'; '.join(steps)}" if steps else ""
    yield "input", escaped(f"{input_text(contract)}, {contract.dtype} {range_text(contract)}{applied}")
    for each in content.origin.accuracy:
        yield "network", escaped(f"{percent(each.top_1)} right of {each.examples:,} images of {each.data}")
    yield "observed", escaped(f"{data.examples:,} images of {data.name}")
    how = f"observe {options.observe}, backtrack {options.backtrack}, rule {options.rule}, delta {options.delta}"
    yield "decomposed", escaped(f"{how}, {options.samples_per_class:,} samples per class, seed {options.seed}")
    for line in [] if content.compacted is None else compact_lines(content.compacted):
        yield "compact", escaped(line)
    yield "mean JI", f"{sum(module.jaccard for module in content.modules) / len(content.modules):.3f}"
    if content.jaccard_between is not None:
        yield "JI between modules", f"{content.jaccard_between:.3f}"
    if made.energy is not None:
        spent = made.energy
        what = f"{spent.kwh:.3g} kWh, {spent.co2e_kg:.3g} kg CO2e, {spent.seconds:.1f} s ({spent.source})"
        yield "energy", escaped(what)
    yield "made", escaped(f"{made.created} by {made.tool}")
    yield "size", f"{sum(blob.size for blob in manifest.blobs.values()):,} bytes"
    yield "digest", f"`{manifest.digest}`"


def _classes(content: Content) -> str:
    modules = content.modules[:_MOST_ROWS]
    nodes = sum(prod(site.shape) for site in content.sites)
    measured = next((module.metrics[-1] for module in modules if module.metrics), None)
    rows = [_class_row(module, nodes) for module in modules]
    titles = ("class", "module", "kept", "JI", "recall", "precision")
    text = _table(titles if measured else titles[:4], [row if measured else row[:4] for row in rows])
    notes = []
    if measured:
        notes.append(f"Recall and precision in the vote of all, on {escaped(measured.data)}.")
    if len(content.modules) > _MOST_ROWS:
        notes.append(f"And {len(content.modules) - _MOST_ROWS:,} more.")
    return "\n\n".join([text, *notes])


def _class_row(module: ModuleRecord, nodes: int) -> tuple[str, ...]:
    metric = module.metrics[-1] if module.metrics else None
    return (
        escaped(module.name),
        f"`{module.slug}`",
        percent(kept_share(sum(module.stages.kept), nodes)),
        f"{module.jaccard:.3f}",
        percent(metric.vote_recall if metric else None),
        percent(metric.vote_precision if metric else None),
    )


def _lineage(content: Content) -> str:
    lines = []
    for module in content.modules[:_MOST_ROWS]:
        for step in module.derived_from:
            seen = f" against {len(step.against)} others" if step.against else ""
            way = f"{step.strategy or 'an update'}{seen}, {step.examples:,} examples"
            lines.append(f"- {escaped(module.name)}: from {escaped(step.module)} by {escaped(way)}")
    return "\n".join(lines)


def _use(name: str, content: Content) -> str:
    names = [f"{content.name}:{module.slug}" for module in content.modules[:_NAMED]]
    if content.version is None:
        return f"Not published yet: `modhub publish` gives {escaped(content.name)} a version."
    quoted = ", ".join(f'"{each}"' for each in names)
    shell = f"modhub install {name}\nmodhub predict {' '.join(names)} --images photos/"
    return f"```shell\n{shell}\n```\n\n```python\nimport modhub\n\nclassifier = modhub.compose([{quoted}])\n```"


def escaped(text: str) -> str:
    """``text`` as one line of Markdown that means what it says; a cell of a table stays one."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def _paragraphs(text: str) -> str:
    return "\n\n".join(escaped(part) for part in text.split("\n\n") if part.strip())


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
