"""Verifying who signed a release: by keys of modhub that are trusted, and by OpenSSF model signatures."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modhub.errors import IntegrityError, NotFound, Untrusted, UsageError
from modhub.installation.context import Places, RegistryUrls
from modhub.ops.bundle_file import bundle_in
from modhub.package.folder import Package, load_manifest, save_package
from modhub.registry.publication import folder_files, versioned
from modhub.registry.reader import RegistryReader
from modhub.registry.signers import SigningStatus, status_in
from modhub.signing.bundles import ModelBundle
from modhub.signing.policy import Trust
from modhub.spec.folder_refs import folder_ref
from modhub.spec.manifest import Manifest
from modhub.spec.places import is_file


@dataclass(frozen=True)
class BundleOutcome:
    """What an OpenSSF model signature came to: None where no key was given to check it with, else whether it is good;
    ``reason`` says why it is not."""

    bundle: ModelBundle
    is_good: bool | None
    reason: str = ""


@dataclass(frozen=True)
class VerifiedSignatures:
    """What ``verified_signatures`` found. ``signing`` is None of a folder, which modhub's own keys sign when it is
    published."""

    name: str
    digest: str
    signing: SigningStatus | None
    bundles: tuple[BundleOutcome, ...]

    @property
    def is_good(self) -> bool:
        """Whether somebody who is trusted signed it, and nothing that was checked is bad."""
        checked = [each.is_good for each in self.bundles if each.is_good is not None]
        own = self.signing is not None and self.signing.is_good
        broken = self.signing is not None and any(each.verdict == "bad" for each in self.signing.signatures)
        return (own or any(checked)) and all(checked) and not broken

    def to_dict(self) -> dict[str, Any]:
        """The outcome as plain values."""
        return {
            "ref": self.name,
            "digest": self.digest,
            "good": self.is_good,
            "signatures": [] if self.signing is None else [vars(each) for each in self.signing.signatures],
            "model_signatures": [
                {
                    "digest": each.bundle.digest,
                    "method": each.bundle.method,
                    "signer": each.bundle.signer,
                    "good": each.is_good,
                    "reason": each.reason or None,
                }
                for each in self.bundles
            ],
        }


def verified_signatures(
    ref: str,
    *,
    key: str | Path | None = None,
    certificates: Sequence[str | Path] = (),
    signature: str | Path | None = None,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
) -> VerifiedSignatures:
    """Who signed a release, verified: by trusted keys of modhub, and with ``key`` (a public key, PEM) or
    ``certificates`` (PEM) the OpenSSF model signatures that it carries, for which all its blobs are fetched.

    ``ref`` may be a folder of modules, with its signature in the file ``signature``. Raises NotFound, UsageError,
    IntegrityError.
    """
    if key is not None and certificates:
        raise UsageError("a key and certificates were given.", kind="bad-option", hint="give one of the two.")
    public, chain = None if key is None else _there(key), [_there(each) for each in certificates]
    if (found := folder_ref(ref)) is not None:
        if signature is None:
            raise UsageError(
                f"{found.folder} is a folder, whose signature is in a file.",
                kind="bad-option",
                hint="add --signature FILE.",
            )
        manifest = load_manifest(found.folder)
        outcome = _checked(found.folder, bundle_in(signature), folder_files(manifest), public, chain)
        return VerifiedSignatures(manifest.content.name, manifest.digest, None, (outcome,))
    if signature is not None:
        raise UsageError("a release carries its signatures.", kind="bad-option", hint="leave --signature out.")
    places = Places.open(registry, cache)
    (named,) = places.resolve([ref], even_yanked=True)
    first = named.modules[0]
    source = next((place for place in places.registries if place.url == first.registry), None)
    manifest = places.cache.manifest(first.digest) if source is None else source.manifest(first.ref.release)
    status = status_in(source, places.cache, first.ref.release, manifest.digest, Trust(places.config.trust))
    outcomes = tuple(BundleOutcome(bundle, None) for bundle in status.bundles)
    if outcomes and source is not None and (public is not None or chain):
        with tempfile.TemporaryDirectory(prefix="modhub-signed-") as scratch:
            folder = _as_folder(source, manifest, Path(scratch) / "modules")
            files = folder_files(manifest)
            outcomes = tuple(_checked(folder, bundle, files, public, chain) for bundle in status.bundles)
    return VerifiedSignatures(str(first.ref.release), manifest.digest, status, outcomes)


def unsigned(found: VerifiedSignatures) -> Untrusted:
    """What to raise for a release that nobody who is trusted signed, or that has a bad signature."""
    return Untrusted(
        f"nobody whom you trust is known to have signed {found.name}, or a signature is bad.",
        kind="unsigned",
        hint="trust the signer's key: modhub key trust KEY --namespace NAME; or give --model-key PEM.",
        **found.to_dict(),
    )


def _as_folder(source: RegistryReader, manifest: Manifest, folder: Path) -> Path:
    """The folder that a release was published from, every blob fetched and verified."""
    blobs = {record.sha256: source.blob(record) for record in manifest.blobs.values()}
    return save_package(Package(versioned(manifest, None), blobs), folder)


def _checked(
    folder: Path, bundle: ModelBundle, files: dict[str, str], key: Path | None, certificates: Sequence[Path]
) -> BundleOutcome:
    if key is None and not certificates:
        return BundleOutcome(bundle, None)
    from modhub.signing.openssf import require_signed_folder  # in the extra ``model-signing``

    with tempfile.TemporaryDirectory(prefix="modhub-bundle-") as scratch:
        file = Path(scratch) / "bundle.json"
        file.write_text(bundle.text, encoding="utf-8")
        try:
            bundle.require_files(files, folder.name)
            require_signed_folder(folder, file, bundle.hashed, key=key, certificates=certificates)
        except IntegrityError as error:
            return BundleOutcome(bundle, False, error.message)
    return BundleOutcome(bundle, True)


def _there(path: str | Path) -> Path:
    if not is_file(path):
        raise NotFound(f"there is no file {path}.", kind="no-key", hint="name a PEM file.", path=str(path))
    return Path(path)
