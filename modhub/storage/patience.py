"""Connections of requests that end when an answer takes too long in all, not only when it pauses.

requests and urllib3 bound each wait for the next byte. A server that sends one byte whenever that wait is nearly over
can hold a reader for days, in the headers as well as in the body. Here a timer shuts the socket down instead.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import requests.adapters
import urllib3

from modhub.limits import ANSWER_SECONDS, SLOWEST_BYTES_PER_SECOND

#: Where an answer's socket is kept: http.client forgets it when the server closes the connection afterwards.
_SOCKET: Final = "_modhub_socket"


class TooSlow(Exception):
    """The server took longer than it may. Trying again would take as long once more."""


@dataclass(frozen=True)
class Patience:
    """``answer``: seconds until the headers of an answer are there; ``rate``: bytes a second of what follows."""

    answer: float = ANSWER_SECONDS
    rate: float = SLOWEST_BYTES_PER_SECOND

    @contextmanager
    def until_answered(self, current: Callable[[], socket.socket | None]) -> Iterator[None]:
        """Shut the socket down when the body takes longer than an answer may. Raises TooSlow."""
        with _ending(self.answer, current, f"its answer took more than {self.answer:g} seconds to begin"):
            yield

    def read(self, response: requests.Response, size: int) -> bytes:
        """Up to ``size`` bytes of the body, as the server sends them. Raises TooSlow."""
        seconds = self.answer + size / self.rate
        # Version 1 of urllib3 wraps the answer that has it.
        answers = (response.raw, getattr(response.raw, "_original_response", None))
        held = next((found for answer in answers if (found := getattr(answer, _SOCKET, None)) is not None), None)
        with _ending(seconds, lambda: held, f"it took more than {seconds:g} seconds for {size} bytes"):
            data: bytes = response.raw.read(size, decode_content=False)
            return data


def patient_session(patience: Patience) -> requests.Session:
    """A session all of whose connections have this patience."""
    session = requests.Session()
    for protocol in ("http://", "https://"):
        session.mount(protocol, _Adapter(patience))
    return session


class _Adapter(requests.adapters.HTTPAdapter):
    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._patience)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        # A SOCKS proxy brings pools of its own.
        if not type(manager).__module__.startswith("urllib3.contrib"):
            manager.pool_classes_by_scheme = _pools(self._patience)
        return manager


def _pools(patience: Patience) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = _patient(urllib3.HTTPConnectionPool.ConnectionCls, patience)

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = _patient(urllib3.HTTPSConnectionPool.ConnectionCls, patience)

    return {"http": Pool, "https": TlsPool}


def _patient(connection: Any, patience: Patience) -> Any:
    class PatientConnection(connection):  # type: ignore[misc]
        def connect(self) -> None:
            with patience.until_answered(lambda: self.sock):
                super().connect()

        def getresponse(self) -> Any:
            held = self.sock
            with patience.until_answered(lambda: held):
                response = super().getresponse()
            setattr(response, _SOCKET, held)
            return response

    return PatientConnection


@contextmanager
def _ending(seconds: float, current: Callable[[], socket.socket | None], reason: str) -> Iterator[None]:
    ended = threading.Event()

    def end() -> None:
        ended.set()
        with suppress(OSError, AttributeError):
            # Not the method of a TLS socket, which would take the layer away from under whoever is reading.
            socket.socket.shutdown(current(), socket.SHUT_RDWR)  # type: ignore[arg-type]

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if ended.is_set():
            raise TooSlow(reason) from error
        raise
    finally:
        timer.cancel()
    if ended.is_set():
        # A body without a length that was ended looks whole.
        raise TooSlow(reason)
