"""What was said about the modules of one namespace since they were published, as one derived file.

    notices/<namespace>.json     advisories, deprecations, and the releases and classes that were yanked or taken down

So an audit asks for one file a namespace, however many modules and advisories there are. It is derived from histories
as the index is from releases: where a store can list, those are the truth; hosts that cannot list serve it alone. Where
signatures are required, an advisory is looked up again in its history before it counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel

from modhub.advisories.matching import NoticeBoard
from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound
from modhub.limits import MAX_MANIFEST_BYTES
from modhub.registry.objects import get_object
from modhub.registry.records import ENTRY_FILE, Record, RecordLog
from modhub.spec.advisories import (
    NOTICES_FORMAT,
    AdvisoryRecord,
    DeprecationRecord,
    NoticedAdvisory,
    NoticedDeprecation,
    NoticedRelease,
    Notices,
)
from modhub.spec.layout import NOTICES, notices_path, records_folder
from modhub.spec.refs import ModelRef, is_exact, is_model_name
from modhub.spec.registry_files import ChainedRecord, ClassYankRecord, TombstoneRecord, YankRecord, read_document
from modhub.storage.parallel import each

if TYPE_CHECKING:
    from modhub.registry.reader import RegistryReader
    from modhub.storage.store import Store

#: The histories of which the file is made.
KINDS: Final = ("advisory", "deprecation", "yank", "class-yank", "tombstone")
_WITHDRAWALS: Final[tuple[type[ChainedRecord], ...]] = (YankRecord, ClassYankRecord, TombstoneRecord)

_Noticed = TypeVar("_Noticed", bound=BaseModel)


def read_notices(store: Store, namespace: str) -> Notices:
    """The file as stored. Raises NotFound, IntegrityError, or Incompatible for a newer format."""
    path = notices_path(namespace)
    data = get_object(store, path, max_bytes=MAX_MANIFEST_BYTES)
    return parsed_notices(data, namespace, what=f"{store.url}/{path}")


def parsed_notices(data: bytes, namespace: str, *, what: str) -> Notices:
    """Untrusted bytes of the file of a namespace. Raises as ``read_notices`` does."""
    notices = read_document(Notices, data, what=what, newest=NOTICES_FORMAT)
    if notices.namespace != namespace:
        raise IntegrityError(
            f"{what} is about {notices.namespace}, not about {namespace}.", kind="wrong-release", what=what
        )
    return notices


def board_of(data: bytes, namespace: str, registry: str) -> NoticeBoard | None:
    """The file of a namespace, to look modules up in; None for one that cannot be believed."""
    try:
        return NoticeBoard(parsed_notices(data, namespace, what=f"the notices of {namespace} in {registry}"), registry)
    except (IntegrityError, Incompatible):
        return None


def histories_in(store: Store, namespace: str) -> frozenset[str]:
    """Paths of all records that the file of a namespace is derived from."""
    return frozenset(path for kind in KINDS for path in store.list(records_folder(kind, namespace)))


@dataclass(frozen=True)
class DerivedNotices:
    """How the file of one namespace follows from its histories.

    What cannot be believed is left out, and reported in ``problems`` by kind and name, as ``withdrawal/me/net/1.0.0``:
    one broken history must not hide all others. ``known`` is the file where it was read
    already; ``afresh`` uses none.
    """

    registry: RegistryReader
    namespace: str
    afresh: bool = False
    known: Notices | None = None
    problems: dict[str, ModhubError] = field(default_factory=dict)

    def of(self, paths: Iterable[str]) -> Notices:
        """The file that these records come to; histories that have not grown are not read again."""
        lengths = _lengths(paths)
        known = self._existing()
        advisories = {each.id: (each.number, each) for each in known.advisories}
        deprecations = {each.model: (each.number, each) for each in known.deprecations}
        releases = {f"{each.model}/{each.version}": (each.entries, each) for each in known.releases}
        withdrawn: Counter[str] = Counter()
        for model in _WITHDRAWALS:
            withdrawn.update({name: number for name, number in lengths[model.kind].items() if _is_release(name)})
        return Notices(
            format=NOTICES_FORMAT,
            namespace=self.namespace,
            advisories=self._all("advisory", lengths["advisory"], advisories, self._advisory),
            deprecations=self._all("deprecation", lengths["deprecation"], deprecations, self._deprecation),
            releases=self._all("withdrawal", withdrawn, releases, self._release),
        )

    def _all(
        self,
        kind: str,
        lengths: Mapping[str, int],
        known: Mapping[str, tuple[int, _Noticed]],
        read: Callable[[str], _Noticed],
    ) -> tuple[_Noticed, ...]:
        """One thing a history, by name: as it is known with that many entries, else read."""
        found = {name: known[name][1] for name, length in lengths.items() if name in known and known[name][0] == length}
        left = sorted(lengths.keys() - found.keys())

        def attempt(name: str) -> _Noticed | None:
            try:
                return read(name)
            except (IntegrityError, Incompatible, NotFound) as error:
                self.problems[f"{kind}/{self.namespace}/{name}"] = error
                return None

        answers = each(attempt, left, at_once=self.registry.store.capabilities.parallel)
        found |= {name: answer for name, answer in zip(left, answers, strict=True) if answer is not None}
        return tuple(found[name] for name in sorted(found))

    def _advisory(self, advisory: str) -> NoticedAdvisory:
        record = self._log(advisory, AdvisoryRecord)[-1]
        return NoticedAdvisory(**record.advisory.model_dump(), number=record.number)

    def _deprecation(self, model: str) -> NoticedDeprecation:
        record = self._log(model, DeprecationRecord)[-1]
        return NoticedDeprecation(
            model=model, number=record.number, deprecated=record.deprecated, reason=record.reason, use=record.use
        )

    def _release(self, name: str) -> NoticedRelease:
        model, _, version = name.partition("/")
        ref = ModelRef(self.namespace, model, version)
        withdrawal = self.registry.withdrawal(ref)
        return NoticedRelease(
            model=model,
            version=version,
            kind=None if withdrawal is None else withdrawal.kind,
            reason=None if withdrawal is None else withdrawal.reason,
            yanked_classes=self.registry.yanked_classes(ref),
            entries=sum(len(self._log(name, kind)) for kind in _WITHDRAWALS),
        )

    def _log(self, name: str, model: type[Record]) -> list[Record]:
        return RecordLog(self.registry.store, model.kind, f"{self.namespace}/{name}", model).history()

    def _existing(self) -> Notices:
        nothing = Notices(format=NOTICES_FORMAT, namespace=self.namespace)
        if self.afresh:
            return nothing
        if self.known is not None:
            return self.known
        try:
            return read_notices(self.registry.store, self.namespace)
        except (NotFound, IntegrityError, Incompatible):
            # It is only a cache: whatever is wrong with it, the histories are read instead.
            return nothing


def notices_of(registry: RegistryReader, namespace: str, *, thorough: bool = False) -> Notices:
    """What was said about the modules of a namespace; nothing where there is no such file.

    ``thorough`` holds the file to the listing of the histories where the store can list, so that what a crash kept out
    of the file is seen. Raises IntegrityError, Incompatible and RegistryUnreachable.
    """
    store = registry.store
    if thorough and store.capabilities.can_list:
        derived = DerivedNotices(registry, namespace)
        found = derived.of(histories_in(store, namespace))
        if derived.problems:
            raise next(iter(derived.problems.values()))
        return found
    try:
        return read_notices(store, namespace)
    except NotFound:
        return Notices(format=NOTICES_FORMAT, namespace=namespace)


def confirms_advisory(registry: RegistryReader, namespace: str, advisory: str) -> bool:
    """Whether an advisory's own history is whole and says that it holds, and where signatures are required, whether
    somebody who may say so signed it."""
    try:
        entries = registry.authenticated(f"{namespace}/{advisory}", AdvisoryRecord, namespace)
    except (IntegrityError, Incompatible):
        return False
    return bool(entries) and entries[-1][0].advisory.withdrawn is None


def is_empty(notices: Notices) -> bool:
    return not (notices.advisories or notices.deprecations or notices.releases)


def noticed_namespaces(store: Store) -> set[str]:
    """Namespaces of which such a file lies there, or a history that belongs into one."""
    paths = [path.removesuffix(".json").split("/") for path in store.list(NOTICES) if path.endswith(".json")]
    names = {parts[1] for parts in paths if len(parts) == 2}
    names |= {path.split("/")[2] for kind in KINDS for path in store.list(f"records/{kind}")}
    return {name for name in names if is_model_name(f"{name}/model")}


def _lengths(paths: Iterable[str]) -> dict[str, dict[str, int]]:
    """By kind, and the name of a history without its namespace: the number of its newest entry."""
    found: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    for path in paths:
        match path.split("/"):
            case ["records", kind, _, *names, file] if kind in found and (entry := ENTRY_FILE.match(file)):
                name = "/".join(names)
                found[kind][name] = max(int(entry[1]), found[kind].get(name, 0))
    return found


def _is_release(name: str) -> bool:
    return is_exact(name.partition("/")[2])
