"""What tests of the command line hold in their hands."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Stdout as the one JSON document that it has to be."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Workshop:
    """``net.keras``, ``train.npz``, ``test.npz``, ``images/``, ``net.modules``, and a registry with me/net@1.0.0."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def registry(self) -> str:
        return str(self.folder / "registry")


def plain_environment() -> dict[str, str]:
    """This process's environment as a person has it: TensorFlow not silenced by the tests, stdout buffered."""
    return {
        name: value for name, value in os.environ.items() if name not in ("TF_CPP_MIN_LOG_LEVEL", "PYTHONUNBUFFERED")
    }
