"""Model cards as people have them are read as they are meant; hostile ones do no harm and say where they are wrong."""

from __future__ import annotations

import doctest
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.cards import hub_licenses, read
from modhub.cards.front_matter import markdown_of, read_front_matter
from modhub.cards.hub_licenses import hub_license
from modhub.cards.read import card_file, card_from
from modhub.errors import NotFound, UsageError
from modhub.limits import MAX_README_BYTES

VISION = """---
language: en
license: apache-2.0
library_name: keras
pipeline_tag: image-classification
tags:
- image-classification
- vision
base_model: google/vit-base-patch16-224-in21k
datasets:
- imagenet-1k
- imagenet-21k
metrics: [accuracy, f1]
widget:
- src: https://example.org/tiger.jpg
  example_title: Tiger
model-index:
- name: vit
  results:
  - task: {type: image-classification, name: Image Classification}
    dataset: {name: ImageNet, type: imagenet-1k, split: test}
    metrics:
    - {type: accuracy, value: 0.9342, name: Accuracy, verified: true}
    - {type: f1, value: 92.10%}
    - {type: loss}
---

# Vision

A model.
"""

OWN_LICENCE = """---
license: other
license_name: Rainbow research licence 2
license_link: https://example.org/LICENSE
language:
- no
- de
tags: [2024-01-01, on, 1_000]
training_data:
- name: photos
  license: cc-by-nc-4.0
  url: https://example.org/photos
datasets: [photos, drawings]
authors:
- name: Ada
- Grace
links:
  paper: https://example.org/paper
description: |
  Two classes
  of pets.
intended_use: Sorting photos.
limitations: No people.
---
Hello
"""


def test_a_card_of_the_hub_is_read_as_it_is() -> None:
    made = card_from(VISION.encode())
    card = made.card
    assert card.license == "Apache-2.0"
    assert card.languages == ("en",)
    assert card.library == "keras"
    assert card.keywords == ("image-classification", "vision")
    assert card.base_models == ("google/vit-base-patch16-224-in21k",)
    assert [data.name for data in card.training_data] == ["imagenet-1k", "imagenet-21k"]
    assert card.metrics == ("accuracy", "f1")
    assert [(each.data, each.metric, each.value) for each in card.reported] == [
        ("ImageNet", "Accuracy", "0.9342"),
        ("ImageNet", "f1", "92.10%"),
    ]
    assert made.readme == VISION.encode()
    assert markdown_of(VISION).startswith("# Vision")


def test_plain_words_stay_words_and_own_keys_are_read() -> None:
    """YAML would make a boolean of Norwegian, a date and a number of tags."""
    card = card_from(OWN_LICENCE.encode()).card
    assert card.license == "LicenseRef-Rainbow-research-licence-2"
    assert (card.license_name, card.license_url) == ("Rainbow research licence 2", "https://example.org/LICENSE")
    assert card.languages == ("no", "de")
    assert card.keywords == ("2024-01-01", "on", "1_000")
    assert [(data.name, data.license) for data in card.training_data] == [
        ("photos", "CC-BY-NC-4.0"),
        ("drawings", None),
    ]
    assert card.authors == ("Ada", "Grace")
    assert card.links == {"paper": "https://example.org/paper"}
    assert (card.description, card.intended_use, card.limits) == (
        "Two classes\nof pets.",
        "Sorting photos.",
        "No people.",
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_any_editor_s_file_is_the_same_card(encoding: str, ends: str) -> None:
    text = VISION.replace("# Vision", "# Visión")
    assert card_from(text.replace("\n", ends).encode(encoding)) == card_from(text.encode())


@pytest.mark.parametrize("text", ["# Only Markdown\n", "", "---\n\nA rule, then text.\n", "---\n---\nempty\n"])
def test_a_readme_without_front_matter_is_a_card_without_fields(text: str) -> None:
    card = card_from(text.encode()).card
    assert card.model_copy(update={"readme": None}).model_dump() == {}


@pytest.mark.parametrize(
    ("name", "spdx"),
    [
        ("mit", "MIT"),
        ("cc-by-4.0", "CC-BY-4.0"),
        ("gpl-3.0", "GPL-3.0-only"),
        ("lgpl", "LGPL-2.0-or-later"),
        ("openrail", "LicenseRef-huggingface-openrail"),
        ("llama3.1", "LicenseRef-scancode-llama-3.1-license-2024"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("unknown", None),
        ("other", None),
    ],
)
def test_licence_names_of_the_hub_are_spdx_expressions(name: str, spdx: str | None) -> None:
    assert hub_license(name) == spdx


def test_several_licences_of_a_list_all_apply() -> None:
    assert card_from(b"---\nlicense: [mit, 'Apache-2.0 OR ISC']\n---\n").card.license == "MIT AND (Apache-2.0 OR ISC)"


FAULTS = [
    ("license: [mit", 3, "not YAML"),
    ("license: mit\nlicense: isc", 3, "occurs twice"),
    ("license: apache", 2, "did you mean Apache-2.0"),
    ("a: &x [1]\nb: *x", 2, "anchor"),
    ("- a", 2, "no mapping"),
    ("tags: {a: b}", 2, "tags has a mapping"),
    ("description: [a]", 2, "description is a list"),
    ("x: 1\nlinks: {paper: 'javascript:alert(1)'}", 3, "http://"),
    ('authors: "a\\x1b[2J"', 2, "control characters"),
    ("training_data: [{license: mit}]", 2, "without a name"),
    ("x: " + "[" * 100 + "]" * 100, 2, "levels"),
    ("x: [" + "a," * 60_000 + "]", 2, "values"),
]


@pytest.mark.parametrize(("front", "line", "said"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_named_with_its_line(front: str, line: int, said: str) -> None:
    with pytest.raises(UsageError, match=f"^README.md, line {line}: ") as caught:
        card_from(f"---\n{front}\n---\ntext\n".encode(), what="README.md")
    assert caught.value.kind == "bad-card"
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_front_matter_without_an_end_is_not_taken_for_text() -> None:
    with pytest.raises(UsageError, match="has no end"):
        card_from(b"---\nlicense: mit\n# Title\n")


def test_a_tag_of_yaml_makes_nothing() -> None:
    made = card_from(
        b"---\ndescription: !!python/object/apply:os.system touch\nlicense: !!python/name:os.system mit\n---\n"
    )
    assert (made.card.description, made.card.license) == ("touch", "MIT")


def test_a_million_laughs_and_other_costly_texts_take_no_time() -> None:
    laughs = "\n".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 30))
    before = time.process_time()
    for text in (laughs, "? " * 5000, "- " * 9000, "{" * 9000, "x: " + "'" * 9001, "a: |\n" + " " * 100_000):
        with pytest.raises(UsageError):
            card_from(f"---\na0: &a0 [1]\n{text}\n---\n".encode())
    assert time.process_time() - before < 5
    with pytest.raises(UsageError, match="at most 1,048,576"):
        card_from(b"x" * (MAX_README_BYTES + 1))


@settings(max_examples=100)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: f"---\n{text}\n---\n".encode())))
def test_whatever_the_bytes_there_is_a_card_or_one_kind_of_error(data: bytes) -> None:
    with suppress(UsageError):
        made = card_from(data)
        assert card_from(made.readme) == made


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no file .*README\.md"):
        card_file(tmp_path / "README.md")
    with pytest.raises(NotFound):
        card_file(tmp_path)
    (tmp_path / "README.md").write_text(VISION)
    assert card_file(tmp_path / "README.md") == card_from(VISION.encode())


def test_the_lines_of_keys_are_those_of_the_file() -> None:
    found = read_front_matter(b"\n\n---\nlicense: mit\ntags:\n- a\nlanguage: en\n---\n", what="x")
    assert found.lines == {"license": 4, "tags": 5, "language": 7}


def test_the_examples_do_what_they_say() -> None:
    assert doctest.testmod(read).failed == doctest.testmod(hub_licenses).failed == 0
