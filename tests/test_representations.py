"""Values of any size say what they are in less than 500 characters, and show themselves safely in a notebook."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import modhub
from modhub.composition.votes import Prediction
from modhub.data.images import ImageData
from modhub.ops import search
from modhub.package.report import Report
from modhub.spec.text import in_short
from tests.small_origins import quadrant_modules, quadrants

MOST = 500


#: A class's name as nobody should call one: markup, quotes, what steers a terminal and what turns a line around.
HOSTILE = "<script>alert(1)</script>\"'&amp;\x1b[31m\u202e<img src=x onerror=alert(1)>" + "n" * 400


def many_modules(count: int = 300, name: str = HOSTILE) -> list[modhub.Module]:
    """Modules of one network whose classes have long names."""
    first = quadrant_modules().modules[0]
    return [replace(first, name=f"{n}{name}", slug=f"c{n}", index=n, digest=f"{n}") for n in range(count)]


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """One of every kind of value that the public verbs give, each as long as it gets."""
    decomposition, folder = quadrant_modules(), tmp_path_factory.mktemp("values")
    registry = str(folder / "registry")
    classes = tuple(f"{n}{HOSTILE}" for n in range(1000))
    wide = modhub.compose(many_modules())
    prediction = Prediction(
        classes, *[np.eye(1000, dtype=np.float32)] * 2, np.zeros(1000), np.ones(1000), 1.0, images=classes
    )
    data = (quadrants(each=3).x, quadrants(each=3).y, quadrants().classes)
    release = modhub.publish(decomposition, version="1.0.0", registry=registry, check=modhub.Check(data))
    names = [f"shapes/quadrants:{module.slug}" for module in decomposition.modules]
    cache = folder / "cache"
    composite = modhub.compose(names, registry=registry, cache=cache)
    evaluation = modhub.evaluate(composite, data)
    evaluation = replace(
        evaluation,
        what=HOSTILE * 9,
        classes=tuple(replace(evaluation.classes[0], name=name) for name in classes),
        confusion=np.ones((1000, 1001), np.int64),
    )
    hits = modhub.search(registry=registry)
    said = modhub.explain(composite, data[0][0])
    said = replace(said, modules=tuple(replace(said.modules[0], label=name) for name in classes))
    installed = modhub.install(names, registry=registry, cache=cache)
    locked = modhub.lock(names, folder / "some.lock", registry=registry, cache=cache)
    kept = composite.save(folder / "pets.modhub")
    return [
        ImageData(np.zeros((2000, 4, 4, 3), np.uint8), np.zeros(2000, np.int64), classes, HOSTILE, tuple(classes * 2)),
        decomposition,
        replace(decomposition, modules=tuple(many_modules())),
        *wide.modules[:2],
        wide,
        wide.plan,
        composite,
        composite.agreement(data[0]),
        prediction,
        prediction[0],
        evaluation,
        evaluation.compare(evaluation),
        Report(HOSTILE, {"site": (3, 3)}, many_modules(1000)),
        said,
        replace(release, classes=classes, warnings=classes, registry=HOSTILE * 9),
        modhub.Check(data),
        release.checked,
        hits,
        hits[0],
        search.Hits(replace(hits[0], ref=HOSTILE, registry=HOSTILE) for _ in range(1000)),
        modhub.info("shapes/quadrants", registry=registry),
        modhub.info(str(kept)),
        installed[0],
        replace(locked, modules=locked.modules * 300),
    ]


def test_every_value_is_short(values: list[object]) -> None:
    for value in values:
        assert 20 < len(repr(value)) < MOST, (type(value), len(repr(value)))
        assert type(value).__name__.lower() in repr(value).lower()
    assert repr(quadrant_modules()) == (
        "<Decomposition shapes/quadrants: 4 modules, of top left, top right, bottom left, bottom right>"
    )
    many = Prediction(
        tuple(f"class {n}" for n in range(1000)),
        *[np.eye(1000, dtype=np.float32)] * 2,
        np.zeros(1000),
        np.ones(1000),
        1.0,
    )
    assert repr(many).startswith("<Prediction of 1,000 images by 1,000 modules: 1 class 0, 1 class 1, ")


class Markup(HTMLParser):
    """What a browser would make of a piece of HTML: its tags, all closed, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


SHOWN = {
    "Decomposition",
    "Module",
    "Composite",
    "Prediction",
    "Plan",
    "Evaluation",
    "Report",
    "Explanation",
    "Release",
    "Hit",
    "Hits",
    "Details",
    "KeptDetails",
}


def test_notebooks_show_values_and_execute_nothing(values: list[object]) -> None:
    shown = [value for value in values if hasattr(value, "_repr_html_")]
    assert {type(value).__name__ for value in shown} == SHOWN
    for value in shown:
        html = value._repr_html_()
        assert len(html) < 50_000, (type(value), len(html))
        markup = Markup(html)
        assert markup.tags <= {"div", "table", "tr", "td", "th"}
        assert markup.attributes == {"style"}
        assert not markup.open
        assert markup.text.isprintable()
        assert len(markup.text) > 20
    wide = Markup(next(value for value in shown if isinstance(value, Prediction))._repr_html_())
    assert "and 980 more" in wide.text
    assert "<script>alert(1)" in wide.text, "it is text"


def test_what_is_left_out_is_counted() -> None:
    assert in_short(["a", "b"]) == "a, b"
    text = in_short(f"name {n}" for n in range(1000))
    shown = text.count(",")
    assert f" and {1000 - shown - 1:,} more" in text


def test_the_version_is_the_packages() -> None:
    code = "import modhub, sys; assert 'importlib.metadata' not in sys.modules; print(modhub.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{modhub.__version__}\n"
    assert re.match(r"\d+\.\d+\.\d+", modhub.__version__)
    command = subprocess.run([sys.executable, "-m", "modhub", "--version"], capture_output=True, text=True, check=True)
    assert command.stdout == f"modhub {modhub.__version__}\n"
    with pytest.raises(AttributeError):
        modhub.__nothing__  # noqa: B018
