"""Sites of the starter registry, and of one that has little of everything, each built once."""

from __future__ import annotations

from pathlib import Path

import pytest

import modhub
from modhub.installation.registries import STARTER_FOLDER


@pytest.fixture(scope="session")
def starter_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sites") / "starter"
    modhub.build_site(folder, registry=str(STARTER_FOLDER), title="Starter")
    return folder
