"""``modhub ui``."""

from __future__ import annotations

from pathlib import Path

import click

from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.ops.site import check_site_extra

_HIGHEST_PORT = 65_535


@click.command(
    "ui",
    cls=Command,
    examples=["modhub ui", "modhub ui --registry s3://team/modules", "modhub ui --port 8000 --no-browser"],
)
@click.option(
    "--port",
    type=click.IntRange(0, _HIGHEST_PORT),
    default=0,
    show_default=True,
    metavar="N",
    help="Listen on this port of this machine; 0 takes a free one.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@registry_option
@cache_option
@json_option
def command(port: int, no_browser: bool, registry: tuple[str, ...] | None, cache: Path | None, as_json: bool) -> None:
    """Show registries in the browser: search, releases, modules, a composer that classifies your own photos.

    Only this machine reaches it. The pages are those of modhub site build, of what is published when they are loaded.
    What the composer needs is installed as modhub compose does it; photos stay in memory. Ctrl-C ends it.
    """
    check_site_extra()
    from modhub.cli.ui_process import show_until_told  # in the extra ``ui``

    show_until_told(registry, cache, port=port, opens_browser=not no_browser, as_json=as_json)
