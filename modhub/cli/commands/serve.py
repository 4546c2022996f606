"""``modhub serve``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from modhub.cli.compose_options import ComposeOptions, shape_options
from modhub.cli.image_options import ImageOptions, one_image_options
from modhub.cli.options import Command, cache_option, registry_option
from modhub.cli.served_source import ServedSource
from modhub.cli.serving_options import ServingOptions, serving_options
from modhub.engine.keras_backend import require_keras_backend


@click.command(
    "serve",
    cls=Command,
    examples=[
        "modhub serve c10:cat c100:apple",
        "modhub serve pets.modhub --port 9000",
        "modhub serve pets/ --host 0.0.0.0 --token-file /run/secrets/token",
        "curl -F file=@photo.png http://127.0.0.1:8000/predict",
        "kill -HUP $(pgrep -f 'modhub serve')",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF|PROJECT|FILE...]")
@serving_options
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processors that networks compute on.  [default: those that this process may use]",
)
@click.option(
    "--require-signature",
    is_flag=True,
    help="Serve only what a key that you trust has signed.  [env: MODHUB_REQUIRE_SIGNATURE]",
)
@one_image_options
@shape_options
@registry_option
@cache_option
def command(
    refs: tuple[str, ...],
    serving: ServingOptions,
    threads: int | None,
    require_signature: bool,
    pictures: ImageOptions,
    shape: ComposeOptions,
    registry: tuple[str, ...] | None,
    cache: Path | None,
) -> None:
    """Answer over HTTP with a classifier composed of REFs, of a project, or of a file.

    A REF is a name, a folder that modhub decompose wrote, or a file that modhub compose --save wrote. PROJECT is a
    folder with a modhub.toml, of which exactly what is locked is served; without a REF it is the one in this folder or
    above. POST /predict takes pictures; /v2 is the Open Inference Protocol, for clients of Triton and KServe; /docs
    describes everything, /metrics is for Prometheus.

    \b
    SIGHUP           load the project, file or names again, beside what answers; one that does not
                     work is refused, and the old one goes on
    SIGTERM, SIGINT  answer what was accepted, then stop, within five seconds
    """
    from modhub.cli.serving_process import serve_until_told  # in the extra ``serve``

    require_keras_backend()
    if require_signature:
        # Reloading, and whatever is read on the way, asks for it too.
        os.environ["MODHUB_REQUIRE_SIGNATURE"] = "1"
    # A bar for each batch that takes long is nothing for a log.
    os.environ.setdefault("MODHUB_PROGRESS", "0")
    serve_until_told(ServedSource.of(refs, shape, registry, cache), serving, pictures, threads)
