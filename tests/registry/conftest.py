"""Makes the synthetic releases and the servers importable; one S3 server serves all tests of a process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]


@pytest.fixture(scope="session")
def s3():
    """A moto server; each test takes a bucket or a prefix of its own."""
    from servers import s3_server

    with s3_server() as server:
        yield server


@pytest.fixture
def aws(s3, monkeypatch):
    """``s3``, with an environment in which every client finds it."""
    from servers import aws_environment

    for name, value in aws_environment(s3.endpoint).items():
        monkeypatch.setenv(name, value)
    return s3
