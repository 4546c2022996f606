"""Shared fixtures: a home of its own for every test, and the trained networks and images where they are to be had."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared: how long an example takes says nothing.
settings.register_profile("modhub", deadline=None)
settings.load_profile("modhub")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

#: What the test suite's own settings are called; all others are the user's.
OURS = {"MODHUB_FUZZ_EXAMPLES", "MODHUB_TESTS"}

#: What runs on every backend of Keras': ``KERAS_BACKEND=jax pytest``. All else is tested on TensorFlow alone.
ON_EVERY_BACKEND = {
    "tests/decomposition/test_fixed_networks.py",
    "tests/engine/test_fused.py",
    "tests/engine/test_networks_without_relu.py",
    "tests/engine/test_running.py",
}

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the files that another backend than TensorFlow is not tested by; they need not even be imported."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    file = collection_path.relative_to(Path(__file__).parents[1]).as_posix()
    is_left_out = backend != "tensorflow" and collection_path.suffix == ".py" and file not in ON_EVERY_BACKEND
    return True if is_left_out else None


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, so that no test reads or writes the configuration, cache or registry of the user who runs it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    for name in [name for name in os.environ if name.startswith(("MODHUB_", "AWS_")) and name not in OURS]:
        monkeypatch.delenv(name)
    return home


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of trained networks; skips where it is not."""
    folder = SHARED / "models"
    if not folder.is_dir():
        pytest.skip("the trained networks (../shared/models) are not here")
    return folder


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with NAME_train.npz and NAME_test.npz of the CIFAR subsets; skips where they are not.

    Unpacked once a run, whichever worker comes first.
    """
    script = SHARED / "data" / "unpack.py"
    if not script.is_file():
        pytest.skip("the image subsets (../shared/data) are not here")
    import importlib.util

    spec = importlib.util.spec_from_file_location("unpack", script)
    assert spec is not None
    assert spec.loader is not None
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "images"
    out.mkdir(exist_ok=True)
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("cifar10", "cifar100"):
            module.unpack(name, out)
    return out
