"""Install modules by name or by lockfile, and write lockfiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.errors import StorageError
from modhub.installation.context import Places, RegistryUrls, load_lock
from modhub.installation.notices import warn_of
from modhub.resolve.catalog import all_modules
from modhub.spec.url import holds_secrets
from modhub.storage import files
from modhub.storage.progress import progress_shown, told

if TYPE_CHECKING:
    from modhub.cache.markers import Installed
    from modhub.installation.lockfile import Lock  # TOML, which installing by name needs not
    from modhub.storage.progress import Progress


def install(
    refs: str | Sequence[str] = (),
    *,
    locked: str | Path | None = None,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    offline: bool = False,
    require_signature: bool | None = None,
    progress: Progress | None = None,
) -> list[Installed]:
    """Bring modules into the local cache, verified: one weights blob a release, and each module's own.

    ``locked``: a lockfile, in the place of ``refs``. ``registry``: one URL or several in order; without it those
    configured. ``offline`` uses the cache alone. ``require_signature`` believes only what a trusted key has signed;
    None leaves it to the configuration. ``progress`` is called with what, bytes done and in all.

    Raises NotFound, IntegrityError, RegistryUnreachable, StorageError.

    >>> import modhub
    >>> [installed] = modhub.install("cifar10/r56:cat")
    >>> installed.ref.release.name, installed.name, installed.registry.endswith("starter/registry")
    ('cifar10/r56', 'cat', True)
    """
    places = Places.open(
        registry, cache, offline=offline, require_signature=require_signature, locked=locked is not None
    )
    pinned = all_modules(places.resolve(_as_list(refs))) if locked is None else places.unlock(load_lock(locked))
    with progress_shown():
        installed = places.install(pinned, progress or told("bytes"))
    warn_of(places.remarks(pinned), stacklevel=2)
    return installed


def lock(
    refs: str | Sequence[str],
    file: str | Path,
    *,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
) -> Lock:
    """Write down exactly which modules names mean now; ``install(locked=file)`` installs the same anywhere.

    >>> import modhub
    >>> locked = modhub.lock(["cifar10/r56:cat", "cifar100/r20:apple"], "pets.lock")
    >>> [installed.name for installed in modhub.install(locked="pets.lock")]
    ['cat', 'apple']
    """
    from modhub.installation.lockfile import Lock

    found = Lock.of(all_modules(Places.open(registry, cache).resolve(_as_list(refs))))
    try:
        data = found.to_text().encode()
        files.overwrite(files.absolute(file), data, durable=True, private=holds_secrets(data))
    except OSError as error:
        raise StorageError(
            f"the lockfile {file} cannot be written: {error.strerror or error}.",
            hint="free the disk, or choose another place with --out.",
            path=str(file),
        ) from error
    return found


def _as_list(refs: str | Sequence[str]) -> list[str]:
    return [refs] if isinstance(refs, str) else list(refs)
