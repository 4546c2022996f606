"""Write what completion knows of the command line, so that it need not load the commands: modhub/cli/completions.json.

    python scripts/build_completions.py             write it
    python scripts/build_completions.py --check     exit code 1 when it is not what would be written

Loading the commands takes longer than a person waits for a completion. tests/test_structure.py compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
TABLE = ROOT / "modhub" / "cli" / "completions.json"

#: What a value is, by what stands for it in the help. The first that is part of it counts.
KINDS = (
    ("=REF", "label=ref"),
    ("LABEL", "label"),
    ("OLD=NEW", "label"),
    ("REF", "ref"),
    ("WHAT", "ref"),
    ("OTHER", "ref"),
    ("NAMESPACE/MODEL[", "ref"),
    ("NAMESPACE/MODEL@", "ref"),
    ("URL", "registry"),
    ("SRC", "registry"),
    ("DST", "registry"),
    ("KEY", "key"),
    ("COMMAND", "command"),
    ("DATA", "file"),
    ("PATH", "file"),
    ("IMAGE", "file"),
    ("FILE", "file"),
)
#: Arguments of which the help says no more than a name.
NAMED = {
    ("info", "ref"): "ref",
    ("alias set", "target"): "model",
    ("alias set", "name"): "",
    ("alias remove", "name"): "alias",
    ("alias log", "name"): "alias",
    ("config get", "name"): "setting",
    ("config set", "name"): "setting",
    ("config unset", "name"): "setting",
}


def kind(parameter: click.Parameter, path: str) -> str | list[str]:
    """What completes a value: its choices, or a kind that ``modhub.cli.completing`` knows; nothing for free text."""
    if isinstance(parameter.type, click.Choice):
        return list(map(str, parameter.type.choices))
    if isinstance(parameter.type, click.Path):
        return "file"
    if (path, parameter.name) in NAMED:
        return NAMED[path, str(parameter.name)]
    shown = parameter.metavar or ""
    return next((kind for part, kind in KINDS if part in shown), "")


def described(command: click.Command, path: str) -> dict[str, Any]:
    """One command's options and arguments, in the order of its help."""
    options: dict[str, Any] = {"--help": ["", False, "Show this message and exit."]}
    arguments = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            arguments.append([kind(parameter, path), parameter.nargs == -1])
            continue
        assert isinstance(parameter, click.Option)
        takes = not (parameter.is_flag or parameter.count)
        for option in (*parameter.opts, *parameter.secondary_opts):
            options[option] = [kind(parameter, path) if takes else "", takes, (parameter.help or "").partition(". ")[0]]
    return {"options": options, "arguments": arguments}


def table() -> dict[str, Any]:
    """Every command by its path, ``""`` for modhub itself: what it is for, options, arguments, commands below it."""
    from modhub.cli.root import root

    found: dict[str, Any] = {}

    def add(command: click.Command, path: str) -> None:
        found[path] = described(command, path)
        if isinstance(command, click.Group):
            context = click.Context(command)
            names = command.list_commands(context)
            below = {name: command.get_command(context, name) for name in names}
            found[path]["commands"] = {
                name: each.get_short_help_str(90) for name, each in below.items() if each is not None
            }
            for name, each in below.items():
                assert each is not None
                add(each, f"{path} {name}".strip())

    add(root, "")
    return found


def text() -> str:
    """The file's content: a command a line."""
    rows = [f"{json.dumps(path)}: {json.dumps(entry)}" for path, entry in table().items()]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true")
    given = options.parse_args()
    current = text()
    if given.check:
        return int(not TABLE.is_file() or TABLE.read_text() != current)
    TABLE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(main())
