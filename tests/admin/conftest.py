"""Makes importable the helpers beside these tests, the synthetic releases and the servers; empties memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "registry"), str(HERE)]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Every listing of a store in memory passes over all that are in memory."""
    yield
    MemoryFileSystem.store.clear()
