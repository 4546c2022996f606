"""Every label can be named by every command, by one rule."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from modhub.cli.compose_options import ComposeOptions, shape_options
from modhub.cli.data_options import class_names_option
from modhub.cli.project_options import pairs
from modhub.errors import UsageError
from modhub.spec.quoting import label_of, labels_of, quoted_label, split_labels

LABELS = [
    "cat",
    "a=b",
    "dog, big",
    "-cat",
    "--help",
    " both ends ",
    'say "hi"',
    '"',
    '""',
    "=",
    ",",
    "a b",
    "potter's wheel",
]
labels = st.text(st.sampled_from("ab=,\"- 'é"), min_size=1, max_size=8).filter(str.strip)


@given(labels)
def test_a_quoted_label_is_that_label(label):
    assert label_of(quoted_label(label)) == label
    assert label_of('"' + label.replace('"', '""') + '"') == label


@given(st.lists(labels, min_size=1, max_size=5))
def test_lists_of_labels(names):
    assert labels_of(",".join(map(quoted_label, names))) == names
    assert labels_of(" , ".join(map(quoted_label, names))) == names


@given(labels, labels)
def test_pairs_of_labels(old, new):
    parts = split_labels(f"{quoted_label(old)}={quoted_label(new)}", "=", 1)
    assert [label_of(part) for part in parts] == [old, new]


@pytest.mark.parametrize("text", ['"', '"a', '"a"b', '"a"b=c', '"a""', 'a,"b'])
def test_quotes_that_do_not_end(text):
    with pytest.raises(UsageError) as caught:
        [label_of(part) for part in split_labels(text, ",")]
    assert caught.value.kind == "bad-quotes"
    assert "double quotes" in caught.value.hint


def test_quotes_inside_a_label_are_letters():
    assert labels_of('the "big" one,7"') == ['the "big" one', '7"']


def shape_of(*arguments: str) -> ComposeOptions:
    found: list[ComposeOptions] = []

    @click.command()
    @shape_options
    def command(shape: ComposeOptions) -> None:
        found.append(shape)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return found[0]


@pytest.mark.parametrize("label", LABELS)
def test_every_option_takes_every_label(label):
    word = quoted_label(label)
    shape = shape_of(
        "--swap", f"{word}=me/two:cat", "--remove", word, "--rename", f"{word}={word}", "--restrict", word,
        "--verify-with", f"{word},dog=me/two:cat@>=1,<2,me/two:dog",
    )  # fmt: skip
    assert shape.swap == ((label, "me/two:cat"),)
    assert shape.restrict == (label,)
    assert shape.remove == (label,)
    assert shape.rename == ((label, label),)
    assert shape.verify_with == (((label, "dog"), ("me/two:cat@>=1,<2", "me/two:dog")),)
    assert class_names_option(f"{word},other") == [label, "other"]
    assert pairs([f"{word}=me/two:cat"], "LABEL=REF", label_of) == {label: "me/two:cat"}


def test_a_label_in_quotes_and_without_is_one():
    with pytest.raises(UsageError, match="'cat' is named twice"):
        pairs(["cat=a", '"cat"=b'], "LABEL=REF", label_of)
