"""What installed packages bring under an entry point: found without loading any of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

from modhub.errors import UsageError, plain, shown


@dataclass(frozen=True)
class Brought:
    """Errors of one group of entry points: ``what`` is one of it in words, ``kind`` the kind of its errors."""

    what: str
    kind: str

    def by_name(self, entries: Iterable[EntryPoint]) -> Mapping[str, EntryPoint]:
        """Entry points by their names. Raises UsageError where two packages provide the same."""
        found: dict[str, EntryPoint] = {}
        for entry in sorted(entries, key=lambda entry: (entry.name, entry.value)):
            if entry.name in found and found[entry.name].value != entry.value:
                raise UsageError(
                    f"two packages provide the {self.what} {shown(entry.name)}: "
                    f"{found[entry.name].value}, {entry.value}.",
                    kind=self.kind,
                    hint="uninstall one of them.",
                )
            found[entry.name] = entry
        return found

    def load(self, entry: EntryPoint) -> Any:
        """What is behind an entry point. Raises UsageError for what cannot be imported."""
        try:
            return entry.load()
        # It is anybody's code.
        except Exception as error:
            raise self.bad(entry, f"cannot be imported: {plain(str(error)) or type(error).__name__}") from error

    def bad(self, entry: EntryPoint, reason: str) -> UsageError:
        """The error for an entry point that is not what it should be."""
        package = entry.dist.name if entry.dist is not None else entry.module
        return UsageError(
            f"the {self.what} {shown(entry.name)} of the package {shown(str(package))}, {entry.value}, {reason}.",
            kind=self.kind,
            hint="upgrade or uninstall that package.",
            package=str(package),
        )
