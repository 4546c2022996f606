"""Checkpoints of trainings as files of a folder, one of each training."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from modhub.compaction.checkpoints import Checkpoint, decode_checkpoint, encode_checkpoint
from modhub.errors import IntegrityError
from modhub.spec.digests import Digest
from modhub.storage import files

_SUFFIX: Final = ".checkpoint"


def has_checkpoints(folder: Path) -> bool:
    """Whether a training can go on from this folder."""
    return any(folder.glob(f"*{_SUFFIX}"))


def forget(folder: Path) -> None:
    """Delete the checkpoints in a folder, and the folder if nothing else is in it."""
    for path in folder.glob(f"*{_SUFFIX}"):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


class FolderCheckpoints:
    """Files named by the digest of what the training follows from, each written in one step.

    One that is damaged or of another version of the format is ignored, with a warning, and written over.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = files.expanded(folder)

    def load(self, inputs: Digest) -> Checkpoint | None:
        path = self._path(inputs)
        try:
            return decode_checkpoint(path.read_bytes(), inputs)
        except FileNotFoundError:
            return None
        except IntegrityError as error:
            warnings.warn(f"{path}: {error.message} The training begins anew.", stacklevel=2)
            return None

    def save(self, inputs: Digest, checkpoint: Checkpoint) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        files.overwrite(self._path(inputs), encode_checkpoint(inputs, checkpoint), durable=True)

    def _path(self, inputs: Digest) -> Path:
        return self.folder / f"{inputs.rpartition(':')[2][:32]}{_SUFFIX}"
