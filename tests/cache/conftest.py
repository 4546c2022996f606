"""Makes the synthetic releases importable, and gives each test a registry, a cache and the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]


@pytest.fixture
def cache(tmp_path):
    from modhub.cache.cache import Cache

    return Cache(tmp_path / "cache")


@pytest.fixture
def registry(tmp_path):
    """me/net@1.0.0 with cat, dog and potter's wheel, and the alias n for it."""
    from synthetic import release

    from modhub.registry.writer import Registry
    from modhub.storage.local import LocalStore

    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(*release())
    registry.set_alias("n", "me/net")
    return registry


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run a command in this process, with the test's own cache."""
    from caches import Ran

    from modhub.cli import main

    monkeypatch.setenv("MODHUB_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run
