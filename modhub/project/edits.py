"""Edits of a project file: text in, text out. Comments, order and formatting stay; only what was asked for changes.

Every edit is made twice, on the plain values and on the document, and compared: a text that does not mean exactly what
it should is never given back (kind ``uneditable``). Tables are edited through their bodies, because a key is to stand
behind the last key, and not behind the comments that lead to the next table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError

from modhub.errors import Conflict, NotFound, UsageError, did_you_mean, shown
from modhub.project.manifest import ProjectFile, check_label, check_stage, read_project
from modhub.project.toml_edit import (
    append,
    body_of,
    end_with_blank_line,
    key_like,
    last_body,
    remove_table,
    remove_tables,
    tables_of,
    uneditable,
)
from modhub.spec.text import composed, find_class

_Values = dict[str, Any]


def new_text(name: str) -> str:
    """The text of a project without classes."""
    document = tomlkit.document()
    project = tomlkit.table()
    project.add("name", name)
    document.add("project", project)
    document.add(tomlkit.nl())
    document.add("classes", tomlkit.table())
    return tomlkit.dumps(document)


def with_classes(text: str, refs: Mapping[str, str], comments: Mapping[str, str] | None = None) -> str:
    """With further classes, behind the others: labels with their modules. Raises Conflict for a label that is there."""
    file = read_project(text.encode())
    noted = {composed(label): comment for label, comment in (comments or {}).items()}
    refs = {check_label(label): ref for label, ref in refs.items()}
    for label in refs:
        if (same := find_class(label, file.classes)) is not None:
            raise duplicate_label(same, file.classes[same])

    def values(value: _Values) -> None:
        value.setdefault("classes", {}).update(refs)

    def document(document: TOMLDocument) -> None:
        body = body_of(document, "classes")
        for label, ref in refs.items():
            append(body, label, ref, noted.get(label, ""))

    return _edited(text, values, document)


def with_models(text: str, models: Mapping[str, str]) -> str:
    """With further short names."""
    missing = {name: target for name, target in models.items() if name not in read_project(text.encode()).models}
    if not missing:
        return text

    def values(value: _Values) -> None:
        value.setdefault("models", {}).update(missing)

    def document(document: TOMLDocument) -> None:
        body = body_of(document, "models")
        for name, target in missing.items():
            append(body, name, target)

    return _edited(text, values, document)


def with_registries(text: str, urls: Sequence[str]) -> str:
    """With further registries, behind the others."""
    standing = read_project(text.encode()).project.registries
    missing = [url for url in dict.fromkeys(urls) if url not in standing]
    if not missing:
        return text

    def values(value: _Values) -> None:
        value["project"].setdefault("registries", []).extend(missing)

    def document(document: TOMLDocument) -> None:
        project: Any = document["project"]
        if "registries" in project:
            project["registries"].extend(missing)
        else:
            append(body_of(document, "project"), "registries", missing)

    return _edited(text, values, document)


def with_module(text: str, label: str, ref: str) -> str:
    """With another module for one class, which keeps its label, its place and its comment. Raises NotFound."""
    label = known_label(read_project(text.encode()), label)

    def values(value: _Values) -> None:
        value["classes"][label] = ref

    def document(document: TOMLDocument) -> None:
        classes: Any = document["classes"]
        # A text in single quotes stays one.
        literal = classes[label].as_string().startswith("'") and "'" not in ref
        classes[label] = tomlkit.string(ref, literal=literal)

    return _edited(text, values, document)


def with_labels(text: str, names: Mapping[str, str]) -> str:
    """With other labels for classes: old to new, all at once. Raises NotFound, and Conflict for one that is taken."""
    file = read_project(text.encode())
    names = {known_label(file, old): check_label(new) for old, new in names.items()}
    for new in names.values():
        if new in file.classes and new not in names:
            raise duplicate_label(new, file.classes[new])
    if len(set(names.values())) < len(names):
        raise UsageError("two classes would get one label.", kind="duplicate-label", hint="choose two labels.")

    def renamed(label: str) -> str:
        return names.get(label, label)

    def values(value: _Values) -> None:
        value["classes"] = {renamed(label): ref for label, ref in value["classes"].items()}
        for stage in value.get("verify", ()):
            stage["classes"] = [renamed(label) for label in stage["classes"]]

    def document(document: TOMLDocument) -> None:
        body = body_of(document, "classes")
        body[:] = [(key_like(key, renamed(key.key)) if key and key.key in names else key, item) for key, item in body]
        for stage in tables_of(document, "verify"):
            for position, label in enumerate(list(stage["classes"])):
                if str(label) in names:
                    stage["classes"][position] = renamed(str(label))

    return _edited(text, values, document)


def without_classes(text: str, labels: Sequence[str]) -> str:
    """Without some classes. Stages decide among what is left, and go when that is one class; short names that nothing
    uses any more go too. Raises NotFound."""
    file = read_project(text.encode())
    labels = [known_label(file, label) for label in labels]
    kept = [label for label in file.classes if label not in labels]
    return _without_unused_models(_selected(text, kept), file)


def with_only(text: str, labels: Sequence[str]) -> str:
    """With these classes only, in this order; as for ``without_classes`` else. Raises NotFound, UsageError."""
    file = read_project(text.encode())
    labels = [known_label(file, label) for label in labels]
    for position, label in enumerate(labels):
        if label in labels[:position]:
            raise UsageError(f"{shown(label)} is named twice.", kind="duplicate-class", hint="name it once.")
    if not labels:
        raise UsageError("no class was named to keep.", kind="empty", hint="name at least one.")
    return _without_unused_models(_selected(text, list(labels)), file)


def with_stage(text: str, classes: Sequence[str], modules: Sequence[str]) -> str:
    """With a further verifying stage, behind the others. Raises UsageError."""
    file = read_project(text.encode())
    classes = [known_label(file, label) for label in classes]
    check_stage(tuple(classes), tuple(modules), list(file.classes))

    def values(value: _Values) -> None:
        value.setdefault("verify", []).append({"classes": list(classes), "modules": list(modules)})

    def document(document: TOMLDocument) -> None:
        stage = tomlkit.table()
        stage.add("classes", list(classes))
        stage.add("modules", list(modules))
        if "verify" in document:
            stages: Any = document["verify"]
            end_with_blank_line(stages.body[-1].value.body)
            stages.append(stage)
        else:
            if document.body and document.as_string().strip():
                end_with_blank_line(last_body(document.body))
            stages = tomlkit.aot()
            stages.append(stage)
            document.body.append((tomlkit.key("verify"), stages))

    return _edited(text, values, document)


def without_stage(text: str, classes: Sequence[str]) -> str:
    """Without the verifying stages of exactly these classes, in any order. Raises NotFound when there is none."""
    file = read_project(text.encode())
    wanted = set(map(composed, classes))
    gone = [number for number, stage in enumerate(file.verify) if set(map(composed, stage.classes)) == wanted]
    if not gone:
        there = "; ".join(",".join(stage.classes) for stage in file.verify)
        raise NotFound(
            f"no stage verifies {', '.join(classes)}.",
            kind="no-stage",
            hint=f"there is one for {there}." if there else "the project verifies no classes.",
            classes=list(classes),
        )

    def values(value: _Values) -> None:
        value["verify"] = [stage for number, stage in enumerate(value["verify"]) if number not in gone]

    return _without_unused_models(_edited(text, values, lambda document: remove_tables(document, "verify", gone)), file)


def comments_of(text: str) -> dict[str, str]:
    """The comment behind each class, with its sign; without those that have none."""
    classes = tomlkit.parse(text).get("classes", {})
    found = {str(label): classes.item(label).trivia for label in classes} if classes else {}
    return {label: trivia.comment for label, trivia in found.items() if trivia.comment}


def known_label(file: ProjectFile, label: str) -> str:
    """``label`` as the project spells it. Raises NotFound, kind ``unknown-class``."""
    if (same := find_class(label, file.classes)) is None:
        raise NotFound(
            f"the project has no class {shown(label)}; it has {', '.join(file.classes) or 'none'}.",
            kind="unknown-class",
            hint=did_you_mean(label, file.classes),
            label=label,
        )
    return same


def duplicate_label(label: str, ref: str) -> Conflict:
    """The error for a class whose label is taken by ``ref``."""
    return Conflict(
        f"the project has a class {shown(label)} already: {ref}.",
        kind="duplicate-label",
        hint=f"give the new one another label (--as LABEL), or put it in its place: modhub swap {label}=REF.",
        label=label,
    )


def _selected(text: str, labels: Sequence[str]) -> str:
    """With the classes ``labels`` in their order, and the stages that are left."""
    file = read_project(text.encode())
    left = [[label in labels for label in stage.classes] for stage in file.verify]
    gone = [number for number, kept in enumerate(left) if sum(kept) < 2]

    def values(value: _Values) -> None:
        value["classes"] = {label: value["classes"][label] for label in labels}
        for stage, kept in zip(value.get("verify", ()), left, strict=True):
            for key in ("classes", "modules"):
                stage[key] = [each for each, stays in zip(stage[key], kept, strict=True) if stays]
        value["verify"] = [stage for number, stage in enumerate(value.get("verify", ())) if number not in gone]

    def document(document: TOMLDocument) -> None:
        body = body_of(document, "classes")
        entries = {key.key: (key, item) for key, item in body if key is not None}
        order = iter(labels)
        # Comments keep their places; a class takes the place of another where the order changes.
        body[:] = [
            pair if pair[0] is None else entries[next(order)]
            for pair in body
            if pair[0] is None or pair[0].key in labels
        ]
        for stage, kept in zip(tables_of(document, "verify"), left, strict=True):
            for position in reversed([i for i, stays in enumerate(kept) if not stays]):
                del stage["classes"][position]
                del stage["modules"][position]
        remove_tables(document, "verify", gone)

    return _edited(text, values, document)


def _without_unused_models(text: str, before: ProjectFile) -> str:
    """Without the short names that ``before`` used and nothing does any more."""
    file = read_project(text.encode())
    gone = _used_models(before) - _used_models(file)
    if not gone:
        return text

    def values(value: _Values) -> None:
        value["models"] = {name: target for name, target in value["models"].items() if name not in gone}

    def document(document: TOMLDocument) -> None:
        body = body_of(document, "models")
        body[:] = [(key, item) for key, item in body if key is None or key.key not in gone]
        if not any(key for key, _ in body):
            remove_table(document, "models")

    return _edited(text, values, document)


def _used_models(file: ProjectFile) -> set[str]:
    used: set[str] = set()
    for ref in file.refs:
        base = ref.partition("@")[0].partition(":")[0].strip()
        while base in file.models and base not in used:
            used.add(base)
            base = file.models[base].partition("@")[0].strip()
    return used


def _edited(text: str, values: Callable[[_Values], None], document: Callable[[TOMLDocument], None]) -> str:
    """``text`` after both edits, which must come to the same."""
    # 25 ms to import, for the few calls that write.

    expected = tomllib.loads(text)
    values(expected)
    try:
        parsed = tomlkit.parse(text if text.endswith("\n") or not text else text + "\n")
        document(parsed)
        result = tomlkit.dumps(parsed)
        same = _meaning(tomllib.loads(result)) == _meaning(expected)
    except (TOMLKitError, AttributeError, TypeError, tomllib.TOMLDecodeError) as error:
        raise uneditable() from error
    if not same:
        raise uneditable()
    read_project(result.encode())
    return result


def _meaning(values: _Values) -> Any:
    """What a file says: the order of classes counts, an empty table is none."""
    plain = {key: value for key, value in values.items() if value not in ({}, [])}
    return plain, list(values.get("classes", {}).items())
