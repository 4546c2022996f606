"""OpenSSF model signatures in files on this machine."""

from __future__ import annotations

from pathlib import Path

from modhub.errors import NotFound, StorageError
from modhub.limits import MAX_SIGNATURE_BYTES
from modhub.signing.bundles import ModelBundle, read_bundle
from modhub.spec.places import is_file


def bundle_in(path: str | Path) -> ModelBundle:
    """The OpenSSF model signature in a file, parsed. Raises NotFound, StorageError, IntegrityError."""
    if not is_file(path):
        raise NotFound(
            f"there is no file {path}.", kind="no-bundle", hint="make it with: model_signing sign ...", path=str(path)
        )
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_SIGNATURE_BYTES)
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror or error}.", hint="get the right to read it.", path=str(path)
        ) from error
    return read_bundle(data, what=str(path))
