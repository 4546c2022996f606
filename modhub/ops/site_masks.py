"""Which nodes the modules of a model keep, read for its pages: verified, bounded, and each blob once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from modhub.evaluation.overlap import toggled_nodes
from modhub.limits import MIB
from modhub.package.codec import decode, decode_module, most_bytes, wanted_module
from modhub.package.overlap import between_masks
from modhub.site.content import Overlap
from modhub.spec.architecture import shapes_of

if TYPE_CHECKING:
    from modhub.package.module import PackedMasks
    from modhub.registry.reader import RegistryReader
    from modhub.spec.manifest import Content, Manifest

#: Bytes of the masks of one model's modules, decoded, beyond which no more are read; of 16 models at once 512 MiB.
_MOST_BYTES: Final = 32 * MIB
#: Modules of a release beyond which not every two are compared.
_MOST_COMPARED: Final = 400
#: Versions of a model of which every two are compared; of more, neighbours, and each with the newest.
_ALL_PAIRS: Final = 6


class ModelMasks:
    """The masks of one model's modules, by the digest of their blobs. Raises IntegrityError for what is damaged."""

    def __init__(self, registry: RegistryReader) -> None:
        self._registry = registry
        self._masks: dict[str, PackedMasks] = {}
        self._overlaps: dict[tuple[str, ...], Overlap] = {}
        self._left = _MOST_BYTES

    def overlap(self, manifest: Manifest) -> Overlap | None:
        """How much every two modules share; None where there are no masks, or too many to read."""
        modules = manifest.content.modules
        key = tuple(module.blob for module in modules)
        if not manifest.content.sites or len(modules) > _MOST_COMPARED:
            return None
        if key not in self._overlaps:
            missing = {blob for blob in key if blob not in self._masks}
            if sum(manifest.blobs[blob].decoded_size for blob in missing) > self._left:
                return None
            self._overlaps[key] = between_masks([self._read(manifest, blob) for blob in key]).tolist()
        return self._overlaps[key]

    def _read(self, manifest: Manifest, digest: str) -> PackedMasks:
        if digest not in self._masks:
            content = manifest.content
            shapes = shapes_of(content.origin.architecture)
            sites = {site.id: tuple(site.shape) for site in content.sites}
            features = shapes[content.origin.architecture.features][0]
            record = manifest.blobs[digest]
            most = most_bytes(wanted_module(sites, features), record.size)
            decoded = decode(self._registry.blob(record), digest, most=most)
            self._masks[digest] = decode_module(decoded, sites, features)[1]
            self._left -= len(decoded)
        return self._masks[digest]

    def toggled(self, older: Content, newer: Content) -> dict[str, int | None]:
        """By class how many nodes only one of two releases keeps; None where that cannot be said."""
        before = {module.slug: module.blob for module in older.modules}
        found: dict[str, int | None] = {}
        for module in newer.modules:
            if module.slug not in before:
                continue
            own, other = self._masks.get(module.blob), self._masks.get(before[module.slug])
            if module.blob == before[module.slug]:
                found[module.slug] = 0
            elif own is None or other is None or older.sites != newer.sites:
                found[module.slug] = None
            else:
                found[module.slug] = toggled_nodes(own, other)
        return found


def compared_versions(versions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs (older, newer) of versions, the newest first, of which differences are shown; ``versions`` newest first."""
    for newer_position, newer in enumerate(versions):
        for position in range(newer_position + 1, len(versions)):
            if len(versions) <= _ALL_PAIRS or newer_position == 0 or position == newer_position + 1:
                yield versions[position], newer


def toggled_between(
    masks: ModelMasks, contents: Mapping[str, Content]
) -> dict[tuple[str, str], Mapping[str, int | None]]:
    """What ``ShownModel.toggled`` holds, of releases by version, the newest first."""
    return {
        (older, newer): masks.toggled(contents[older], contents[newer])
        for older, newer in compared_versions(list(contents))
    }
