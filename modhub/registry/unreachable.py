"""Stands in for a registry that did not answer, so that others can be searched: only who needs it gets its error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NoReturn

from modhub.errors import RegistryUnreachable
from modhub.registry.reader import RegistryReader
from modhub.signing.policy import Trust
from modhub.spec.url import RegistryUrl
from modhub.storage.store import Capabilities, Payload


class UnreachableRegistry(RegistryReader):
    """Every question is answered with the error of the first attempt; nobody waits for the host again."""

    def __init__(self, url: RegistryUrl, error: RegistryUnreachable, *, trust: Trust | None = None) -> None:
        super().__init__(UnreachableStore(url, error), trust=trust)
        self.error = error


class UnreachableStore:
    """The store of such a registry."""

    capabilities = Capabilities(writable=False, exclusive_create=False, why_not="it cannot be reached")

    def __init__(self, url: RegistryUrl, error: RegistryUnreachable) -> None:
        self.url = url
        self._error = error

    def get(self, path: str, *, max_bytes: int) -> bytes:
        self._refuse()

    def stream(self, path: str, *, max_bytes: int) -> Iterator[bytes]:
        self._refuse()

    def put_if_absent(self, path: str, data: Payload) -> bool:
        self._refuse()

    def put_all(self, objects: Mapping[str, Payload]) -> dict[str, bool]:
        self._refuse()

    def replace(self, path: str, data: Payload) -> None:
        self._refuse()

    def delete(self, path: str) -> None:
        self._refuse()

    def exists(self, path: str) -> bool:
        self._refuse()

    def answers_for_missing(self, path: str) -> bool:
        return False

    def list(self, prefix: str) -> list[str]:
        self._refuse()

    def modified(self, path: str) -> datetime:
        self._refuse()

    def sweep(self, before: datetime) -> int:
        self._refuse()

    def _refuse(self) -> NoReturn:
        known = self._error
        raise RegistryUnreachable(known.message, kind=known.kind, hint=known.hint, **known.data) from known


def reachable(registries: Iterable[RegistryReader]) -> list[RegistryReader]:
    """Those that answered, for what asks all of them."""
    return [each for each in registries if not isinstance(each, UnreachableRegistry)]
