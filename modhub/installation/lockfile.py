"""The lockfile: exactly which modules a resolution came to, so that another machine gets the same ones, or an error.

TOML for people to read, with a checksum, because a lockfile edited by hand pins something that was never resolved. A
release's digest is what counts; the registry says where it was found and is asked first. A project's lockfile says
beside this how its modules become a classifier: labels, verifying stages, adapters, how it runs, and what was measured.
It is the same format, because every field of a project is optional and a reader that does not know them installs the
same modules. What is as it is by default is not written. Pure: text in, values out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, ValidationError

from modhub.composition.recipe import Adapt, ClassifierSettings, Dtype, MarginScale, Mode, Recipe, Stage, Voting
from modhub.errors import Incompatible, IntegrityError, ModhubError, plain, shown
from modhub.limits import MAX_LOCKED_MODULES, MAX_URL_CHARS
from modhub.resolve.catalog import Pinned
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.refs import ModuleRef, check_name, is_exact, parse
from modhub.spec.schema import FLOAT32_MAX, FLOAT32_TINY, Count, DigestText, DisplayName, Extent, PositiveCount, Share
from modhub.spec.text import in_short
from modhub.spec.toml_read import TooCostly, load_toml
from modhub.spec.url import RegistryUrl

LOCK_FORMAT: Final = 1
_HEADER: Final = "# Written by modhub. A change by hand is refused; lock again instead.\n"

Url = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_CHARS)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, allow_inf_nan=False, defer_build=True)


class LockedModule(_Table):
    """One module. ``ref`` is complete, ``digest`` the release's, ``name`` the class as the data set spells it.

    ``label`` is the project's class that it recognises; a project's module without one only verifies. Where it has a
    ``threshold`` and a ``scale``, its margins are brought onto that scale.
    """

    label: DisplayName | None = None
    ref: str
    name: Annotated[DisplayName, Field(alias="class")]
    digest: DigestText
    registry: Url
    threshold: Annotated[float, Field(ge=-FLOAT32_MAX, le=FLOAT32_MAX)] | None = None
    scale: Annotated[float, Field(ge=FLOAT32_TINY, le=FLOAT32_MAX)] | None = None


class StageTable(_Table):
    """When one of ``classes`` (labels) is answered, ``modules`` (whole names, in the same order) decide again."""

    classes: Annotated[tuple[DisplayName, ...], Field(min_length=2)]
    modules: Annotated[tuple[str, ...], Field(min_length=2)]


class MeasuredAccuracy(_Table):
    """What a project's classifier answers on labelled images.

    ``data`` is as the project file names it, ``fingerprint`` the digest of all its images, labels and classes.
    ``examples`` are the images of the project's classes; ``top_1`` and ``top_5`` are shares of those, ``balanced`` the
    mean of the classes' recalls.
    """

    data: DisplayName
    fingerprint: DigestText
    examples: PositiveCount
    top_1: Share
    top_5: Share
    balanced: Share


class CompactTable(_Table):
    """The one network that was made of a project's classifier, in the folder ``compact.modules`` beside the lockfile.

    ``digest`` is its content's, ``classifier`` that of what the project was when it was made. ``asked`` of the
    ``budget`` (a share, points, bytes or milliseconds), ``jaccard`` to ``seed`` and the images of ``data`` with
    their ``fingerprint`` made it. ``flops`` is the share of the multiply-adds that is left. It answers as ``accuracy``
    says, ``points`` percentage points fewer images right than the whole classifier.
    """

    digest: DigestText
    classifier: DigestText
    budget: Literal["flops", "parameters", "points", "bytes", "milliseconds"]
    asked: Annotated[float, Field(ge=0)]
    jaccard: Share | None = None
    select: DisplayName = "blocks+channels"
    polish: StrictBool = False
    polish_steps: PositiveCount | None = None
    minutes: Annotated[float, Field(gt=0)] | None = None
    use_labels: StrictBool = False
    seed: Count = 0
    data: DisplayName
    fingerprint: DigestText
    flops: Share
    points: Annotated[float, Field(ge=-100, le=100)]
    accuracy: MeasuredAccuracy


class SettingsTable(_Table):
    """The settings of a classifier, as project files and lockfiles write them; what is left out is as by default."""

    adapt: Adapt | None = None
    size: tuple[Extent, Extent] | None = None
    reject: StrictBool = False
    mode: Mode = "isolated"
    dtype: Dtype = "float32"
    vote: Voting = "scaled"

    @property
    def settings(self) -> ClassifierSettings:
        return ClassifierSettings(**{each.name: getattr(self, each.name) for each in fields(ClassifierSettings)})


class LockDocument(SettingsTable):
    """A lockfile without its checksum. Those of projects have ``project``, the digest of what was asked for."""

    format: int
    project: DigestText | None = None
    name: DisplayName | None = None
    module: Annotated[tuple[LockedModule, ...], Field(min_length=1, max_length=MAX_LOCKED_MODULES)]
    verify: Annotated[tuple[StageTable, ...], Field(max_length=MAX_LOCKED_MODULES)] = ()
    accuracy: MeasuredAccuracy | None = None
    compact: CompactTable | None = None


@dataclass(frozen=True)
class LockedProject:
    """How modules become a project's classifier. ``requests`` is the digest of what the project file asks for.

    ``scales``: labels of classes whose margins are brought onto another scale, in column order; the vote is raw then.
    """

    requests: str
    name: str
    recipe: Recipe[Pinned]
    accuracy: MeasuredAccuracy | None = None
    scales: tuple[tuple[str, MarginScale], ...] = ()
    compact: CompactTable | None = None

    @property
    def classes(self) -> tuple[tuple[str, Pinned], ...]:
        """Labels with their modules in column order."""
        return self.recipe.classes

    @property
    def settings(self) -> ClassifierSettings:
        return self.recipe.settings


@dataclass(frozen=True)
class Lock:
    """The modules of a lockfile, in its order; a project's are those of its classes, then those that only verify."""

    modules: tuple[Pinned, ...]
    project: LockedProject | None = None

    def __repr__(self) -> str:
        of = "" if self.project is None else f" of {in_short([self.project.name])}"
        return f"<Lock{of}, {len(self.modules):,} modules: {in_short(str(pin.ref) for pin in self.modules)}>"

    @classmethod
    def of(cls, pinned: Sequence[Pinned]) -> Lock:
        """What a resolution came to, each module once."""
        return cls(tuple(dict.fromkeys(pinned)))

    @classmethod
    def of_project(cls, project: LockedProject) -> Lock:
        """A project's modules, each once."""
        return cls(tuple(dict.fromkeys(project.recipe.every_module)), project)

    def to_text(self) -> str:
        """The file's text; equal modules give equal text."""
        # 25 ms to import, for the one call that writes.

        body = _body(self)
        document = tomlkit.document()
        document.add("format", tomlkit.item(LOCK_FORMAT))
        document.add("checksum", tomlkit.item(_checksum(body)))
        for key, value in body.items():
            if key != "format":
                document.add(key, _tables(value) if key in ("module", "verify") else tomlkit.item(value))
        return _HEADER + "\n" + tomlkit.dumps(document)


def read_lock(data: bytes, *, what: str) -> Lock:
    """Untrusted bytes as a Lock. Raises IntegrityError, kinds ``bad-lock`` and ``edited-lock``, or Incompatible."""
    try:
        value = load_toml(data, kind="a lockfile")
    except TooCostly as error:
        raise _bad(what, str(error)) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError) as error:
        raise _bad(what, f"it is not TOML: {plain(str(error))}") from error
    _check_format(value, what)
    checksum = value.pop("checksum", None)
    try:
        if _checksum(value) != checksum:
            raise IntegrityError(
                f"{what} was changed by hand: its checksum does not match.",
                kind="edited-lock",
                hint="lock again: modhub lock REF... --out FILE"
                + (", or in a project: modhub lock." if "project" in value else ""),
                what=what,
            )
        return _lock_of(LockDocument.model_validate(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _bad(what, plain(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")) from error
    except (TypeError, ValueError, RecursionError) as error:
        # TOML has dates, infinities and NaN, for which JSON, and so a checksum, has nothing.
        raise _bad(what, f"it holds a value that no lockfile has ({plain(str(error))})") from error
    except ModhubError as error:
        if isinstance(error, IntegrityError):
            raise
        raise _bad(what, error.message) from error


def _check_format(value: Mapping[str, Any], what: str) -> None:
    newest = value.get("format")
    if type(newest) is not int or not 1 <= newest < 2**31:
        raise _bad(what, "it names no format")
    if newest > LOCK_FORMAT:
        raise Incompatible(
            f"{what} has format {newest}; this version of modhub reads up to format {LOCK_FORMAT}.",
            kind="newer-format",
            hint="upgrade modhub: pip install --upgrade modhub.",
            what=what,
            format=newest,
            newest=LOCK_FORMAT,
        )


def _lock_of(document: LockDocument) -> Lock:
    pins = [_pinned(module) for module in document.module]
    if document.project is None:
        return Lock(tuple(pins))
    by_name = {str(pin.ref): pin for pin in pins}
    labelled = [(module.label, pin) for module, pin in zip(document.module, pins, strict=True) if module.label]
    labels = [label for label, _ in labelled]
    if len(by_name) < len(pins) or len(set(labels)) < len(labels) or not labels or document.name is None:
        raise ValueError("a project has a name, at least one class, and every label and module once")
    stages = []
    for stage in document.verify:
        if not set(stage.classes) <= set(labels) or len(set(stage.classes)) < len(stage.classes):
            raise ValueError("a stage verifies classes of the project, each once")
        if not set(stage.modules) <= set(by_name) or len(stage.modules) != len(stage.classes):
            raise ValueError("a stage has one module of the lockfile for each of its classes")
        columns = tuple(labels.index(label) for label in stage.classes)
        stages.append(Stage(columns, tuple(by_name[ref] for ref in stage.modules)))
    recipe = Recipe(tuple(labelled), tuple(stages), document.settings)
    scales = tuple(
        (module.label, MarginScale(module.threshold, module.scale))
        for module in document.module
        if module.label and module.threshold is not None and module.scale is not None
    )
    if scales and document.vote != "raw":
        raise ValueError("a project whose modules are brought onto other scales votes raw")
    return Lock(
        tuple(pins),
        LockedProject(document.project, document.name, recipe, document.accuracy, scales, document.compact),
    )


def _pinned(module: LockedModule) -> Pinned:
    request = parse(module.ref)
    if not request.is_qualified or request.cls is None or not is_exact(request.version or ""):
        raise ValueError(f"{shown(module.ref)} is not a whole name, namespace/model:class@version")
    namespace, model = request.base.split("/")
    check_name(request.cls, "class")
    ref = ModuleRef(namespace, model, request.cls, str(request.version))
    # A lockfile from elsewhere may hold what ours never do: a URL with a password.
    return Pinned(ref, module.name, module.digest, RegistryUrl(module.registry))


def _body(lock: Lock) -> dict[str, Any]:
    modules = [
        {"ref": str(pin.ref), "class": pin.name, "digest": pin.digest, "registry": pin.registry} for pin in lock.modules
    ]
    project = lock.project
    if project is None:
        return {"format": LOCK_FORMAT, "module": modules}
    labels = {pin: label for label, pin in project.classes}
    body: dict[str, Any] = {"format": LOCK_FORMAT, "project": project.requests, "name": project.name}
    body |= project.settings.unusual()
    scales = {label: {"threshold": each.threshold, "scale": each.scale} for label, each in project.scales}
    body["module"] = [
        ({"label": labels[pin]} | row | scales.get(labels[pin], {})) if pin in labels else row
        for pin, row in zip(lock.modules, modules, strict=True)
    ]
    if project.recipe.stages:
        body["verify"] = [
            {"classes": list(classes), "modules": [str(pin.ref) for pin in modules]}
            for classes, modules in project.recipe.named_stages()
        ]
    if project.accuracy is not None:
        body["accuracy"] = project.accuracy.model_dump(mode="json")
    if project.compact is not None:
        body["compact"] = project.compact.model_dump(mode="json", exclude_none=True)
    return body


def _tables(rows: Sequence[Mapping[str, Any]]) -> Any:
    tables = tomlkit.aot()
    for row in rows:
        table = tomlkit.table()
        for key, value in row.items():
            table.add(key, value)
        tables.append(table)
    return tables


def _checksum(body: dict[str, Any]) -> str:
    return sha256(canonical_json(body))


def _bad(what: str, reason: str) -> IntegrityError:
    return IntegrityError(
        f"{what} is no lockfile of modhub: {reason}.",
        kind="bad-lock",
        hint="lock again: modhub lock REF... --out FILE",
        what=what,
    )
