"""What publishing would do, without doing it: the version, and the bytes that would be sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.cards.read import card_file
from modhub.errors import Conflict, NotFound, RegistryUnreachable
from modhub.installation.registries import publishing_registry
from modhub.package.decomposition import decomposition_from
from modhub.package.folder import load_package
from modhub.package.readme import with_card
from modhub.registry.publication import next_minor, same_content, versioned
from modhub.settings.config import load_config
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModelRef, check_version

if TYPE_CHECKING:
    from modhub.registry.writer import Registry
    from modhub.spec.manifest import Manifest


@dataclass(frozen=True)
class PublishForecast:
    """What ``publish`` would do: the release, whether it would be a new one, and the bytes that would be sent.

    ``there`` are the bytes that the registry has already; ``new_registry``: it would be created.
    """

    ref: ModelRef
    digest: str
    registry: str
    created: bool
    classes: tuple[str, ...]
    send: int
    there: int
    new_registry: bool


def publish_forecast(
    folder: str | Path,
    *,
    version: str | None = None,
    registry: str | None = None,
    card: str | Path | None = None,
) -> PublishForecast:
    """What ``publish`` would do with a folder of modules, which is read and decoded whole, as then.

    Raises Conflict where the version has other content or was taken down.
    """
    if version is not None:
        check_version(version)
    package = load_package(Path(folder))
    if card is not None:
        package = with_card(package, card_file(card))
    decomposition_from(package.manifest, lambda _, record: package.blobs[record.sha256])
    target = publishing_registry(registry, load_config())
    is_new = not _exists(target)
    manifest, created = _release(target, package.manifest, version, is_new=is_new)
    blobs = list({blob.sha256: blob for blob in manifest.blobs.values()}.values())
    there = 0 if is_new else sum(blob.size for blob in blobs if target.store.exists(blob_path(blob.sha256)))
    content = manifest.content
    return PublishForecast(
        ref=ModelRef(content.namespace, content.model, str(content.version)),
        digest=manifest.digest,
        registry=target.url,
        created=created,
        classes=tuple(module.name for module in content.modules),
        send=sum(blob.size for blob in blobs) - there if created else 0,
        there=there,
        new_registry=is_new,
    )


def _exists(target: Registry) -> bool:
    try:
        target.check()
    except RegistryUnreachable as error:
        if error.kind != "no-registry" or not target.store.capabilities.initialises_itself:
            raise
        return False
    return True


def _release(target: Registry, manifest: Manifest, version: str | None, *, is_new: bool) -> tuple[Manifest, bool]:
    """The release that would be there then, and whether it is not there now."""
    namespace, model = manifest.content.namespace, manifest.content.model
    versions = [] if is_new else target.versions(namespace, model)
    if version is None:
        for each in reversed(versions):
            existing = target.manifest(ModelRef(namespace, model, each))
            if same_content(versioned(existing, None), versioned(manifest, None)):
                return existing, False
        return versioned(manifest, next_minor(set(versions))), True
    wanted, ref = versioned(manifest, version), ModelRef(namespace, model, version)
    withdrawal = None if is_new else target.withdrawal(ref)
    if withdrawal is not None and withdrawal.kind == "taken-down":
        raise Conflict(f"{ref} was taken down from {target.name}: {withdrawal.reason}", kind="taken-down")
    try:
        existing = target.manifest(ref)
    except NotFound:
        return wanted, True
    if not same_content(existing, wanted):
        raise Conflict(
            f"{ref} is already published in {target.name} with other content: {existing.digest} there, "
            f"{wanted.digest} here.",
            kind="version-exists",
            hint="releases never change; publish under another version.",
        )
    return existing, False
