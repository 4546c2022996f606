"""The options that say whose OpenSSF model signatures are believed."""

from __future__ import annotations

from pathlib import Path

import click

model_key_option = click.option(
    "--model-key", type=click.Path(path_type=Path), metavar="PEM", help="An OpenSSF signer's public key."
)

model_certificate_option = click.option(
    "--model-certificate",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PEM",
    help="Or certificates that you trust, up to a root; repeat it.",
)
