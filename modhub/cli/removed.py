"""What was taken out of the cache, as ``uninstall`` and ``cache clean`` print it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from modhub.cli import printing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modhub.cache.prune import Uninstalled
    from modhub.spec.refs import ModuleRef

_NAMED: Final = 4


def removed_fields(removed: Uninstalled) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "modules": [str(ref) for ref in removed.modules],
        "freed": removed.freed,
        "left": removed.left,
        "shared": removed.shared,
        "needed_by": [str(ref) for ref in removed.needed_by],
    }


def print_removed(removed: Uninstalled, *, dry_run: bool) -> None:
    """The modules by release, the bytes, and who needs what stays."""
    for text in _by_release(removed.modules):
        printing.line(f"{'would remove' if dry_run else 'removed'} {text}")
    printing.line(
        f"{'would free' if dry_run else 'freed'} {printing.bytes_text(removed.freed)}; "
        f"{printing.bytes_text(removed.left)} {'would stay' if dry_run else 'stay'}."
    )
    if removed.needed_by:
        what = f"{printing.bytes_text(removed.shared)} of what they share"
        printing.note(f"{what} {'would stay' if dry_run else 'stay'}, for {'; '.join(_by_release(removed.needed_by))}")


def _by_release(modules: Sequence[ModuleRef]) -> list[str]:
    """``cat, dog of cifar10/r56@1.0.0`` for every release."""
    texts = []
    for release, refs in groupby(sorted(modules), key=lambda ref: ref.release):
        slugs = [ref.cls for ref in refs]
        texts.append(f"{', '.join(slugs) if len(slugs) <= _NAMED else f'{len(slugs)} classes'} of {release}")
    return texts
