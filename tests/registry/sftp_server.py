"""An SFTP server on loopback over a folder, for one client key, as paramiko lets one be written."""

from __future__ import annotations

import os
import socket
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
from paramiko import SFTP_OK, SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface
from servers import LOOPBACK, serving


@contextmanager
def sftp_server(folder: Path, home: Path) -> Iterator[tuple[str, list[paramiko.Transport]]]:
    """Serve ``folder`` as ``/``; gives the URL and its connections.

    ``home`` gets the client's key and knows the host, as after a login with ``ssh``.
    """
    host_key, client_key = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    (home / ".ssh").mkdir(mode=0o700)
    client_key.write_private_key_file(str(home / ".ssh" / "id_ecdsa"))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(self.request)
            self.server.connections.append(transport)  # type: ignore[attr-defined]
            transport.add_server_key(host_key)
            transport.set_subsystem_handler("sftp", SFTPServer, _Folder, root=folder)
            transport.start_server(server=_Door(client_key))
            transport.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None: ...

    server = Server((LOOPBACK, 0), Handler)
    server.connections = []  # type: ignore[attr-defined]
    with serving(server) as port:
        known = f"[{LOOPBACK}]:{port} {host_key.get_name()} {host_key.get_base64()}\n"
        (home / ".ssh" / "known_hosts").write_text(known)
        yield f"sftp://me@{LOOPBACK}:{port}", server.connections  # type: ignore[attr-defined]
        for transport in server.connections:  # type: ignore[attr-defined]
            transport.close()


class _Door(paramiko.ServerInterface):
    def __init__(self, key: paramiko.PKey) -> None:
        self._key = key

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self._key else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


def _told(work: Callable[[], Any]) -> Any:
    try:
        found = work()
    except OSError as error:
        return SFTPServer.convert_errno(error.errno)
    return SFTP_OK if found is None else found


class _Folder(SFTPServerInterface):
    def __init__(self, server: Any, *, root: Path) -> None:
        self._root = root

    def _real(self, path: str) -> Path:
        return self._root / self.canonicalize(path).lstrip("/")

    def list_folder(self, path: str) -> Any:
        def entries() -> list[SFTPAttributes]:
            return [SFTPAttributes.from_stat(item.lstat(), item.name) for item in self._real(path).iterdir()]

        return _told(entries)

    def stat(self, path: str) -> Any:
        return _told(lambda: SFTPAttributes.from_stat(self._real(path).stat()))

    lstat = stat

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> Any:
        def handle() -> SFTPHandle:
            found = SFTPHandle(flags)
            writes = flags & (os.O_WRONLY | os.O_RDWR)
            file = os.fdopen(os.open(self._real(path), flags, 0o644), "r+b" if writes else "rb")
            found.readfile = found.writefile = file  # type: ignore[attr-defined]
            return found

        return _told(handle)

    def remove(self, path: str) -> Any:
        return _told(lambda: self._real(path).unlink())

    def rename(self, oldpath: str, newpath: str) -> Any:
        return _told(lambda: self._real(oldpath).rename(self._real(newpath)) and None)

    posix_rename = rename

    def mkdir(self, path: str, attr: SFTPAttributes) -> Any:
        return _told(lambda: self._real(path).mkdir())

    def rmdir(self, path: str) -> Any:
        return _told(lambda: self._real(path).rmdir())
