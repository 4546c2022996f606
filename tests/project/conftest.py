"""A registry of small releases, and a project of some of their classes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """me/net 1.0.0, 1.1.0 and 2.0.0 with cat, dog and potter's wheel; me/two 1.0.0 with cat, dog and bird."""
    from synthetic import release

    from modhub.registry.writer import Registry
    from modhub.storage.urls import open_store

    root = tmp_path_factory.mktemp("published") / "registry"
    registry = Registry(open_store(str(root)))
    for number, version in enumerate(("1.0.0", "1.1.0", "2.0.0")):
        registry.publish(*release(version=version, seed=number))
    registry.publish(*release("me/two", seed=7, classes=("cat", "dog", "bird")))
    return root


@pytest.fixture
def registry(tmp_path, published):
    """A copy of ``published``, to which a test may publish more."""
    from modhub.registry.writer import Registry
    from modhub.storage.urls import open_store

    shutil.copytree(published, tmp_path / "registry")
    return Registry(open_store(str(tmp_path / "registry")))


@pytest.fixture
def project(tmp_path, registry):
    """cat and dog of me/net 1, bird of me/two."""
    from modhub import Project

    refs = ["me/net:cat@^1", "me/net:dog@^1", "me/two:bird"]
    return Project.new(tmp_path / "pets", refs, registry=registry.url)


@pytest.fixture
def run(capsys):
    """A command's exit code, and what it printed on stdout and stderr."""
    from modhub.cli import main

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run
