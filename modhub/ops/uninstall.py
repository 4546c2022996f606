"""Take modules out of the local cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.cache.cache import Cache, cache_folder
from modhub.cache.prune import take_out
from modhub.errors import NotFound, did_you_mean
from modhub.settings.config import load_config
from modhub.spec.folder_refs import refuse_folders
from modhub.spec.refs import ModuleRef, parse, satisfying, slug_of

if TYPE_CHECKING:
    from modhub.cache.prune import Uninstalled
    from modhub.settings.values import Config
    from modhub.spec.refs import Request


def uninstall(refs: str | Sequence[str], *, cache: str | Path | None = None, dry_run: bool = False) -> Uninstalled:
    """Take modules out of the local cache, with the bytes that no other installed module needs.

    A name without a class means every installed class, one without a version every installed version. Nothing but the
    cache is asked. ``dry_run`` only says what would go. Raises NotFound, kind ``not-installed``.

    >>> import modhub
    >>> installed = modhub.install(["cifar10/r56:cat", "cifar10/r56:dog"])
    >>> removed = modhub.uninstall("cifar10/r56:cat")
    >>> [module.cls for module in removed.modules], [module.cls for module in removed.needed_by]
    (['cat'], ['dog'])
    """
    names = [refs] if isinstance(refs, str) else list(refs)
    refuse_folders(names)
    config = load_config()
    held = Cache(cache_folder(cache, config))
    marked = held.marked()
    chosen: set[tuple[ModuleRef, str]] = set()
    for name in names:
        found = _meant(parse(name), marked, held, config)
        if not found:
            known = {ref.release.name for ref, _ in marked} | {f"{ref.release.name}:{ref.cls}" for ref, _ in marked}
            raise NotFound(
                f"{name} is not installed.",
                kind="not-installed",
                hint=did_you_mean(name, known) or "see modhub list for what is.",
                name=name,
            )
        chosen |= found
    return take_out(held.root, chosen, dry_run=dry_run)


def _meant(
    request: Request, marked: Sequence[tuple[ModuleRef, str]], held: Cache, config: Config
) -> set[tuple[ModuleRef, str]]:
    """The installed modules that a name means, by what is installed alone."""
    model = request.base if request.is_qualified else config.aliases.get(request.base) or held.alias(request.base)
    if model is None:
        # A namespace with one model may leave the model out.
        models = {ref.release.name for ref, _ in marked if ref.namespace == request.base}
        model = models.pop() if len(models) == 1 else None
    own = [(ref, digest) for ref, digest in marked if ref.release.name == model]
    versions = {ref.version for ref, _ in own}
    if request.version is not None:
        versions = set(satisfying(versions, request.version))
    slug = None if request.cls is None else slug_of(request.cls)
    return {(ref, digest) for ref, digest in own if ref.version in versions and slug in (None, ref.cls)}
