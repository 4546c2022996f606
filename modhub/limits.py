"""The bounds on everything that is read from outside, in one place, with units.

Whatever a registry, a cache or a package folder holds is hostile until verified; these numbers keep a small file
from asking for a large machine. They bound one object each; a release of 1,000 classes stays far below all of them.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

#: Bytes of one manifest, index shard or catalog as stored; of a record. A release of 1,000 classes with masks at 50
#: sites has a manifest of 2.3 MiB; one of 10,000 (23 MiB, 2.8 million values, 460,000 fields) is read in a second and
#: 400 MiB on an ordinary machine, and nothing hostile takes more.
MAX_MANIFEST_BYTES: Final = 24 * MIB
MAX_RECORD_BYTES: Final = 64 * KIB
#: Bytes of one file of signatures: an OpenSSF bundle names every file that it signs, 300 bytes each.
MAX_SIGNATURE_BYTES: Final = 4 * MIB
#: Entries of one history; a host that cannot list could otherwise be asked for ever.
MAX_HISTORY_ENTRIES: Final = 10_000
#: Bytes of one blob as stored, and after decompression.
MAX_BLOB_BYTES: Final = 4 * GIB
MAX_DECODED_BYTES: Final = 8 * GIB
#: Decoded bytes per stored byte. A zstd block holds at most 128 KiB in at least 4 bytes; full masks come close to that.
MAX_DECODED_RATIO: Final = 32_768
#: The same for weights alone: a network of which 99 % is zero stays far below, a bomb does not.
MAX_WEIGHTS_RATIO: Final = 1_000
#: Bytes of a lockfile, and modules in one; 1,000 modules take 0.2 MiB.
MAX_LOCK_BYTES: Final = 4 * MIB
MAX_LOCKED_MODULES: Final = 10_000
#: Bytes of what a classifier's file says first: which modules under which labels. 10,000 of them take 3 MiB.
MAX_CLASSIFIER_BYTES: Final = 4 * MIB
#: Lines of a lockfile, fields and values in it, and dots outside its texts: the memory that Python's TOML reader takes
#: for a dotted name grows with the square of its length, and ours have none.
MAX_LOCK_LINES: Final = 100_000
MAX_LOCK_FIELDS: Final = 100_000
MAX_LOCK_DOTS: Final = 1_000
#: Seconds in which a web server's answer has to begin, and bytes a second that have to come of it afterwards: an answer
#: that drips never pauses long enough to be called silent.
ANSWER_SECONDS: Final = 60
SLOWEST_BYTES_PER_SECOND: Final = 4 * KIB
#: The longest wait, in seconds, that a server may ask for with ``Retry-After`` and get.
MAX_RETRY_AFTER_SECONDS: Final = 60
#: Characters of a registry's URL.
MAX_URL_CHARS: Final = 2_000
#: Nesting of JSON objects and arrays.
MAX_JSON_DEPTH: Final = 64
#: What one byte more may cost differs widely, so it is counted before anything is made of it: commas, and colons with
#: opening brackets (texts' own are counted too), and numbers with a fraction.
MAX_JSON_VALUES: Final = 3_000_000
MAX_JSON_FIELDS: Final = 500_000
MAX_JSON_FRACTIONS: Final = 500_000

#: Images taken from batches of which nothing says how many there are, unless a number of batches was given: data that
#: repeats for ever ends there and not where the disk is full. ImageNet is 1.3 million.
MAX_UNCOUNTED_IMAGES: Final = 2_000_000

#: What a server of modhub takes of a client: bytes of one request, and pixels of one picture, which are counted before
#: it is decoded. A photograph of the largest camera phones has 50 million, and 20 MiB.
MAX_SENT_BYTES: Final = 32 * MIB
MAX_SENT_PIXELS: Final = 64_000_000

#: Keys of all JSON objects with more than 100 of them together: the layers of a network, say. Tables by digest (blobs)
#: are bounded by the number of fields alone.
MAX_JSON_LARGE_KEYS: Final = 20_000
#: Anything that is counted: what a float, and so every reader of JSON, holds exactly. No whole number in JSON is larger
#: than 64 bits hold.
MAX_COUNT: Final = 2**53 - 1
MAX_JSON_INTEGER: Final = 2**63 - 1
#: Bytes of the user's configuration.
MAX_CONFIG_BYTES: Final = 256 * KIB

#: Characters of a namespace, a model, a class's slug; of a class's display name.
MAX_NAME_CHARS: Final = 100
MAX_DISPLAY_NAME_CHARS: Final = 500
#: Characters of a layer's identifier inside an architecture.
MAX_LAYER_NAME_CHARS: Final = 500
#: Characters of the reason given for a yank, a takedown or a revocation.
MAX_REASON_CHARS: Final = 1_000
#: Characters of a licence, an SPDX expression.
MAX_LICENSE_CHARS: Final = 500
#: Bytes of a README with its front matter; nesting and values of the front matter.
MAX_README_BYTES: Final = 1 * MIB
MAX_YAML_DEPTH: Final = 32
MAX_YAML_VALUES: Final = 50_000
#: Entries of each list of a card, characters of a keyword, and of a text of several paragraphs.
MAX_CARD_ENTRIES: Final = 1_000
MAX_KEYWORD_CHARS: Final = 100
MAX_PARAGRAPH_CHARS: Final = 10_000
#: Of a card's keywords and description what the index shows, and keys of signatures there.
MAX_INDEX_KEYWORDS: Final = 20
MAX_INDEX_DESCRIPTION_CHARS: Final = 200
MAX_INDEX_SIGNERS: Final = 20
MAX_INDEX_ORIGINS: Final = 8
#: Licences in an allow-list.
MAX_ALLOWED_LICENSES: Final = 1_000
#: Models, and ranges of one model, in one advisory; links and files of evidence of one.
MAX_AFFECTED: Final = 100
MAX_ADVISORY_REFERENCES: Final = 20
#: Findings of an audit that a project file ignores.
MAX_IGNORED: Final = 1_000
#: Bytes of one file of evidence: a page of figures and pictures.
MAX_EVIDENCE_BYTES: Final = 16 * MIB
#: Characters of a whole name as typed, ``namespace/model:class@range``.
MAX_REF_CHARS: Final = 3 * MAX_NAME_CHARS + MAX_DISPLAY_NAME_CHARS
#: Output classes of one network.
MAX_CLASSES: Final = 100_000

#: Layers and layer calls of one architecture.
MAX_LAYERS: Final = 10_000
#: One extent of an image or a feature map (pixels), and channels or filters of one layer. Vectors, such as the units of
#: a dense layer, may be as long as tensors; a release with longer ones has format 2.
MAX_EXTENT: Final = 65_536
#: Elements of any one tensor for one image, and of all weights together.
MAX_TENSOR_ELEMENTS: Final = 2**28
MAX_WEIGHT_ELEMENTS: Final = 2**31
#: Nodes of all sites of one network together, each a bit in two masks; VGG16 on images of 224 x 224 has 2^24.
MAX_MASK_NODES: Final = 2**28
