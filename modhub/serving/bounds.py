"""How much a served classifier takes, at once and at all, and how long anybody waits, in one place, with units."""

from __future__ import annotations

from dataclasses import dataclass

from modhub.limits import MAX_SENT_BYTES, MAX_SENT_PIXELS, MIB


@dataclass(frozen=True)
class ServingLimits:
    """What is beyond is refused: 413 for what is too large, 429 for what is too much now, 408 and 504 for too late.

    ``body``: bytes of one request; ``json_body``: of one in JSON, which takes many times as much memory. ``pixels``: of
    one picture as it is sent, before it is fitted; ``all_pixels``: of all pictures of one request. ``images``: in one
    request.

    ``requests``: being read or answered at once; ``buffered``: bytes of all their bodies. ``waiting``: images that wait
    for the classifier; ``backlog``: seconds that what waits may take, as the last batches went, so that a server that
    is asked to stop can answer all of it.

    ``batch``: images that are classified together at most; ``gather``: seconds that the first of them waits for others.
    ``reading``: seconds until a request has been read; ``answering``: seconds for its pictures to be decoded, and again
    until it has its answer.
    """

    body: int = MAX_SENT_BYTES
    json_body: int = 16 * MIB
    pixels: int = MAX_SENT_PIXELS
    all_pixels: int = 16 * MAX_SENT_PIXELS
    images: int = 256
    requests: int = 256
    buffered: int = 256 * MIB
    waiting: int = 2048
    backlog: float = 2.0
    batch: int = 64
    gather: float = 0.005
    reading: float = 30.0
    answering: float = 30.0
