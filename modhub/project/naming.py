"""How a module's name as typed is written into a project file: with a range, and without the user's own aliases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from modhub.composition.recipe import matched_by_name
from modhub.errors import UsageError
from modhub.project.manifest import ProjectFile
from modhub.resolve.catalog import NamedModules, Pinned
from modhub.spec.folder_refs import refuse_folders
from modhub.spec.refs import Request, parse


@dataclass(frozen=True)
class Written:
    """Modules with the names to write for them, one a module, and the short names that those need."""

    refs: list[tuple[Pinned, str]]
    models: dict[str, str] = field(default_factory=dict)

    def in_order_of(self, classes: Sequence[str]) -> list[str]:
        """The names in the order of ``classes``, where each of these is a module's name; else as they are."""
        wanted = [(label,) for label in classes]
        return [ref for _, ref in matched_by_name(wanted, self.refs, lambda each: (each[0].ref.cls, each[0].name))]


def written(
    file: ProjectFile, refs: Sequence[str], named: Sequence[NamedModules], there: Sequence[Pinned] = ()
) -> Written:
    """The names to write for ``refs``, as typed, which mean ``named``, one each.

    As cargo does: without a range of its own a module gets that of all releases compatible with the one found. An alias
    of the user's or a registry's becomes a short name of the project, so that it means the same on every machine. Where
    a whole model is named, those of its modules that are ``there`` already are left out.
    """
    known = {(pin.digest, pin.ref.cls) for pin in there}
    result = Written([])
    for request, each in zip(map(parse, refs), named, strict=True):
        own = each.modules
        if request.cls is None:
            own = tuple(pin for pin in own if (pin.digest, pin.ref.cls) not in known)
        result.refs.extend(_written(file, request, own, result.models))
    return result


def one_module(ref: str, label: str) -> str:
    """``ref`` when it names one class. Raises UsageError."""
    refuse_folders([ref])
    if parse(ref).cls is None:
        raise UsageError(
            f"{ref} names a whole model, and {label!r} is one class.",
            kind="not-one-module",
            hint=f"name the class as well, for example {ref.partition('@')[0]}:{label}.",
            ref=ref,
        )
    return ref


def compatible_with(version: str) -> str:
    """``^1.2.0`` for 1.2.0; a pre-release or a build means itself alone."""
    return version if "-" in version or "+" in version else f"^{version}"


def _written(
    file: ProjectFile, request: Request, pins: Sequence[Pinned], models: dict[str, str]
) -> Iterator[tuple[Pinned, str]]:
    for pin in pins:
        found = f"{pin.ref.release.name}@{compatible_with(pin.ref.version)}"
        short = request.base in file.models or bool(pin.aliases)
        if short and request.base not in file.models:
            models.setdefault(request.base, found)
        version = request.version if short else request.version or compatible_with(pin.ref.version)
        base = request.base if short else pin.ref.release.name
        yield pin, str(Request(base, pin.ref.cls, version))
