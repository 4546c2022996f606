"""Which library Keras computes with, and whether it is installed: Keras itself answers with a traceback from inside."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Final

from modhub.errors import UsageError, shown

#: Keras's backends, and the package of each.
_PACKAGES: Final = {
    "tensorflow": "tensorflow",
    "jax": "jax",
    "torch": "torch",
    "openvino": "openvino",
    "numpy": "numpy",
}


def require_keras_backend() -> None:
    """Raise UsageError, kind ``missing-backend``, where Keras could not use the backend that was chosen."""
    name, said = _chosen()
    if name not in _PACKAGES:
        raise UsageError(
            f"{said} is {shown(name)}, which is no backend of Keras.",
            kind="missing-backend",
            hint=f"set it to {', '.join(list(_PACKAGES)[:3])}, or leave it out for tensorflow.",
            backend=name,
        )
    if importlib.util.find_spec(_PACKAGES[name]) is None:
        raise UsageError(
            f"{said} is {name!r}, but {_PACKAGES[name]} is not installed.",
            kind="missing-backend",
            hint=f"pip install {_PACKAGES[name]}"
            + ("" if name == "tensorflow" else f", or leave {said} out for tensorflow."),
            backend=name,
        )


def _chosen() -> tuple[str, str]:
    """The backend that Keras will take, and what says so."""
    # As keras.src.backend.config does.
    if name := os.environ.get("KERAS_BACKEND"):
        return name, "KERAS_BACKEND"
    home = os.environ.get("KERAS_HOME")
    file = (Path(home) if home else Path.home() / ".keras") / "keras.json"
    try:
        name = json.loads(file.read_bytes()).get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError, RuntimeError):
        name = "tensorflow"
    return str(name), f'"backend" in {file}'
