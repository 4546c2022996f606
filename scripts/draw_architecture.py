#!/usr/bin/env python3
"""Draw docs/architecture.svg: the layers as docs/architecture.md lists them, the arrows as modhub's files import.

usage: draw_architecture.py [--counts]

Graphviz (``dot``) places boxes and arrows. An arrow that a path of others implies is left out, or nobody could read the
picture. ``--counts`` prints how large the structure is and draws nothing. tests/test_structure.py reads the same table
and the same imports through the functions here, and checks that the picture shows them.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = ROOT / "modhub"
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "architecture.svg"

_ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| (.+) \|$", re.MULTILINE)
#: Colours that a light and a dark page need; in an <img>, too, a browser follows the page's scheme.
_STYLE = """<style>
.node path { fill: #ffffff; stroke: #57606a; } .node text { fill: #1f2328; }
.edge path { stroke: #8c959f; } .edge polygon { fill: #8c959f; stroke: #8c959f; }
.cluster path { fill: #f1f4f8; stroke: none; } .cluster text { fill: #57606a; }
@media (prefers-color-scheme: dark) {
.node path { fill: #161b22; stroke: #9198a1; } .node text { fill: #f0f6fc; }
.edge path { stroke: #768390; } .edge polygon { fill: #768390; stroke: #768390; }
.cluster path { fill: #262d37; } .cluster text { fill: #b1bac4; }
}
</style>"""


@dataclass(frozen=True)
class Package:
    """A package, or a file at the top of modhub: its layer, 1 at the bottom, and what it holds."""

    name: str
    layer: int
    holds: str


def listed_packages(text: str) -> dict[str, Package]:
    """The table of the page, top layer first."""
    return {name: Package(name, int(layer), holds) for layer, name, holds in _ROW.findall(text)}


def code_files() -> list[Path]:
    return sorted(CODE.rglob("*.py"))


def package_of(path: Path) -> str:
    """The package that a file is in, or its own name when it is at the top; ``__init__`` for modhub's own."""
    return path.relative_to(CODE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    """A file's name in imports: ``modhub.spec.refs``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imported_names(path: Path) -> frozenset[str]:
    """Full names of everything that a file imports, also inside functions and for types only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def package_arrows() -> dict[str, set[str]]:
    """Package to the packages that it imports. modhub's own file, which only gives names away, is left out."""
    arrows: dict[str, set[str]] = {}
    for path in code_files():
        own = package_of(path)
        targets = {name.split(".")[1] for name in imported_names(path) if name.startswith("modhub.")}
        if own != "__init__":
            arrows.setdefault(own, set()).update(targets - {own})
    return {own: targets & arrows.keys() for own, targets in arrows.items()}


def file_arrows() -> dict[str, set[str]]:
    """Module to the modules that it imports, each by its full name; a package's own file means the package."""
    modules = {module_of(path): path for path in code_files()}
    arrows: dict[str, set[str]] = {}
    for module, path in modules.items():
        found = {next((known for known in _prefixes(name) if known in modules), "") for name in imported_names(path)}
        arrows[module] = found - {"", module}
    return arrows


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(len(parts), 0, -1))


def reached(arrows: Mapping[str, Iterable[str]], start: str) -> set[str]:
    """Everything that ``start`` leads to, itself only when there is a cycle."""
    seen: set[str] = set()
    todo = list(arrows.get(start, ()))
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo += arrows.get(one, ())
    return seen


def cycles(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """What leads back to itself."""
    return sorted(name for name in arrows if name in reached(arrows, name))


def shown_arrows(arrows: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """The arrows that no path of others implies (the transitive reduction)."""
    return {
        (source, target)
        for source, targets in arrows.items()
        for target in targets
        if not any(target in reached(arrows, other) for other in targets - {target})
    }


def drawn_arrows(svg: str) -> set[tuple[str, str]]:
    """The arrows that a picture has, by the titles that Graphviz gives them."""
    return set(re.findall(r"<title>(\w+)&#45;&gt;(\w+)</title>", svg))


def graph(packages: Mapping[str, Package], arrows: set[tuple[str, str]]) -> str:
    """The picture in the language of Graphviz."""
    lines = [
        "digraph modhub {",
        'rankdir=TB; newrank=true; nodesep=0.25; ranksep=0.35; bgcolor="transparent"; fontname="Helvetica";',
        'node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11, margin="0.12,0.06"];',
        "edge [arrowsize=0.6, penwidth=1.1];",
    ]
    layers: dict[int, list[Package]] = {}
    for package in packages.values():
        layers.setdefault(package.layer, []).append(package)
    for layer, members in sorted(layers.items(), reverse=True):
        lines.append(
            f'subgraph cluster_{layer} {{ label="{layer}"; labeljust=l; fontsize=11; style="rounded,filled"; rank=same;'
        )
        for package in members:
            holds = "".join(f'{line}<br align="left"/>' for line in textwrap.wrap(_escaped(package.holds), 26))
            lines.append(
                f'{package.name} [label=<<b>{package.name}</b><br align="left"/><font point-size="9">{holds}</font>>];'
            )
        lines.append("}")
    lines += [f"{source} -> {target};" for source, target in sorted(arrows)]
    # Layers that no arrow joins keep their order all the same.
    tops = [members[0].name for _, members in sorted(layers.items(), reverse=True)]
    lines += [f"{above} -> {below} [style=invis];" for above, below in pairwise(tops)]
    return "\n".join([*lines, "}"])


def _escaped(text: str) -> str:
    return text.replace("`", "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def draw(packages: Mapping[str, Package], arrows: set[tuple[str, str]]) -> str:
    """The picture as SVG."""
    done = subprocess.run(["dot", "-Tsvg"], input=graph(packages, arrows), capture_output=True, text=True, check=True)
    svg = re.sub(r"<!--.*?-->\n?", "", done.stdout, flags=re.DOTALL)
    svg = re.sub(r"<g id=\"\w+\" class=\"edge\">\s*<title>[^<]*</title>\s*</g>\n?", "", svg)
    return re.sub(r"(<svg[^>]*>)", rf"\1\n{_STYLE}", svg, count=1, flags=re.DOTALL)


def counts() -> str:
    """How large the structure is."""
    files, arrows, packages = code_files(), package_arrows(), listed_packages(PAGE.read_text())
    lines = {path: len(path.read_text().splitlines()) for path in files}
    longest = max(lines, key=lambda path: lines[path])
    return (
        f"{len(arrows)} packages and top modules on {len({each.layer for each in packages.values()})} layers, "
        f"{sum(map(len, arrows.values()))} arrows between them ({len(shown_arrows(arrows))} drawn), "
        f"{len(cycles(arrows))} packages and {len(cycles(file_arrows()))} files in cycles; {len(files)} files, "
        f"{sum(lines.values()):,} lines, the longest {longest.relative_to(CODE)} with {lines[longest]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--counts", action="store_true", help="print the numbers, draw nothing")
    if parser.parse_args().counts:
        print(counts())
    else:
        PICTURE.write_text(draw(listed_packages(PAGE.read_text()), shown_arrows(package_arrows())))


if __name__ == "__main__":
    main()
