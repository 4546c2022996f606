"""Edits of a project file change what was asked for and nothing else; there and back again is the identity."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.errors import Conflict, NotFound, UsageError
from modhub.project import edits
from modhub.project.manifest import read_project
from modhub.project.rewriting import rewritten
from modhub.spec.text import find_class

TEXT = """\
# Our pets.
[project]
name = "pets"   # short

# The classes, in the order of the columns.
[classes]  # head
# the first
cat = 'c10:cat'  # purrs
"big dog" = "c10:dog"

# Asked again.
[[verify]]
classes = ["cat", "big dog"]  # often confused
modules = ["me/two:cat", "me/two:dog"]
# end
"""


def edited(change, text, *arguments, comments=None):
    """``text`` after an edit of its values."""
    return rewritten(text, change(read_project(text.encode()), *arguments), comments)


def with_module(text, label, ref):
    return edited(edits.with_modules, text, {label: ref})


def test_a_new_class_comes_behind_the_last_one_and_not_behind_comments():
    assert edited(edits.with_classes, TEXT, {"ash": "me/net:ash@^1"}, comments={"ash": "# tree"}) == TEXT.replace(
        '"big dog" = "c10:dog"\n', '"big dog" = "c10:dog"\nash = "me/net:ash@^1"  # tree\n'
    )


def test_a_new_table_of_short_names_comes_behind_the_project():
    with_one = edited(edits.with_models, TEXT, {"c10": "cifar10/r56@^1"})
    assert with_one == TEXT.replace("# short\n\n", '# short\n\n[models]\nc10 = "cifar10/r56@^1"\n\n')


def test_a_swapped_class_keeps_place_comment_and_quotes():
    assert with_module(TEXT, "cat", "me/net:cat") == TEXT.replace("'c10:cat'", "'me/net:cat'")


def test_a_renamed_class_is_renamed_where_it_is_verified():
    changed = edited(edits.with_labels, TEXT, {"cat": "kitten"})
    assert changed == TEXT.replace("cat = ", "kitten = ").replace('["cat", "big dog"]', '["kitten", "big dog"]')


def test_two_labels_can_change_places():
    changed = edited(edits.with_labels, TEXT, {"cat": "big dog", "big dog": "cat"})
    assert list(read_project(changed.encode()).classes.items()) == [("big dog", "c10:cat"), ("cat", "c10:dog")]
    assert edited(edits.with_labels, changed, {"cat": "big dog", "big dog": "cat"}) == TEXT


def test_with_its_last_pair_a_stage_goes_and_comments_stay():
    changed = edited(edits.without_classes, TEXT, ["cat"])
    assert read_project(changed.encode()).verify == ()
    assert [line for line in changed.splitlines() if line.startswith("#")] == [
        "# Our pets.",
        "# The classes, in the order of the columns.",
        "# the first",
        "# Asked again.",
        "# end",
    ]


def test_a_stage_of_three_decides_among_the_two_that_are_left():
    text = edited(edits.without_stage, edited(edits.with_classes, TEXT, {"ash": "a:b"}), ["cat", "big dog"])
    text = edited(edits.with_stage, text, ["ash", "cat", "big dog"], ["x/y:a", "x/y:b", "x/y:c"])
    file = read_project(edited(edits.without_classes, text, ["cat"]).encode())
    assert [(stage.classes, stage.modules) for stage in file.verify] == [(("ash", "big dog"), ("x/y:a", "x/y:c"))]


def test_short_names_go_with_the_last_class_that_uses_them_but_unused_ones_of_old_stay():
    text = edited(edits.with_models, TEXT, {"c10": "c10x@^1", "c10x": "cifar10/r56", "spare": "me/net"})
    assert set(read_project(edited(edits.without_classes, text, ["cat"]).encode()).models) == {"c10", "c10x", "spare"}
    assert set(read_project(edited(edits.without_classes, text, ["cat", "big dog"]).encode()).models) == {"spare"}


def test_restricting_puts_classes_in_the_order_given():
    text = edited(edits.with_classes, TEXT, {"ash": "a:b"})
    changed = edited(edits.with_only, text, ["ash", "cat"])
    assert list(read_project(changed.encode()).classes) == ["ash", "cat"]
    assert "cat = 'c10:cat'  # purrs" in changed


def test_registries_are_joined():
    once = edited(edits.with_registries, TEXT, ["./a", "./b"])
    assert edited(edits.with_registries, once, ["./b", "./c"]) == TEXT.replace(
        "# short\n", '# short\nregistries = ["./a", "./b", "./c"]\n'
    )


@pytest.mark.parametrize(
    ("change", "kind", "error", "text"),
    [
        (
            lambda t: edited(edits.with_classes, t, {"cat": "a:b"}),
            "duplicate-label",
            Conflict,
            "a class 'cat' already: c10:cat",
        ),
        (lambda t: edited(edits.with_classes, t, {"": "a:b"}), "bad-label", UsageError, "'' cannot be a label"),
        (
            lambda t: edited(edits.with_classes, t, {"a\tb": "a:b"}),
            "bad-label",
            UsageError,
            r"'a\tb' cannot be a label",
        ),
        (lambda t: with_module(t, "cta", "a:b"), "unknown-class", NotFound, "did you mean cat?"),
        (lambda t: edited(edits.without_classes, t, ["dog"]), "unknown-class", NotFound, "it has cat, big dog"),
        (lambda t: edited(edits.with_labels, t, {"cat": "big dog"}), "duplicate-label", Conflict, "'big dog' already"),
        (
            lambda t: edited(edits.with_labels, t, {"cat": "x", "big dog": "x"}),
            "duplicate-label",
            UsageError,
            "one label",
        ),
        (lambda t: edited(edits.with_only, t, []), "empty", UsageError, "no class was named"),
        (lambda t: edited(edits.with_only, t, ["cat", "cat"]), "duplicate-class", UsageError, "named twice"),
        (lambda t: edited(edits.with_stage, t, ["cat"], ["a:b"]), "bad-verifier", UsageError, "at least two classes"),
        (lambda t: edited(edits.without_stage, t, ["cat"]), "no-stage", NotFound, "there is one for cat,big dog"),
    ],
)
def test_what_cannot_be_is_refused(change, kind, error, text):
    with pytest.raises(error) as caught:
        change(TEXT)
    assert caught.value.kind == kind
    assert text in str(caught.value)


@pytest.mark.parametrize("text", ['project = {name = "x"}\nclasses = {}\n', 'project = {name = "x"}\n'])
def test_what_cannot_be_edited_safely_is_refused(text):
    with pytest.raises(UsageError, match="cannot be edited without changing more") as caught:
        edited(edits.with_classes, text, {"cat": "a:b"})
    assert caught.value.kind == "uneditable"


@pytest.mark.parametrize(
    "text",
    [
        '[classes]\na="x:y"\n[project]\nname="x"\n',
        'classes.a="x:y"\nproject.name="x"\n',
        '[project]\r\nname="x"\r\n\r\n[classes]\r\na="x:y"\r\n',
        '[project]\nname="x"\n[classes]\n  a = "x:y"',
        '[models]\nm="me/net"\n# about x\n[project]\nname="x"\n[classes]\na="m:y"\n',
    ],
)
def test_other_ways_to_write_a_project_are_edited_too(text):
    changed = edited(edits.with_classes, text, {"cat": "a:b"})
    assert list(read_project(changed.encode()).classes) == ["a", "cat"]
    back = edited(edits.without_classes, changed, ["cat"])
    assert back.rstrip("\r\n") == text.rstrip("\r\n")


def test_a_table_in_front_of_all_others_leaves_its_comments():
    text = '[models]\nm="me/net"\n# about x\n[project]\nname="x"\n[classes]\na="m:y"\nb="c:d"\n'
    assert "# about x" in edited(edits.without_classes, text, ["a"])


# Properties

LABELS = st.text(min_size=1, max_size=6).filter(lambda text: text.strip() and text.isprintable())
REFS = st.sampled_from(["me/net:cat@^1", "me/net:dog", "c10:cat", "c10:dog@~1.2", "x/y:a b@>=1,<2", "two:d'or"])


@st.composite
def texts(draw):
    """A project file as a person might write it: spaces, quotes, comments wherever they are allowed."""
    labels = draw(st.lists(LABELS, min_size=2, max_size=5, unique=True))
    space = st.sampled_from(["", " ", "  "])
    numbers = iter(range(1000))

    def remark():
        return draw(st.sampled_from(["", f"  # remark {next(numbers)}"]))

    def lines():
        return draw(st.sampled_from(["", "\n", f"# line {next(numbers)}\n", f"\n# line {next(numbers)}\n\n"]))

    def key(label):
        if re.fullmatch("[A-Za-z0-9_-]+", label) and draw(st.booleans()):
            return label
        return "'" + label + "'" if "'" not in label and draw(st.booleans()) else quoted(label)

    def ref():
        value = draw(REFS)
        return f"'{value}'" if "'" not in value and draw(st.booleans()) else quoted(value)

    text = lines() + f'[project]{remark()}\nname{draw(space)}={draw(space)}"pets"{remark()}\n' + lines()
    if draw(st.booleans()):
        text += f"[models]{remark()}\n{lines()}spare = 'me/net'{remark()}\n" + lines()
    text += f"[classes]{remark()}\n" + lines()
    for label in labels:
        text += f"{draw(space)}{key(label)}{draw(space)}={draw(space)}{ref()}{remark()}\n" + lines()
    for _ in range(draw(st.integers(0, 2))):
        chosen = draw(st.lists(st.sampled_from(labels), min_size=2, max_size=3, unique=True))
        text += f"[[verify]]{remark()}\nclasses = [{', '.join(map(quoted, chosen))}]{remark()}\n"
        text += f"modules = [{', '.join(ref() for _ in chosen)}]{remark()}\n" + lines()
    return text


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def labels_of(text):
    return list(read_project(text.encode()).classes)


def comments(text):
    return re.findall(r"# (?:line|remark) \d+", text)


@settings(max_examples=50, deadline=None)
@given(texts(), st.data())
def test_swapping_there_and_back_is_the_identity(text, data):
    label = data.draw(st.sampled_from(labels_of(text)))
    old = read_project(text.encode()).classes[label]
    there = with_module(text, label, data.draw(REFS))
    assert comments(there) == comments(text)
    back = with_module(there, label, old)
    assert read_project(back.encode()) == read_project(text.encode())
    # Single quotes cannot hold every name; everything else is as it was.
    assert back.replace("'", '"') == text.replace("'", '"')


@settings(max_examples=50, deadline=None)
@given(texts(), LABELS, REFS)
def test_adding_and_removing_is_the_identity(text, label, ref):
    if label in labels_of(text):
        return
    short = {ref.partition(":")[0]} & {"c10", "two"}
    there = edited(
        edits.with_classes, edited(edits.with_models, text, dict.fromkeys(short, "cifar10/r56@^1")), {label: ref}
    )
    assert comments(there) == comments(text)
    back = edited(edits.without_classes, there, [label])
    # A short name that another class uses, which another project had to define until now, is the project's from now on.
    if not any(re.search(rf"""["']{name}:""", text) for name in short):
        assert back == text
    assert [*read_project(back.encode()).classes.items()] == [*read_project(text.encode()).classes.items()]


@settings(max_examples=40, deadline=None)
@given(texts(), LABELS, st.data())
def test_renaming_there_and_back_is_the_identity(text, name, data):
    label = data.draw(st.sampled_from(labels_of(text)))
    if name in labels_of(text):
        return
    there = edited(edits.with_labels, text, {label: name})
    assert comments(there) == comments(text)
    back = edited(edits.with_labels, there, {name: label})
    assert read_project(back.encode()) == read_project(text.encode())
    assert re.sub(r"""["']""", "", back) == re.sub(r"""["']""", "", text) or '"' in label or "\\" in label


@settings(max_examples=40, deadline=None)
@given(texts(), st.data())
def test_a_stage_put_in_and_taken_out_is_the_identity(text, data):
    classes = data.draw(st.lists(st.sampled_from(labels_of(text)), min_size=2, max_size=3, unique=True))
    if any(set(stage.classes) == set(classes) for stage in read_project(text.encode()).verify):
        return
    there = edited(edits.with_stage, text, classes, ["me/net:a"] * len(classes))
    assert comments(there) == comments(text)
    back = edited(edits.without_stage, there, classes)
    assert read_project(back.encode()) == read_project(text.encode())
    assert back.rstrip("\n") == text.rstrip("\n")


@settings(max_examples=40, deadline=None)
@given(texts(), st.data())
def test_restricting_says_what_the_plain_operation_says(text, data):
    before = read_project(text.encode())
    kept = data.draw(st.permutations(labels_of(text)))[: data.draw(st.integers(1, 4))]
    after = read_project(edited(edits.with_only, text, kept).encode())
    assert [*after.classes.items()] == [(label, before.classes[label]) for label in kept]
    expected = []
    for stage in before.verify:
        pairs = [(c, m) for c, m in zip(stage.classes, stage.modules, strict=True) if c in kept]
        if len(pairs) > 1:
            expected.append(pairs)
    assert [[*zip(stage.classes, stage.modules, strict=True)] for stage in after.verify] == expected
    assert after.project == before.project


@settings(max_examples=40, deadline=None)
@given(texts(), st.data())
def test_comments_on_lines_of_their_own_survive_a_removal(text, data):
    gone = data.draw(st.lists(st.sampled_from(labels_of(text)), min_size=1, unique=True))
    changed = edited(edits.without_classes, text, gone)
    lines = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in changed.splitlines() if line.startswith("#")] == lines


@settings(max_examples=50, deadline=None)
@given(texts(), st.data())
def test_several_edits_at_once_are_written_from_the_difference_alone(text, data):
    """The text never sees the edits: whatever two files say, it comes to say the second, and keeps its comments."""
    after = read_project(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        labels = list(after.classes)
        kind = data.draw(st.sampled_from(["add", "swap", "rename", "restrict", "verify", "drop"]))
        if kind == "add":
            new = data.draw(LABELS.filter(lambda label, labels=labels: find_class(label, labels) is None))
            after = edits.with_classes(after, {new: data.draw(REFS)})
        elif kind == "swap":
            after = edits.with_modules(after, {data.draw(st.sampled_from(labels)): data.draw(REFS)})
        elif kind == "rename":
            turned = data.draw(st.permutations(labels))
            after = edits.with_labels(after, dict(zip(labels, turned, strict=True)))
        elif kind == "restrict":
            after = edits.with_only(after, data.draw(st.permutations(labels))[: data.draw(st.integers(1, len(labels)))])
        elif kind == "verify" and len(labels) > 1:
            after = edits.with_stage(after, labels[:2], data.draw(st.lists(REFS, min_size=2, max_size=2)))
        elif kind == "drop" and after.verify:
            after = edits.without_stage(after, after.verify[0].classes)
    changed = rewritten(text, after)
    said = read_project(changed.encode())
    assert said == after
    assert list(said.classes) == list(after.classes)
    lines = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in changed.splitlines() if line.startswith("#")] == lines
