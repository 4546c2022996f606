"""Hearing what registries say against modules that somebody installs, has or looks at.

Light, because every installation asks: one small file a namespace and registry, which usually does not exist. What was
heard is kept in the cache, for when nobody can be asked. The models that read it are imported when there is something.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING

from modhub.errors import Incompatible, IntegrityError, NotFound, RegistryUnreachable
from modhub.installation.registries import is_starter
from modhub.limits import MAX_MANIFEST_BYTES
from modhub.registry.objects import get_object
from modhub.registry.reader import RegistryReader
from modhub.registry.unreachable import reachable
from modhub.spec.layout import notices_path
from modhub.storage.parallel import each

if TYPE_CHECKING:
    from modhub.advisories.matching import NoticeBoard, Remark
    from modhub.cache.cache import Cache
    from modhub.resolve.catalog import Pinned


@dataclass(frozen=True)
class HeardFile:
    """The notices of one namespace in one registry, as bytes, empty where nothing was ever said.

    ``age``: seconds since it was asked, None for now.

    ``source`` is that registry where it answered.
    """

    namespace: str
    registry: str
    data: bytes
    age: float | None = None
    source: RegistryReader | None = None

    @cached_property
    def board(self) -> NoticeBoard | None:
        """The file as it is read; None for one that cannot be believed."""
        if not self.data:
            return None
        found: NoticeBoard | None = _reading().board_of(self.data, self.namespace, self.registry)
        return found


def _reading() -> ModuleType:
    """What reads such a file, imported only where there is something to read."""
    from modhub.registry import notices

    return notices


def hear(registries: Sequence[RegistryReader], cache: Cache | None, namespaces: Iterable[str]) -> list[HeardFile]:
    """What registries, and where one does not answer, or none is asked, the cache, say of ``namespaces``.

    What is heard from a registry is kept in the cache, if one is given. Raises nothing that the network or a bad file
    is to blame for.
    """
    wanted = sorted(set(namespaces))
    asked = [(registry, namespace) for registry in reachable(registries) for namespace in wanted]
    at_once = max((registry.store.capabilities.parallel for registry, _ in asked), default=1)
    answers = each(lambda pair: _asked(*pair), asked, at_once=at_once)
    heard, spoke = [], set[tuple[str, str]]()
    for (registry, namespace), (answered, data) in zip(asked, answers, strict=True):
        if not answered:
            continue
        spoke.add((registry.url, namespace))
        if cache is not None and not is_starter(registry.url):
            cache.keep_notices(registry.url, namespace, data)
        if data is not None:
            heard.append(HeardFile(namespace, registry.url, data, None, registry))
    if cache is not None and (len(spoke) < len(registries) * len(wanted) or not registries):
        # Whoever does not answer may be known by another address, or have been copied.
        heard += _kept(cache, wanted, spoke)
    return heard


def heard_by_namespace(
    registries: Sequence[RegistryReader], cache: Cache | None, namespaces: Iterable[str]
) -> dict[str, list[HeardFile]]:
    """As ``hear``, apart for each namespace, also those of which nobody said anything."""
    wanted = set(namespaces)
    found: dict[str, list[HeardFile]] = {namespace: [] for namespace in wanted}
    for heard in hear(registries, cache, wanted) if wanted else ():
        found[heard.namespace].append(heard)
    return found


def _asked(registry: RegistryReader, namespace: str) -> tuple[bool, bytes | None]:
    """Whether a registry answered, and its file if it has one."""
    try:
        return True, get_object(registry.store, notices_path(namespace), max_bytes=MAX_MANIFEST_BYTES)
    except NotFound:
        return True, None
    except (RegistryUnreachable, IntegrityError):
        return False, None


def _kept(cache: Cache, namespaces: Sequence[str], spoke: set[tuple[str, str]]) -> list[HeardFile]:
    """What the cache has of those that did not answer now."""
    return [
        HeardFile(namespace, kept.registry, kept.data, kept.age)
        for namespace in namespaces
        for kept in cache.kept_notices(namespace)
        if (kept.registry, namespace) not in spoke
    ]


def remarks_on(heard: Sequence[HeardFile], pins: Sequence[Pinned]) -> list[Remark]:
    """What of it is about ``pins``, each once. A registry that answered is only believed about releases of the digest
    that it has itself, and where signatures are required, only what somebody signed who may say it."""
    if not heard:
        return []
    found: dict[tuple[str, str], Remark] = {}
    for each_file in heard:
        board = each_file.board
        if board is None:
            continue
        for pin in pins:
            if pin.ref.namespace == each_file.namespace:
                for remark in board.about(pin.ref):
                    if (remark.id, remark.subject) not in found and is_believed(each_file.source, pin, remark):
                        found[remark.id, remark.subject] = remark
    return list(found.values())


def kept_remarks(cache: Cache, pins: Sequence[Pinned]) -> list[Remark]:
    """What the cache has kept of what registries say against ``pins``, asking nobody."""
    return remarks_on(hear((), cache, {pin.ref.namespace for pin in pins}), pins)


def warn_of(remarks: Iterable[Remark], *, stacklevel: int) -> None:
    """Warn of advisories and deprecations, one line each; of what was yanked, resolving and unlocking warn."""
    for remark in remarks:
        if remark.kind in ("advisory", "deprecated"):
            warnings.warn(str(remark), stacklevel=stacklevel + 1)


def is_believed(source: RegistryReader | None, pin: Pinned, remark: Remark) -> bool:
    """Whether what a registry says is about this very release, and where signatures are required, said by somebody who
    may say it. Of a registry that did not answer that is unknown, and a warning too many does no harm."""
    if source is None or remark.kind == "deprecated":
        return True
    try:
        # Whose signature a release has says nothing of what it is.
        if RegistryReader(source.store).manifest(pin.ref.release).digest != pin.digest:
            return False
        if source.trust is None:
            return True
        if remark.advisory is not None:
            return bool(_reading().confirms_advisory(source, pin.ref.namespace, remark.advisory.id))
        yanked = source.withdrawal(pin.ref.release) is not None
        return yanked or pin.ref.cls in source.yanked_classes(pin.ref.release)
    except (NotFound, IntegrityError, Incompatible, RegistryUnreachable):
        return False
