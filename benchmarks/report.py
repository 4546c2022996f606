#!/usr/bin/env python3
"""Put the figures of all programs into docs/results.md, between the marks that name them.

    python benchmarks/report.py

Reads benchmarks/results/*.json; the text around the tables is written by hand and left alone.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common

PAGE = common.ROOT / "docs" / "results.md"
RESULTS = common.ROOT / "benchmarks" / "results"


def figures(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())["figures"]


def cost(measured: Any) -> str:
    headers = (
        "network", "images", "bare s", "predict s", "decompose s", "of predict", "of the bare pass",
        "processors: of predict", "of the bare pass", "peak of the bare pass's", "decompose MiB more",
    )  # fmt: skip
    rows = []
    for name, found in measured.items():
        medians = [f"{statistics.median(found['seconds'][work]):.2f}" for work in ("bare", "predict", "decompose")]
        ratios = [f"{found[kind][than]:.2f}" for kind in ("ratios", "processor_ratios") for than in ("predict", "bare")]
        memory = ("", "")
        if "peak_ratio" in found:
            memory = f"{found['peak_ratio']:.2f}", f"{found['beyond_mib']['decompose']:.0f}"
        rows.append((name, found["images"], *medians, *ratios, *memory))
    return common.markdown(headers, rows)


def modes(found: Any) -> str:
    import modes as program  # the programs load networks' libraries, which their own figures alone are worth

    return program.table(found)


def serve(found: Any) -> str:
    import serve as program

    return program.table(found)


def profile_ops(found: Any) -> str:
    """Milliseconds by kind of operation, the largest first."""
    kinds = sorted({kind for row in found.values() for kind in row["operations"]}, key=lambda k: (k == "other", k))
    rows = [
        (name, f"{row['clock']:.0f}", *(f"{row['operations'].get(kind, 0):.0f}" for kind in kinds))
        for name, row in found.items()
    ]
    return common.markdown(("what", "clock ms", *kinds), rows)


def growth(found: Any) -> str:
    import growth as program

    return program.table(found)


def hundred(found: Any) -> str:
    top_1 = found["top_1"]
    shares = f"{100 * top_1['value']:.1f} ({100 * top_1['low']:.1f} to {100 * top_1['high']:.1f})"
    row = (found["release"], found["modules"], found["images"], f"{found['seconds'] / 60:.1f}",
           f"{found['peak_bytes'] / 2**30:.2f}", shares)  # fmt: skip
    return common.markdown(("release", "modules", "images", "minutes", "peak GiB", "top-1"), [row])


def size(measured: Any) -> str:
    rows = [
        (f["release"], f["classes"], f"{f['weights'] / 1e6:.2f}", f"{f['total'] / 1e6:.2f}", f"{f['ratio']:.2f}")
        for f in measured
    ]
    return common.markdown(("release", "classes", "weights MB", "all MB", "ratio"), rows)


def pairs(found: Any) -> str:
    rows = [
        (" + ".join(f["pair"]), *(f"{100 * share:.1f}" for share in (*f["recalls"], f["balanced"])))
        for f in found["pairs"]
    ]
    rows.append((f"mean of {len(found['pairs'])} pairs", "", "", f"{100 * found['mean']:.2f}"))
    return common.markdown(("pair", "recall of the first", "of the second", "balanced"), rows)


def mixed(found: Any) -> str:
    """Modules of two sizes in one classifier: the vote, and each origin through the same input."""
    headers = ("composite's input", "20 classes of both", "CIFAR-10's ten alone", "ImageNet-200's ten alone")

    def line(name: str, row: Any, joint: str) -> tuple[str, ...]:
        return name, joint, *(f"{100 * row[origin]:.1f}" for origin in ("cifar10", "imagenet200"))

    rows = [line("each its own images, no adapter", found["alone"], "-")]
    rows += [line(f"{row['size']}x{row['size']}", row, f"{100 * row['joint']:.1f}") for row in found["rows"]]
    return common.markdown(headers, rows)


def voting(found: Any) -> str:
    """The scaled vote beside the raw one, and the calibration error of a vote's probability."""
    gains = [
        (" + ".join(map(str, row["classes"])), row["draws"], *(f"{100 * row[vote]:.2f}" for vote in ("raw", "scaled")),
         f"{100 * row['gain']:+.2f} ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})")
        for row in found["gains"]
    ]  # fmt: skip
    errors = [
        (row["what"], *(f"{row[key]:.3f}" for key in ("temperature", "observed", "validation", "module_scores")))
        for row in found["calibration"]
    ]  # fmt: skip
    first = common.markdown(("classes", "draws", "raw", "scaled", "gain, points"), gains)
    names = ("classes", "T", "ECE, T from observed images", "from validation images", "best module's own score")
    return f"{first}\n\n{common.markdown(names, errors)}"


def applications(found: Any) -> str:
    """Every classifier of keras.applications."""
    import applications as program

    return program.table(found["rows"])


def compact(found: Any) -> str:
    """Compact releases beside what they come from."""
    import compact as program

    return program.table(found)


def update(found: Any) -> str:
    """Updates for classes that an origin never saw."""
    import update as program

    return program.table(found["rows"])


def resolving(found: Any) -> str:
    """Choosing the releases of 200 modules of 20 origins together."""
    import resolving as program

    return program.tables(found)


def shared_pass(found: Any) -> str:
    """Modules that share a pass beside modules that each run by themselves."""
    headers = ("release", "modules", "images", "run again", "each by itself, s", "sharing, s", "ratio")
    rows = [
        (
            row["release"],
            row["modules"],
            row["images"],
            f"{row['run_again']:.1%}",
            f"{row['alone_s']:.2f}",
            f"{row['shared_s']:.2f}",
            f"{row['alone_s'] / row['shared_s']:.1f}",
        )
        for row in found
    ]
    return common.markdown(headers, rows)


def startup(measured: Any) -> str:
    rows = [
        (
            f"modhub {name}",
            f"{1000 * statistics.median(a for a, _ in f['pairs']):.0f}",
            f"{f['ratio']:.2f}",
            f["loaded"],
        )
        for name, f in measured.items()
    ]
    return common.markdown(("command", "ms", "times the yardstick", "network libraries loaded"), rows)


def warm_install(measured: Any) -> str:
    """Installing what is installed, beside reading and hashing it."""
    rows = [
        (
            release,
            found["modules"],
            f"{found['bytes'] / 1e6:.2f}",
            *(f"{1000 * statistics.median(pair[place] for pair in found['pairs']):.1f}" for place in (0, 1)),
            f"{found['ratio']:.2f}",
        )
        for release, found in measured.items()
    ]
    return common.markdown(("release", "modules", "MB", "install ms", "read and hash ms", "ratio"), rows)


def races(found: Any) -> str:
    rows = []
    for store, runs in found["runs"].items():
        same = [sorted({run[what] for run in runs}) for what in ("acknowledged", "conflicts")]
        shown = (f"{least} to {most}" if least != most else most for least, most in ((s[0], s[-1]) for s in same))
        wrong = (sum(run[what] for run in runs) for what in ("failed", "lost", "mixed", "not_in_index"))
        rows.append((store, len(runs), *shown, *wrong, f"{statistics.median(run['seconds'] for run in runs):.0f}"))
    headers = (
        "store",
        "runs",
        "acknowledged, each run",
        "conflicts",
        "failed",
        "lost",
        "mixed",
        "not in index",
        "s a run",
    )
    return common.markdown(headers, rows)


def crashes(found: Any) -> str:
    """One row for each who and store; deaths with a fresh registry each, and with what the deaths before have left."""
    rows: dict[tuple[str, str], list[Any]] = {}
    for row in sorted(found, key=lambda row: (row["who"], row["store"])):
        counts = rows.setdefault((row["who"], row["store"]), [0, 0, 0])
        counts[row["left"] != "fresh"] += row["deaths"]
        counts[2] += len(row["failures"])
    how = {"folder": "killed before each write"}
    cells = [(who, store, how.get(store, "the store dies"), *counts) for (who, store), counts in rows.items()]
    return common.markdown(("who", "store", "how", "deaths, fresh", "deaths, piled up", "failures"), cells)


def faults(found: Any) -> str:
    """One row a fault: how many runs, how many succeeded all the same, and how the others failed."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    for one in found["outcomes"]:
        rows.setdefault((one["fault"], one["operation"]), Counter())[one["outcome"]] += one["runs"]
    cells = []
    for (fault, operation), outcomes in sorted(rows.items()):
        runs, succeeded = outcomes.total(), outcomes.pop("succeeded", 0)
        failures = ", ".join(f"{count} {kind}" for kind, count in sorted(outcomes.items())) or "-"
        cells.append((f"{fault}, {operation}", runs, succeeded, failures))
    return common.markdown(("fault, operation", "runs", "succeeded", "failed with an error"), cells)


def fuzz(found: Any) -> str:
    rows = [
        (
            kind["kind"],
            *(kind[what] for what in ("cases", "accepted", "refused", "failed")),
            f"{kind['slowest_ms']:.0f}",
            f"{kind['memory_mib']:.0f}",
        )
        for kind in found["kinds"]
    ]
    counts = (sum(row[place] for row in rows) for place in range(1, 5))
    rows.append(("all", *counts, *(max((row[place] for row in rows), key=int) for place in (5, 6))))
    return common.markdown(("kind", "cases", "accepted", "refused", "failed", "slowest ms", "memory MiB"), rows)


def transfer(found: Any) -> str:
    rows = []
    for row in found:
        own, yardstick = (statistics.median(row[what]) for what in ("own", "yardstick"))
        rows.append(
            (
                f"{row['shape']}, {row['store']}, {row['work']}",
                f"{row['size'] / 1e6:.1f}",
                f"{1000 * own:.0f}",
                f"{1000 * yardstick:.0f}",
                f"{row['ratio']:.0%}",
            )
        )
    return common.markdown(("release, store, work", "MB", "modhub ms", "fsspec ms", "speed"), rows)


def scale(found: Any) -> str:
    resolving = [
        (
            row["shape"],
            row["store"],
            row["name"],
            f"{1000 * row['small']:.1f}",
            f"{1000 * row['large']:.1f}",
            f"{row['ratio']:.2f}",
        )
        for row in found["resolving"]
    ]
    searching = [
        (
            row["shape"],
            row["store"],
            row["hits"],
            *(f"{row[what]:.2f}" for what in ("first", "warm", "command", "command_of_10")),
        )
        for row in found["searching"]
    ]
    names = ("namespaces x models x versions", "store", "by", "of 10, ms", "of 10,000, ms", "ratio")
    search = ("namespaces x models x versions", "store", "hits", "first s", "warm s", "command s", "the same of 10")
    return f"{common.markdown(names, resolving)}\n\n{common.markdown(search, searching)}"


def accelerators() -> str:
    """The figures in folders named after a card and a backend, in the table of costs and that of ways."""
    costs, ways = [], []
    for folder in sorted(path.parent for path in RESULTS.glob("*/cost.json")):
        for name, found in figures(f"{folder.name}/cost").items():
            seconds = [f"{statistics.median(found['seconds'][work]):.2f}" for work in ("bare", "predict", "decompose")]
            ratios = [f"{found['ratios'][than]:.2f}" for than in ("predict", "bare")]
            costs.append((f"{found['device']}, {found['backend']}", name, found["images"], *seconds, *ratios))
        for found in figures(f"{folder.name}/modes").values():
            what = f"{found['device']}, {found['backend']}", f"{found['modules']} modules, {found['images']} images"
            seconds = found["seconds"]
            for name, taken in seconds.items():
                faster = f"{seconds['models'] / taken:.1f}" if "models" in seconds else ""
                ways.append((*what, name, f"{1000 * taken:.0f}", faster, f"{taken / seconds['origin']:.2f}"))
    names = ("where", "network", "images", "bare s", "predict s", "decompose s", "of predict", "of the bare pass")
    other = ("where", "what", "way", "ms", "times as fast as the models", "of the origin's")
    return f"{common.markdown(names, costs)}\n\n{common.markdown(other, ways)}"


COSTS = (cost, applications, modes, profile_ops, hundred, growth, size, shared_pass)
STORED = (startup, warm_install, transfer, scale, resolving, serve)
ANSWERS = (pairs, voting, mixed, compact, update)
DRAWN = (*COSTS, *STORED, *ANSWERS, races, crashes, faults, fuzz)


def main() -> None:
    tables = {draw.__name__: draw(figures(draw.__name__.replace("_", "-"))) for draw in DRAWN} | {
        "accelerators": accelerators()
    }
    page = PAGE.read_text()
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        page, count = pattern.subn(lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", page)
        if count != 1:
            sys.exit(f"{PAGE.name} has {count} places for {name}")
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
