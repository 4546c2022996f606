"""The notebooks run, with nothing but the starter registry, and give what their files show."""

from __future__ import annotations

import base64
import copy
import io
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

from scripts.build_notebooks import FOLDER, execute, from_source, sources
from tests.thinning import spread

NAMES = [source.stem for source in sources()]
#: Figures that a notebook has to print, or show, wherever it runs.
FIGURES = {
    "1_first_steps": [r"'airplane': 'airplane',\s+'ship': 'ship'", r"'road': 'none of these'"],
    "2_your_own_network": [r"the network: 9\d\.\d%", r"mean JI 0\.9\d+", r"two classes: (9\d|100)\.\d%"],
    "3_mend_a_class": [r"images of 3 were answered", r"3 swapped is better than as trained"],
    "4_why_that_answer": [
        r"sunflower: the largest of \d positive",
        r"constant -?\d\.\d+ = 1\d\.",
        r"no module is positive",
    ],
    "5_join_sizes": [r"input 16x16x1 vs 32x32x3", r"100% right", r"through the adapter: (9\d|100)\.\d%"],
}
REBUILD = "run: python scripts/build_notebooks.py"


def stored(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def shown(notebook: Any) -> list[list[tuple[str, str]]]:
    """By code cell what it shows, as kind and text; figures, and what is set by their widths, may differ by machine."""
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = []
            for output in cell.outputs:
                texts = output.data if "data" in output else {output.get("name", "error"): output.get("text", "")}
                outputs += [(kind, "" if kind == "image/png" else masked(texts[kind])) for kind in sorted(texts)]
            cells.append(outputs)
    return cells


def masked(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[-+]?\d[\d.,]*(e[-+]\d+)?", "0", text))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_valid_and_made_of_its_source(name: str) -> None:
    notebook = stored(name)
    nbformat.validate(notebook)
    bare = copy.deepcopy(notebook)
    for cell in bare.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    assert bare == from_source(FOLDER / f"{name}.py"), REBUILD


def test_the_notebooks_show_what_their_files_show(tmp_path: Path) -> None:
    """One test, so that one worker runs them, in one kernel."""
    executed = {source.stem: from_source(source) for source in spread(sources(), 2)}
    execute(list(executed.values()), tmp_path)
    assert [name for name in executed if shown(executed[name]) != shown(stored(name))] == [], REBUILD
    for name, notebook in executed.items():
        texts = "\n".join(
            output.get("text", "") + output.get("data", {}).get("text/plain", "")
            for cell in notebook.cells
            for output in cell.get("outputs", [])
        )
        assert not [pattern for pattern in FIGURES[name] if not re.search(pattern, texts)], name


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_tells_a_story_with_pictures(name: str) -> None:
    notebook = stored(name)
    first = notebook.cells[0]
    assert (first.cell_type, first.source[:2]) == ("markdown", "# ")
    pictures = [
        output.data["image/png"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert pictures
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).width > 300
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 400_000


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_says_nothing_of_the_machine_that_ran_it(name: str) -> None:
    text = (FOLDER / f"{name}.ipynb").read_text()
    assert not re.findall(r'"(?:stderr|error)"|Traceback|/(?:home|root|tmp|work|Users)/', text)


def test_a_failing_cell_is_shown(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("# %%\n1 / 0\n")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        execute([from_source(tmp_path / "bad.py")], tmp_path)
