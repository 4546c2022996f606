"""Kinds of layer that installed packages bring: found by name, and never by anything that a registry says.

A package names its records under the entry point ``modhub.layers``, each by its kind, ``package/kind``. What a release
says is only such a name with numbers; where no installed package has it, the release can be listed, installed and
copied, and whoever needs to know what the layer computes is told what is missing.
"""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, ClassVar, Final

from pydantic import ConfigDict, PlainSerializer, PlainValidator, StringConstraints, WithJsonSchema

from modhub.errors import Incompatible, shown
from modhub.limits import MAX_LAYER_NAME_CHARS
from modhub.spec.entry_points import Brought
from modhub.spec.layer_record import LayerRecord, Reads, Shape

GROUP: Final = "modhub.layers"
_LAYERS: Final = Brought("kind of layer", "bad-layer-package")
#: How kinds from packages are called; those of modhub itself have no slash.
KIND_PATTERN: Final = r"^[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_]*$"
#: What such a kind may say of how it reads its inputs: windows and contractions are known by the kinds that have them.
_READS: Final[tuple[Reads, ...]] = ("elementwise", "reduction", "rearrangement", "merge", "everything")


class PackagedLayer(LayerRecord):
    """A kind of layer in a package of somebody else's: ``kind`` is a Literal such as ``"acme/clip"``.

    ``engine`` says where its other half is, a ``modhub.engine.packaged.KerasHalf``, as ``module:attribute``. Once
    released, a kind means the same for ever; new fields have defaults under which old ones mean what they meant.
    """

    since: ClassVar[int] = 2
    engine: ClassVar[str]


class MissingLayer(LayerRecord):
    """A layer of a kind that no installed package provides, with its fields as they were stored."""

    model_config = ConfigDict(extra="allow", frozen=True)

    since: ClassVar[int] = 2
    kind: Annotated[str, StringConstraints(pattern=KIND_PATTERN, max_length=MAX_LAYER_NAME_CHARS)]

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        raise self._unknown()

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        raise self._unknown()

    def _unknown(self) -> Incompatible:
        return Incompatible(
            f"the network has a layer of the kind {shown(self.kind)}, which no installed package provides.",
            kind="missing-layer-kind",
            # Not a line to copy: the name comes from whoever published the release.
            hint="install the package that provides it, if you trust those who made it, as its code will run; the "
            "release's publisher knows which it is (docs/networks.md, kinds from packages).",
            layer_kind=self.kind,
        )


def packaged_layer(value: Any) -> LayerRecord:
    """A record of a packaged kind, from its fields. Raises UsageError for a package that is broken."""
    if isinstance(value, LayerRecord):
        return value
    kind = value.get("kind") if isinstance(value, Mapping) else None
    record = provided().get(kind) if isinstance(kind, str) else None
    return MissingLayer.model_validate(value) if record is None else record_of(record).model_validate(value)


def provided() -> Mapping[str, EntryPoint]:
    """The kinds that installed packages provide. Raises UsageError where two provide the same."""
    return _provided(tuple(sys.path))


@lru_cache(maxsize=2)
def _provided(path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    return _LAYERS.by_name(entry_points(group=GROUP))


def record_of(entry: EntryPoint) -> type[PackagedLayer]:
    """The record behind an entry point. Raises UsageError, kind ``bad-layer-package``, for what is none."""
    record = _LAYERS.load(entry)
    if not (isinstance(record, type) and issubclass(record, PackagedLayer)):
        raise _LAYERS.bad(entry, "is no subclass of modhub.spec.packaged_layers.PackagedLayer")
    if record.model_fields["kind"].default != entry.name:
        raise _LAYERS.bad(entry, f"has the kind {record.model_fields['kind'].default!r}")
    if record.reads not in _READS or record.since < PackagedLayer.since:
        raise _LAYERS.bad(
            entry, f"reads {record.reads!r} since format {record.since}; wanted is one of {', '.join(_READS)}"
        )
    return record


def _plain_fields(record: LayerRecord) -> dict[str, Any]:
    return record.model_dump(mode="json")


#: A record of a packaged kind, installed or not.
Packaged = Annotated[
    LayerRecord,
    PlainValidator(packaged_layer),
    PlainSerializer(_plain_fields, return_type=dict[str, Any]),
    WithJsonSchema(
        {
            "description": "A kind of layer of an installed package, with the fields that it defines.",
            "properties": {"kind": {"pattern": KIND_PATTERN, "type": "string", "maxLength": MAX_LAYER_NAME_CHARS}},
            "required": ["kind"],
            "type": "object",
        }
    ),
]
