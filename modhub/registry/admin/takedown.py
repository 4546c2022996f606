"""Taking a release down: its tombstone first, then the blobs that no other release needs.

The name and the version stay taken for ever. A crash in between leaves blobs behind, which the next takedown of the
same release, or the next collection, removes.
"""

from __future__ import annotations

from dataclasses import dataclass

from modhub.errors import IntegrityError
from modhub.registry.admin.delete import delete_objects, doomed_at
from modhub.registry.admin.inventory import require_listing
from modhub.registry.admin.reachable import Survey
from modhub.registry.reader import RegistryReader
from modhub.registry.writer import Registry
from modhub.signing.keys import Signer
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModelRef
from modhub.storage.parallel import each
from modhub.storage.progress import Progress


@dataclass(frozen=True)
class TakenDown:
    """``reason``: the one on the tombstone, which may be older than this call. ``freed`` in bytes.

    ``shared``: how many of its blobs stay because other releases need them.
    """

    ref: ModelRef
    registry: str
    reason: str
    deleted: tuple[str, ...]
    shared: int
    freed: int


def take_down(
    registry: Registry, ref: ModelRef, reason: str, *, signer: Signer | None = None, progress: Progress | None = None
) -> TakenDown:
    """Write the tombstone of a release and delete its blobs. Again, it finishes what a crash interrupted.

    Raises NotFound when there is no such release, and IntegrityError, kind ``damaged-release``, when another release
    cannot be read: the tombstone then stands, but no blob is deleted.
    """
    registry.check()
    store = registry.store
    require_listing(store, "takedown")
    withdrawal = registry.take_down(ref, reason, signer=signer)
    try:
        manifest = RegistryReader(store, name=registry.name).manifest(ref)
    except IntegrityError as error:
        raise IntegrityError(
            f"{ref} was taken down, but which blobs it had is unknown: {error.message}",
            kind="damaged-release",
            hint=f"let the blobs that nothing needs be collected: modhub registry gc {registry.url}",
            release=str(ref),
        ) from error
    survey = Survey(registry)
    survey.refresh()
    paths = sorted({blob_path(record.sha256) for record in manifest.blobs.values()})
    own = [path for path in paths if not survey.needs(path)]
    doomed = [one for one in each(lambda path: doomed_at(store, path), own, at_once=store.capabilities.parallel) if one]
    removed = delete_objects(store, doomed, survey, progress)
    return TakenDown(
        ref,
        registry.url,
        withdrawal.reason,
        tuple(one.path for one in removed.deleted),
        len(paths) - len(own),
        sum(one.size or 0 for one in removed.deleted),
    )
