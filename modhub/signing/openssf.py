"""Verifying OpenSSF model signatures with ``model_signing``, offline: by a public key or by certificates.

The library hashes a folder and compares it with what a bundle states, after it has checked the bundle's signature. It
prints and raises what it likes; here that becomes one kind of error. Signing is left to the library's own command.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modhub.errors import Untrusted, UsageError, plain
from modhub.signing.bundles import HashedBy

try:
    import OpenSSL  # noqa: F401 - model_signing imports it, and does not say so
    from model_signing import hashing, verifying
except ImportError as missing:
    raise UsageError(
        "OpenSSF model signatures need the library model-signing, which is not installed.",
        kind="missing-extra",
        hint="pip install 'modhub[model-signing]'",
        extra="model-signing",
    ) from missing


def require_signed_folder(
    folder: Path, bundle: Path, hashed: HashedBy, *, key: Path | None = None, certificates: Sequence[Path] = ()
) -> None:
    """Raise Untrusted, kind ``bad-model-signature``, unless the bundle in a file signs what is in ``folder``, as far as
    its statement names it.

    ``key`` is a public key (PEM, an elliptic curve's), ``certificates`` are those that are trusted (PEM); one of the
    two has to be there. Of a certificate the time when it became valid counts, and no revocation is looked up.
    """
    config = verifying.Config()  # type: ignore[no-untyped-call]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if key is not None:
                config = config.use_elliptic_key_verifier(public_key=key)
            else:
                config = config.use_certificate_verifier(certificate_chain=list(certificates))
            config.set_hashing_config(_hashing(hashed)).verify(folder, bundle)
    # Of a bundle that anybody may have written, the library passes on whatever its own libraries raise.
    except Exception as error:
        reason = plain(str(error) or type(error).__name__)[:300].rstrip(".")
        raise Untrusted(
            f"the OpenSSF model signature does not verify: {reason}.",
            kind="bad-model-signature",
            hint="check that the key or certificate is the signer's; if it is, do not use the release.",
        ) from error


def _hashing(hashed: HashedBy) -> hashing.Config:
    # It calls one of its functions otherwise than it writes it; of another one it says that it has none.
    function: Any = {"blake2b": "blake2"}.get(hashed.function, hashed.function)
    config = hashing.Config()  # type: ignore[no-untyped-call]
    if hashed.shard_size is None:
        return config.use_file_serialization(hashing_algorithm=function)
    return config.use_shard_serialization(hashing_algorithm=function, shard_size=hashed.shard_size)
