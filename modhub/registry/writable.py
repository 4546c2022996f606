"""What comes before any write to a registry: its marker, the right to write, and that one of many writers wins."""

from __future__ import annotations

from datetime import UTC, datetime

from modhub.errors import RegistryUnreachable
from modhub.registry.reader import RegistryReader
from modhub.signing.keys import Signer
from modhub.signing.statements import Statement
from modhub.spec.layout import MARKER, signature_path
from modhub.spec.registry_files import REGISTRY_FORMAT, RegistryMarker, write_document
from modhub.storage.probe import probe_exclusive_create


class WritableRegistry(RegistryReader):
    """A registry that can be made, and that says whether it may be written to."""

    def initialise(self, *, single_writer: bool = False) -> bool:
        """Make the store a registry. True when this call did, False when it was one already.

        Raises RegistryUnreachable, kind ``no-exclusive-create``, where two publishers could both believe to have won,
        unless ``single_writer`` vouches that there is only ever one.
        """
        self._require_writable()
        try:
            self.check()
        except RegistryUnreachable as error:
            if error.kind != "no-registry":
                raise
        else:
            return False
        if not single_writer:
            self._require_exclusive_create()
            if not probe_exclusive_create(self.store):
                raise self._not_exclusive("it accepted two objects under one name")
        marker = RegistryMarker(format=REGISTRY_FORMAT, created=now(), single_writer=single_writer)
        if self.store.put_if_absent(MARKER, write_document(marker)):
            return True
        self.check()
        return False

    def prepare(self) -> None:
        """What comes before any write: the registry is there, writable, and lets one of many racing writers win."""
        self._require_writable()
        if self.store.capabilities.initialises_itself:
            self.initialise()
        if not self.check().single_writer:
            self._require_exclusive_create()

    def _require_writable(self) -> None:
        if not self.store.capabilities.writable:
            raise RegistryUnreachable(
                f"the registry {self.name} is read-only.",
                kind="not-writable",
                hint="publish to another registry, for example with --registry FOLDER.",
                registry=self.url,
            )

    def _require_exclusive_create(self) -> None:
        if not self.store.capabilities.exclusive_create:
            raise self._not_exclusive(self.store.capabilities.why_not)

    def _not_exclusive(self, reason: str) -> RegistryUnreachable:
        return RegistryUnreachable(
            f"{self.url} cannot tell two publishers of one version apart: {reason}.",
            kind="no-exclusive-create",
            hint="fix that, or, if only one process ever publishes there: modhub registry init --single-writer "
            f"{self.url}",
            registry=self.url,
        )

    def put_signature(self, statement: Statement, signer: Signer) -> None:
        """Write the signature of ``statement``, which must be there before what it vouches for."""
        path, data = signature_path(statement.digest, signer.id), write_document(signer.sign(statement))
        # Ed25519 is deterministic: what stands there otherwise is damaged, or not this key's.
        if not self.store.put_if_absent(path, data):
            self.store.replace(path, data)


def timestamp() -> str:
    """The time as OSV has it: RFC 3339, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
