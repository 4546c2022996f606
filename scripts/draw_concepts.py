"""Draw the pictures of docs/concepts.

    python scripts/draw_concepts.py             write them
    python scripts/draw_concepts.py --check     exit code 1 when one is not what would be written

They are narrow, so that their words can be read on a phone, and have colours for light and for dark pages.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "concepts"
WIDTH = 560
STYLE = """
text { font: 15px system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
text { fill: #1f2328; text-anchor: middle; }
.small { font-size: 13px; } .note { font-size: 13px; fill: #57606a; }
.bold { font-weight: 600; } .start { text-anchor: start; }
.box { fill: #ffffff; stroke: #57606a; } .area { fill: #f1f4f8; stroke: none; }
.line { fill: none; stroke: #6e7781; stroke-width: 1.5; } .head { fill: #6e7781; }
.off { fill: none; stroke: #afb8c1; stroke-dasharray: 3 3; } .thin { fill: none; stroke: #afb8c1; }
.a { fill: #ddebff; stroke: #2f6feb; } .b { fill: #ffe9cc; stroke: #bc6c00; } .c { fill: #dcf5e3; stroke: #1a7f37; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; } .note { fill: #9aa4af; }
.box { fill: #161b22; stroke: #9198a1; } .area { fill: #262d37; } .line { stroke: #9aa4af; } .head { fill: #9aa4af; }
.off { stroke: #59636e; } .thin { stroke: #59636e; }
.a { fill: #14305c; stroke: #6ea8fe; } .b { fill: #4a3108; stroke: #f0a94a; } .c { fill: #123c20; stroke: #57c878; }
}
"""
#: Rows of the three layers of the network that is drawn, and those that the cat's module keeps.
LAYERS = (5, 6, 4)
KEPT = ({0, 1, 3, 4}, {0, 2, 3, 5}, {0, 1, 3})


def box(x: float, y: float, width: float, height: float, kind: str = "box", radius: float = 8) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}"/>'


def text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}"' + (f' class="{kind}"' if kind else "") + f">{escape(words)}</text>"


def labelled(x: float, y: float, width: float, height: float, words: str, kind: str = "box", font: str = "") -> str:
    return box(x, y, width, height, kind) + text(x + width / 2, y + height / 2 + 5, words, font)


def arrow(*points: tuple[float, float]) -> str:
    """A line through ``points`` with a head at its end, which must be reached straight down or to the right."""
    (x, y), (before, _) = points[-1], points[-2]
    down = before == x
    end = (x, y - 8) if down else (x - 8, y)
    path = " ".join(f"{a},{b}" for a, b in [*points[:-1], end])
    head = [(x, y), (x - 5, y - 9), (x + 5, y - 9)] if down else [(x, y), (x - 9, y - 5), (x - 9, y + 5)]
    corners = " ".join(f"{a},{b}" for a, b in head)
    return f'<polyline class="line" points="{path}"/><polygon class="head" points="{corners}"/>'


def picture(height: int, title: str, parts: Iterable[str]) -> str:
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def overview() -> str:
    parts = [text(130, 22, "trained on animals", "bold"), text(430, 22, "trained on fruit", "bold")]
    for left, kind, names in ((20, "a", ("cat", "dog", "horse")), (320, "b", ("apple", "pear", "plum"))):
        parts += [box(left, 34, 220, 44, kind), text(left + 110, 61, "network", "small")]
        parts += [arrow((left + 110, 78), (left + 110, 112))]
        parts += [labelled(left + 76 * index, 114, 68, 34, name, kind, "small") for index, name in enumerate(names)]
    parts += [text(280, 136, "modules", "note")]
    parts += [
        arrow((54, 148), (54, 178), (220, 178), (220, 208)),
        arrow((354, 148), (354, 178), (340, 178), (340, 208)),
    ]
    parts += [
        box(150, 210, 260, 66, "area"),
        labelled(174, 224, 92, 38, "cat", "a"),
        labelled(294, 224, 92, 38, "apple", "b"),
    ]
    parts += [text(280, 298, "a classifier of both: nothing was trained", "note")]
    return picture(310, "Two trained networks are cut into modules; two of them make a new classifier", parts)


def dots(centre: float, left: float, gap: float, kept: tuple[set[int], ...] | None) -> list[str]:
    """Three layers around the height ``centre``: lines, then nodes; without ``kept`` all nodes are kept."""
    places = [
        [(left + column * gap, centre + (row - (rows - 1) / 2) * 30) for row in range(rows)]
        for column, rows in enumerate(LAYERS)
    ]
    used = [set(range(rows)) for rows in LAYERS] if kept is None else kept
    lines = [
        f'<line class="thin" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'
        for column in (0, 1)
        for row, (x1, y1) in enumerate(places[column])
        for other, (x2, y2) in enumerate(places[column + 1])
        if row in used[column] and other in used[column + 1]
    ]
    nodes = [
        f'<circle class="{"a" if row in used[column] else "off"}" cx="{x}" cy="{y}" r="9"/>'
        for column, layer in enumerate(places)
        for row, (x, y) in enumerate(layer)
    ]
    return [*lines, *nodes]


def module() -> str:
    parts = [text(280, 22, "a trained network", "bold"), *dots(130, 90, 90, None)]
    for row, name in enumerate(("cat", "dog", "horse", "...")):
        y = 76 + 36 * row
        parts += [f'<line class="thin" x1="279" y1="{130 + (row - 1.5) * 30}" x2="340" y2="{y}"/>']
        parts += [labelled(340, y - 14, 90, 28, name, "box", "small")]
    parts += [text(180, 226, "trunk: its layers", "note"), text(385, 226, "head: an output a class", "note")]
    parts += [arrow((280, 236), (280, 270)), text(292, 258, "decompose", "note start")]
    parts += [text(280, 294, "its module of the class cat", "bold"), *dots(402, 90, 90, KEPT)]
    for row, name in ((0, "cat"), (3, "not cat")):
        y = 348 + 36 * row
        parts += [f'<line class="thin" x1="279" y1="{402 + (row - 1.5) * 30}" x2="340" y2="{y}"/>']
        parts += [labelled(340, y - 14, 90, 28, name, "c", "small")]
    parts += [text(385, 407, "margin: cat - not cat", "small")]
    parts += [text(180, 498, "mask: the nodes that it keeps", "note"), text(405, 498, "head: two outputs", "note")]
    return picture(512, "A module is a network's own weights, a mask of its nodes and a head of two outputs", parts)


def vote() -> str:
    parts = [labelled(210, 8, 140, 38, "an image")]
    rows = (
        ("cat", "a", "a network", 17.2, 13.75),
        ("dog", "a", "the same network", 11.0, 13.75),
        ("apple", "b", "another network", -4.0, 13.25),
    )
    for index, (name, kind, origin, margin, scale) in enumerate(rows):
        left = 16 + 182 * index
        middle = left + 82
        parts += [arrow((280, 46), (280, 64), (middle, 64), (middle, 84))]
        parts += [labelled(left, 86, 164, 40, name, kind, "bold"), text(middle, 144, origin, "note")]
        parts += [arrow((middle, 152), (middle, 178)), text(middle, 196, f"margin {margin:.1f}", "small")]
        parts += [text(middle, 216, f"/ {scale} = {margin / scale:.2f}", "small")]
        parts += [
            arrow((middle, 226), (middle, 250), (280, 250), (280, 272))
            if index != 1
            else arrow((middle, 226), (280, 272))
        ]
    parts += [labelled(170, 274, 220, 40, "the largest wins: cat", "c", "bold")]
    parts += [text(280, 338, "margins of different networks are brought onto one scale first", "note")]
    return picture(350, "Each module gives one margin; they are brought onto one scale, and the largest wins", parts)


def registry() -> str:
    parts = [
        labelled(180, 6, 200, 36, "net.modules"),
        arrow((280, 42), (280, 84)),
        text(292, 67, "publish, signed", "note start"),
    ]
    parts += [box(30, 86, 500, 132, "area"), text(280, 108, "registry: a folder, a bucket, a web server", "bold")]
    held = (
        ("releases", "immutable", "a"),
        ("blobs", "by their sha256", "a"),
        ("records", "append-only", "b"),
        ("index", "derived", "box"),
    )
    for index, (name, what, kind) in enumerate(held):
        left = 42 + 120 * index
        parts += [
            box(left, 122, 114, 84, kind),
            text(left + 57, 160, name, "bold"),
            text(left + 57, 182, what, "small"),
        ]
    parts += [arrow((280, 218), (280, 262)), text(292, 244, "install: one class, its digests checked", "note start")]
    parts += [labelled(130, 264, 300, 40, "cache: verified copies on this machine", "c", "small")]
    parts += [arrow((280, 304), (280, 346)), text(292, 330, "compose, predict, build", "note start")]
    parts += [labelled(180, 348, 200, 40, "a classifier"), labelled(412, 348, 132, 40, "modhub.lock", "box", "small")]
    parts += ['<line class="off" x1="380" y1="368" x2="412" y2="368"/>']
    parts += [text(478, 408, "pins it by digest", "note")]
    return picture(420, "A release is published once, installed verified, and composed from the cache", parts)


PICTURES = {"overview": overview, "module": module, "vote": vote, "registry": registry}


def main() -> int:
    check = "--check" in sys.argv
    wrong = False
    for name, draw in PICTURES.items():
        path = FOLDER / f"{name}.svg"
        if not check:
            path.write_text(draw())
        elif not path.exists() or path.read_text() != draw():
            wrong = True
            print(f"{path} is not what scripts/draw_concepts.py writes.")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
