"""``modhub verify-signature``."""

from __future__ import annotations

from pathlib import Path

import click

from modhub.cli import printing
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.progress import ProgressLine
from modhub.cli.signing_lines import print_signatures
from modhub.cli.signing_options import model_certificate_option, model_key_option
from modhub.ops.verify_signature import unsigned, verified_signatures


@click.command(
    "verify-signature",
    cls=Command,
    examples=[
        "modhub verify-signature me/net",
        "modhub verify-signature me/net@1.0.0 --model-key team.pub.pem",
        "modhub verify-signature net.modules --signature net.sig --model-certificate root.pem",
    ],
)
@click.argument("ref")
@model_key_option
@model_certificate_option
@click.option("--signature", type=click.Path(path_type=Path), metavar="FILE", help="Of a folder: its signature.")
@registry_option
@cache_option
@json_option
def command(
    ref: str,
    model_key: Path | None,
    model_certificate: tuple[Path, ...],
    signature: Path | None,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Verify who signed a release: modhub's own signatures by the keys that you trust, and OpenSSF model signatures.

    An OpenSSF model signature, a sigstore bundle made by model_signing, is about the folder of modules that was
    published. It is verified offline, with the key or the certificates given. Exit code 5 unless somebody whom you
    trust signed, and everything that was checked is good.
    """
    with ProgressLine(f"verifying {ref}"):
        found = verified_signatures(
            ref,
            key=model_key,
            certificates=model_certificate,
            signature=signature,
            registry=registry,
            cache=cache,
        )
    if not as_json:
        print_signatures(found)
    elif found.is_good:
        printing.document(found.to_dict())
    if not found.is_good:
        raise unsigned(found)
