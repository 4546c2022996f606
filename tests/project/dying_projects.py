"""What processes do to projects until they are killed; in a module of its own because each of them imports it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from modhub.project.project import Project
from modhub.project.session import ProjectOptions

COMMANDS: dict[str, Callable[[Project], Any]] = {
    "new": lambda project: Project.new(
        project.folder, ["me/net:cat@^1", "me/two:bird"], registry=project.options.registry, cache=project.options.cache
    ),
    "new without classes": lambda project: Project.new(project.folder, registry=project.options.registry),
    "add": lambda project: project.add("me/net:potters-wheel@^1"),
    "add with a label": lambda project: project.add("me/two:dog", label="hound"),
    "remove": lambda project: project.remove("cat"),
    "remove all": lambda project: project.remove("cat", "dog", "bird"),
    "swap": lambda project: project.swap({"cat": "me/two:cat"}),
    "rename": lambda project: project.rename({"cat": "dog", "dog": "cat"}),
    "restrict": lambda project: project.restrict(["bird", "cat"]),
    "verify-with": lambda project: project.verify_with({("cat", "dog"): ["me/two:cat", "me/two:dog"]}),
    "merge": lambda project: project.merge(project.folder.parent / "other"),
    "upgrade": lambda project: project.upgrade(),
    "lock": lambda project: project.lock(),
    "sync": lambda project: project.sync(),
}


def act(command: str, folder: str, registry: str, cache: str) -> None:
    COMMANDS[command](Project(Path(folder), ProjectOptions(registry, cache)))


def build(folder: str, out: str, registry: str) -> None:
    Project(Path(folder), ProjectOptions(registry)).build(out)
