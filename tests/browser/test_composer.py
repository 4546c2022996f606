"""The composer: classes of networks of different sizes become one classifier, which answers a photo as Python does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import modhub
from modhub.project.manifest import read_project
from tests.browser.chromium import watched
from tests.browser.conftest import Shown, expect

REFS = ["cifar10/r20:cat", "shapes/quadrants:top-left"]


@pytest.fixture
def composer(sound_page: Any, live: Shown) -> Any:
    """The composer with two classes of different sizes, as links to it pick them."""
    return picked(sound_page, live)


def picked(page: Any, live: Shown) -> Any:
    page.goto(live.page("compose.html#" + "&".join(f"add={ref}" for ref in REFS)))
    expect(page.locator("#members li")).to_have_count(2)
    return page


def adapted(page: Any) -> None:
    page.get_by_label("resize: stretched").check()
    page.wait_for_selector("#try-plan .summary")


def test_modules_that_do_not_fit_are_refused_in_the_words_of_compose(sound_page: Any, live: Shown) -> None:
    composer = sound_page
    composer.goto(live.page("compose.html"))
    for ref in REFS:
        composer.locator("#find").fill(ref.partition(":")[2].replace("-", " "))
        composer.get_by_role("button", name=f"Add {ref}", exact=True).click()
    with pytest.raises(modhub.ModhubError) as refused:
        modhub.compose(REFS, registry=live.registry, cache=live.cache)
    said = composer.locator("#verdict").inner_text()
    assert "32x32x3" in said
    assert "8x8x1" in said
    assert said.split(". ")[0].split(":")[0].lower() in refused.value.message.lower()
    assert composer.locator("#lines").is_hidden()
    assert composer.locator("#try").is_hidden()


def test_a_photo_gets_the_answer_that_python_gets(composer: Any, live: Shown, photo: Path) -> None:
    adapted(composer)
    classifier = modhub.compose(REFS, registry=live.registry, cache=live.cache, adapt="resize")
    assert composer.locator("#try-plan .summary").inner_text().startswith("2 classes on 2 networks")
    for labels, text in classifier.plan.adapted():
        assert f"Adapter of {labels}: {text}" in composer.locator("#try-plan").inner_text()

    composer.locator("#try-file").set_input_files(photo)
    composer.wait_for_selector(".maps canvas")
    prediction = classifier.predict(photo, fit="crop")
    assert composer.locator("#try-label").inner_text() == prediction.labels[0]
    shown = table(composer)
    for column, label in enumerate(classifier.classes):
        probability, margin, own, threshold, score = shown[label]
        assert probability == f"{prediction.probabilities[0, column]:.1%}"
        assert float(margin) == pytest.approx(prediction.margins[0, column], abs=0.0051)
        assert float(own) == pytest.approx(prediction.module_margins[0, column], abs=0.0051)
        assert float(threshold) == pytest.approx(prediction.thresholds[column], abs=0.0051)
        assert float(score) == pytest.approx(prediction.module_scores[0, column], abs=0.0051)
    assert composer.locator(".said").inner_text().startswith(f"{prediction.labels[0]}: ")
    best_first = [f"{label} {float(shown[label][1]):.2f}" for label in shown]
    assert composer.locator(".maps figcaption").all_inner_texts() == best_first
    assert is_drawn(composer, ".maps canvas")
    assert is_drawn(composer, ".told canvas")

    # Another class, another fit: the answer follows without another photo.
    composer.get_by_role("button", name="Remove cifar10/r20:cat").click()
    expect(composer.locator(".votes tbody tr")).to_have_count(1)
    assert list(table(composer)) == ["top left"]


def table(page: Any) -> dict[str, list[str]]:
    rows = page.locator(".votes tbody tr").all()
    return {
        row.locator("th bdi").inner_text(): [cell.strip() for cell in row.locator("td").all_inner_texts()]
        for row in rows
    }


def is_drawn(page: Any, selector: str) -> bool:
    """Whether a canvas shows more than one colour."""
    picture = Image.open(io.BytesIO(page.locator(selector).first.screenshot()))
    return len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 4


def test_a_dropped_photo_and_a_damaged_one(page: Any, live: Shown, photo: Path) -> None:
    with watched(page, live.url) as seen:
        drop_several(picked(page, live), photo)
    # That the server refuses what is no picture, the browser notes.
    assert [text for text in seen.everything() if "400" not in text] == []


def drop_several(composer: Any, photo: Path) -> None:
    adapted(composer)
    dropped(composer, photo.read_bytes()[: photo.stat().st_size // 2], "half.png", "image/png")
    composer.wait_for_selector("#try-answer .problem")
    said = composer.locator("#try-answer").inner_text()
    assert "the photo cannot be read as an image" in said
    assert "Hint: send a PNG or JPEG." in said
    assert "Traceback" not in said
    dropped(composer, photo.read_bytes(), "whole.png", "image/png")
    composer.wait_for_selector("#try-label")
    dropped(composer, b"words", "notes.txt", "text/plain")
    composer.wait_for_selector("#try-answer .problem")
    assert "no picture" in composer.locator("#try-answer").inner_text()


def dropped(page: Any, data: bytes, name: str, kind: str) -> None:
    """Drop a file as a person does with the mouse."""
    transfer = page.evaluate_handle(
        """([bytes, name, type]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
            return transfer;
        }""",
        [list(data), name, kind],
    )
    page.dispatch_event("#try-drop", "drop", {"dataTransfer": transfer})


def test_the_line_and_the_project_file_mean_this_classifier(composer: Any, live: Shown, tmp_path: Path) -> None:
    adapted(composer)
    composer.get_by_label("Label of cifar10/r20:cat").fill('a "cat" \\ 猫')
    composer.get_by_role("button", name="Copy: Python").click()
    expect(composer.locator("#announce")).to_contain_text("opied")
    line = composer.evaluate("navigator.clipboard.readText()")
    # The line names no folder of this machine.
    classifier = eval(
        line.replace(")", f", registry={live.registry!r}, cache={str(live.cache)!r})", 1), {"modhub": modhub}
    )
    assert classifier.classes == ['a "cat" \\ 猫', "top left"]
    assert classifier.plan.settings.adapt == "resize"

    composer.locator("#project-name").fill("both")
    with composer.expect_download() as download:
        composer.get_by_role("button", name="Download modhub.toml").click()
    download.value.save_as(tmp_path / "modhub.toml")
    assert download.value.suggested_filename == "modhub.toml"
    project = read_project((tmp_path / "modhub.toml").read_bytes())
    assert project.project.name == "both"
    opened = modhub.Project.open(tmp_path, registry=live.registry, cache=live.cache)
    opened.lock()
    assert opened.compose().classes == classifier.classes


def test_what_was_picked_is_there_after_loading_again(composer: Any) -> None:
    composer.reload()
    expect(composer.locator("#members li")).to_have_count(2)
    assert composer.locator("#composer-count").inner_text() == "2"


def test_a_server_that_is_gone_and_one_that_came_instead_are_told(page: Any, live: Shown) -> None:
    with watched(page, live.url) as seen:
        page.goto(live.page("compose.html#add=shapes/quadrants:top-left"))
        page.wait_for_selector("#try-plan .summary")
        page.route("**/api/**", lambda route: route.abort())
        page.locator("#find").fill("top right")
        page.get_by_role("button", name="Add shapes/quadrants:top-right", exact=True).click()
        page.wait_for_selector("#try-plan .problem")
        assert "start it again" in page.locator("#try-plan").inner_text()
    assert [text for text in seen.everything() if "ERR_FAILED" not in text] == []


def test_a_server_that_is_busy_is_asked_again(page: Any, live: Shown, photo: Path) -> None:
    """By the application (429), or by the server that runs it (503, without a word of ours)."""
    told = {"session": [503], "classifiers": [429], "answer": [429, 503]}

    def busy(route: Any) -> None:
        waiting = told.get(route.request.url.partition("?")[0].rpartition("/")[2])
        if waiting:
            body = {"error": "8 requests are being worked on.", "kind": "busy", "hint": "ask again in 1 s."}
            status = waiting.pop()
            route.fulfill(status=status, json=body) if status == 429 else route.fulfill(status=status, body="busy")
        else:
            route.continue_()

    with watched(page, live.url) as seen:
        page.route("**/api/**", busy)
        page.goto(live.page("compose.html#add=shapes/quadrants:top-left"))
        page.wait_for_selector("#try-plan .summary")
        page.locator("#try-file").set_input_files(photo)
        page.wait_for_selector("#try-label")
    assert told == {"session": [], "classifiers": [], "answer": []}
    assert [text for text in seen.everything() if "429" not in text and "503" not in text] == []


def test_the_keyboard_is_where_it_is_needed_after_every_change(sound_page: Any, live: Shown) -> None:
    page, names = sound_page, ["top-left", "top-right", "bottom-left"]
    page.goto(live.page("compose.html#" + "&".join(f"add=shapes/quadrants:{name}" for name in names)))
    expect(page.locator("#members li")).to_have_count(3)

    def press(button: str) -> None:
        page.get_by_role("button", name=button, exact=True).press("Enter")

    def is_at(label: str) -> None:
        expect(page.get_by_label(label, exact=True)).to_be_focused()

    # What is removed leaves the keyboard at the next one, or at the last.
    press("Remove shapes/quadrants:top-right")
    is_at("Label of shapes/quadrants:bottom-left")
    press("Remove shapes/quadrants:bottom-left")
    is_at("Label of shapes/quadrants:top-left")
    # Another one is looked for, and stands where the old one stood; or it is left as it is.
    press("Swap shapes/quadrants:top-left")
    is_at("Find a class")
    page.locator("#find").fill("bottom")
    press("Swap in shapes/quadrants:bottom-right")
    is_at("Label of shapes/quadrants:bottom-right")
    press("Swap shapes/quadrants:bottom-right")
    is_at("Find a class")
    press("Swap shapes/quadrants:bottom-right")
    is_at("Swap shapes/quadrants:bottom-right")
    # What is added leaves it where the next one can be added.
    page.locator("#find").fill("top")
    press("Add shapes/quadrants:top-left")
    is_at("Add shapes/quadrants:top-left")
    # Where nothing is left, it is where something can be found.
    press("Remove all")
    is_at("Find a class")
    press("Add shapes/quadrants:top-left")
    press("Remove shapes/quadrants:top-left")
    is_at("Find a class")
