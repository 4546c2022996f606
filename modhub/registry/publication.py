"""What a publication is made of, before any store is touched: versions, equality, and the check of what was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modhub.digests import sha256
from modhub.errors import IntegrityError
from modhub.manifest import Manifest, digest_of, read_manifest, write_manifest
from modhub.refs import ModelRef, parse_model_name, parse_version


@dataclass(frozen=True)
class Published:
    """What a publication came to. ``created`` is False when the same content stood there already.

    ``warnings`` tell what went wrong after the release was safely published: only the derived index can.
    """

    ref: ModelRef
    digest: str
    registry: str
    created: bool
    warnings: tuple[str, ...] = ()


def versioned(manifest: Manifest, version: str | None) -> Manifest:
    """The same modules as another version; the digest follows, since the version is part of the content."""
    content = manifest.content.model_copy(update={"version": version})
    return manifest.model_copy(update={"content": content, "digest": digest_of(content)})


def same_content(one: Manifest, other: Manifest) -> bool:
    # An older tool may have written fewer fields; then the contents agree although the digests as written do not.
    return one.digest == other.digest or digest_of(one.content) == digest_of(other.content)


def checked_bytes(manifest: Manifest, blobs: Mapping[str, bytes]) -> bytes:
    """The manifest's bytes, after reading them as any client will, and after checking the blobs against the table."""
    name = manifest.content.name
    parse_model_name(name)
    parse_version(str(manifest.content.version))
    for decoded, record in manifest.blobs.items():
        data = blobs.get(record.sha256)
        if data is None or len(data) != record.size or sha256(data) != record.sha256:
            found = "was not given" if data is None else f"has {len(data)} bytes with the digest {sha256(data)}"
            raise IntegrityError(
                f"the blob {record.sha256} ({record.size} bytes, decoded {decoded}) of {name} {found}.",
                kind="missing-blob" if data is None else "bad-blob",
                hint="save the package again.",
                digest=record.sha256,
            )
    data = write_manifest(manifest)
    read_manifest(data, what=f"the manifest of {name}")
    return data


def next_minor(versions: Iterable[str]) -> str:
    """The version after the newest one that is not a pre-release; 1.0.0 when there is none."""
    full = [parsed for parsed in map(parse_version, versions) if not parsed.prerelease]
    newest = max(full, default=None)
    return "1.0.0" if newest is None else f"{newest.major}.{newest.minor + 1}.0"
