"""The pages of one model: each of its releases, each module, and its front page, which is that of its plain name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Final

from markupsafe import Markup
from PIL import Image

from modhub.site import paths
from modhub.site.content import ShownModel, ShownRelease
from modhub.site.long_tables import band_cells, overlap_cells, overlap_range, overlap_shade, stage_cells
from modhub.site.shell import SiteShell
from modhub.site.text import amount_of_bytes, date_text
from modhub.site.views import (
    MOST_CELLS,
    ModuleLine,
    accuracy_lines,
    change_text,
    class_rows,
    contract_fields,
    registry_option,
    site_bands,
    stage_rows,
    use_lines,
    version_pairs,
    version_rows,
)
from modhub.spec.compact_text import cost_lines
from modhub.spec.manifest import Compacted, Metric, ModuleRecord
from modhub.spec.text import percent

#: Classes that a page lists as a table; a release of more has pages of its modules all the same.
_NAMED: Final = 2


def model_files(shell: SiteShell, model: ShownModel) -> Iterator[tuple[str, bytes]]:
    """Paths and bytes of all files about one model."""
    for release in model.releases:
        path = paths.release_page(model.name, release.version)
        yield path, release_html(shell, model, release, path)
        if (picture := overlap_png(release)) is not None:
            yield paths.overlap_picture(model.name, release.version), picture
    front = paths.model_page(model.name)
    if model.chosen is None:
        yield front, shell.page("model.html", front, model=model)
    else:
        yield front, release_html(shell, model, model.chosen, front)
    for slug in module_slugs(model):
        path = paths.module_page(model.name, slug)
        yield path, module_html(shell, model, slug, path)


def module_slugs(model: ShownModel) -> list[str]:
    """Every module that some release of a model has, in the order of the newest."""
    return list(dict.fromkeys(module.slug for release in model.releases for module in release.content.modules))


def release_html(shell: SiteShell, model: ShownModel, release: ShownRelease, path: str) -> bytes:
    """The page of one release."""
    content, card = release.content, release.content.card
    rows = class_rows(release)
    least, most = overlap_range(release)
    is_picture = release.overlap is not None and len(rows) > MOST_CELLS
    measured = next((module.metrics[-1].data for module in content.modules if module.metrics), None)
    is_front = path == paths.model_page(model.name)
    exact = content.name if is_front else release.ref
    shown = [f"{content.name}:{row.slug}" for row in rows if row.yanked is None][:_NAMED] or [exact]
    if not is_front:
        shown = [f"{name}@{release.version}" for name in shown if "@" not in name] or shown
    return shell.page(
        "release.html",
        path,
        model=model,
        release=release,
        content=content,
        rows=rows,
        is_front=is_front,
        overlap=_overlap(release, rows, least, most) if release.overlap is not None and not is_picture else None,
        least=least,
        most=most,
        picture=paths.overlap_picture(model.name, release.version) if is_picture else None,
        measured=measured,
        bands=band_cells(site_bands(content)),
        contract=list(contract_fields(content.contract)),
        accuracy=accuracy_lines(content),
        facts=list(_release_facts(model, release)),
        use=use_lines(model, exact, shown),
        verify=f"modhub verify-signature {release.ref}{registry_option(model)}",
        compacted=[] if content.compacted is None else list(_compacted_fields(content.compacted)),
        said=[(title, text) for title, text in _said(release) if text],
        reported=card.reported[:100] if card else (),
        people=list(_people(release)),
        links=list(card.links.items())[:50] if card else [],
    )


def module_html(shell: SiteShell, model: ShownModel, slug: str, path: str) -> bytes:
    """The page of one module: of the release that the plain name gives where that has it, else of the newest."""
    versions = version_rows(model, slug)
    current = next((row for row in versions if row.release is model.chosen), versions[0])
    release, module = current.release, current.module
    assert module is not None
    compacted = release.content.compacted
    is_chosen = release is model.chosen and slug not in release.yanked_classes
    ref = f"{model.name}:{slug}" if is_chosen else f"{model.name}:{slug}@{release.version}"
    return shell.page(
        "module.html",
        path,
        model=model,
        slug=slug,
        release=release,
        module=module,
        recall=current.recall,
        precision=current.precision,
        notices=[each for each in release.notices if each.slug in (None, slug)],
        versions=versions,
        pairs=version_pairs(model, slug),
        change=change_text,
        compacted=[each.name for each in compacted.of] if compacted is not None else [],
        stages=stage_cells(stage_rows(release.content, module)),
        contract=list(contract_fields(release.content.contract)),
        measured=[line for metric in module.metrics for line in _metric_fields(metric)],
        facts=list(_module_facts(release, module)),
        use=use_lines(model, ref, [ref]),
        usable=is_chosen,
    )


def overlap_png(release: ShownRelease) -> bytes | None:
    """The overlap of many modules as a grey picture, a pixel a pair, classes by index; None where a table shows it."""
    modules = release.content.modules
    if release.overlap is None or len(modules) <= MOST_CELLS:
        return None
    order = sorted(range(len(modules)), key=lambda position: modules[position].index)
    least, most = overlap_range(release)
    shades = [overlap_shade(release.overlap[a][b], least, most) for a in order for b in order]
    image = Image.frombytes("L", (len(order), len(order)), bytes(255 - round(255 * shade) for shade in shades))
    file = BytesIO()
    image.save(file, "PNG", optimize=False)
    return file.getvalue()


def _overlap(release: ShownRelease, rows: Sequence[ModuleLine], least: float, most: float) -> Markup:
    values = release.overlap or ()
    by_slug = {module.slug: position for position, module in enumerate(release.content.modules)}
    order = [by_slug[row.slug] for row in rows]
    return overlap_cells([row.name for row in rows], [[values[a][b] for b in order] for a in order], least, most)


def _release_facts(model: ShownModel, release: ShownRelease) -> Iterator[tuple[str, str]]:
    content, made = release.content, release.manifest.provenance
    options, data = content.options, content.origin.dataset
    yield "made", date_text(made.created)
    yield "by", made.tool
    yield "size", amount_of_bytes(sum(blob.size for blob in release.manifest.blobs.values()))
    yield "observed", f"{data.examples:,} images of {data.name}"
    yield "decomposed", f"{options.observe}, {options.backtrack}, {options.rule}, delta {options.delta}"
    yield "samples a class", f"{options.samples_per_class:,}, seed {options.seed}"
    yield "mean JI", f"{sum(module.jaccard for module in content.modules) / len(content.modules):.3f}"
    if content.fused is not None:
        yield "in one pass", f"{percent(content.fused.labels)} of the labels stay, of {content.fused.examples:,} images"
    if made.energy is not None:
        spent = made.energy
        yield "energy", f"{spent.kwh:.3g} kWh, {spent.co2e_kg:.3g} kg CO2e, {spent.seconds:,.0f} s ({spent.source})"
    yield "registry", model.registry
    if model.aliases:
        yield "alias", ", ".join(model.aliases)
    yield from sorted(made.versions.items())


def _module_facts(release: ShownRelease, module: ModuleRecord) -> Iterator[tuple[str, str]]:
    blob = release.manifest.blobs[module.blob]
    yield "class", f"{module.index + 1} of {len(release.content.origin.classes):,}"
    yield "own bytes", amount_of_bytes(blob.size)
    yield "network's bytes", amount_of_bytes(release.manifest.blobs[release.content.origin.weights].size)
    yield "threshold", f"{module.threshold:.4g}"
    yield "scale", f"{module.scale:.4g}"
    yield "observed", f"{module.concerned:,} of the class, {module.unconcerned:,} of others"
    yield "JI", f"{module.jaccard:.3f}"
    yield "JI of weights", f"{module.jaccard_weights:.3f}"


def _metric_fields(metric: Metric) -> Iterator[tuple[str, str]]:
    yield "on", f"{metric.examples:,} images of {metric.data}"
    yield "in the vote", f"recall {percent(metric.vote_recall)}, precision {percent(metric.vote_precision)}"
    yield "alone", f"recall {percent(metric.own_recall)}, precision {percent(metric.own_precision)}"


def _compacted_fields(compacted: Compacted) -> Iterator[tuple[str, str]]:
    yield "made of", ", ".join(each.name for each in compacted.of)
    yield "asked", f"{compacted.asked:g} of {compacted.budget}, chosen by {compacted.select}"
    yield "multiply-adds", percent(compacted.flops)
    yield "parameters", percent(compacted.parameters)
    yield "nodes", f"{percent(compacted.nodes)} (JI), R2 {compacted.explained:.3f}"
    yield "accuracy", "; ".join(cost_lines(compacted))


def _said(release: ShownRelease) -> Iterator[tuple[str, str | None]]:
    card = release.content.card
    if card is not None:
        yield "Intended use", card.intended_use
        yield "Limits", card.limits


def _people(release: ShownRelease) -> Iterator[tuple[str, str]]:
    card = release.content.card
    if card is None:
        return
    if card.license:
        yield "licence", card.license + (f" ({card.license_name})" if card.license_name else "")
    for title, values in (
        ("authors", card.authors),
        ("keywords", card.keywords),
        ("languages", card.languages),
        ("made from", card.base_models),
    ):
        if values:
            yield title, ", ".join(values[:50])
    if card.training_data:
        data = (each.name + (f" ({each.license})" if each.license else "") for each in card.training_data[:50])
        yield "trained on", ", ".join(data)
