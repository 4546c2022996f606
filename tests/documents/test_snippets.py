"""Every block of code of README and docs is run as it is printed; the few that cannot be say why."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from modhub.installation.registries import default_registry
from tests.documents import workbench
from tests.documents.sessions import RUN, SHOWN, Session, snippets

ROOT = Path(__file__).parents[2]
#: The page that is run with the starter registry itself, and its output compared: see test_tutorial.py.
TUTORIAL = ROOT / "docs" / "tutorial.md"
#: Without the study, whose commands train for hours: tests/examples and tests/paper run them small.
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.parent.name not in ("study", "adr")),
]
#: As many blocks as there are that need what a test does not have: a cluster, a bucket, an installation.
MOST_EXCUSED = 27


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    (folder / "here").mkdir()
    workbench.make(folder / "here")
    workbench.publish(folder / "here", folder / "registry")
    return folder


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix(""))


def runnable(page: Path) -> bool:
    return any(each.language in RUN and each.excuse is None for each in snippets(page))


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page) and page != TUTORIAL], ids=name_of)
def test_the_page_s_snippets_run(page: Path, bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    shutil.copytree(bench / "here", folder)
    shutil.copytree(bench / "registry", default_registry())
    monkeypatch.chdir(folder)
    session = Session(workbench.names(page.stem))
    for snippet in snippets(page):
        if snippet.language in RUN and snippet.excuse is None:
            session.run(snippet)


def test_every_block_says_what_it_is_and_few_are_not_run() -> None:
    blocks = [(page.name, each) for page in PAGES for each in snippets(page)]
    unknown = [(name, each.line, each.language) for name, each in blocks if each.language not in (*RUN, *SHOWN)]
    assert not unknown
    excused = [(name, each.line, each.excuse) for name, each in blocks if each.excuse is not None]
    assert len(excused) <= MOST_EXCUSED, excused
    assert all(len(reason or "") > 10 for _, _, reason in excused)
    assert len([each for _, each in blocks if each.language in RUN]) > 40


def test_toml_is_toml() -> None:
    for page in PAGES:
        for each in snippets(page):
            if each.language == "toml":
                tomllib.loads(each.text)


def test_a_snippet_that_is_wrong_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ modhub search apple\n$ modhub info no/net\nerror: it is not there\n```\n"
        "```bash\nmodhub cache dir > dir.txt\ncat dir.txt\n```\n"
        "<!-- not run: nobody has it -->\n```bash\nfalse\n```\n"
    )
    good = snippets(page)
    assert [each.excuse for each in good] == [None, None, "nobody has it"]
    for each in good[:2]:
        Session({}).run(each)
    page.write_text("```bash\nmodhub info no/net\n```\n```python\n1 / 0\n```\n```bash\nfalse\n```\n")
    for each in snippets(page):
        with pytest.raises((AssertionError, ZeroDivisionError)):
            Session({}).run(each)


def test_the_example_programs_are_named_as_they_are() -> None:
    """Paths of the repository that the pages name in code exist."""
    for page in PAGES:
        named = re.findall(r"`((?:examples|benchmarks|scripts|tests)/[\w./-]+\.(?:py|md))`", page.read_text())
        assert not [path for path in named if not (ROOT / path).exists()], page.name
