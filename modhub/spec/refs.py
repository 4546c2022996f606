"""Names: what a person types, ``namespace/model:class@version``, as values.

A ``Request`` is a name as typed: any part but the first may be missing, and the first may be an alias. A ``ModuleRef``
is complete: it names one module of one release. Parsing never looks anything up; the resolver does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from modhub.errors import InvalidRef, shown
from modhub.limits import MAX_DISPLAY_NAME_CHARS, MAX_NAME_CHARS, MAX_REF_CHARS

if TYPE_CHECKING:
    from semantic_version import SimpleSpec, Version

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]*$"
MODEL_NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*$"
VERSION_PATTERN: Final = (
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"
)
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])\Z", re.IGNORECASE)
_NAME = re.compile(NAME_PATTERN + r"\Z")
_VERSION = re.compile(VERSION_PATTERN + r"\Z")
_CARET_ZERO: Final = r"\^(0(?:\.0)?)(?:\.\*)*(?=,|\Z)"
_PRERELEASE_SPAN: Final = r"(\^|~=?)([0-9]+\.[0-9]+\.[0-9]+-[^,]+)"
_OPERATOR: Final = r" *([<>=!~^,]+) *"
_SYNTAX = "names look like namespace/model:class@version, for example cifar10/r56:cat@^1"


def check_name(text: str, what: str) -> str:
    """``text`` when it may stand as a namespace, model or alias. Raises InvalidRef saying which part is wrong."""
    if len(text) > MAX_NAME_CHARS:
        raise InvalidRef(
            f"the {what} {text[:40]!r}... has {len(text)} characters; at most {MAX_NAME_CHARS} are allowed.",
            hint="shorten it.",
            name=text,
        )
    if not _NAME.match(text) or ".." in text:
        raise InvalidRef(
            f"the {what} {text!r} is not a valid name.",
            hint="use lower-case ASCII letters, digits, '.', '_' and '-', starting with a letter or digit.",
            name=text,
        )
    return text


def check_new_name(text: str, what: str) -> str:
    """``text`` when a new namespace, model, alias or key may be called so: on every file system, a name becomes a file.

    Names that exist are read by ``check_name``, which accepts more. Raises InvalidRef, kind ``unportable-name`` among
    others.
    """
    check_name(text, what)
    if reason := _unportable(text):
        raise InvalidRef(
            f"the {what} {text!r} {reason}, so some file systems cannot hold it.",
            kind="unportable-name",
            hint="choose another name.",
            name=text,
        )
    return text


def is_portable(name: str) -> bool:
    """Whether every file system can hold a file or folder of this name."""
    return _unportable(name) is None


def _unportable(name: str) -> str | None:
    if name.endswith("."):
        return "ends in a dot"
    # Windows means the device, whatever stands behind the first dot.
    if _DEVICE.match(name.partition(".")[0]):
        return f"begins with {name.partition('.')[0]!r}, which Windows takes for a device"
    return None


def check_version(text: str) -> str:
    """``text`` when it is an exact SemVer version. Raises InvalidRef."""
    if not is_exact(text):
        raise InvalidRef(
            f"{shown(str(text))} is not a version.",
            hint="use three numbers such as 1.0.0 (semver.org).",
            version=text,
        )
    return text


def parse_version(text: str) -> Version:
    """An exact SemVer version, to be compared with others. Raises InvalidRef."""
    from semantic_version import Version  # 7 ms to import, and most versions need no parsing

    return Version(check_version(text))


def parse_range(text: str) -> SimpleSpec:
    """A version range such as ``^1``, ``~1.2`` or ``>=1,<2``. Raises InvalidRef."""
    from semantic_version import SimpleSpec

    try:
        # The library takes any script's digits for digits.
        if not text.isascii() or len(text) > MAX_NAME_CHARS:
            raise ValueError
        return SimpleSpec(_for_library(text))
    except ValueError:
        raise InvalidRef(
            f"{text[:MAX_NAME_CHARS]!r} is neither a version nor a version range.",
            hint="use 1.0.0, ^1, ~1.2 or '>=1,<2'.",
            version=text,
        ) from None


def _for_library(text: str) -> str:
    """A range as the library reads it rightly. Raises ValueError for what it would misread."""
    text = re.sub(_OPERATOR, r"\1", text.strip(" "))
    # "1.0.0 - 2.0.0" would be a pre-release, "1 2" the range 12, and "1.*.1" all of 1.
    if " " in text or re.search(r"\*\.[0-9]", text):
        raise ValueError
    # Of ^0 and ^0.0 the library makes ^0.0.0, and of ^1.0.0-rc.1 and ~1.2.0-rc.1 what ends before the release itself.
    return re.sub(_PRERELEASE_SPAN, _both_ends, re.sub(_CARET_ZERO, r"\1", text))


def _both_ends(found: re.Match[str]) -> str:
    operator, first = found[1], found[2]
    major, minor, patch = map(int, first.partition("-")[0].split("."))
    if operator == "^" and major:
        return f">={first},<{major + 1}.0.0"
    if operator == "^" and not minor:
        return f">={first},<0.0.{patch + 1}"
    return f">={first},<{major}.{minor + 1}.0"


def is_exact(text: str) -> bool:
    """Whether ``text`` is one exact version and not a range."""
    return len(text) <= MAX_NAME_CHARS and _VERSION.match(text) is not None


def is_prerelease(version: str) -> bool:
    """Whether an exact version is a pre-release, such as ``1.0.0-rc.1``."""
    return "-" in version.partition("+")[0]


def in_order(versions: Iterable[str]) -> list[str]:
    """Versions as text, oldest first by SemVer; pre-releases stand before their release."""
    given = [check_version(text) for text in versions]
    if not any("-" in text or "+" in text for text in given):
        # Three numbers each, as most models have them: no need of the library, which takes 7 ms to import.
        return sorted(given, key=lambda text: tuple(map(int, text.split("."))))
    return sorted(given, key=lambda text: (parse_version(text).precedence_key, text))


def satisfying(versions: Iterable[str], wanted: str | None) -> Iterator[str]:
    """Those of ``versions`` that satisfy ``wanted`` (an exact version, a range, or None), lazily and in their order.

    A pre-release is taken only when ``wanted`` is that version, or a range that itself names a pre-release.
    """
    if wanted is not None and is_exact(wanted):
        yield from (text for text in versions if text == wanted)
        return
    if wanted is None:
        yield from (text for text in versions if not is_prerelease(check_version(text)))
        return
    spec = parse_range(wanted)
    with_prereleases = "-" in wanted
    for text in versions:
        version = parse_version(text)
        if (with_prereleases or not version.prerelease) and spec.match(version):
            yield text


def select_version(versions: Iterable[str], wanted: str | None) -> str | None:
    """The newest of ``versions`` that satisfies ``wanted``, as ``satisfying`` says, None when none does."""
    accepted = in_order(satisfying(versions, wanted))
    return accepted[-1] if accepted else None


def slug_of(name: str) -> str:
    """The form of a class's display name that stands in refs: ``"potter's wheel"`` gives ``potters-wheel``.

    Accents are dropped, apostrophes vanish, every other run of characters outside ``[a-z0-9._]`` becomes one hyphen.
    Empty when nothing is left; the caller then uses ``class-<index>``.
    """
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    text = text.replace("'", "").replace('"', "")
    return re.sub(r"[^a-z0-9._]+", "-", text).strip("-._")[:MAX_NAME_CHARS]


@dataclass(frozen=True, order=True)
class ModelRef:
    """One release: ``namespace/model@version``."""

    namespace: str
    model: str
    version: str

    @property
    def name(self) -> str:
        return f"{self.namespace}/{self.model}"

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, order=True)
class ModuleRef:
    """One module of one release: ``namespace/model:class@version``, the class by its slug."""

    namespace: str
    model: str
    cls: str
    version: str

    @property
    def release(self) -> ModelRef:
        return ModelRef(self.namespace, self.model, self.version)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.model}:{self.cls}@{self.version}"


@dataclass(frozen=True)
class Request:
    """A name as typed.

    ``base`` is ``namespace/model``, or one word: an alias, or a namespace with a single model. ``cls`` is a slug or a
    display name, None for every class. ``version`` is an exact version or a range, None for the newest.
    """

    base: str
    cls: str | None = None
    version: str | None = None

    @property
    def is_qualified(self) -> bool:
        return "/" in self.base

    def __str__(self) -> str:
        return (
            self.base
            + (f":{self.cls}" if self.cls is not None else "")
            + (f"@{self.version}" if self.version is not None else "")
        )


def parse(text: str) -> Request:
    """Read a name as typed. Raises InvalidRef naming the part that is wrong."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidRef("an empty name was given.", hint=_SYNTAX + ".", name=str(text))
    if len(text) > MAX_REF_CHARS:
        raise InvalidRef(
            f"the name {shown(text)} has {len(text)} characters; at most {MAX_REF_CHARS} are allowed.",
            hint="shorten it.",
            name=text,
        )
    rest, at, version = text.strip().partition("@")
    base, colon, cls = rest.partition(":")
    if at:
        if not version:
            raise InvalidRef(f"{shown(text)} has nothing after '@'.", hint=_SYNTAX + ".", name=text)
        if not is_exact(version):
            parse_range(version)
    if colon and not cls.strip():
        raise InvalidRef(f"{shown(text)} has nothing after ':'.", hint=_SYNTAX + ".", name=text)
    if len(cls) > MAX_DISPLAY_NAME_CHARS:
        raise InvalidRef(f"the class in {shown(text)} is too long.", hint=_SYNTAX + ".", name=text)
    parts = base.split("/")
    if len(parts) > 2:
        raise InvalidRef(f"{shown(text)} has more than one '/'.", hint=_SYNTAX + ".", name=text)
    if len(parts) == 2:
        check_name(parts[0], "namespace")
        check_name(parts[1], "model")
    else:
        check_name(base, "name")
    return Request(base, cls.strip() if colon else None, version if at else None)


def parse_model_name(text: str) -> tuple[str, str]:
    """``namespace/model`` as its two parts, without class or version. Raises InvalidRef."""
    request = parse(text)
    if not request.is_qualified or request.cls is not None or request.version is not None:
        raise InvalidRef(
            f"{shown(text)} is not a model's name.", hint="write namespace/model, for example me/net.", name=text
        )
    namespace, model = request.base.split("/")
    return namespace, model


def parse_new_model_name(text: str) -> tuple[str, str]:
    """As ``parse_model_name``, for a model that is to be made: both parts as ``check_new_name`` says."""
    namespace, model = parse_model_name(text)
    return check_new_name(namespace, "namespace"), check_new_name(model, "model")


def release_named(ref: str) -> ModelRef:
    """The one release that ``namespace/model@version`` names. Raises InvalidRef."""
    request = parse(ref)
    if not request.is_qualified or request.cls is not None or not is_exact(request.version or ""):
        raise InvalidRef(
            f"{ref!r} is not a release's name.",
            hint="write namespace/model@version, for example me/net@1.0.0.",
            name=ref,
        )
    namespace, model = request.base.split("/")
    return ModelRef(namespace, model, str(request.version))


def withdrawable(ref: str) -> ModelRef | Request:
    """What can be yanked: the release that ``namespace/model@version`` names, or one class of it, as typed.

    Raises InvalidRef.
    """
    request = parse(ref)
    if request.cls is None:
        return release_named(ref)
    release_named(str(Request(request.base, None, request.version)))
    return request


def is_model_name(text: str) -> bool:
    """Whether ``parse_model_name`` accepts ``text``."""
    try:
        parse_model_name(text)
    except InvalidRef:
        return False
    return True


def several_named(base: str, cls: str, known: Iterable[str]) -> str | None:
    """The hint for ``base:cat,dog``, which is two names in one; None when these are no ``known`` classes."""
    parts = [part.rpartition(":")[2].strip() for part in cls.split(",")]
    if len(parts) < 2 or not set(parts) <= set(known):
        return None
    return f"give each class a name of its own: {' '.join(f'{base}:{slug_of(part)}' for part in parts)}"
