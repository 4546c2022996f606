"""A project file says what it means, or where it is wrong: by line, by field, with what to do."""

from __future__ import annotations

import json
import tomllib
from contextlib import suppress

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.composition.recipe import ADAPTS, DTYPES, MODES
from modhub.errors import UsageError
from modhub.limits import MAX_LOCK_BYTES
from modhub.project.manifest import check_label, read_project
from modhub.spec.digests import canonical_json, sha256
from scripts.build_schemas import FOLDER

WHOLE = """
# ours
[project]
name = "pets"
registries = ["./modules"]
adapt = "resize"
size = [64, 64]
reject = true
data = "data/test.npz"

[models]
c10 = "cifar10/r56@^1"

[classes]
cat = "c10:cat"
apple = "cifar100/r20:apple@^1.2"

[[verify]]
classes = ["cat", "apple"]
modules = ["me/two:cat", "me/two:apple"]
"""


def test_everything_is_read_in_its_order():
    file = read_project(WHOLE.encode())
    assert file.project.size == (64, 64)
    assert list(file.classes) == ["cat", "apple"]
    assert file.recipe.every_module == ("c10:cat", "cifar100/r20:apple@^1.2", "me/two:cat", "me/two:apple")
    assert [str(file.expanded(ref)) for ref in file.recipe.every_module[:2]] == [
        "cifar10/r56:cat@^1",
        "cifar100/r20:apple@^1.2",
    ]


def test_a_file_with_nothing_but_a_name_is_a_project():
    file = read_project(b'[project]\nname = "pets"\n')
    assert (file.project.reject, file.classes, file.verify) == (False, {}, ())


def test_a_short_name_may_stand_for_another_and_the_nearest_range_counts():
    text = '[project]\nname="x"\n[models]\na="b@^2"\nb="me/net@^1"\n[classes]\nx="a:x"\ny="b:y"\nz="a:z@~3.1"\n'
    file = read_project(text.encode())
    assert [str(file.expanded(ref)) for ref in file.recipe.every_module] == [
        "me/net:x@^2",
        "me/net:y@^1",
        "me/net:z@~3.1",
    ]


HEAD = '[project]\nname = "pets"\n'
CLASSES = '[classes]\ncat = "me/net:cat"\ndog = "me/net:dog"\n'

FAULTS = [
    ("", 1, "it has no [project]", "begin with [project]"),
    ("cat", 1, "it is not TOML", "correct that line"),
    ('[project]\nname = "a\nb"', 2, "it has a text that does not end on its line", None),
    ("[project]\n", 1, "[project] has no name", "add it"),
    ("project = 3", 1, "project is '3'", "wanted is a table [project]"),
    ("[project]\nname = 3\n", 2, "project.name is '3'", "a text of 1 to 500 characters"),
    ('[project]\nname = "a\\nb"\n', 2, r"project.name is 'a\nb'", "without control characters"),
    (HEAD + 'name = "b"\n', 3, "the key 'name' occurs twice, first in line 2", "leave one of the two"),
    (HEAD + "size = [64]\n", 3, "project.size is '[64]'", "height and width in pixels, 1 to 65536 each"),
    (HEAD + "size = [64, 0]\n", 3, "project.size is '[64, 0]'", "height and width"),
    (HEAD + "size = [64.0, 64]\n", 3, "project.size is '[64.0, 64]'", "height and width"),
    (HEAD + "size = [64, 64]\n", 3, "a size was given without adapt", 'adapt = "resize"'),
    (HEAD + 'adapt = "strech"\n', 3, "project.adapt is 'strech'", "resize, crop or letterbox"),
    (HEAD + "reject = 1\n", 3, "project.reject is '1'", "true or false"),
    (HEAD + 'mode = "fusd"\n', 3, "project.mode is 'fusd'", "wanted is isolated, fused or auto"),
    (HEAD + "mode = true\n", 3, "project.mode is 'True'", "wanted is isolated, fused or auto"),
    (HEAD + 'dtype = "float16"\n', 3, "project.dtype is 'float16'", "wanted is float32 or bfloat16"),
    (HEAD + 'dtypes = "float32"\n', 3, "there is no 'dtypes' in [project]", "did you mean dtype?"),
    (HEAD + 'registries = "x"\n', 3, "project.registries is 'x'", '["./modules"]'),
    (HEAD + 'registry = "x"\n', 3, "there is no 'registry' in [project]", "did you mean registries?"),
    (HEAD + '[clases]\ncat = "a:b"\n', 3, "there is no 'clases'", "did you mean classes"),
    (
        HEAD + "[[verify]]\nclasses = []\nmodule = []\n",
        5,
        "there is no 'module' in [verify.0]",
        "did you mean modules?",
    ),
    (HEAD + '[classes]\ncat = "me/net"\n', 4, "'me/net' names a whole model", "namespace/model:class"),
    (HEAD + '[classes]\ncat = "ME:cat"\n', 4, "the name 'ME' is not a valid name", "lower-case"),
    (HEAD + '[classes]\ncat = "me/net:cat@"\n', 4, "has nothing after '@'", "names look like"),
    (HEAD + '[classes]\ncat = "me/net:cat@x.y"\n', 4, "neither a version nor a version range", "^1"),
    (HEAD + "[classes]\ncat = 3\n", 4, "classes.cat is '3'", "a module's name in quotes"),
    (
        HEAD + '[classes]\ncat = "a:b"\n\ncat = "c:d"\n',
        6,
        "the class 'cat' occurs twice, first in line 4",
        "another label",
    ),
    (HEAD + '[classes]\n"" = "a:b"\n', 4, "'' cannot be a label", "use 1 to 500 characters"),
    (HEAD + '[classes]\n" " = "a:b"\n', 4, "' ' cannot be a label", "use 1 to 500 characters"),
    (HEAD + '[classes]\n"a\\u001bb" = "a:b"\n', 4, r"'a\x1bb' cannot be a label", "without control characters"),
    (HEAD + '[models]\na = "b"\nb = "a"\n', 4, "leads in a circle: a -> b -> a", "namespace/model"),
    (HEAD + '[models]\na = "me/net:cat"\n', 4, "which is more than a model", "namespace/model"),
    (HEAD + '[models]\nA = "me/net"\n', 4, "the short name 'A' is not a valid name", "lower-case"),
    (HEAD + '[models]\na = "me/net"\na = "me/two"\n', 5, "the short name 'a' occurs twice, first in line 4", None),
    (
        HEAD + CLASSES + '[[verify]]\nclasses = ["cat", "dgo"]\nmodules = ["a:b", "c:d"]\n',
        6,
        "'dgo'",
        "did you mean dog?",
    ),
    (HEAD + CLASSES + '[[verify]]\nclasses = ["cat", "cat"]\nmodules = ["a:b", "c:d"]\n', 6, "named twice", "once"),
    (HEAD + CLASSES + '[[verify]]\nclasses = ["cat"]\nmodules = ["a:b"]\n', 6, "at least two classes", "two or more"),
    (
        HEAD + CLASSES + '[[verify]]\nclasses = ["cat", "dog"]\nmodules = ["a:b"]\n',
        6,
        "1 modules cannot verify 2",
        "one",
    ),
    (
        HEAD + CLASSES + '[[verify]]\nclasses = ["cat", "dog"]\nmodules = ["a:b", "c"]\n',
        6,
        "'c' names a whole",
        "class",
    ),
    (HEAD + CLASSES + '[[verify]]\nclasses = ["cat", "dog"]\n', 6, "[verify.0] has no modules", "add it"),
    (HEAD + "verify = 3\n", 3, "there is no 'verify' in [project]", "there are adapt, data, dtype"),
]


@pytest.mark.parametrize(("text", "line", "reason", "hint"), FAULTS)
def test_a_fault_is_named_with_its_line_and_what_to_do(text, line, reason, hint):
    with pytest.raises(UsageError) as caught:
        read_project(text.encode(), what="pets/modhub.toml")
    assert caught.value.kind == "bad-project"
    assert reason in str(caught.value)
    assert hint is None or hint in str(caught.value)
    if "does not end on its line" not in reason:
        assert str(caught.value).startswith(f"pets/modhub.toml, line {line}: ")
        assert caught.value.data["line"] == line
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff", "it is not UTF-8 text"),
        (b"[project]\nname = 'a'\n# \xe4", "line 3: it is not UTF-8 text"),
        (b"x = " + b"[" * 5000, "it is not TOML"),
        (b"#" * (MAX_LOCK_BYTES + 1), f"and a project file has at most {MAX_LOCK_BYTES}"),
        (b"a" + b".a" * 2000 + b" = 1", "dots outside texts"),
    ],
)
def test_what_is_no_project_file_at_all(data, reason):
    with pytest.raises(UsageError) as caught:
        read_project(data)
    assert caught.value.kind == "bad-project"
    assert reason in str(caught.value)


@given(st.binary(max_size=60) | st.text(max_size=80).map(str.encode))
def test_no_bytes_end_in_another_error(data):
    for start in (b"", HEAD.encode(), (HEAD + CLASSES).encode()):
        with suppress(UsageError):
            read_project(start + data)


@given(st.text(st.characters(exclude_categories=()), max_size=5))
def test_a_label_is_refused_or_survives(label):
    try:
        check_label(label)
    except UsageError:
        assert not label.strip() or not label.isprintable()
        return
    key = json.dumps(label, ensure_ascii=False).replace("\x7f", "\\u007f")
    assert list(read_project(f"{HEAD}[classes]\n{key} = 'a:b'\n".encode()).classes) == [label]


SAME = [
    ("# ours\n", "# theirs\n\n"),
    ('name = "pets"', "name = 'pets'"),
    ('data = "data/test.npz"', 'data = "other.npz"'),
    ("reject = true", 'reject = true\nmode = "isolated"'),
    ("reject = true", 'dtype = "float32"\nreject = true'),
    ('c10 = "cifar10/r56@^1"', 'c10 = "cifar10/r56@^1"\nunused = "me/net"'),
    ('cat = "c10:cat"', 'cat = "cifar10/r56:cat@^1"'),
]
OTHER = [
    ('name = "pets"', 'name = "cats"'),
    ('"./modules"', '"./modules", "./more"'),
    ('"resize"', '"crop"'),
    ("size = [64, 64]\n", ""),
    ("reject = true", "reject = false"),
    ("reject = true", 'reject = true\nmode = "fused"'),
    ("reject = true", 'reject = true\nmode = "auto"'),
    ("reject = true", 'reject = true\ndtype = "bfloat16"'),
    ("cifar10/r56@^1", "cifar10/r56@^2"),
    ('cat = "c10:cat"\napple = "cifar100/r20:apple@^1.2"', 'apple = "cifar100/r20:apple@^1.2"\ncat = "c10:cat"'),
    ('"me/two:cat"', '"me/two:kitten"'),
]


@pytest.mark.parametrize(("old", "new"), SAME)
def test_the_digest_is_of_what_is_asked_for_and_not_of_how_it_is_written(old, new):
    assert old in WHOLE
    assert read_project(WHOLE.replace(old, new).encode()).digest == read_project(WHOLE.encode()).digest


@pytest.mark.parametrize(("old", "new"), OTHER)
def test_the_digest_differs_when_something_else_is_asked_for(old, new):
    assert old in WHOLE
    assert read_project(WHOLE.replace(old, new, 1).encode()).digest != read_project(WHOLE.encode()).digest


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (WHOLE, "sha256:01b6c7d4211be6b20d81c79f45c92f07fa4bed9d8bf8fb726b7c4954a88867c7"),
        (HEAD, "sha256:4791749f36973bce6dfffb17d52e033a64df7229971790dac1fe80900374a91a"),
    ],
)
def test_files_without_a_mode_have_the_digests_that_they_had_before_there_was_one(text, digest):
    assert read_project(text.encode()).digest == digest


@given(
    name=st.text("abc ü", min_size=1, max_size=5).filter(str.strip),
    labels=st.lists(st.sampled_from("abcdef"), unique=True, max_size=4),
    adapt=st.none() | st.sampled_from(ADAPTS),
    reject=st.booleans(),
    mode=st.none() | st.sampled_from(MODES),
    dtype=st.none() | st.sampled_from(DTYPES),
)
def test_the_digest_is_what_the_format_says_it_is(name, labels, adapt, reject, mode, dtype):
    """By hand after FORMAT.md: only a mode and a dtype that are not the default are in it."""
    project = {"name": name, "adapt": adapt, "reject": reject, "mode": mode, "dtype": dtype}
    classes = {label: f"me/net:{label}@^1" for label in labels}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in project.items() if value is not None]
    text = "\n".join(["[project]", *lines, "[classes]", *(f'{label} = "{ref}"' for label, ref in classes.items())])
    asked = {"name": name, "registries": [], "adapt": adapt, "size": None, "reject": reject, "verify": []}
    asked |= {"classes": [list(each) for each in classes.items()]}
    asked |= {"mode": mode} if mode in ("fused", "auto") else {}
    asked |= {"dtype": dtype} if dtype == "bfloat16" else {}
    assert read_project(text.encode()).digest == sha256(canonical_json(asked))


def test_the_schema_says_what_the_reader_does():
    schema = json.loads((FOLDER / "project-file.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(WHOLE), schema)
    jsonschema.validate(tomllib.loads(WHOLE.replace("reject", 'mode = "auto"\ndtype = "bfloat16"\nreject')), schema)
    for old, new in (
        ('name = "pets"\n', ""),
        ("reject", "rejects"),
        ('"resize"', '"melt"'),
        ("reject", 'mode = "fast"\nreject'),
        ("reject", 'dtype = "float16"\nreject'),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tomllib.loads(WHOLE.replace(old, new, 1)), schema)


@pytest.mark.parametrize(
    "number", ["9" * 4_000, "9" * 20, "0x" + "f" * 100_000, "0b" + "1" * 65, "1_" * 30 + "1", "-0x" + "1" * 17]
)
@pytest.mark.parametrize(
    "line", ["adapt = 'resize'\nsize = [{}, 3]", "data = {}", "[classes]\ncat = {}", "unknown = {}"]
)
def test_numbers_beyond_64_bits_are_named_everywhere(line, number):
    """Python gives up on the text of a number of thousands of digits, also where it has read it."""
    with pytest.raises(UsageError) as caught:
        read_project(f'[project]\nname = "a"\n{line.format(number)}\n'.encode())
    assert caught.value.kind == "bad-project"
    assert "beyond 64 bits" in str(caught.value) or "TOML" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_digits_in_keys_texts_and_comments_are_no_numbers():
    digits = "1" * 40
    text = f'# {digits}\n[project]\nname = "{digits}"\n[classes]\n{digits} = "me/net:cat"\n'
    text += f'x-{digits} = "me/net:dog" # {digits}\n'
    assert list(read_project(text.encode()).classes) == [digits, f"x-{digits}"]


def test_a_list_of_licences_is_read_and_changes_nothing_of_what_is_locked():
    file = read_project(WHOLE.encode() + b'\n[licenses]\nallow = ["MIT", "Apache-2.0"]\n')
    plain = read_project(WHOLE.encode())
    assert file.licenses.allow == ("MIT", "Apache-2.0")
    assert plain.licenses.allow is None
    assert file.digest == plain.digest
    assert file.changed(file.recipe).licenses == file.licenses
    with pytest.raises(UsageError, match=r"line 4: licenses\.allow is 'MIT'.*a list of licences"):
        read_project(b'[project]\nname = "pets"\n[licenses]\nallow = "MIT"\n')
