"""What may change in a registry: aliases, yanks, tombstones and revocations, each an entry appended to a history.

Nothing is overwritten and the loser of a race gets an error. An entry's signature is written before the entry, so that
no reader who asks for one ever sees it without.
"""

from __future__ import annotations

from typing import Any

from modhub.errors import Conflict, NotFound, did_you_mean
from modhub.registry.reader import Entries, RecordType, entry_name
from modhub.registry.reindex import update_aliases, update_index, update_notices
from modhub.registry.writable import WritableRegistry, now
from modhub.signing.keys import Signer
from modhub.signing.statements import Statement
from modhub.spec.digests import sha256
from modhub.spec.layout import release_path
from modhub.spec.refs import ModelRef, ModuleRef, check_new_name, parse_model_name
from modhub.spec.registry_files import (
    RECORD_FORMAT,
    AliasRecord,
    ChainedRecord,
    ClassYankRecord,
    RevocationRecord,
    TombstoneRecord,
    Withdrawal,
    YankRecord,
    check_reason,
    write_document,
)
from modhub.spec.text import in_short


class RecordKeeper(WritableRegistry):
    """A registry whose records can be added to."""

    def set_alias(self, name: str, target: str | None, *, signer: Signer | None = None) -> AliasRecord:
        """Let ``name`` stand for ``namespace/model``, or for nothing (None). The history keeps what it was.

        Raises InvalidRef, NotFound when a name that never was an alias is to be taken back, and Conflict, kind
        ``record-race``, when another process changes it at the same moment.
        """
        if target is not None:
            parse_model_name(target)
        seen = self._alias_entries(name)
        if seen and seen[-1][0].target == target:
            # Its writer may have died before it updated the index.
            update_aliases(self, name)
            return seen[-1][0]
        if target is None and not seen:
            # An entry that belongs to no namespace could be vouched for by nobody, for ever.
            raise NotFound(
                f"there is no alias {name!r} in {self.name}.", kind="no-alias", hint="see modhub alias list", name=name
            )
        if not seen:
            check_new_name(name, "alias")
        record = self._append(AliasRecord, name, seen, signer, target=target)
        update_aliases(self, name)
        return record

    def yank(self, ref: ModelRef, reason: str, *, undo: bool = False, signer: Signer | None = None) -> bool:
        """Let resolution skip a release (or with ``undo``, find it again). False when it was so already.

        Raises NotFound when there is no such release, Conflict when it was taken down, UsageError for a reason that is
        empty or too long.
        """
        self._require_standing(ref, reason)
        seen = self._entries(YankRecord, ref)
        if bool(seen and seen[-1][0].yanked) is not undo:
            self._show(ref)
            return False
        self._append(YankRecord, _path_name(ref), seen, signer, yanked=not undo, reason=reason)
        self._show(ref)
        return True

    def yank_class(self, ref: ModuleRef, reason: str, *, undo: bool = False, signer: Signer | None = None) -> bool:
        """As ``yank``, for one class of a release, by its slug. Raises NotFound, kind ``no-class``, besides."""
        release = ref.release
        self._require_standing(release, reason)
        slugs = self.summary(release).slugs
        if ref.cls not in slugs:
            raise NotFound(
                f"{release} has no class {ref.cls!r}.",
                kind="no-class",
                hint=did_you_mean(ref.cls, slugs) or f"it has {in_short(slugs)}.",
                release=str(release),
                wanted=ref.cls,
            )
        seen = self._entries(ClassYankRecord, release)
        if (ref.cls in self.yanked_classes(release)) is not undo:
            self._show(release)
            return False
        self._append(ClassYankRecord, _path_name(release), seen, signer, slug=ref.cls, yanked=not undo, reason=reason)
        self._show(release)
        return True

    def take_down(self, ref: ModelRef, reason: str, *, signer: Signer | None = None) -> Withdrawal:
        """Write a release's tombstone, or give the one that stands. Its blobs are another step (``takedown``)."""
        self._require_release(ref)
        check_reason(reason)
        if seen := self._entries(TombstoneRecord, ref):
            self._show(ref)
            return Withdrawal("taken-down", seen[-1][0].reason)
        self._append(TombstoneRecord, _path_name(ref), seen, signer, reason=reason)
        self._show(ref)
        return Withdrawal("taken-down", reason)

    def revoke_key(self, signer: Signer, reason: str) -> bool:
        """Let a signing key say of itself that it is not to be trusted any more. False when it did so before."""
        check_reason(reason)
        if self._revocation(signer.public) is not None:
            return False
        seen = self._log(signer.id, RevocationRecord).entries()
        self._append(RevocationRecord, signer.id, seen, signer, reason=reason)
        return True

    def _append(
        self, model: type[RecordType], name: str, seen: Entries[RecordType], signer: Signer | None, **fields: Any
    ) -> RecordType:
        """Add an entry behind those ``seen`` when it was decided on: an entry that came in between is not overruled."""
        self.prepare()

        def make(number: int, previous: str | None) -> RecordType:
            common = {"format": RECORD_FORMAT, "number": number, "name": name, "previous": previous, "created": now()}
            return model(**common, **fields)

        def sign(record: ChainedRecord, digest: str) -> None:
            if signer is not None:
                self.put_signature(Statement(model.kind, entry_name(record), digest), signer)

        record = self._log(name, model).append(seen, make, sign)
        # Once more: a collector may have taken the signature for an orphan before its entry was there.
        sign(record, sha256(write_document(record)))
        return record

    def _show(self, ref: ModelRef) -> None:
        """Bring the derived files that show whether a release was withdrawn up to date."""
        update_index(self, ref.namespace, ref.model)
        update_notices(self, ref.namespace)

    def _require_standing(self, ref: ModelRef, reason: str) -> None:
        self._require_release(ref)
        check_reason(reason)
        if tombstones := self._entries(TombstoneRecord, ref):
            raise Conflict(
                f"{ref} was taken down from {self.name}: {tombstones[-1][0].reason}",
                kind="taken-down",
                hint="nothing can be done with it any more.",
                release=str(ref),
            )

    def _require_release(self, ref: ModelRef) -> None:
        if not self.store.exists(release_path(ref)):
            raise NotFound(
                f"the registry {self.name} has no release {ref}.",
                kind="no-release",
                hint=f"see what there is: modhub search {ref.model}",
                registry=self.url,
                release=str(ref),
            )


def _path_name(ref: ModelRef) -> str:
    return f"{ref.namespace}/{ref.model}/{ref.version}"
