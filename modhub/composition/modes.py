"""How the modules of one origin run together: each under its own masks, or all at once under their union. Pure.

``isolated`` is exact: every module answers as if it ran alone. ``fused`` takes one forward pass however many modules
there are, and is an approximation, because a module then sees nodes that another one keeps. ``auto`` fuses an origin's
modules only where that changes nothing, or where their release has recorded that it hardly does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modhub.composition.recipe import Mode
from modhub.package.module import Module
from modhub.spec.manifest import FusedAgreement

#: ``auto`` fuses from this share of equal labels on; fewer images cannot show such a share.
AGREES_FROM: Final = 0.999
LEAST_EXAMPLES: Final = 1000


@dataclass(frozen=True)
class RunMode:
    """How one origin's modules run, and in words why. ``releases`` are theirs, in order of first appearance."""

    releases: tuple[str, ...]
    fused: bool
    why: str

    def __str__(self) -> str:
        names = ", ".join(self.releases)
        return (
            f"{names} run{'s' if len(self.releases) == 1 else ''} {'fused' if self.fused else 'isolated'}: {self.why}"
        )


def way_of(mode: Mode, modules: Sequence[Module]) -> RunMode:
    """How ``modules``, all of one origin and behind one adapter, run in ``mode``."""
    releases = tuple(dict.fromkeys(_release(module) for module in modules))
    if mode == "isolated":
        return RunMode(releases, False, "each module under its own masks")
    if len({module.keep.key() for module in modules}) == 1:
        return RunMode(releases, True, "all its modules have the same masks, so nothing changes")
    recorded = _recorded(modules)
    if mode == "fused":
        found = f"its release records {agreement_text(recorded)}" if recorded else "no agreement is recorded"
        return RunMode(releases, True, f"as asked; {found}")
    if recorded is None:
        several = len(releases) > 1
        return RunMode(
            releases, False, "their releases were not measured together" if several else "no agreement is recorded"
        )
    return RunMode(releases, _agrees(recorded), _judged(recorded))


def agreement_text(agreement: FusedAgreement) -> str:
    """What a release records, in words."""
    return (
        f"{exact_percent(agreement.labels)} equal labels of all {agreement.classes} classes "
        f"on {agreement.examples:,} images of {agreement.data}"
    )


def exact_percent(share: float) -> str:
    """``0.99972`` as ``99.97 %``; never rounded up to 100."""
    return f"{int(share * 10_000) / 100:.2f} %"


def _agrees(recorded: FusedAgreement) -> bool:
    return recorded.examples >= LEAST_EXAMPLES and recorded.labels >= AGREES_FROM


def _judged(recorded: FusedAgreement) -> str:
    if recorded.examples < LEAST_EXAMPLES:
        return f"its release records {agreement_text(recorded)}, and at least {LEAST_EXAMPLES:,} images are needed"
    more = "" if _agrees(recorded) else f", and {AGREES_FROM:.1%} is needed"
    return f"its release records {agreement_text(recorded)}{more}"


def _recorded(modules: Sequence[Module]) -> FusedAgreement | None:
    """What the one release of all ``modules`` records; None where they are of several, or one was changed since."""
    measured = {_release(module): module.fused for module in modules}
    found = modules[0].fused
    return found if len(measured) == 1 and all(module.fused == found for module in modules) else None


def _release(module: Module) -> str:
    return module.origin.name + (f"@{module.version}" if module.version else "")
