"""The demonstration's data and one trained network of each origin, shared by the whole session."""

from __future__ import annotations

from typing import Any

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


@pytest.fixture(scope="session")
def digits_network(digits: Splits) -> Any:
    from modhub.engine.training import train_small_cnn

    return train_small_cnn(digits.train, seed=0)


@pytest.fixture(scope="session")
def letters_network(letters: Splits) -> Any:
    from modhub.engine.training import train_small_cnn

    return train_small_cnn(letters.train, seed=0)
