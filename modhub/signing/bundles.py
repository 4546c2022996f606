"""Signatures of OpenSSF Model Signing as a registry keeps them: sigstore bundles, read as far as that needs no library.

A bundle holds a statement: names of files with their digests, and how they were hashed. Here it is parsed and held to
the files of a release, which says that it is about these and about all of them; whether the signature is good is asked
of the library, in ``openssf``. Both are needed: the library verifies what a statement names, which may leave files out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from modhub.errors import IntegrityError, plain
from modhub.limits import MAX_SIGNATURE_BYTES
from modhub.spec.digests import parse_json
from modhub.spec.registry_files import MODEL_SIGNATURE_FORMAT, ModelSignatureFile, read_document, write_document

_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{64}\Z")
_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle"
_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"

#: By what a bundle says it is verified: a public key, a chain of certificates, or a certificate of sigstore's.
BundleMethod = Literal["key", "certificate", "sigstore"]


@dataclass(frozen=True)
class HashedBy:
    """How the files were hashed: by which function, whole or in pieces of ``shard_size`` bytes."""

    function: str
    shard_size: int | None


@dataclass(frozen=True)
class ModelBundle:
    """A bundle, parsed and not verified. ``signer`` is the sha256 of the public key's PEM text, as the bundle has it,
    None where it says none; ``files`` are names with their sha256 in hexadecimal, None where hashed in another way.
    """

    text: str
    method: BundleMethod
    signer: str | None
    hashed: HashedBy
    files: Mapping[str, str | None]

    @property
    def digest(self) -> str:
        """The sha256 of the bundle's text, 64 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def to_file(self) -> bytes:
        """The bundle as a registry keeps it."""
        return write_document(ModelSignatureFile(format=MODEL_SIGNATURE_FORMAT, key=self.digest, bundle=self.text))

    def require_files(self, wanted: Mapping[str, str], what: str) -> None:
        """Raise IntegrityError, kind ``other-files``, unless the bundle is about exactly the files ``wanted``."""
        for name in sorted(wanted.keys() | self.files.keys()):
            if name not in self.files:
                reason = f"leaves out {name}"
            elif name not in wanted:
                reason = f"names {plain(name)[:200]}, which is no file of it"
            elif self.files[name] not in (None, wanted[name]):
                reason = f"says that {name} is sha256:{self.files[name]}, but it is sha256:{wanted[name]}"
            else:
                continue
            raise IntegrityError(
                f"the OpenSSF model signature is not of {what}: it {reason}.",
                kind="other-files",
                hint="sign the folder of modules as it is published, with its card, and publish it then.",
                file=plain(name)[:200],
            )


def read_bundle(data: bytes, *, what: str) -> ModelBundle:
    """Untrusted bytes of a bundle. Raises IntegrityError, kind ``bad-bundle``."""
    if len(data) > MAX_SIGNATURE_BYTES // 2:
        raise _bad(what, f"has {len(data):,} bytes; at most {MAX_SIGNATURE_BYTES // 2:,} are allowed")
    value = parse_json(data, what=what)
    try:
        if not value["mediaType"].startswith(_MEDIA_TYPE):
            raise _bad(what, "is no sigstore bundle")
        envelope, material = value["dsseEnvelope"], value["verificationMaterial"]
        if envelope["payloadType"] != _PAYLOAD_TYPE:
            raise _bad(what, "holds no in-toto statement")
        statement = parse_json(base64.b64decode(envelope["payload"], validate=True), what=f"the statement of {what}")
        if statement["predicateType"] != _PREDICATE_TYPE:
            raise _bad(what, f"is no model signature, but {plain(str(statement['predicateType']))[:100]}")
        files = _files(statement["predicate"]["resources"])
        hashed = _hashed(statement["predicate"]["serialization"])
        return ModelBundle(data.decode(), *_signer(material), hashed, files)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, binascii.Error) as error:
        raise _bad(what, "is no OpenSSF model signature as model_signing writes it") from error


def read_model_signature(data: bytes, *, what: str = "the model signature") -> ModelSignatureFile:
    """Untrusted bytes of the file in which a registry keeps a bundle. Raises IntegrityError, Incompatible."""
    found = read_document(ModelSignatureFile, data, what=what, newest=MODEL_SIGNATURE_FORMAT)
    if hashlib.sha256(found.bundle.encode()).hexdigest() != found.key:
        raise _bad(what, "holds another bundle than it says")
    return found


def _files(resources: list[dict[str, Any]]) -> dict[str, str | None]:
    files: dict[str, str | None] = {}
    for resource in resources:
        name, digest = str(resource["name"]), str(resource["digest"])
        if resource["algorithm"] == "sha256":
            if not _HEXADECIMAL.match(digest):
                raise ValueError("a digest that is none")
            files[name] = digest
        elif "-sharded-" in str(resource["algorithm"]):
            # A file in pieces is there once for each of them: name:first:last.
            files[name.rsplit(":", 2)[0]] = None
        else:
            files[name] = None
    return files


def _hashed(serialization: Mapping[str, Any]) -> HashedBy:
    method, function = serialization["method"], str(serialization["hash_type"])
    if method not in ("files", "shards"):
        raise ValueError(f"files hashed as {method}")
    # The library writes the size as a fraction, and does not read that back.
    return HashedBy(function, int(serialization["shard_size"]) if method == "shards" else None)


def _signer(material: Mapping[str, Any]) -> tuple[BundleMethod, str | None]:
    if "publicKey" in material:
        hint = (material["publicKey"] or {}).get("hint")
        return "key", hint if isinstance(hint, str) and _HEXADECIMAL.match(hint) else None
    return ("certificate" if "x509CertificateChain" in material else "sigstore"), None


def _bad(what: str, reason: str) -> IntegrityError:
    return IntegrityError(
        f"{what} {reason}.", kind="bad-bundle", hint="sign the folder again with model_signing sign.", what=what
    )
