"""The bounds on everything that is read from outside, in one place, with units.

Whatever a registry, a cache or a package folder holds is hostile until verified; these numbers keep a small file
from asking for a large machine. They bound one object each; a release of 1,000 classes stays far below all of them.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

#: Bytes of one manifest, index shard or record as stored.
MAX_MANIFEST_BYTES: Final = 64 * MIB
MAX_RECORD_BYTES: Final = 64 * KIB
#: Bytes of one blob as stored, and after decompression.
MAX_BLOB_BYTES: Final = 4 * GIB
MAX_DECODED_BYTES: Final = 8 * GIB
#: Decoded bytes per stored byte. A zstd block holds at most 128 KiB in at least 4 bytes; full masks come close to that.
MAX_DECODED_RATIO: Final = 32_768
#: Bytes of a lockfile, and modules in one.
MAX_LOCK_BYTES: Final = 16 * MIB
MAX_LOCKED_MODULES: Final = 50_000
#: Characters of a registry's URL.
MAX_URL_CHARS: Final = 2_000
#: Nesting of JSON objects and arrays.
MAX_JSON_DEPTH: Final = 64

#: Characters of a namespace, a model, a class's slug; of a class's display name.
MAX_NAME_CHARS: Final = 100
MAX_DISPLAY_NAME_CHARS: Final = 500
#: Characters of a layer's identifier inside an architecture.
MAX_LAYER_NAME_CHARS: Final = 500
#: Characters of a reason that somebody gives for a yank, a takedown or a revocation.
MAX_REASON_CHARS: Final = 1_000
#: Output classes of one network.
MAX_CLASSES: Final = 100_000

#: Layers and layer calls of one architecture.
MAX_LAYERS: Final = 10_000
#: One extent of an image or a feature map (pixels), and units, channels or filters of one layer.
MAX_EXTENT: Final = 65_536
#: Elements of any one tensor for one image, and of all weights together.
MAX_TENSOR_ELEMENTS: Final = 2**28
MAX_WEIGHT_ELEMENTS: Final = 2**31
