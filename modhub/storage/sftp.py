"""fsspec's SFTP file system, but with hosts that are known: fsspec's own trusts any key that a host presents."""

from __future__ import annotations

import socket

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem


class UnknownHost(paramiko.SSHException):  # type: ignore[misc]
    """The host's key is not in ``~/.ssh/known_hosts``."""


class CheckedSFTP(SFTPFileSystem):  # type: ignore[misc]
    """Connects only to hosts whose keys stand in ``~/.ssh/known_hosts``, as ssh does."""

    def _connect(self) -> None:
        self.client = paramiko.SSHClient()
        self.client.load_system_host_keys()
        self.client.set_missing_host_key_policy(_Refuse())
        self.client.connect(self.host, **self.ssh_kwargs)
        connection = self.client.get_transport().sock
        if isinstance(connection, socket.socket):
            # Every piece waits for its answer: held back by the kernel, each would cost 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ftp = self.client.open_sftp()


class _Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise UnknownHost(f"the key {key.get_name()} {key.fingerprint} of {hostname} is not in ~/.ssh/known_hosts")
