"""``python -m modhub``: the command line where the script ``modhub`` is not on the path."""

from __future__ import annotations

import sys

from modhub.cli import main

if __name__ == "__main__":
    sys.exit(main())
