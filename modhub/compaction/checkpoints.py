"""Where a training stands, as bytes: enough to go on with the same result as if it had never stopped.

One line of JSON (``format``, ``inputs``, ``step``, ``share``, and ``digest``, the SHA-256 of all other fields and the
rest), then the variables as safetensors in the order in which the training has them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from modhub.errors import IntegrityError
from modhub.spec.digests import Digest, sha256

#: Version of these bytes.
CHECKPOINT_FORMAT: Final = 1
_NUMBERS: Final = "08d"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """After ``step`` steps, of a schedule of which ``share`` (0 to 1) is behind: the float32 ``variables``."""

    step: int
    share: float
    variables: Sequence[NDArray[np.float32]]


class Checkpoints(Protocol):
    """Keeps the last checkpoint of a training, which ``inputs`` names: the digest of all that its result follows
    from."""

    def load(self, inputs: Digest) -> Checkpoint | None:
        """The checkpoint of just this training, or None."""

    def save(self, inputs: Digest, checkpoint: Checkpoint) -> None:
        """Keep this one in place of any before it."""


def encode_checkpoint(inputs: Digest, checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint; equal ones give equal bytes."""
    arrays = {format(number, _NUMBERS): np.asarray(each) for number, each in enumerate(checkpoint.variables)}
    body = safetensors.numpy.save(arrays)
    fields = {
        "format": CHECKPOINT_FORMAT,
        "inputs": inputs,
        "step": checkpoint.step,
        "share": checkpoint.share,
    }
    return _line(fields | {"digest": _digest(fields, body)}) + body


def decode_checkpoint(data: bytes, inputs: Digest) -> Checkpoint:
    """The checkpoint that these bytes are, of the training ``inputs``.

    Raises IntegrityError where they are damaged, of another format or of another training.
    """
    line, _, body = data.partition(b"\n")
    try:
        fields = json.loads(line)
        given = fields.pop("digest")
        version, step, share = fields["format"], int(fields["step"]), float(fields["share"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _unusable("it is damaged") from None
    if version != CHECKPOINT_FORMAT:
        raise _unusable(f"it has the format {version!r}, and this is {CHECKPOINT_FORMAT}"[:200])
    if given != _digest(fields, body):
        raise _unusable("it is damaged")
    if fields["inputs"] != inputs:
        raise _unusable("it is of another network, other images or other options")
    try:
        arrays = safetensors.numpy.load(body)
    except safetensors.SafetensorError:
        raise _unusable("it is damaged") from None
    return Checkpoint(step, share, [arrays[name] for name in sorted(arrays)])


def _line(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _digest(fields: dict[str, object], body: bytes) -> Digest:
    return sha256(_line(fields) + body)


def _unusable(reason: str) -> IntegrityError:
    return IntegrityError(f"the checkpoint cannot be used: {reason}.", kind="bad-checkpoint")
