"""The demonstration's data, shared by the whole session."""

from __future__ import annotations

import pytest

from modhub.demo.digits import load_digits
from modhub.demo.letters import load_letters
from modhub.demo.raster import Splits


@pytest.fixture(scope="session")
def digits() -> Splits:
    return load_digits()


@pytest.fixture(scope="session")
def letters() -> Splits:
    return load_letters()
