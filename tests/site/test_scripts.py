"""The scripts of the pages, run by Node: they find what ``modhub search`` finds, say what the planner says, and write
project files that modhub reads."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import modhub
from modhub.composition.fitting import fitting_tables
from modhub.composition.recipe import ADAPTS
from modhub.errors import Incompatible, ModhubError
from modhub.installation.registries import STARTER_FOLDER
from modhub.project.manifest import read_project
from modhub.registry.reader import RegistryReader
from modhub.registry.writer import Registry
from modhub.resolve.together import resolve_together
from modhub.site.content import ShownModel, ShownRelease
from modhub.site.search_data import SearchColumns
from modhub.site.shell import asset_files, asset_folder
from modhub.spec.input_contract import ImageContract
from modhub.storage.local import LocalStore
from tests.synthetic import release

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node is not here")


def ran(site: Path, script: str, given: object) -> Any:
    """What ``script`` gives, a module beside those of the site, with ``given`` and the search files at hand."""
    (data,) = (site / "data").iterdir()
    assets = site / asset_folder()
    head = f"""
    import {{ readFileSync }} from "node:fs";
    import * as columns from "{assets}/columns.js";
    import * as recipe from "{assets}/recipe.js";
    const given = JSON.parse(readFileSync(0, "utf8"));
    const load = async (name) => JSON.parse(readFileSync("{data}/" + name, "utf8"));
    const answer = await (async () => {{ {script} }})();
    process.stdout.write(JSON.stringify(answer));
    """
    command = [str(NODE), "--input-type=module", "--eval", head]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SEARCH = """
    const open = await new columns.Columns(load).open();
    const answers = [];
    for (const query of given) {
      const { words, input } = columns.parsed(query);
      const hits = columns.sorted(open, await columns.search(open, { words, input, kind: "" }), "recall", words);
      answers.push(hits.map((hit) => [
        open.releases.names[hit.release] + (hit.cls < 0 ? "" : ":" + open.slug(hit.cls)), hit.recall]));
    }
    return answers;
"""
QUERIES = ["apple", "cat", "r20", "cifar100 s", "ship r5", "sweet", "no such thing", "cifar10"]


def test_the_page_finds_what_searching_finds(starter_site: Path) -> None:
    answers = ran(starter_site, SEARCH, QUERIES)
    for query, found in zip(QUERIES, answers, strict=True):
        wanted = {hit.ref for hit in modhub.search(query, registry=str(STARTER_FOLDER))}
        assert {ref for ref, _ in found} == wanted, query
        # What has the name that was typed comes first, and then what has it in its name.
        order = [(ref.partition(":")[2] not in query.split(), -recall) for ref, recall in found]
        assert order == sorted(order)


def test_the_first_of_what_was_found_are_the_first_of_all_in_order(starter_site: Path) -> None:
    script = """
        const open = await new columns.Columns(load).open();
        const answers = [];
        for (const query of given.queries) for (const by of given.orders) {
          const { words, input } = columns.parsed(query);
          const hits = await columns.search(open, { words, input, kind: "" });
          answers.push([columns.best(open, hits, by, words, 7), columns.sorted(open, hits, by, words)]);
        }
        return answers;
    """
    orders = ["", "recall", "precision", "top1", "name", "size"]
    for best, everything in ran(starter_site, script, {"queries": ["a", "cifar10", *QUERIES], "orders": orders}):
        assert best == everything[:7]


def test_who_types_a_thing_waits_for_one_file_whatever_its_kinds_are_called(tmp_path: Path) -> None:
    things = ["apple", "sweet_pepper", "bee", "bird", "crane", "clock", "desk", "door", "elk", "elm", "fan", "fig"]
    names = [f"{kind}{thing}" for kind in ("", "old ", "red ", "young ") for thing in things]
    manifest, _ = release(classes=names)
    columns = SearchColumns()
    for number in range(700):
        content = manifest.content.model_copy(update={"model": f"net-{number:03d}"})
        shown = ShownRelease(manifest.model_copy(update={"content": content}), "^1.0.0")
        columns.add(ShownModel(content.name, "team", (shown,), shown), 0)
    for name, data in columns.files({}):
        write(tmp_path / "data" / "here" / name, data)
    for name, data in asset_files().items():
        write(tmp_path / asset_folder() / name, data)
    script = """
        const loaded = [];
        const open = await new columns.Columns((name) => (loaded.push(name), load(name))).open();
        const hits = await columns.search(open, { words: given, input: "", kind: "modules" });
        return [loaded.filter((name) => name.startsWith("modules-")), hits.map((hit) => open.classes.names[hit.cls])];
    """
    for thing in things:
        files, found = ran(tmp_path, script, [thing])
        assert len(files) == 1
        assert Counter(found) == {name: 700 for name in names if name.endswith(thing)}
    files, found = ran(tmp_path, script, ["red"])
    assert len(files) > 1
    assert len(found) == 700 * len(things)


def write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def test_an_input_in_the_query_is_an_input(starter_site: Path) -> None:
    fitting, other = ran(starter_site, SEARCH, ["apple 32x32x3", "apple 64x64"])
    assert [ref for ref, _ in fitting] == ["cifar100/r20:apple"]
    assert other == []


def test_a_class_of_which_all_of_the_name_was_typed_comes_first(tmp_path: Path) -> None:
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(*release("me/apple", classes=("pineapple", "apple", "sweet pepper", "pepper")))
    modhub.build_site(tmp_path / "site", registry=str(tmp_path / "registry"), quick=True)
    script = """
        const open = await new columns.Columns(load).open();
        return Promise.all(given.map(async ([query, by]) => {
          const { words } = columns.parsed(query);
          const kind = columns.kindOf("", by, words);
          const hits = columns.sorted(open, await columns.search(open, { words, input: "", kind }), by, words);
          return hits.map((hit) => (hit.cls < 0 ? "model" : open.classes.names[hit.cls]))[0];
        }));
    """
    given = [["apple", "recall"], ["apple", ""], ["sweet pepper", "precision"], ["sweet pepper me", "recall"]]
    assert ran(tmp_path / "site", script, given) == ["apple", "model", "sweet pepper", "sweet pepper"]


def image(side: int, colour: str) -> ImageContract:
    channels = 1 if colour == "grey" else 3
    return ImageContract(height=side, width=side, channels=channels, colour=colour, dtype="uint8", value_range=(0, 255))


class Shelf:
    """A catalog of models of one release and one class, with these contracts."""

    name = url = "shelf"

    def __init__(self, starter: RegistryReader, contracts: list[ImageContract]) -> None:
        self._entry = next(iter(starter.index("cifar10", "r20").releases))
        self._contracts = contracts

    def versions(self, namespace, model):
        return [self._entry.version] if model in self.models_here() else []

    def models_here(self):
        return [f"net-{number}" for number in range(len(self._contracts))]

    def models(self, namespace=None):
        return [f"me/{name}" for name in self.models_here()]

    def alias(self, name):
        return None

    def alias_names(self):
        return []

    def summary(self, ref):
        return self._entry

    def contract(self, ref):
        return self._contracts[int(ref.model.removeprefix("net-"))]

    def withdrawal(self, ref):
        return None

    def yanked_classes(self, ref):
        return {}


def test_the_verdict_is_the_resolvers(starter_site: Path) -> None:
    """Of any pair of inputs: whether names resolve together, and in which words they do not."""
    contracts = [image(32, "rgb"), image(32, "bgr"), image(64, "rgb"), image(32, "grey")]
    shelf = Shelf(RegistryReader(LocalStore(STARTER_FOLDER, writable=False)), contracts)
    pairs = [(one, other) for one in range(4) for other in range(4) if one != other]
    script = """
        return given.pairs.map((pair) => recipe.verdict(given.tables, pair, pair.map((n) => `me/net-${n}:cat`), ""));
    """
    answers = ran(starter_site, script, {"tables": fitting_tables(contracts).to_dict(), "pairs": pairs})
    for (one, other), said in zip(pairs, answers, strict=True):
        refused = ""
        try:
            resolve_together([f"me/net-{one}:cat", f"me/net-{other}:cat"], [shelf], {})
        except Incompatible as error:
            refused = ", ".join(
                f"{each['field']} {each['first']} vs {each['second']}" for each in error.data["mismatches"]
            )
        assert said["ok"] == (not refused)
        assert refused in said["text"]


def test_adapters_are_looked_up_for_any_number_of_members(starter_site: Path) -> None:
    contracts = [image(32, "rgb"), image(64, "grey"), image(48, "bgr")]
    tables = fitting_tables(contracts)
    script = """
        const say = (way) => recipe.verdict(given.tables, [0, 1, 2], ["a", "b", "c"], way);
        return Object.keys(given.tables.adapters).map(say);
    """
    answers = ran(starter_site, script, {"tables": tables.to_dict()})
    for adapt, said in zip(ADAPTS, answers, strict=True):
        assert said["ok"]
        assert said["text"] == "It takes 64x64x3 rgb, 0..255."
        assert said["steps"][0].startswith(f"{adapt} 64x64 -> 32x32")
        assert said["steps"][1] == "rgb -> grey (drops colour)"


LABELS = [
    "cat",
    'potter"s wheel',
    "a = b # c",
    "[x]",
    "日本",
    "\\",
    "it's",
    "\u202elive",
    "e\u0301",
    "true",
    "a.b",
    " x ",
]


def test_a_project_file_says_what_was_composed(starter_site: Path) -> None:
    members = [{"ref": f"me/net:c{number}", "label": label, "range": "^1.0.0"} for number, label in enumerate(LABELS)]
    script = 'return recipe.project(given.name, given.members, "resize", "https://host/it\'s");'
    written = ran(starter_site, script, {"name": 'my "pets"', "members": members})
    file = read_project(written.encode())
    assert file.project.name == 'my "pets"'
    assert file.project.adapt == "resize"
    assert file.project.registries == ("https://host/it's",)
    assert dict(file.classes) == {label: f"me/net:c{number}@^1.0.0" for number, label in enumerate(LABELS)}
    assert "\u202e" not in written


def test_labels_are_refused_as_modhub_refuses_them(starter_site: Path) -> None:
    labels = ["cat", "", "  ", "a\nb", "x" * 500, "x" * 501, "\x7f", "😀" * 500, "a\x85b"]
    problems = ran(starter_site, "return given.map((label) => recipe.labelProblem(label, 500));", labels)
    for label, problem in zip(labels, problems, strict=True):
        try:
            modhub_says = modhub.compose(["cifar10/r20:cat"]).rename("cat", label) is not None
        except ModhubError:
            modhub_says = False
        assert (problem == "") == modhub_says, label


def test_the_python_line_renames_in_an_order_that_works(starter_site: Path) -> None:
    """Two labels that change places, which no order of renaming alone can do."""
    refs = ["cifar10/r20:cat", "cifar10/r20:dog", "cifar10/r56:cat"]
    labels = ["dog", "cat", "tom"]
    names = ["cat", "dog", "cat"]
    members = [{"ref": ref, "label": label, "name": name} for ref, label, name in zip(refs, labels, names, strict=True)]
    lines = ran(starter_site, 'return recipe.lines(given, "", "");', members)
    classifier = eval(lines["python"], {"modhub": modhub})
    assert classifier.classes == labels
    assert [module.ref.partition("@")[0] for module in classifier.plan.modules] == refs
    assert lines["install"] == "modhub install cifar10/r20:cat cifar10/r20:dog cifar10/r56:cat"
