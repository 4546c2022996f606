#!/usr/bin/env python3
"""Is a wrong scaling noticed, and a right one left in peace? Each trained network is decomposed under several.

    python benchmarks/scalings.py --data DATA [--only NAME]

All networks take values from 0 to 1 (``--rescale 1/255``). A row says what comes of other scalings: refused with the
line to use, refused as near chance, or a warning; "silent" is only right in the column of the right one.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import common

import modhub
from modhub.errors import InvalidData

#: As ``rescale``, ``mean`` and ``std``.
SCALINGS = {
    "0 to 1, the right one": (1 / 255, None, None),
    "as they are": (1.0, None, None),
    "-1 to 1": (1 / 127.5, 1.0, None),
    "torch": (1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
#: Images a class that are observed: what comes after the check is not the question.
OBSERVED = 3


def outcome(model, data: common.Images, name: str, rescale, mean, std) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            modhub.decompose(
                model, data.x, data.y, classes=data.classes, name=f"bench/{name}", rescale=rescale, mean=mean, std=std,
                samples_per_class=OBSERVED if len(data.classes) > 50 else 20,
            )  # fmt: skip
        except InvalidData as error:
            return f"refused ({error.kind})"
    said = [
        str(each.message) for each in caught if "margins are" in str(each.message) or "trained so" in str(each.message)
    ]
    return "warned" if said else "silent"


def main() -> None:
    parser = common.parser(__doc__ or "")
    parser.add_argument("--only", choices=common.MODELS, help="one network")
    options = parser.parse_args()
    rows = []
    for name in [options.only] if options.only else common.MODELS:
        data = common.images(options.data, common.MODELS[name], "train")
        model = common.model(options.models, name)
        rows.append([name, *(outcome(model, data, name, *scaling) for scaling in SCALINGS.values())])
        print(rows[-1], flush=True)
    common.keep(options.out, "scalings", rows)
    print(common.markdown(("network", *SCALINGS), rows))


if __name__ == "__main__":
    main()
