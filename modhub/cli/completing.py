"""What completes a command line, in far less than the time in which a person notices.

No command is loaded: what there is of options stands in ``completions.json``. Names of models, classes, registries and
keys come from files on this machine, see ``modhub.cli.known_names``; nothing here asks a network.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modhub.cli import known_names

#: The variable that asks for completions instead of running a command; its value is the shell.
ASKED: Final = "_MODHUB_COMPLETE"
#: What a shell's script takes as a request for names of files.
FILES: Final = "<files>"
_TABLE: Final = Path(__file__).with_name("completions.json")


@dataclass
class _Line:
    """What was typed so far: the command, options with their values, arguments; and what the last word is to be."""

    path: str
    entry: Mapping[str, Any]
    values: dict[str, list[str]] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    #: The option whose value the last word is.
    option: str | None = None
    only_arguments: bool = False


def answer(shell: str, words: Sequence[str]) -> int:
    """Print the completions of a command line, one a line, as the scripts of ``modhub.cli.shells`` read them."""
    try:
        if shell == "bash":
            # One text, up to the cursor: bash's own words end at colons, which names are full of.
            words = _split(words[0] if words else "")
        found = completions(words[1:] or [""])
        lines = [_for_bash(value, words[-1]) for value, _ in found] if shell == "bash" else _with_help(found)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    except Exception:
        # In the middle of somebody's typing there is no place for a message.
        return 1
    return 0


def completions(words: Sequence[str]) -> list[tuple[str, str]]:
    """What the last of the words behind ``modhub`` may become, each with a short description."""
    table = json.loads(_TABLE.read_bytes())
    *before, last = words
    line = _read(table, before)
    if line.option is None and not line.only_arguments and last.startswith("--") and "=" in last:
        option, _, value = last.partition("=")
        kind, takes, _ = line.entry["options"].get(option, ("", False, ""))
        return [(f"{option}={text}", help_) for text, help_ in _values(kind, value, line, table) if takes]
    if line.option is not None:
        return _values(line.entry["options"][line.option][0], last, line, table)
    if last.startswith("-") and not line.only_arguments:
        options = line.entry["options"].items()
        return [(name, help_) for name, (_, _, help_) in options if name.startswith(last) and name.startswith("--")]
    if "commands" in line.entry:
        return _beginning(last, line.entry["commands"].items())
    kinds = line.entry["arguments"]
    number = len(line.arguments)
    if number >= len(kinds) and not (kinds and kinds[-1][1]):
        return []
    return _values(kinds[min(number, len(kinds) - 1)][0], last, line, table)


def _read(table: Mapping[str, Any], words: Sequence[str]) -> _Line:
    line = _Line("", table[""])
    for word in words:
        if line.option is not None:
            line.values.setdefault(line.option, []).append(word)
            line.option = None
        elif word == "--" and not line.only_arguments:
            line.only_arguments = True
        elif word.startswith("-") and len(word) > 1 and not line.only_arguments:
            option, equals, value = word.partition("=")
            _, takes, _ = line.entry["options"].get(option, ("", False, ""))
            if takes and equals:
                line.values.setdefault(option, []).append(value)
            elif takes:
                line.option = option
        elif word in line.entry.get("commands", ()):
            path = f"{line.path} {word}".strip()
            line = _Line(path, table[path])
        else:
            line.arguments.append(word)
    return line


def _values(kind: str | list[str], last: str, line: _Line, table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a value of this kind may be that begins with what was typed."""
    if isinstance(kind, list):
        return _beginning(last, ((choice, "") for choice in kind))
    if kind == "file":
        return [(FILES, "")]
    known = known_names.Known(line.values.get("--cache", [None])[-1], line.values.get("--registry", []))
    if kind == "command":
        path = " ".join(line.arguments)
        return _beginning(last, table.get(path, {}).get("commands", {}).items())
    if kind in ("ref", "model"):
        found = known.refs(last) if kind == "ref" else known.models(last)
        # A folder of modules has its name where a release has it.
        return found or ([(FILES, "")] if kind == "ref" else [])
    if kind == "label=ref":
        label, equals, ref = last.rpartition("=")
        if equals:
            return [(f"{label}={text}", help_) for text, help_ in known.refs(ref)]
        return [(f"{text}=", help_) for text, help_ in _labels(known, line, last)]
    if kind == "label":
        return _labels(known, line, last)
    if kind == "registry":
        return _beginning(last, known.registries()) or [(FILES, "")]
    names: dict[str, Iterable[tuple[str, str]]] = {
        "key": known.own_keys() if kind == "key" else (),
        "alias": known.aliases().items() if kind == "alias" else (),
        "setting": known.settings() if kind == "setting" else (),
    }
    return _beginning(last, names.get(kind, ()))


def _labels(known: known_names.Known, line: _Line, last: str) -> list[tuple[str, str]]:
    """Classes of the names that the line has, else of the project here."""
    has_refs = any(kind == "ref" for kind, _ in line.entry["arguments"])
    refs = line.arguments if has_refs else []
    # Labels are separated by commas, where several are one word.
    done, comma, open_ = last.rpartition(",")
    found = known.classes_of(refs) if refs else known.project_labels()
    return [(f"{done}{comma}{text}", help_) for text, help_ in _beginning(open_, found)]


def _beginning(last: str, found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(value, help_) for value, help_ in found if value.startswith(last)]


def _with_help(found: Iterable[tuple[str, str]]) -> list[str]:
    """A tab before the description; names come from registries, so what steers a terminal goes."""
    lines = [f"{value}\t{help_}" if help_ else value for value, help_ in found]
    return ["".join(c for c in line if c.isprintable() or c == "\t") for line in lines]


def _split(text: str) -> list[str]:
    """A command line up to the cursor as words; a quote that is still open is closed."""
    for closing in ("", '"', "'"):
        try:
            words = shlex.split(text + closing)
        except ValueError:
            continue
        return [*words, ""] if not text or (text[-1].isspace() and not closing) else words
    return text.split()


def _for_bash(value: str, last: str) -> str:
    """Without what bash takes for words before the one that it completes."""
    breaks = os.environ.get("COMP_WORDBREAKS", " \t\n\"'><=;|&(:")
    cut = max(last.rfind(mark) for mark in ":=" if mark in breaks) if any(mark in breaks for mark in ":=") else -1
    text = value[cut + 1 :] if value.startswith(last[: cut + 1]) else value
    return text if value == FILES else "".join(c for c in text if c.isprintable())
