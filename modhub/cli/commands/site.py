"""``modhub site``: a registry as web pages."""

from __future__ import annotations

from dataclasses import asdict

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option, registry_option
from modhub.cli.outputs import force_option
from modhub.cli.progress import ProgressLine
from modhub.cli.root import CommandGroup, help_alone
from modhub.errors import IntegrityError, UsageError
from modhub.ops.site import build_site


@click.group("site", cls=CommandGroup)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Make web pages of a registry, which can be served from anywhere."""
    help_alone(ctx)


@command.command(
    "build",
    cls=Command,
    short_help="Write a registry's pages as files.",
    examples=[
        "modhub site build --registry team-registry --out public",
        "modhub site build --registry s3://bucket/modules --into-registry --force",
    ],
)
@registry_option
@click.option("--out", metavar="DIR", help="The folder, or the bucket's URL, that gets the site.")
@click.option("--into-registry", is_flag=True, help="Put it into the registry itself, in its folder site.")
@click.option("--title", metavar="TEXT", help="What the site is called.  [default: the end of the registry's URL]")
@click.option("--base-url", metavar="URL", help="Where it will be served, for canonical links and a list of pages.")
@click.option("--quick", is_flag=True, help="Read no masks: no overlaps of modules, no toggled nodes.")
@force_option
@json_option
def build(
    registry: tuple[str, ...] | None,
    out: str | None,
    into_registry: bool,
    title: str | None,
    base_url: str | None,
    quick: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write pages that show a registry: search, releases, modules, and a composer.

    Without --registry they show every registry that other commands look in. Nothing on them is loaded from elsewhere,
    and all links are relative, so the files can be served from any place. An old site is replaced with --force, when
    the new one is whole. What is damaged in the registry is named on a page and here, and ends in exit code 5.
    """
    if (out is None) != into_registry:
        raise UsageError(
            "a site goes to --out DIR, or with --into-registry into the registry.",
            kind="bad-option",
            hint="give one of the two.",
        )
    with ProgressLine("reading") as progress:
        site = build_site(
            out,
            registry=registry,
            title=title,
            base_url=base_url,
            force=force,
            quick=quick,
            progress=lambda done, total: progress.at("models", done, total),
        )
    if as_json:
        printing.document(asdict(site))
    else:
        printing.line(site.place)
    for problem in site.problems:
        printing.warn(f"{problem.name}: {problem.message}")
    printing.note(f"{site.models:,} models, {site.modules:,} modules in {site.files:,} files")
    if site.problems:
        raise IntegrityError(
            f"{len(site.problems):,} of what the registry holds cannot be shown; the site names it.",
            kind="damaged-entries",
            hint="modhub registry fsck says what to repair.",
            problems=[problem.name for problem in site.problems],
        )
