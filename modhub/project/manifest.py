"""The project file, ``modhub.toml``: which modules make a project's classifier, as people write it.

    [project]
    name = "pets"
    registries = ["./modules"]          # in order, in the place of the user's; relative to this file
    adapt = "resize"                    # resize | crop | letterbox: modules may take other images than the classifier
    size = [64, 64]                     # height and width of the classifier's images, with adapt
    reject = false                      # whether it may answer "none of these"
    mode = "isolated"                   # isolated | fused | auto: how modules of one network run
    dtype = "float32"                   # float32 | bfloat16: what networks compute in
    vote = "scaled"                     # scaled | raw: whether modules of several networks vote on one scale
    data = "data/test.npz"              # what `modhub lock` measures it on

    [models]                            # short names of this project, each with a range
    c10 = "cifar10/r56@^1"

    [classes]                           # label = module, in the order of the classifier's columns
    cat = "c10:cat"
    apple = "cifar100/r20:apple@^1.2"

    [scales]                            # with vote = "raw": margins are brought onto this scale, by `swap --match`
    cat = { threshold = 0.5, scale = 1.2 }

    [[verify]]                          # when one of these is answered, these modules decide again, in the same order
    classes = ["cat", "apple"]
    modules = ["me/two:cat", "me/two:apple"]

    [licenses]
    allow = ["MIT", "Apache-2.0"]       # what `modhub licenses` and `modhub audit` let pass

    [[ignore]]                          # findings of `modhub audit` that count for nothing until the end of that day
    id = "modhub-y3yd-4svl-64pb"
    until = 2027-01-31
    reason = "the next release mends it"

Pure: bytes in, ``ProjectFile`` out, or an error that names line and field. Invariants of one that was read: labels are
distinct and printable; every module's name can be parsed and has a class; short names lead in no circle; verifying
stages name classes of the project. Edits are in ``edits``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from modhub.composition.recipe import Recipe, Stage, check_distinct, check_label, check_stage
from modhub.errors import Conflict, InvalidRef, ModhubError, UsageError, did_you_mean, plain, shown
from modhub.installation.lockfile import SettingsTable, Url
from modhub.limits import MAX_ALLOWED_LICENSES, MAX_DISPLAY_NAME_CHARS, MAX_EXTENT, MAX_IGNORED
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.refs import Request, check_name, parse
from modhub.spec.schema import FLOAT32_MAX, FLOAT32_TINY, DisplayName
from modhub.spec.text import composed, find_class, text_of
from modhub.spec.toml_read import TooCostly, line_of, load_toml, repeated_key

PROJECT_FILE: Final = "modhub.toml"
LOCK_FILE: Final = "modhub.lock"

_WANTED: Final = {
    "name": f"a text of 1 to {MAX_DISPLAY_NAME_CHARS} characters, without control characters",
    "registries": 'a list of folders and URLs, such as ["./modules"]',
    "adapt": "resize, crop or letterbox",
    "size": f"height and width in pixels, 1 to {MAX_EXTENT} each, such as [64, 64]",
    "reject": "true or false",
    "mode": "isolated, fused or auto",
    "dtype": "float32 or bfloat16",
    "vote": "scaled or raw",
    "data": "an .npz file, a folder, or a data set's name",
    "models": 'a table of short names, such as c10 = "cifar10/r56@^1"',
    "classes": 'a table of classes, such as cat = "cifar10/r56:cat@^1"',
    "verify": "a list of tables [[verify]], each with classes and modules",
    "scales": "a table of scales, such as cat = { threshold = 0.5, scale = 1.2 }",
    "threshold": "a number",
    "scale": "a number above 0",
    "ignore": "a list of tables [[ignore]], each with id, until and reason",
    "id": "the id of what modhub audit found",
    "until": "a date, such as 2027-01-31",
    "reason": "a text",
    "modules": 'a list of modules, such as ["me/two:cat", "me/two:dog"]',
    "licenses": 'a table with allow, a list of licences such as ["MIT", "Apache-2.0"]',
    "allow": 'a list of licences, such as ["MIT", "Apache-2.0"]',
}
_WANTED_CLASSES: Final = 'a list of classes, such as ["cat", "dog"]'


_Pixels = Annotated[StrictInt, Field(ge=1, le=MAX_EXTENT)]
_CONFIG: Final = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class _Table(BaseModel):
    model_config = _CONFIG


class ProjectTable(SettingsTable):
    """``[project]``. ``size`` is height and width in pixels; ``data`` an .npz file, a folder, or a data set's name.

    ``mode``, ``dtype`` and ``vote`` say how the classifier runs and votes, as for ``modhub.compose``.
    """

    model_config = _CONFIG

    name: Annotated[DisplayName, Field(strict=True)]
    registries: tuple[Url, ...] = ()
    size: tuple[_Pixels, _Pixels] | None = None
    data: Annotated[DisplayName, Field(strict=True)] | None = None


class VerifyTable(_Table):
    """One ``[[verify]]``: when one of ``classes`` is answered, ``modules`` decide between these again."""

    classes: tuple[StrictStr, ...]
    modules: tuple[StrictStr, ...]

    def spelled_as(self, labels: Iterable[str]) -> VerifyTable:
        """With the classes as ``labels`` spell them, where accents are written in another way."""
        known = list(labels)
        return self.model_copy(update={"classes": tuple(find_class(name, known) or name for name in self.classes)})


class LicensesTable(_Table):
    """``[licenses]``. ``allow``: SPDX names of the licences under which modules may be; without it all may."""

    allow: Annotated[tuple[StrictStr, ...], Field(max_length=MAX_ALLOWED_LICENSES)] | None = None


class ScaleTable(_Table):
    """One of ``[scales]``: the margins of a class's module are brought onto this scale, as of the module before it.

    ``sigmoid(scale * (margin - threshold))`` is then its calibrated probability. Only raw votes have scales.
    """

    threshold: Annotated[float, Field(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
    scale: Annotated[float, Field(ge=FLOAT32_TINY, le=FLOAT32_MAX)]


class IgnoreTable(_Table):
    """One ``[[ignore]]``: a finding of ``modhub audit``, by its id, that counts for nothing until the end of a day."""

    id: Annotated[DisplayName, Field(strict=True)]
    until: date
    reason: Annotated[DisplayName, Field(strict=True)]


class ProjectFile(_Table):
    """A project file. ``models`` are short names with what they stand for, ``classes`` labels with their modules."""

    project: ProjectTable
    models: Mapping[str, StrictStr] = {}
    classes: Mapping[str, StrictStr] = {}
    scales: Mapping[str, ScaleTable] = {}
    verify: tuple[VerifyTable, ...] = ()
    licenses: LicensesTable = LicensesTable()
    ignore: Annotated[tuple[IgnoreTable, ...], Field(max_length=MAX_IGNORED)] = ()

    def expanded(self, ref: str) -> Request:
        """A name with the project's short names written out. The range nearest to what was typed counts.

        Raises InvalidRef, and Conflict, kind ``alias-loop``.
        """
        request = parse(ref)
        base, version = request.base, request.version
        seen: list[str] = []
        while base in self.models:
            if base in seen:
                raise Conflict(
                    f"the short name {seen[0]!r} leads in a circle: {' -> '.join([*seen, base])}.",
                    kind="alias-loop",
                    hint="let one of them stand for namespace/model.",
                    aliases=[*seen, base],
                )
            seen.append(base)
            target = parse(self.models[base])
            base, version = target.base, version or target.version
        return Request(base, request.cls, version)

    @cached_property
    def recipe(self) -> Recipe[str]:
        """How the classifier is put together, of modules' names as written."""
        column = {label: number for number, label in enumerate(self.classes)}
        stages = (Stage(tuple(column[label] for label in stage.classes), stage.modules) for stage in self.verify)
        return Recipe(tuple(self.classes.items()), tuple(stages), self.project.settings)

    def changed(
        self,
        recipe: Recipe[str],
        *,
        models: Mapping[str, str] | None = None,
        registries: Sequence[str] | None = None,
        scales: Mapping[str, ScaleTable] | None = None,
    ) -> ProjectFile:
        """The file with the classes and stages of ``recipe``, whose settings are the file's own.

        Scales stay for classes that keep label and module, and are else those given; with any the vote is raw.
        """
        kept = {label: scale for label, scale in self.scales.items() if (label, self.classes[label]) in recipe.classes}
        project: dict[str, object] = {} if registries is None else {"registries": tuple(registries)}
        if scales:
            project["vote"] = "raw"
        return ProjectFile(
            project=self.project.model_copy(update=project),
            models=self.models if models is None else models,
            classes=dict(recipe.classes),
            scales=kept | dict(scales or {}),
            verify=tuple(VerifyTable(classes=classes, modules=modules) for classes, modules in recipe.named_stages()),
            licenses=self.licenses,
            ignore=self.ignore,
        )

    @cached_property
    def digest(self) -> str:
        """Of all that decides what is locked: not of comments, formatting, or the data to measure on."""
        recipe = self.recipe.mapped(lambda ref: str(self.expanded(ref)))
        asked = {
            "name": self.project.name,
            "registries": list(self.project.registries),
            **recipe.settings.to_dict(),
            "classes": [list(each) for each in recipe.classes],
            "verify": [[list(classes), list(modules)] for classes, modules in recipe.named_stages()],
        }
        # Files without these keys keep the digest that they had before the keys were.
        for name in ("mode", "dtype", "vote"):
            if name not in recipe.settings.unusual():
                del asked[name]
        if self.scales:
            asked["scales"] = {label: [each.threshold, each.scale] for label, each in self.scales.items()}
        return sha256(canonical_json(asked))


def read_project(data: bytes, *, what: str = PROJECT_FILE) -> ProjectFile:
    """Untrusted bytes as a ProjectFile. Raises UsageError, kind ``bad-project``, naming line and field."""
    try:
        value = load_toml(data, kind="a project file")
    except TooCostly as error:
        raise _bad(what, 1, str(error), "write it by hand, one value a line.") from error
    except UnicodeDecodeError as error:
        raise _bad(what, data[: error.start].count(b"\n") + 1, "it is not UTF-8 text", "save it as UTF-8.") from error
    except ValueError as error:
        raise _not_toml(text_of(data), error, what) from error
    text = text_of(data)
    for place, name, known in _unknown_keys(value):
        where = ".".join(map(str, place))
        hint = did_you_mean(name, known) or f"there {'are' if place else 'is'} {', '.join(known)}."
        reason = f"there is no {shown(name)}" + (f" in [{where}]" if where else "")
        raise _bad(what, line_of(text, (*place, name)), reason, hint)
    try:
        file = ProjectFile.model_validate(value)
    except ValidationError as error:
        place = error.errors(include_url=False, include_input=False)[0]["loc"]
        raise _wrong_value(text, value, place, what) from error
    stages = tuple(stage.spelled_as(file.classes) for stage in file.verify)
    file = file.model_copy(update={"verify": stages})
    for place, problem in _problems(file):
        reason = problem.message.rstrip(".")
        raise _bad(what, line_of(text, place), reason, problem.hint or "correct that line.", problem)
    return file


def _unknown_keys(value: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, list[str]]]:
    """Each key that no project file has: the table it is in, itself, and those that there are."""
    tables: list[tuple[tuple[str | int, ...], Any, type[BaseModel]]] = [((), value, ProjectFile)]
    tables.append((("project",), value.get("project"), ProjectTable))
    tables.append((("licenses",), value.get("licenses"), LicensesTable))
    for several, each in (("verify", VerifyTable), ("ignore", IgnoreTable)):
        listed = value.get(several)
        if isinstance(listed, list):
            tables += [((several, number), table, each) for number, table in enumerate(listed)]
    for place, table, model in tables:
        if isinstance(table, dict):
            known = sorted(model.model_fields)
            yield from ((place, name, known) for name in table if name not in known)


def _problems(file: ProjectFile) -> Iterator[tuple[tuple[str | int, ...], ModhubError]]:
    """What types alone do not find, each with its place."""
    if file.project.size is not None and file.project.adapt is None:
        error = UsageError("a size was given without adapt", hint='add adapt = "resize", or leave the size out.')
        yield ("project", "size"), error
    for table, entries, check in (("models", file.models, _check_model), ("classes", file.classes, _check_class)):
        for name, value in entries.items():
            try:
                check(file, name, value)
            except ModhubError as error:
                yield (table, name), error
    first: dict[str, str] = {}
    for label in file.classes:
        if first.setdefault(composed(label), label) != label:
            twice = UsageError(
                f"the class {shown(label)} occurs twice, its accents written in two ways",
                kind="duplicate-label",
                hint="leave one of the two, or give it another label.",
            )
            yield ("classes", label), twice
    for label in file.scales:
        if label not in file.classes:
            hint = did_you_mean(label, file.classes) or "leave it out."
            yield ("scales", label), UsageError(f"{shown(label)} is no class of the project", hint=hint)
    if file.scales and file.project.vote != "raw":
        label = next(iter(file.scales))
        hint = 'write vote = "raw" under [project] to keep [scales], or remove [scales].'
        reason = f"the scale of {shown(label)} has no place in a scaled vote, which divides margins by itself"
        yield ("scales", label), UsageError(reason, hint=hint)
    for number, stage in enumerate(file.verify):
        try:
            _check_stage(file, stage)
        except ModhubError as error:
            yield ("verify", number), error


def _check_model(file: ProjectFile, name: str, target: str) -> None:
    check_name(name, "short name")
    if parse(target).cls is not None:
        raise InvalidRef(
            f"the short name {name!r} stands for {target!r}, which is more than a model.",
            hint="let it stand for namespace/model, with or without a range.",
        )
    file.expanded(name)


def _check_class(file: ProjectFile, label: str, ref: str) -> None:
    check_label(label)
    check_module_ref(file, ref)


def check_module_ref(file: ProjectFile, ref: str) -> Request:
    """One module's name with the project's short names written out. Raises InvalidRef when it names no class."""
    request = file.expanded(ref)
    if request.cls is None:
        raise InvalidRef(
            f"{shown(ref)} names a whole model.", hint="name one class of it: namespace/model:class.", name=ref
        )
    return request


def _check_stage(file: ProjectFile, stage: VerifyTable) -> None:
    labels = list(file.classes)
    for label in stage.classes:
        if label not in file.classes:
            hint = did_you_mean(label, labels) or f"the classes are {', '.join(labels)}."
            raise UsageError(
                f"{shown(label)}, which is to be verified, is no class of the project", kind="unknown-class", hint=hint
            )
    check_distinct(labels, [labels.index(label) for label in stage.classes], "verify")
    check_stage(stage.classes, stage.modules)
    for ref in stage.modules:
        check_module_ref(file, ref)


def _wrong_value(text: str, value: Mapping[str, Any], place: tuple[int | str, ...], what: str) -> UsageError:
    """The error for a value of another type; ``place`` as pydantic names it, which may lead into the value."""
    known: list[str | int] = []
    found: Any = value
    for part in place:
        try:
            found = found[part]
        except (KeyError, IndexError, TypeError):
            if part == "project" and not known:
                return _bad(what, 1, "it has no [project]", 'begin with [project] and name = "...".')
            if isinstance(part, str) and isinstance(found, dict):
                return _bad(
                    what, line_of(text, tuple(known)), f"[{'.'.join(map(str, known))}] has no {part}", "add it."
                )
            break
        known.append(part)
        if known[0] == "project" and len(known) == 2:
            break
    name = ".".join(map(str, known))
    wanted = _WANTED.get(str(known[-1]), "a text")
    if known[0] == "verify" and len(known) > 2:
        wanted = _WANTED_CLASSES if known[2] == "classes" else _WANTED["modules"]
    if known[0] in ("classes", "models") and len(known) > 1:
        wanted = "a module's name in quotes" if known[0] == "classes" else "a model's name in quotes"
    if known == ["project"]:
        wanted = "a table [project]"
    return _bad(what, line_of(text, tuple(known)), f"{plain(name)} is {shown(str(found))}", f"wanted is {wanted}.")


def _not_toml(text: str, error: ValueError, what: str) -> UsageError:
    found = re.search(r"at line (\d+)", str(error))
    line = int(found[1]) if found else max(1, len(text.splitlines()))
    key = repeated_key(text, line) if "overwrite" in str(error) else None
    if key is not None:
        table, name, first = key
        thing = "the class" if table == "classes" else "the short name" if table == "models" else "the key"
        reason = f"{thing} {shown(name)} occurs twice, first in line {first}"
        return _bad(what, line, reason, "leave one of the two, or give it another label.")
    return _bad(what, line, f"it is not TOML: {plain(str(error))}", "correct that line.")


def _bad(what: str, line: int, reason: str, hint: str, cause: ModhubError | None = None) -> UsageError:
    data = {} if cause is None else {"reason": cause.kind}
    return UsageError(f"{what}, line {line}: {reason}.", kind="bad-project", hint=hint, path=what, line=line, **data)
