"""How many random networks the property tests try.

In the suite the choice is fixed, so a failure is never luck. ``MODHUB_FUZZ_EXAMPLES=500`` asks for so many new ones,
``MODHUB_TESTS=all`` for four times the suite's.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

from tests import thinning

_ASKED = os.environ.get("MODHUB_FUZZ_EXAMPLES")


def fuzz(max_examples: int) -> Any:
    """Settings for one property test: ``max_examples`` in the suite, as many as asked for in a long run."""
    return settings(
        max_examples=int(_ASKED) if _ASKED else max_examples * (4 if thinning.ALL else 1),
        derandomize=not _ASKED,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
