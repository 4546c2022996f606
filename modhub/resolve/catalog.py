"""What the resolver asks of a place that has releases, and what it gives: for each name its modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from modhub.spec.refs import ModelRef, ModuleRef, Request

if TYPE_CHECKING:
    from modhub.spec.input_contract import InputContract
    from modhub.spec.registry_files import IndexEntry, Withdrawal


class Catalog(Protocol):
    """Releases by name; a registry and the cache both are one.

    Nothing here writes; every method may raise RegistryUnreachable or IntegrityError.
    """

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def url(self) -> str: ...

    def versions(self, namespace: str, model: str) -> Sequence[str]:
        """All versions of a model, oldest first; empty when it is unknown here."""

    def models(self, namespace: str | None = None) -> Sequence[str]:
        """``namespace/model`` of every model, of one namespace or of all."""

    def alias(self, name: str) -> str | None:
        """What an alias stands for here."""

    def alias_names(self) -> Sequence[str]: ...

    def summary(self, ref: ModelRef) -> IndexEntry:
        """Digest, classes and slugs (in index order) of a release that ``versions`` names."""

    def contract(self, ref: ModelRef) -> InputContract:
        """The images that a release which ``versions`` names takes."""

    def withdrawal(self, ref: ModelRef) -> Withdrawal | None:
        """Why a release is not to be chosen any more, None when it may be."""

    def yanked_classes(self, ref: ModelRef) -> Mapping[str, str]:
        """Slugs of the classes of a release that were yanked alone, and why."""


@dataclass(frozen=True)
class Pinned:
    """One module of one release, found in one registry.

    ``name`` is the class as the data set spells it, ``digest`` the release's content digest, ``registry`` the URL of
    the catalog that has it, ``aliases`` the aliases on the way from the request to ``namespace/model``. ``yanked`` says
    that it, or its release, was yanked and why, where the resolution that chose it knows.
    """

    ref: ModuleRef
    name: str
    digest: str
    registry: str
    aliases: tuple[str, ...] = ()
    yanked: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class NamedModules:
    """What one request meant: ``modules`` are one, or for a request without a class all of a release, by index.

    ``left_out`` says which classes of a release are not among them because they were yanked alone, and why.
    """

    request: Request
    modules: tuple[Pinned, ...]
    left_out: tuple[str, ...] = ()


def all_modules(named: Iterable[NamedModules]) -> list[Pinned]:
    """The modules of several requests, one after the other."""
    return [pin for each in named for pin in each.modules]
