"""What every stored file is made of: bounded texts and numbers, a frozen base, and bytes that carry their checksum.

Apart from releases (``manifest``) and small files (``registry_files``), so that reading one kind does not wait for the
models of the other.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from modhub.errors import Incompatible, IntegrityError, plain
from modhub.limits import MAX_COUNT, MAX_DISPLAY_NAME_CHARS, MAX_EXTENT, MAX_NAME_CHARS, MAX_TENSOR_ELEMENTS
from modhub.spec.digests import DIGEST_PATTERN, canonical_fields, canonical_json, canonical_object, parse_json, sha256
from modhub.spec.refs import NAME_PATTERN, VERSION_PATTERN

DigestText = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=MAX_NAME_CHARS)]
VersionText = Annotated[str, StringConstraints(pattern=VERSION_PATTERN, max_length=MAX_NAME_CHARS)]
#: What people read: without control characters, which steer terminals and make one line look like two.
TEXT_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
DisplayName = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1, max_length=MAX_DISPLAY_NAME_CHARS)]
#: Names by which pydantic tells the kinds of a value apart; no field has one of them.
UNION_TAGS: Final = frozenset({"own:layer", "packaged:layer"})
#: The length of one axis.
Extent = Annotated[int, Field(ge=1, le=MAX_EXTENT)]
#: The length of a vector, which is an axis that no image has.
Length = Annotated[int, Field(ge=1, le=MAX_TENSOR_ELEMENTS)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
PositiveCount = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Share = Annotated[float, Field(ge=0, le=1)]
#: Networks compute in float32: what is beyond it would be infinity there, and a divisor below it zero.
FLOAT32_MAX: Final = 3.4028234663852886e38
FLOAT32_TINY: Final = 1.1754943508222875e-38
Float32 = Annotated[float, Field(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
Divisor32 = Annotated[float, Field(ge=FLOAT32_TINY, le=FLOAT32_MAX)]


class Stored(BaseModel):
    """What every file has in common: unknown fields survive, values never change."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False, defer_build=True)


def with_checksum(value: dict[str, Any]) -> bytes:
    """Canonical JSON of ``value`` with a checksum over all the rest."""
    value.pop("checksum", None)
    fields = canonical_fields(value)
    return canonical_object(fields | {"checksum": canonical_json(sha256(canonical_object(fields)))})


def checked_object(data: bytes, *, what: str, newest: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Untrusted bytes that ``with_checksum`` wrote, as the object without its checksum, and its fields' canonical JSON.

    Raises IntegrityError, and Incompatible for a format newer than ``newest``.
    """
    value = parse_json(data, what=what)
    if not isinstance(value, dict) or type(value.get("format")) is not int or not 1 <= value["format"] < 2**31:
        raise IntegrityError(f"{what} is not a modhub file: it names no format.", kind="bad-json", what=what)
    if value["format"] > newest:
        raise Incompatible(
            f"{what} has format {value['format']}; this version of modhub reads up to format {newest}.",
            kind="newer-format",
            hint="upgrade modhub: pip install --upgrade modhub.",
            what=what,
            format=value["format"],
            newest=newest,
        )
    checksum = value.pop("checksum", None)
    fields = canonical_fields(value)
    whole = canonical_object(fields | {"checksum": canonical_json(checksum)})
    if whole != data or sha256(canonical_object(fields)) != checksum:
        raise IntegrityError(
            f"{what} is damaged: its checksum does not match its bytes.",
            kind="bad-checksum",
            hint="fetch it again, or ask the administrator of the registry to restore it.",
            what=what,
        )
    return value, fields


def invalid(what: str, error: ValidationError) -> IntegrityError:
    """What to raise when a file does not follow its schema."""
    first = error.errors(include_url=False, include_input=False)[0]
    # Which of several kinds of value a field was taken for is no part of its place.
    place = plain(".".join(str(part) for part in first["loc"] if part not in UNION_TAGS)) or "top level"
    return IntegrityError(
        f"{what} does not follow the format: {place}: {plain(first['msg'])}.",
        kind="bad-schema",
        what=what,
        place=place,
    )
