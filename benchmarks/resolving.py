#!/usr/bin/env python3
"""How long it takes to choose the releases of 200 modules of 20 origins together, without any I/O.

    python benchmarks/resolving.py [--short]

Catalogs are in memory, so this is the resolver alone. Each origin has ten of the modules, and each round is a new
resolution: nothing is kept from one to the next. The figures are medians. The second table: one module of a model of
which all versions but the first were yanked. Ends with an error when a case of the first takes 50 ms or more.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "resolve"))
sys.path.insert(0, str(Path(__file__).parent))

import common
import registries
from catalogs_in_memory import YANKED, MemoryCatalog, Release, catalog, takes

from modhub.errors import Incompatible
from modhub.resolve.catalog import all_modules
from modhub.resolve.resolver import resolve
from modhub.resolve.together import resolve_together
from modhub.spec.input_contract import InputContract
from modhub.spec.refs import ModelRef

ORIGINS, MODULES, VERSIONS = 20, 200, 20
CLASSES = [f"class {number}" for number in range(10)]
LIMIT_MS = 50

Contracts = Callable[[int, int], InputContract]


def world(contracts: Contracts, versions: int = VERSIONS) -> MemoryCatalog:
    """``contracts`` says what an origin takes in each of its versions, both by number."""
    releases = {
        f"team-{origin:02d}/net@1.{version}.0": Release(contracts(origin, version), CLASSES)
        for origin in range(ORIGINS)
        for version in range(versions)
    }
    return catalog(releases, targets={f"short-{origin:02d}": f"team-{origin:02d}/net" for origin in range(ORIGINS)})


def size(number: int) -> InputContract:
    return takes(32 + number, 32 + number)


def requests(wanted: Callable[[int], str] = lambda number: "") -> list[str]:
    each = MODULES // ORIGINS
    return [f"short-{n // each:02d}:{CLASSES[n % each]}{wanted(n)}" for n in range(MODULES)]


LOCKED = "the oldest are locked"
#: What it is, how releases differ, what each request asks for.
CASES: dict[str, tuple[Contracts, list[str]]] = {
    "the newest fit": (lambda origin, version: size(0), requests()),
    LOCKED: (lambda origin, version: size(0), requests()),
    "the newest fit; 200 ranges": (lambda origin, version: size(0), requests(lambda n: f"@>=1.0.{n},<2")),
    "one origin has to give way": (
        lambda origin, version: size(1 if origin == ORIGINS - 1 and version else 0),
        requests(),
    ),
    "only the oldest fit": (lambda origin, version: size(origin + 1 if version else 0), requests()),
    "only the oldest fit; 20 sizes an origin": (
        lambda origin, version: size(1 + (7 * origin + version) % VERSIONS if version else 0),
        requests(),
    ),
    "nothing fits": (lambda origin, version: size(origin), requests()),
}


def outcome_of(asked: Sequence[str], place: MemoryCatalog, locked: Sequence[ModelRef] = ()) -> str:
    """What comes out, in a word."""
    try:
        pins = all_modules(resolve_together(asked, [place], {}, prefer=locked))
    except Incompatible as error:
        return error.kind
    return f"{len(pins)} modules of {len({pin.ref.release for pin in pins})} releases"


def median_ms(work: Callable[[], Any], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)


def choosing_together(rounds: int) -> list[dict[str, Any]]:
    rows = []
    for name, (contracts, asked) in CASES.items():
        place = world(contracts)
        locked = [ModelRef(f"team-{origin:02d}", "net", "1.0.0") for origin in range(ORIGINS)] if name == LOCKED else ()
        outcome = outcome_of(asked, place, locked)
        read = len(place.contracts)
        arguments = (asked, place, locked)
        milliseconds = median_ms(lambda arguments=arguments: outcome_of(*arguments), rounds)
        rows.append({"case": name, "outcome": outcome, "contracts": read, "ms": milliseconds})
    return rows


def withdrawn(counts: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    rows = []
    for count in counts:
        releases = [f"me/net@1.{version}.0" for version in range(count + 1)]
        place = catalog(dict.fromkeys(releases, size(0)), withdrawn=dict.fromkeys(releases[1:], YANKED))
        (pin,) = all_modules(resolve(["me/net:cat"], [place], {}))
        assert str(pin.ref) == "me/net:cat@1.0.0"
        milliseconds = median_ms(lambda place=place: resolve(["me/net:cat"], [place], {}), rounds)
        rows.append({"withdrawn": count, "ms": milliseconds})
    return rows


def tables(figures: dict[str, list[dict[str, Any]]]) -> str:
    names = (
        f"{MODULES} modules, {ORIGINS} origins, {VERSIONS} versions each",
        "what comes out",
        "contracts read",
        "ms",
    )
    rows = [(row["case"], row["outcome"], row["contracts"], f"{row['ms']:.1f}") for row in figures["together"]]
    yanked = [(row["withdrawn"], f"{row['ms']:.1f}") for row in figures["withdrawn"]]
    return f"{common.markdown(names, rows)}\n\n{common.markdown(('yanked versions before the first', 'ms'), yanked)}"


def main() -> None:
    options = registries.parser(__doc__ or "").parse_args()
    rounds = 5 if options.short else 31
    figures = {
        "together": choosing_together(rounds),
        "withdrawn": withdrawn((100,) if options.short else (100, 1000, 10_000), 5),
    }
    print(tables(figures))
    if not options.short:
        common.keep(options.out, "resolving", figures)
    slow = [row["case"] for row in figures["together"] if row["ms"] >= LIMIT_MS]
    if slow:
        sys.exit(f"{LIMIT_MS} ms or more: {', '.join(slow)}")


if __name__ == "__main__":
    main()
