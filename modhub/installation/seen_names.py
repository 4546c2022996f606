"""What was last seen in the indexes of registries that are not on this machine: names, which completion proposes.

A file a registry, below the cache, that nothing else reads: a name is looked up in its registry when it is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from modhub.storage import files

#: The folder of these files below the cache's.
NAMES: Final = "names"


def keep_names(cache: Path, url: str, models: Mapping[str, Sequence[str]]) -> None:
    """Remember the slugs of every model that a registry has. A cache that cannot be written remembers nothing."""
    path = cache / NAMES / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"
    data = json.dumps({"registry": url, "models": {name: list(slugs) for name, slugs in models.items()}})
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.overwrite(path, data.encode(), durable=False)


def forget_names(cache: Path) -> None:
    """Remember nothing any more."""
    for path in (cache / NAMES).glob("*.json"):
        with suppress(OSError):
            path.unlink()
