#!/usr/bin/env python3
"""How long the commands that need no network library take, and that they load none.

    python benchmarks/startup.py [--runs 7]

Each command is a process of its own against the starter registry; the yardstick, run in turn with it, is ``python -c
"import click, pydantic, fsspec"``. A first run does not count: it compiles everything to bytecode, as an installation
does, and fills the cache, which is what ``list`` and the second ``install`` are about.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import common
import report

COMMANDS = {
    "--help": ["--help"],
    "install": ["install", "cifar10/r56:cat"],
    "list": ["list"],
    "list --available": ["list", "--available"],
    "search": ["search", "cat"],
    "info": ["info", "cifar10/r56"],
}
YARDSTICK = [sys.executable, "-c", "import click, pydantic, fsspec"]
HEAVY = ("keras", "tensorflow", "jax", "torch")
WATCHED = (
    "import sys, runpy; sys.argv = ['modhub', *{arguments!r}]\n"
    "try: runpy.run_module('modhub', run_name='__main__')\n"
    "except SystemExit: pass\n"
    "print(sorted(set({heavy!r}) & set(sys.modules)), file=sys.stderr)"
)


def seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    arguments = common.parser(__doc__ or "", needs_data=False)
    arguments.add_argument("--runs", type=int, default=7)
    options = arguments.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "HOME": home,
            "MODHUB_CACHE": f"{home}/cache",
            "MODHUB_REGISTRY": "",
            "PYTHONPYCACHEPREFIX": f"{home}/bytecode",
        }
        seconds(YARDSTICK, environment)
        for name, command in COMMANDS.items():
            full = [sys.executable, "-m", "modhub", *command]
            seconds(full, environment)
            pairs = [(seconds(full, environment), seconds(YARDSTICK, environment)) for _ in range(options.runs)]
            code = WATCHED.format(arguments=command, heavy=HEAVY)
            watched = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
            loaded = watched.stderr.strip().splitlines()[-1]
            ratio = statistics.median(own / yard for own, yard in pairs)
            figures[name] = {"pairs": pairs, "ratio": ratio, "loaded": loaded}
    common.keep(options.out, "startup", figures)
    print(report.startup(figures))


if __name__ == "__main__":
    main()
