"""The picture of an explanation, and the command that draws it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import modhub
from modhub.composition.explanation import ActivationMap, Explanation, Firing, explanation_of
from modhub.composition.recipe import Stage
from modhub.errors import StorageError, UsageError
from modhub.plots.drawing import ACCENT, SOFT, look
from modhub.plots.explanation import MOST_CLASSES, check_out, drawn, save_explanation
from tests.composition.made_by_hand import CONTRACT, made_plan, module
from tests.small_origins import bar_modules, bars

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def explanation(classes: int, *, layers: int = 5, origins: int = 1, **verifying: Any) -> Explanation:
    """Of ``classes`` modules with random margins of both signs, spread over the origins."""
    random = np.random.default_rng(classes)
    modules = [
        module(f"me/net{number % origins}:class number {number}", threshold=float(random.normal()))
        for number in range(classes)
    ]
    plan = made_plan(modules, **verifying)
    margins = random.normal(0, 5, len(plan.recognisers)).astype(np.float32)
    firings = [
        tuple(
            Firing(f"relu_{layer}:0", f"relu_{layer}", 100, 90 * (layer != 1), 90 * (layer != 1) // 2, layer + 10)
            for layer in range(layers + number % origins)
        )
        for number in range(classes)
    ]
    return explanation_of(plan, margins, firings)


def figure_of(what: Explanation) -> Any:
    with look():
        figure = drawn(what, IMAGE, CONTRACT)
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("classes", [1, 2, 10, 110])
def test_a_picture_can_be_decoded_and_is_the_same_every_time(tmp_path: Path, classes: int) -> None:
    what = explanation(classes, origins=min(classes, 3))
    files = [save_explanation(what, IMAGE, CONTRACT, tmp_path / name) for name in ("one.png", "two.PNG")]
    with Image.open(files[0]) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width > 900
        assert picture.convert("L").getextrema()[0] < 100
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("classes", [3, 15, 16, 110])
def test_bars_are_sorted_and_at_most_fifteen(classes: int) -> None:
    what = explanation(classes)
    _, bars_, *_ = figure_of(what).axes
    widths = [patch.get_width() for patch in bars_.patches]
    assert widths == sorted((said.module_margin for said in what.modules), reverse=True)[:MOST_CLASSES]
    best = what.ranked()[:MOST_CLASSES]
    assert [label.get_text() for label in bars_.get_yticklabels()] == [said.label for said in best]
    assert [patch.get_facecolor() for patch in bars_.patches] == [
        _rgba(ACCENT if said.positive else SOFT) for said in best
    ]
    thresholds = [segment[0][0] for segment in bars_.collections[0].get_segments()]
    assert thresholds == [said.threshold for said in best]
    said = [text.get_text() for text in bars_.texts]
    assert said == (
        []
        if classes <= 15
        else [
            f"and {classes - 15} more, at most {sorted((each.margin for each in what.modules), reverse=True)[15]:.1f}"
        ]
    )


def _rgba(colour: str) -> Any:
    from matplotlib.colors import to_rgba

    return to_rgba(colour)


@pytest.mark.parametrize(
    ("classes", "layers", "origins"), [(2, 3, 1), (10, 55, 1), (15, 24, 1), (110, 19, 4), (15, 9, 15)]
)
def test_nothing_overlaps(classes: int, layers: int, origins: int) -> None:
    """No two texts of the picture, and no text overlaps a bar or a threshold."""
    figure = figure_of(explanation(classes, layers=layers, origins=origins))
    texts: list[Any] = [figure._suptitle]
    things: list[Any] = []
    for axes in figure.axes:
        texts += [axes.title, axes._left_title, axes.xaxis.label, *axes.texts]
        texts += [*axes.get_xticklabels(), *axes.get_yticklabels()]
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
        things += [patch.get_window_extent() for patch in axes.patches]
        things += [
            _extent(line) for lines in axes.collections if hasattr(lines, "get_segments") for line in _lines(lines)
        ]
    boxes = [text.get_window_extent() for text in texts if text.get_visible() and text.get_text()]
    inside = [box for box in boxes if box.width and box.height]
    for number, box in enumerate(inside):
        for other in inside[number + 1 :]:
            assert not _overlap(box, other)
        for thing in things:
            assert not _overlap(box, thing)


def _lines(collection: Any) -> list[Any]:
    """Segments of a collection in pixels."""
    return [collection.axes.transData.transform(segment) for segment in collection.get_segments()]


def _extent(line: Any) -> Any:
    from matplotlib.transforms import Bbox

    return Bbox([line.min(axis=0) - 2, line.max(axis=0) + 2])


def _overlap(one: Any, two: Any) -> bool:
    wide = min(one.x1, two.x1) - max(one.x0, two.x0)
    high = min(one.y1, two.y1) - max(one.y0, two.y0)
    return bool(wide > 1 and high > 1)


def test_layers_show_by_how_much_modules_fire_otherwise_than_their_network() -> None:
    """In points of the layer's nodes, on a scale around 0 that is stated; each origin's layers apart."""
    what = explanation(2, origins=2)
    _, _, changed, bar, *_ = figure_of(what).axes
    (mesh,) = changed.collections
    expected = [
        [45 - 10, 0 - 11, 45 - 12, 45 - 13, 45 - 14, *[np.nan] * 6],
        [*[np.nan] * 5, 45 - 10, 0 - 11, 45 - 12, 45 - 13, 45 - 14, 45 - 15],
    ]
    order = [what.modules.index(said) for said in what.ranked()]
    np.testing.assert_array_equal(mesh.get_array().filled(np.nan), np.array(expected)[order])
    assert mesh.get_clim() == (-35, 35)
    names = [label.get_text() for label in changed.get_xticklabels()]
    assert names[:2] == ["net0 relu_0", "net0 relu_1"]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["-35 %", "0", "+35 %"]


def test_where_nothing_differs_no_rows_are_drawn_but_words() -> None:
    what = explanation(3)
    alike = [
        replace(said, firings=tuple(replace(firing, fired=firing.origin_fired) for firing in said.firings))
        for said in what.modules
    ]
    same = replace(what, modules=tuple(alike))
    _, _, changed, *_ = figure_of(same).axes
    assert not changed.collections
    assert "Every module fires as its whole network does here" in changed.texts[0].get_text().replace("\n", " ")
    assert same.differences() == []
    assert same.remarks() == ["me/net0: its modules fire as the whole network does here; only their heads differ"]


def test_the_first_six_modules_show_where_they_see_their_class_on_one_scale() -> None:
    what = explanation(8)
    random = np.random.default_rng(1)
    seen = [
        replace(said, seen=ActivationMap("last", True, random.normal(size=(4, 4)).astype(np.float32), 0.5))
        for said in what.modules
    ]
    what = replace(what, modules=tuple(seen))
    figure = figure_of(what)
    maps = [axes for axes in figure.axes if len(axes.images) == 2]
    first = what.ranked()[:6]
    assert [axes.get_title(loc="center").split("\n")[0] for axes in maps] == [said.label for said in first]
    for axes, said in zip(maps, first, strict=True):
        assert said.seen is not None
        np.testing.assert_array_equal(axes.images[1].get_array(), said.seen.parts)
    most = max(float(np.abs(said.seen.parts).max()) for said in first if said.seen is not None)
    assert {axes.images[1].get_clim() for axes in maps} == {(-most, most)}
    (title,) = [each.get_suptitle() for each in figure.subfigs if each.get_suptitle()]
    assert title == "where each module sees its class: parts of its margin at last; they and a bias add up to it"


def test_margins_that_a_stage_gave_out_are_marked() -> None:
    judges = tuple(module(f"me/judge:{name}") for name in ("one", "two", "three"))
    what = explanation(3, stages=[Stage((0, 1, 2), judges)])
    assert any(said.margin != said.module_margin for said in what.modules)
    _, bars_, *_ = figure_of(what).axes
    labels = [text.get_text() for text in bars_.get_legend().get_texts()]
    assert labels == ["positive", "not positive", "threshold", "as decided again"]


@pytest.mark.parametrize(
    ("colour", "channels", "expected"),
    [("rgb", 3, [1.0, 0.0, 0.2]), ("bgr", 3, [1.0, 0.0, 0.2]), ("grey", 1, 1.0), ("other", 2, 0.5)],
)
def test_the_image_is_shown_as_it_is(colour: str, channels: int, expected: Any) -> None:
    contract = CONTRACT.model_copy(
        update={"channels": channels, "colour": colour, "dtype": "float32", "value_range": (-1.0, 1.0)}
    )
    image = np.broadcast_to(np.array([1.0, -1.0, -0.6])[:channels], (32, 32, channels))
    with look():
        shown = drawn(explanation(2), image, contract).axes[0].images[0].get_array()
    np.testing.assert_allclose(shown[5, 7], expected, atol=1e-6)


def test_odd_names(tmp_path: Path) -> None:
    what = explanation(2)
    odd = tuple(replace(said, label=label) for said, label in zip(what.modules, ["$x^2$ " * 9, "犬"], strict=True))
    save_explanation(replace(what, modules=odd), IMAGE, CONTRACT, tmp_path / "odd.png")


def test_pictures_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"is no name of a picture, which ends in \.png\. Hint: use why\.png\."):
        check_out(tmp_path / "why.jpg")
    with pytest.raises(UsageError, match=r"there is no folder .*no\. Hint: name a file in a folder that exists\."):
        check_out(tmp_path / "no" / "why.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=r"folder\.png is a folder"):
        check_out(tmp_path / "folder.png")
    with pytest.raises(StorageError, match=r"why\.png cannot be written: "):
        save_explanation(explanation(2), IMAGE, CONTRACT, Path("/proc/why.png"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError) as caught:
        save_explanation(explanation(2), IMAGE, CONTRACT, tmp_path / "why.png")
    assert caught.value.kind == "missing-extra"
    assert str(caught.value) == (
        "plots are drawn by matplotlib, which is not installed. Hint: pip install 'modhub[plot]'"
    )


# The command


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from modhub.cli import main

    monkeypatch.chdir(tmp_path)
    registry = str(tmp_path / "registry")
    modhub.publish(bar_modules(), version="1.0.0", registry=registry)
    Image.fromarray(bars().x[0][..., 0]).save("bar.png")
    np.savez("bars.npz", x=bars().x)
    expected = modhub.compose("lines/bars", registry=registry)
    why = modhub.explain(expected, bars().x[0])

    assert main(["explain", "bar.png", "lines/bars", "--registry", registry, "--out", "why.png"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines[0].split() == [
        "label",
        "module",
        "probability",
        "module",
        "margin",
        "threshold",
        "module",
        "score",
        "positive",
    ]
    best = why.ranked()[0]
    assert lines[1].startswith(best.label)
    assert f"{best.module_margin:.2f}" in lines[1]
    assert lines[1].endswith("yes") == best.positive
    assert lines[-2:] == [str(why.verdict), "saved why.png"]
    with Image.open("why.png") as picture:
        picture.load()

    assert main(["explain", "bars.npz", "lines/bars", "--registry", registry, "--index", "0", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["out"] is None
    assert document["verdict"]["text"] == str(why.verdict)
    assert document["modules"][0]["firings"][0]["share"] == why.modules[0].firings[0].share

    assert main(["explain", "bars.npz", "lines/bars", "--registry", registry]) == 2
    assert "bars.npz holds 90 images; one is explained at a time." in capsys.readouterr().err
    assert main(["explain", "bar.png", "lines/bars", "--registry", registry, "--out", "why.svg"]) == 2
    assert "'why.svg' is no name of a picture" in capsys.readouterr().err
