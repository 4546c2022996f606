"""What a lockfile pins comes back exactly, or the file is refused with a reason."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.errors import Incompatible, IntegrityError
from modhub.installation.lockfile import Lock, read_lock
from modhub.limits import MAX_LOCK_BYTES
from modhub.resolve.catalog import Pinned
from modhub.spec.digests import sha256
from modhub.spec.refs import ModuleRef

PINS = (
    Pinned(ModuleRef("cifar10", "r56", "cat", "1.0.0"), "cat", sha256(b"1"), "/srv/modules"),
    Pinned(ModuleRef("me", "net", "potters-wheel", "2.0.0-rc.1"), "potter's wheel", sha256(b"2"), "s3://team/modules"),
)


def text(pins=PINS):
    return Lock(pins).to_text()


def rewritten(old, new, lock=None):
    """The lock with other text and its checksum made right again, as somebody might who wants it believed."""
    from modhub.spec.digests import canonical_json

    changed = (lock or text()).replace(old, new)
    value = tomllib.loads(changed)
    before = value.pop("checksum")
    return changed.replace(before, sha256(canonical_json(value))).encode()


def test_what_is_locked_comes_back():
    assert read_lock(text().encode(), what="x").modules == PINS
    assert text() == text()


def test_it_reads_like_a_file_for_people():
    assert text().splitlines()[:10] == [
        "# Written by modhub. A change by hand is refused; lock again instead.",
        "",
        "format = 1",
        f'checksum = "{tomllib.loads(text())["checksum"]}"',
        "",
        "[[module]]",
        'ref = "cifar10/r56:cat@1.0.0"',
        'class = "cat"',
        f'digest = "{sha256(b"1")}"',
        'registry = "/srv/modules"',
    ]


def test_each_module_comes_once_in_the_order_of_the_request():
    assert Lock.of([PINS[1], PINS[0], PINS[1]]).modules == (PINS[1], PINS[0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.0.0", "1.0.1"),
        ("r56", "r20"),
        (sha256(b"1"), sha256(b"3")),
        ("/srv/modules", "/srv/others"),
    ],
)
def test_a_change_by_hand_is_noticed(old, new):
    with pytest.raises(IntegrityError) as caught:
        read_lock(text().replace(old, new, 1).encode(), what="the lockfile pets.lock")
    assert caught.value.kind == "edited-lock"
    assert "the lockfile pets.lock was changed by hand" in str(caught.value)
    assert "modhub lock REF..." in str(caught.value)


def test_comments_and_blank_lines_are_free():
    assert read_lock(("# ours\n\n" + text() + "\n# end\n").encode(), what="x").modules == PINS


def test_a_newer_format_asks_for_an_upgrade():
    with pytest.raises(Incompatible, match="format 2; this version of modhub reads up to format 1"):
        read_lock(rewritten("format = 1", "format = 2"), what="x")


def test_unknown_fields_of_a_later_version_do_no_harm():
    assert read_lock(rewritten('class = "cat"', 'class = "cat"\nlater = 3'), what="x").modules == PINS


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("cifar10/r56:cat@1.0.0", "cifar10/r56:cat@^1", "not a whole name"),
        ("cifar10/r56:cat@1.0.0", "cifar10/r56@1.0.0", "not a whole name"),
        ("cifar10/r56:cat@1.0.0", "c10:cat@1.0.0", "not a whole name"),
        ("cifar10/r56:cat@1.0.0", "../r56:cat@1.0.0", "not a valid name"),
        ("cifar10/r56:cat@1.0.0", "cifar10/r56:../x@1.0.0", "not a valid name"),
        ("cifar10/r56:cat@1.0.0", "c\\u0430t/r56:cat@1.0.0", "not a valid name"),
        (sha256(b"1"), "sha256:" + "A" * 64, "digest"),
        ('registry = "/srv/modules"', 'registry = ""', "registry"),
        ('registry = "/srv/modules"', "registry = 5", "registry"),
        ('class = "cat"', 'class = ""', "class"),
    ],
)
def test_a_bad_value_is_named_even_with_a_right_checksum(old, new, reason):
    with pytest.raises(IntegrityError) as caught:
        read_lock(rewritten(old, new), what="the lockfile x")
    assert caught.value.kind == "bad-lock"
    assert reason in str(caught.value)
    assert "the lockfile x" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it names no format"),
        (b"\xff", "it is not TOML"),
        (b"format = ", "it is not TOML"),
        (b"format = 1\nformat = 1", "it is not TOML"),
        (b"format = true", "it names no format"),
        (b"format = 0", "it names no format"),
        (b"format = 1.0", "it names no format"),
        (b"format = 1\nwhen = 2026-01-01", "a value that no lockfile has"),
        (b"format = 1\nx = nan", "a value that no lockfile has"),
        (b"x = " + b"[" * 5000, "it is not TOML"),
        (b"#" * (MAX_LOCK_BYTES + 1), f"at most {MAX_LOCK_BYTES}"),
    ],
)
def test_what_is_no_lockfile_is_refused(data, reason):
    with pytest.raises(IntegrityError, match="is no lockfile of modhub") as caught:
        read_lock(data, what="x")
    assert reason in str(caught.value)


def test_a_lock_of_nothing_is_refused():
    with pytest.raises(IntegrityError, match="module"):
        read_lock(text(()).encode(), what="x")


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True)


@given(
    st.lists(st.tuples(NAMES, NAMES, NAMES, st.text(min_size=1).filter(str.isprintable), NAMES), min_size=1, max_size=5)
)
def test_any_names_survive(rows):
    pins = tuple(
        Pinned(ModuleRef(namespace, model, cls, "1.0.0"), name, sha256(cls.encode()), f"/{registry}")
        for namespace, model, cls, name, registry in rows
    )
    assert read_lock(text(pins).encode(), what="x").modules == pins
