"""``modhub info``."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.hits import measured_on, remark_fields
from modhub.cli.kept import kept_document, print_kept
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.printing import Column
from modhub.cli.signing_lines import signing_fields, signing_text
from modhub.ops.info import KeptDetails, info
from modhub.spec.compact_text import compact_lines
from modhub.spec.contract import input_text, range_text
from modhub.spec.text import is_observed, kept_share, percent

if TYPE_CHECKING:
    from modhub.ops.info import Details
    from modhub.spec.input_contract import InputContract
    from modhub.spec.manifest import Content, EnergySpent, ModuleRecord, Provenance, VoteRecord


@click.command(
    "info",
    cls=Command,
    examples=[
        "modhub info cifar10/r56",
        "modhub info c10:cat --json",
        "modhub info net.modules:cat",
        "modhub info pets.modhub",
    ],
)
@click.argument("ref")
@registry_option
@cache_option
@json_option
def command(ref: str, registry: tuple[str, ...] | None, cache: Path | None, as_json: bool) -> None:
    """Show what a release, a folder of modules, or one module of it, is: origin, input, how it was made, and figures.

    Of a classifier's file, pets.modhub, it shows which modules are in it under which labels.

    \b
    vote      by what margins are divided in a vote beside other networks, and before the
              softmax that makes probabilities of them
    kept      share of the network's nodes that the module keeps
    JI        Jaccard index with the whole network, for a compact one with what it was made
              of; lower is more distinct
    ratio     inputs of other classes observed for each of its own
    recall    share of the class's images that it wins, on the last data set under network
    prec.     share of what it wins there that is of its class
    """
    details = info(ref, registry=registry, cache=cache)
    if isinstance(details, KeptDetails):
        if as_json:
            printing.document(kept_document(details))
        else:
            print_kept(details)
    elif as_json:
        printing.document(_document(details))
    else:
        _print(details)


def _document(details: Details) -> dict[str, Any]:
    manifest, content = details.manifest, details.manifest.content
    return {
        "ref": str(details.ref or content.name),
        "registry": details.registry,
        "folder": None if details.folder is None else str(details.folder),
        "digest": manifest.digest,
        "yanked": list(details.yanked),
        "remarks": [remark_fields(remark) for remark in details.remarks],
        "signed": signing_fields(details.signing),
        "card": None if content.card is None else content.card.model_dump(mode="json"),
        "size": sum(blob.size for blob in manifest.blobs.values()),
        "dataset": content.origin.dataset.model_dump(mode="json"),
        "accuracy": [accuracy.model_dump(mode="json") for accuracy in content.origin.accuracy],
        "input": content.contract.model_dump(mode="json"),
        "options": content.options.model_dump(mode="json"),
        "provenance": manifest.provenance.model_dump(mode="json"),
        "classes": list(content.origin.classes),
        "nodes": _nodes(content),
        "jaccard_between": content.jaccard_between,
        "compacted": None if content.compacted is None else content.compacted.model_dump(mode="json"),
        "compact": [{"ref": each.ref, "flops": each.flops} for each in details.compact],
        "modules": [
            {
                "ref": _full_name(content, module.slug),
                "class": module.name,
                "kept": sum(module.stages.kept),
                "size": manifest.blobs[module.blob].size,
                **module.model_dump(mode="json", exclude={"name", "stages"}),
            }
            for module in _modules(details)
        ],
    }


def _print(details: Details) -> None:
    manifest, content = details.manifest, details.manifest.content
    modules, data, options = _modules(details), content.origin.dataset, content.options
    alone = modules[0] if len(modules) == 1 else None
    size = sum(blob.size for blob in manifest.blobs.values())
    weights = manifest.blobs[content.origin.weights].size
    printing.line(_full_name(content, alone.slug if alone else None) + ("" if details.ref else " (not published)"))
    rows = [
        ("classes", f"{len(modules)} of {len(content.origin.classes)}"),
        ("data set", f"{data.name}, {data.examples:,} images observed"),
        *([("network", _accuracies(content))] if content.origin.accuracy else []),
        ("vote", _vote(content.origin.vote)),
        ("input", _input(content.contract)),
        (
            "made with",
            f"observe {options.observe}, backtrack {options.backtrack}, rule {options.rule}, delta {options.delta}",
        ),
        ("", f"{options.samples_per_class:,} samples per class, seed {options.seed}"),
        ("size", f"{printing.bytes_text(size)}, of which {printing.bytes_text(weights)} are the network's weights"),
        *([("", f"this module's own: {printing.bytes_text(manifest.blobs[alone.blob].size)}")] if alone else []),
        ("made", _made(manifest.provenance)),
        *([("derived from", _derived(modules))] if any(module.derived_from for module in modules) else []),
        *([("compact", "\n".join(compact_lines(found)))] if (found := content.compacted) else []),
        *([("modules", _distinctness(content))] if content.sites else []),
        *([("smaller", _smaller(details))] if details.compact else []),
        *([("energy", _energy(energy))] if (energy := manifest.provenance.energy) else []),
        *([("licence", content.card.license or "none stated")] if content.card else []),
        *([("about", content.card.description)] if content.card and content.card.description else []),
        ("digest", manifest.digest),
        *([("signed", signing_text(details.signing))] if details.signing else []),
        ("from", str(details.folder) if details.registry is None else printing.place(details.registry)),
    ]
    printing.fields(rows)
    for text in (*details.yanked, *map(str, details.remarks)):
        printing.warn(text)
    printing.line()
    _print_modules(content, modules)


def _made(provenance: Provenance) -> str:
    seconds = provenance.processor_seconds
    took = "" if seconds is None else f", made compact in {seconds:,.1f} processor-seconds"
    return f"{provenance.created} by {provenance.tool}{took}"


def _full_name(content: Content, slug: str | None) -> str:
    """``namespace/model:class``, with the version where there is one."""
    cls = "" if slug is None else f":{slug}"
    return f"{content.name}{cls}" + ("" if content.version is None else f"@{content.version}")


def _accuracies(content: Content) -> str:
    """One line for every data set on which the network was measured."""
    return "\n".join(
        f"{percent(each.top_1)} right, {percent(each.top_5)} in the top 5, on {each.data}, {each.examples:,} "
        + measured_on(each.top_1, not is_observed(each.data))
        for each in content.origin.accuracy
    )


def _smaller(details: Details) -> str:
    """Compact releases of this one in the same registry, one a line."""
    return "\n".join(f"{each.ref}, {percent(each.flops)} of the multiply-adds" for each in details.compact)


def _distinctness(content: Content) -> str:
    mean = sum(module.jaccard for module in content.modules) / len(content.modules)
    of = "their network" if content.compacted is None else "what that was made of"
    between = content.jaccard_between
    return f"mean JI {mean:.3f} with {of}" + ("" if between is None else f", {between:.3f} between two of them")


def _vote(vote: VoteRecord | None) -> str:
    if vote is None:
        return "records neither scale nor temperature: made anew, it would"
    return f"margin scale {vote.margin_scale:.4g}, temperature {vote.temperature:.4g}, fitted on {vote.data}"


def _energy(energy: EnergySpent) -> str:
    return f"{energy.kwh:.3g} kWh, {energy.co2e_kg:.3g} kg CO2e, decomposed in {energy.seconds:.1f} s\n{energy.source}"


def _derived(modules: list[ModuleRecord]) -> str:
    """What updated modules come from, one line for each way in which they were updated."""
    ways: dict[str, list[str]] = {}
    for module in modules:
        for step in module.derived_from:
            seen = f" against {len(step.against)} module{'s' * (len(step.against) > 1)}" if step.against else ""
            ways.setdefault(f"by {step.strategy or 'an update'}{seen}, {step.examples:,} examples", []).append(
                step.module
            )
    lines = []
    for way, names in ways.items():
        more = f" and {len(names) - 1} more" if len(names) > 2 else ""
        lines.append(f"{' and '.join(names[:1] if more else names)}{more}, {way}")
    return "\n".join(lines)


def _print_modules(content: Content, modules: list[ModuleRecord]) -> None:
    nodes = _nodes(content)
    measured = any(module.metrics for module in modules)
    columns = [Column("module"), Column("class", wraps=True)]
    columns += [Column(title, right=True) for title in ("kept", "JI", "ratio")]
    columns += [Column(title, right=True) for title in ("recall", "prec.") if measured]
    rows = []
    for module in modules:
        row = [
            module.slug,
            module.name,
            percent(kept_share(sum(module.stages.kept), nodes)),
            f"{module.jaccard:.3f}",
            f"1:{module.unconcerned / module.concerned:.2f}" if module.concerned else "-",
        ]
        if measured:
            metric = module.metrics[-1] if module.metrics else None
            row += [percent(metric.vote_recall), percent(metric.vote_precision)] if metric else ["-", "-"]
        rows.append(row)
    printing.table(columns, rows)


def _modules(details: Details) -> list[ModuleRecord]:
    return [module for module in details.manifest.content.modules if module.slug in details.slugs]


def _nodes(content: Content) -> int:
    return sum(prod(site.shape) for site in content.sites)


def _input(contract: InputContract) -> str:
    text = f"{input_text(contract)}, raw {contract.dtype} {range_text(contract)}"
    steps = [f"rescale {_factor(contract.rescale)}"] if contract.rescale != 1 else []
    for name, values in (("mean", contract.mean), ("std", contract.std)):
        steps += [f"{name} {', '.join(f'{value:.4g}' for value in values)}"] if values else []
    return f"{text}\nthe modules themselves apply {'; '.join(steps)}" if steps else text


def _factor(rescale: float) -> str:
    """``1/255`` rather than ``0.00392157``."""
    whole = round(1 / rescale) if abs(rescale) < 1 else 0
    return f"1/{whole}" if whole > 1 and abs(1 / whole - rescale) < 1e-9 else f"{rescale:.6g}"
