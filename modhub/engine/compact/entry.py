"""The one call that makes a network compact. What asks for it need not wait for a network library to load."""

from __future__ import annotations

import time

from modhub.engine.compact.request import CompactProgress, CompactRequest
from modhub.package.decomposition import Decomposition


def made_compact(request: CompactRequest, progress: CompactProgress | None = None) -> Decomposition:
    """The decomposition of the compact network, with how it was made and the processor time that this took."""
    from modhub.engine.compact.release import compact_release  # keras takes seconds to import

    start = time.process_time()
    decomposition, compacted = compact_release(request, progress or (lambda what, done, total: None))
    seconds = round(time.process_time() - start, 1)
    return decomposition.with_compacted(compacted, seconds)
