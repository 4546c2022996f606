#!/usr/bin/env python3
"""How large a release is against its weights alone, as stored: weights, masks, heads and manifest together.

    python benchmarks/size.py

Measures every release of the starter registry.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import common
import report

from modhub.installation.registries import STARTER_FOLDER
from modhub.registry.writer import Registry
from modhub.spec.manifest import write_manifest
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store


def main() -> None:
    arguments = common.parser(__doc__ or "", needs_data=False)
    arguments.set_defaults(data=Path())
    options = arguments.parse_args()
    registry = Registry(open_store(str(STARTER_FOLDER)))
    figures = []
    for name in registry.models():
        for version in registry.versions(*name.split("/")):
            manifest = registry.manifest(ModelRef(*name.split("/"), version))
            weights = manifest.blobs[manifest.content.origin.weights].size
            raw = manifest.blobs[manifest.content.origin.weights].decoded_size
            blobs = sum(blob.size for blob in manifest.blobs.values())
            total = blobs + len(write_manifest(manifest))
            classes = len(manifest.content.modules)
            figures.append(
                {
                    "release": f"{name}@{version}",
                    "classes": classes,
                    "weights": weights,
                    "raw_weights": raw,
                    "total": total,
                    "ratio": total / weights,
                }
            )
    common.keep(options.out, "size", figures)
    print(report.size(figures))


if __name__ == "__main__":
    main()
