"""How many images are worked on at a time, from what memory is free: numbers in, numbers out. Pure."""

from __future__ import annotations

from typing import Final

from modhub.limits import MIB

#: Free bytes to reckon with where a machine does not tell.
UNKNOWN_FREE: Final = 1024 * MIB
#: Bytes that the intermediate results of one chunk take at most, however much is free: more is no faster.
MOST_CHUNK: Final = 128 * MIB
#: Shares of what is free for the results kept of a chunk, and for one batch inside the network.
_CHUNK_SHARE: Final = 8
_BATCH_SHARE: Final = 2


def free_bytes(
    available: int | None,
    address_space: tuple[int, int] | None,
    groups: tuple[tuple[int, int], ...] = (),
) -> int:
    """The least that the machine and every limit leave, in bytes, never below 0.

    ``available`` is what the machine could give; ``address_space`` this process's limit and what it has mapped;
    ``groups`` the limit and the use of each control group around it. What is None, or no limit, is left out.
    """
    left = [] if available is None else [available]
    left += [limit - used for limit, used in (*groups, *([address_space] if address_space else []))]
    return max(0, min(left)) if left else UNKNOWN_FREE


def images_in_chunk(free: int, bytes_an_image: int, batch_size: int) -> int:
    """How many images' intermediate results are held at once: whole batches, one at least."""
    room = min(free // _CHUNK_SHARE, MOST_CHUNK) // max(1, bytes_an_image)
    return max(1, room // batch_size) * batch_size


def images_in_batch(free: int, bytes_an_image: int, batch_size: int) -> int:
    """``batch_size``, or the fewer images, one at least, that fit through the network at once."""
    return max(1, min(batch_size, free // _BATCH_SHARE // max(1, bytes_an_image)))
