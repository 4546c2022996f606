"""An environment in which Keras is installed and no backend is: links to everything else that is installed here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = ("tensorflow", "jax", "torch")

#: Runs each command of standard input in one process; prints its arguments, exit code and last line on stderr.
COMMANDS = """
import contextlib, importlib.util, io, json, sys
from modhub.cli import main
assert not [name for name in {backends!r} if importlib.util.find_spec(name)]
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(json.loads(line))
    print("DONE", json.dumps([code, (err.getvalue().splitlines() or [""])[-1]]))
"""


@dataclass(frozen=True)
class Environment:
    """Folders for Python's path, in which no backend of Keras' lies except those that were wanted."""

    path: Path

    def python(self, code: str, *, stdin: str = "", folder: Path, **variables: str) -> str:
        """What a process prints that sees this environment alone."""
        own = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "KERAS_HOME")}
        done = subprocess.run(
            [sys.executable, "-S", "-c", code],
            input=stdin,
            env=own | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, self.path)))} | variables,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def commands(self, commands: list[list[str]], folder: Path) -> list[tuple[int, dict[str, Any]]]:
        """The exit code of each command and, where it failed, its error."""
        lines = [json.dumps([*command, "--json"]) for command in commands]
        code = COMMANDS.format(backends=BACKENDS)
        printed = self.python(code, stdin="\n".join(lines), folder=folder)
        found = [json.loads(line[5:]) for line in printed.splitlines() if line.startswith("DONE ")]
        assert len(found) == len(commands), printed
        return [(code, json.loads(error) if code else {}) for code, error in found]


def environment_without_backends(folder: Path) -> Environment:
    """Links in ``folder`` to all that is installed but Keras' backends."""
    for name in ("purelib", "platlib"):
        for entry in Path(sysconfig.get_path(name)).iterdir():
            link = folder / entry.name
            if not entry.name.startswith((*BACKENDS, "__")) and entry.suffix != ".pth" and not link.is_symlink():
                link.symlink_to(entry)
    return Environment(folder)
