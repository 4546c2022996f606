"""Names: what is one, what is not, and that parts and text are the same thing."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modhub.errors import InvalidRef, ModhubError
from modhub.limits import MAX_NAME_CHARS
from modhub.spec.layout import blob_path, index_path, release_path
from modhub.spec.refs import (
    ModelRef,
    ModuleRef,
    Request,
    check_name,
    is_exact,
    parse,
    parse_model_name,
    parse_range,
    parse_version,
    slug_of,
)
from modhub.storage.store import check_path

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True).filter(lambda name: ".." not in name)
VERSIONS = st.from_regex(
    r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})(-(alpha|rc\.[1-9]))?(\+[a-z0-9]{1,5})?",
    fullmatch=True,
)
CLASSES = st.text(min_size=1, max_size=30).map(str.strip).filter(lambda text: text and "@" not in text)


@given(NAMES, NAMES, st.none() | CLASSES, st.none() | VERSIONS | st.sampled_from(["^1", "~1.2", ">=1,<2"]))
def test_a_request_is_its_text(namespace, model, cls, version):
    request = Request(f"{namespace}/{model}", cls, version)
    assert parse(str(request)) == request
    assert request.is_qualified


@given(NAMES, NAMES, NAMES, VERSIONS)
def test_refs_parse_back(namespace, model, cls, version):
    module = ModuleRef(namespace, model, cls, version)
    request = parse(str(module))
    assert (request.base, request.cls, request.version) == (f"{namespace}/{model}", cls, version)
    assert str(module.release) == f"{namespace}/{model}@{version}"
    assert parse_model_name(module.release.name) == (namespace, model)


@given(NAMES, NAMES, VERSIONS)
def test_every_name_makes_a_path_inside_the_registry(namespace, model, version):
    for path in (release_path(ModelRef(namespace, model, version)), index_path(namespace, model)):
        assert check_path(path) == path


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else(text):
    try:
        request = parse(text)
    except InvalidRef:
        return
    assert parse(str(request)) == request


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_text_leads_out_of_the_registry(namespace, model, version):
    for path in (lambda: release_path(ModelRef(namespace, model, version)), lambda: index_path(namespace, model)):
        try:
            made = path()
        except ModhubError:
            continue
        assert check_path(made) == made


@pytest.mark.parametrize("digest", ["", "sha256:", f"sha256:{'../' * 21}x", f"sha256:{'A' * 64}", f"md5:{'a' * 64}"])
def test_only_a_digest_makes_a_blobs_path(digest):
    with pytest.raises(ModhubError, match="is not a sha256 digest"):
        blob_path(digest)


@pytest.mark.parametrize(
    "text",
    ["", " ", "/", "a/", "/a", "a/b/c", "A/b", "a/B", "ä/b", "a b/c", "../b", "a/..", "a/b..c", "-a/b", "a/.b", "a/b:",
     "a/b@", "a/b:c@", "a/b@x", "a/b@1.0.0.0", "a/b@01.0.0", "a/b@>>1", "a\n/b", "\u0430/b", "a/b:c@1.0.0@2"],
)  # fmt: skip
def test_what_is_no_name(text):
    with pytest.raises(InvalidRef) as caught:
        parse(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("c10", Request("c10")),
        (" a/b\n", Request("a/b")),
        ("a/b@1", Request("a/b", None, "1")),
        ("a/b: sea horse @^1", Request("a/b", "sea horse", "^1")),
        ("c10:potter's wheel@>=1, <2", Request("c10", "potter's wheel", ">=1, <2")),
        ("a/b:x:y", Request("a/b", "x:y")),
    ],
)
def test_what_is_a_name(text, request_):
    assert parse(text) == request_


def test_messages_name_the_part():
    for text, says in {
        "Cifar/r56": "the namespace 'Cifar' is not a valid name. Hint: use lower-case",
        "cifar10/R56": "the model 'R56'",
        "cifar10/r56:cat@banana": "'banana' is neither a version nor a version range. Hint: use 1.0.0, ^1",
        "a/b/c": "'a/b/c' has more than one '/'",
        "a" * 101: "has 101 characters; at most 100 are allowed",
    }.items():
        with pytest.raises(InvalidRef) as caught:
            parse(text)
        assert says in str(caught.value)


def test_length_limits():
    assert check_name("a" * MAX_NAME_CHARS, "model")
    with pytest.raises(InvalidRef):
        check_name("a" * (MAX_NAME_CHARS + 1), "model")
    with pytest.raises(InvalidRef, match="too long"):
        parse("a/b:" + "c" * 501)


@given(st.text(max_size=300))
def test_a_slug_is_allowed_in_a_ref(name):
    slug = slug_of(name)
    assert slug_of(slug) == slug
    assume(slug)
    assert set(slug) <= set(string.ascii_lowercase + string.digits + "._-")
    assert slug[0] not in "-._"
    assert len(slug) <= MAX_NAME_CHARS


@pytest.mark.parametrize(
    ("name", "slug"),
    [("potter's wheel", "potters-wheel"), ("Crème brûlée", "creme-brulee"), ("aquarium_fish", "aquarium_fish"),
     ("  A  b ", "a-b"), ("日本", ""), ("3", "3"), ("t-shirt/top", "t-shirt-top"), ("...", "")],
)  # fmt: skip
def test_slugs(name, slug):
    assert slug_of(name) == slug


def test_versions_and_ranges():
    assert is_exact("1.0.0-rc.1+build")
    assert not is_exact("1.0")
    assert str(parse_version("1.2.3")) == "1.2.3"
    assert parse_range(">=1, <2").match(parse_version("1.5.0"))
    for bad in ("1", "v1.0.0", "1.0.0 ", "\uff11.0.0", "1.0.0\n", "1.0." + "9" * 100):
        with pytest.raises(InvalidRef):
            parse_version(bad)
    for bad in ("^\uff11", "1" * 5000, ">=1," * 100 + "<2"):
        with pytest.raises(InvalidRef):
            parse_range(bad)
