"""Writes an edit into the text of a project file: comments, order and formatting stay, only what differs changes.

What differs follows from two values, the file that the text says and the one that it is to say. The new text is read
again, and one that does not say exactly that is never returned (kind ``uneditable``). Tables are edited
through their bodies, because a key belongs behind the last key, and not behind the comments that lead to the next
table; each step parses the text again, because tomlkit finds no key that was put into a body.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from modhub.composition.recipe import Recipe, Stage
from modhub.project.manifest import ProjectFile, ScaleTable, read_project
from modhub.project.toml_edit import (
    Body,
    append,
    bodies_of,
    body_of,
    end_with_blank_line,
    key_like,
    last_body,
    remove_table,
    remove_tables,
    tables_of,
    uneditable,
    value_like,
)
from modhub.spec.text import composed

_Step = Callable[[TOMLDocument], None]


def new_text(name: str) -> str:
    """The text of a project without classes."""
    document = tomlkit.document()
    project = tomlkit.table()
    project.add("name", name)
    document.add("project", project)
    document.add(tomlkit.nl())
    document.add("classes", tomlkit.table())
    return tomlkit.dumps(document)


def rewritten(text: str, after: ProjectFile, comments: Mapping[str, str] | None = None) -> str:
    """``text`` changed to say ``after``; ``comments`` are written behind new classes, by label.

    Registries and short names come or go, classes and stages become those of the recipe; all else in ``after`` is what
    the text says. Raises UsageError, kind ``uneditable``.
    """
    before = read_project(text.encode())
    if _meaning(before) == _meaning(after):
        return text
    result = text if text.endswith("\n") or not text else text + "\n"
    try:
        for step in _steps(before, after, comments or {}):
            result = _stepped(result, step)
        tomllib.loads(result)
    except (TOMLKitError, AttributeError, KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise uneditable() from error
    if _meaning(read_project(result.encode())) != _meaning(after):
        raise uneditable()
    return result


def comments_of(text: str) -> dict[str, str]:
    """The comment behind each class, with its sign; without those that have none."""
    classes = tomlkit.parse(text).get("classes", {})
    found = {str(label): classes.item(label).trivia for label in classes} if classes else {}
    return {label: trivia.comment for label, trivia in found.items() if trivia.comment}


def _meaning(file: ProjectFile) -> object:
    """What a file says: the order of classes counts."""
    return file, list(file.classes.items())


def _stepped(text: str, step: _Step) -> str:
    document = tomlkit.parse(text)
    step(document)
    return tomlkit.dumps(document)


def _steps(before: ProjectFile, after: ProjectFile, comments: Mapping[str, str]) -> list[_Step]:
    """What is to be done, in order."""
    origins = _origins(before.recipe, after.recipe)
    kept, new = _kept_stages(before.recipe, after.recipe, origins)
    urls = after.project.registries[len(before.project.registries) :]
    models = {name: target for name, target in after.models.items() if name not in before.models}
    unused = before.models.keys() - after.models.keys()
    gone = {label for label, scale in before.scales.items() if after.scales.get(label) != scale}
    scales = {label: _inline(scale) for label, scale in after.scales.items() if before.scales.get(label) != scale}
    steps: list[tuple[object, _Step]] = [
        (urls, lambda document: _add_registries(document, urls)),
        (models, lambda document: _add_keys(document, "models", models, {})),
        (
            before.recipe.classes != after.recipe.classes,
            lambda document: _write_classes(document, before.recipe, after.recipe, origins, comments),
        ),
        (
            before.recipe.named_stages() != after.recipe.named_stages(),
            lambda document: _write_stages(document, kept),
        ),
        *((True, lambda document, at=at: _add_stage(document, *after.recipe.named_stages()[at])) for at in new),
        (unused, lambda document: _remove_keys(document, "models", unused)),
        (
            before.project.vote != after.project.vote,
            lambda document: _write_setting(document, "vote", after.project.vote),
        ),
        (gone, lambda document: _remove_keys(document, "scales", gone)),
        (scales, lambda document: _add_keys(document, "scales", scales, {})),
    ]
    return [step for needed, step in steps if needed]


def _origins(before: Recipe[str], after: Recipe[str]) -> list[int | None]:
    """For each class of ``after`` the column that it had in ``before``; None for a new one.

    The same class is one of the same label and module; then, in its place, one with another label or another module;
    then, anywhere, one of the same module, or else of the same label.
    """
    free = dict(enumerate(before.classes))
    found: list[int | None] = [None] * len(after.classes)

    def take(candidate: Callable[[int, str, str], int | None]) -> None:
        for column, (label, ref) in enumerate(after.classes):
            if found[column] is None and (origin := candidate(column, label, ref)) in free:
                found[column] = origin
                del free[origin]

    columns = {pair: column for column, pair in free.items()}
    take(lambda column, label, ref: columns.get((label, ref)))
    take(lambda column, label, ref: column if set(free.get(column, ())) & {label, ref} else None)
    by_ref = {ref: column for column, (_, ref) in free.items()}
    take(lambda column, label, ref: by_ref.get(ref))
    by_label = {label: column for column, (label, _) in free.items()}
    take(lambda column, label, ref: by_label.get(label))
    return found


def _kept_stages(
    before: Recipe[str], after: Recipe[str], origins: Sequence[int | None]
) -> tuple[dict[int, dict[int, str]], list[int]]:
    """The stages of ``before`` of which two classes or more stay: number -> position of each that stays -> its label.

    And the numbers of those in ``after`` that are new. New ones come after the others, so all that comes behind a new
    one is new too.
    """
    kept: dict[int, dict[int, str]] = {}
    start = 0
    wholes = [_pairs(stage) for stage in before.stages]
    for number, stage in enumerate(after.stages):
        pairs = [(origins[column], ref) for column, ref in zip(stage.columns, stage.modules, strict=True)]
        rest = range(start, len(wholes))
        found = next((at for at in rest if wholes[at] == pairs), None)
        if found is None:
            found = next((at for at in rest if _positions(pairs, wholes[at]) is not None), None)
        places = None if found is None else _positions(pairs, wholes[found])
        if found is None or places is None:
            return kept, list(range(number, len(after.stages)))
        kept[found] = dict(zip(places, (after.labels[column] for column in stage.columns), strict=True))
        start = found + 1
    return kept, []


def _pairs(stage: Stage[str]) -> list[tuple[int | None, str]]:
    return list(zip(stage.columns, stage.modules, strict=True))


def _positions(pairs: Sequence[tuple[int | None, str]], whole: Sequence[tuple[int | None, str]]) -> list[int] | None:
    """Where in ``whole`` the ``pairs`` are, when it has all of them in their order."""
    found: list[int] = []
    for pair in pairs:
        start = found[-1] + 1 if found else 0
        if pair not in whole[start:]:
            return None
        found.append(whole.index(pair, start))
    return found


def _add_registries(document: TOMLDocument, urls: Sequence[str]) -> None:
    project: Any = document["project"]
    if "registries" in project:
        project["registries"].extend(urls)
    else:
        append(body_of(document, "project"), "registries", list(urls))


def _write_setting(document: TOMLDocument, name: str, value: str) -> None:
    bodies = bodies_of(document, "project")
    for body in bodies:
        for position, (key, item) in enumerate(body):
            if key is not None and key.key == name:
                body[position] = (key, value_like(item, value))
                return
    append(bodies[-1], name, value)


def _inline(scale: ScaleTable) -> InlineTable:
    table = tomlkit.inline_table()
    table.update({"threshold": scale.threshold, "scale": scale.scale})
    return table


def _add_keys(document: TOMLDocument, table: str, values: Mapping[str, Any], comments: Mapping[str, str]) -> None:
    body = body_of(document, table)
    for name, value in values.items():
        append(body, name, value, comments.get(name, ""))


def _remove_keys(document: TOMLDocument, table: str, names: set[str]) -> None:
    body = body_of(document, table)
    body[:] = [(key, item) for key, item in body if key is None or key.key not in names]
    if not any(key for key, _ in body):
        remove_table(document, table)


def _write_classes(
    document: TOMLDocument,
    before: Recipe[str],
    after: Recipe[str],
    origins: Sequence[int | None],
    comments: Mapping[str, str],
) -> None:
    bodies = bodies_of(document, "classes")
    lines = {key.key: (key, item) for body in bodies for key, item in body if key is not None}
    noted = {composed(label): comment for label, comment in comments.items()}
    entries: Body = []
    slots: set[int] = set()
    for (label, ref), origin in zip(after.classes, origins, strict=True):
        if origin is None:
            key, item = append(bodies[-1], label, ref, noted.get(label, ""))
        else:
            key, item = lines[before.labels[origin]]
        slots.add(id(item))
        old = (label, ref) if origin is None else before.classes[origin]
        entries.append(
            (key if label == old[0] else key_like(key, label), item if ref == old[1] else value_like(item, ref))
        )
    order = iter(entries)
    # Comments keep their places; a class takes the place of another where the order changes.
    for body in bodies:
        body[:] = [pair if pair[0] is None else next(order) for pair in body if pair[0] is None or id(pair[1]) in slots]


def _write_stages(document: TOMLDocument, kept: Mapping[int, Mapping[int, str]]) -> None:
    """Leave the stages ``kept``, as ``_kept_stages`` gives them, and of each the positions that stay."""
    tables = tables_of(document, "verify")
    for number, names in kept.items():
        classes, modules = tables[number]["classes"], tables[number]["modules"]
        for position in reversed(range(len(classes))):
            if position not in names:
                del classes[position]
                del modules[position]
            elif composed(str(classes[position])) != composed(names[position]):
                classes[position] = names[position]
    remove_tables(document, "verify", [number for number in range(len(tables)) if number not in kept])


def _add_stage(document: TOMLDocument, classes: Sequence[str], modules: Sequence[str]) -> None:
    stage = tomlkit.table()
    stage.add("classes", list(classes))
    stage.add("modules", list(modules))
    if "verify" in document:
        stages: Any = document["verify"]
        end_with_blank_line(stages.body[-1].value.body)
        stages.append(stage)
        return
    if document.body and document.as_string().strip():
        end_with_blank_line(last_body(document.body))
    stages = tomlkit.aot()
    stages.append(stage)
    document.body.append((tomlkit.key("verify"), stages))
