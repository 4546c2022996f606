"""Whether Keras is installed, in a version that will do, and which library it computes with, and that one too.

Keras itself answers with a traceback from inside.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from modhub.errors import UsageError, shown

#: Keras's backends that modhub runs on, in the order in which an installed one is chosen where nobody says which.
BACKENDS: Final = ("tensorflow", "jax", "torch")
#: Older ones lack operations that the engine is made of; pyproject.toml says the same.
OLDEST_KERAS: Final = (3, 9)
_VARIABLE: Final = "KERAS_BACKEND"


def require_keras_backend() -> None:
    """Raise UsageError, kind ``missing-backend``, where Keras is missing or could not use the backend that was chosen.

    Kind ``unsupported-keras`` for one that is too old. Where nothing was chosen, tensorflow is; where it is not
    installed and another backend is, that one.
    """
    _check_version()
    loaded = sys.modules.get("keras")
    name, said = _chosen() if loaded is None else (loaded.config.backend(), "Keras' backend")
    if name not in BACKENDS:
        raise UsageError(
            f"{said} is {shown(name)}; modhub runs on {', '.join(BACKENDS)}.",
            kind="missing-backend",
            hint=f"set it to one of them, or leave it out for {BACKENDS[0]}.",
            backend=name,
        )
    if loaded is not None or is_installed(name):
        return
    if said and name != BACKENDS[0]:
        raise UsageError(
            f"{said} is {name!r}, but {name} is not installed.",
            kind="missing-backend",
            hint=f"{install_line(name)}, or leave {said} out for {BACKENDS[0]}.",
            backend=name,
        )
    others = [each for each in BACKENDS if is_installed(each)]
    # Keras writes its default into its file by itself, so that only the variable is somebody's choice of tensorflow.
    if said == _VARIABLE or not others:
        raise _missing(f"Keras needs {name}", f", or set {_VARIABLE}={others[0]}" if others else None)
    os.environ[_VARIABLE] = others[0]


def _check_version() -> None:
    try:
        found = version("keras")
    except PackageNotFoundError:
        if is_installed("keras"):
            return
        raise _missing("modhub needs Keras") from None
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < OLDEST_KERAS:
        raise UsageError(
            f"Keras {found} is installed; modhub works with {'.'.join(map(str, OLDEST_KERAS))} and newer.",
            kind="unsupported-keras",
            hint="pip install --upgrade 'modhub[keras]'",
            version=found,
        )


def _missing(what: str, otherwise: str | None = None) -> UsageError:
    first, *others = BACKENDS
    return UsageError(
        f"this runs a network, for which {what}, and it is not installed.",
        kind="missing-backend",
        hint=install_line(first)
        + (otherwise or f" (or {' or '.join(f'modhub[{each}]' for each in others)}); all else works without")
        + ".",
        backend=first,
    )


def is_installed(backend: str) -> bool:
    """Whether a backend can be imported."""
    return importlib.util.find_spec(backend) is not None


def install_line(backend: str) -> str:
    """What installs a backend."""
    return f"pip install 'modhub[{backend}]'"


def _chosen() -> tuple[str, str]:
    """The backend that Keras will take, and what says so; nothing does where it is Keras' own choice."""
    # As keras.src.backend.config does.
    if name := os.environ.get(_VARIABLE):
        return name, _VARIABLE
    home = os.environ.get("KERAS_HOME")
    file = (Path(home) if home else Path.home() / ".keras") / "keras.json"
    try:
        return str(json.loads(file.read_bytes()).get("backend", BACKENDS[0])), f'"backend" in {file}'
    except (OSError, ValueError, AttributeError, RuntimeError):
        return BACKENDS[0], ""
