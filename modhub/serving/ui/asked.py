"""What a browser asks for, read from JSON that nobody vouches for: bounded, and with no name that means a file here."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modhub.composition.recipe import Adapt, GivenSettings, Voting
from modhub.errors import IntegrityError, InvalidRef, UsageError, plain, shown
from modhub.limits import MAX_REF_CHARS
from modhub.spec.digests import parse_json
from modhub.spec.folder_refs import FOLDER_SUFFIX, is_classifier_name
from modhub.spec.refs import parse
from modhub.spec.schema import DisplayName

#: Modules of one classifier that a page may ask for.
MAX_PARTS: Final = 1_000


class AskedModule(BaseModel):
    """One class: the ``ref`` of a module in a registry, and the ``label`` it is to have; None for its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    ref: Annotated[str, Field(max_length=MAX_REF_CHARS)]
    label: DisplayName | None = None


class AskedClassifier(BaseModel):
    """A classifier as the composer has it. ``fetch`` says that large modules may be fetched for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    modules: Annotated[list[AskedModule], Field(min_length=1, max_length=MAX_PARTS)]
    adapt: Adapt | None = None
    reject: bool = False
    vote: Voting | None = None
    fetch: bool = False

    @property
    def refs(self) -> list[str]:
        """The names, in order."""
        return [module.ref for module in self.modules]

    @property
    def given(self) -> GivenSettings:
        """The settings that were named."""
        return GivenSettings(adapt=self.adapt, reject=self.reject or None, vote=self.vote)


def asked_classifier(data: bytes) -> AskedClassifier:
    """The classifier that the JSON in ``data`` asks for. Raises UsageError, kind ``bad-request``, and InvalidRef.

    >>> asked_classifier(b'{"modules": [{"ref": "cifar10/r20:cat@1.1.0"}], "adapt": "crop"}').refs
    ['cifar10/r20:cat@1.1.0']
    """
    try:
        asked = AskedClassifier.model_validate(parse_json(data, what="the request"))
    except IntegrityError as error:
        raise _bad(error.message) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise _bad(f"the request names no classifier: {plain(place)}: {plain(first['msg'])}.") from error
    for ref in asked.refs:
        _check_names_one_class(ref)
    return asked


def _check_names_one_class(ref: str) -> None:
    """Raise InvalidRef for all but a module of a registry: no page names what means a folder or a file here."""
    request = parse(ref)
    is_path = is_classifier_name(request.base) or request.base.endswith(FOLDER_SUFFIX)
    if not request.is_qualified or request.cls is None or is_path:
        raise InvalidRef(
            f"{shown(ref)} is not the whole name of a module.",
            hint="write namespace/model:class, or namespace/model:class@version.",
            name=ref,
        )


def _bad(message: str) -> UsageError:
    return UsageError(message, kind="bad-request", hint="reload the page; it may be older than this server.")
