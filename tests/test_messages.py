"""No message is longer than people read, whatever a file or a library puts into it; a Keras 2 file is called one."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub import errors
from modhub.cli import printing
from modhub.cli.failures import as_modhub_error, report
from modhub.engine.read.file_kinds import check_model_file
from modhub.engine.read.files import load_model
from modhub.errors import MAX_FOREIGN_CHARS, MAX_MESSAGE_CHARS, ModhubError, UnsupportedModel, bounded, plain

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ModhubError)]


@given(st.text(max_size=3_000), st.sampled_from(KINDS))
def test_every_error_is_bounded_and_keeps_both_ends(text, kind):
    error = kind(text, hint=text or None)
    assert len(error.message) <= MAX_MESSAGE_CHARS
    assert len(error.hint or "") <= MAX_MESSAGE_CHARS
    if len(text) <= MAX_MESSAGE_CHARS:
        assert error.message == text
    else:
        assert text.startswith(error.message[:600])
        assert text.endswith(error.message[-250:])
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.hint, again.kind) == (error.message, error.hint, error.kind)
    assert bounded(error.message) == error.message


def test_a_shortened_message_says_how_much_is_left_out():
    assert " characters left out) ... " in ModhubError("x" * 50_000).message
    assert "(49,001 characters left out)" in ModhubError("x" * 50_000).message


@pytest.mark.parametrize("as_json", [False, True])
def test_what_no_one_expected_is_bounded_too(capsys, as_json):
    report(ValueError("y" * 50_000), as_json=as_json, debug=False)
    printed = capsys.readouterr().err
    assert len(printed) < MAX_FOREIGN_CHARS + 200
    assert len(as_modhub_error(ValueError("y" * 50_000)).message) < MAX_FOREIGN_CHARS + 50


def test_warnings_are_bounded(capsys):
    printing.warn("z" * 50_000)
    assert len(capsys.readouterr().err) < MAX_MESSAGE_CHARS + 50


def test_foreign_text_is_bounded_and_on_one_line():
    assert plain("a\nb\x1b[31m" + "c" * 1_000).startswith(r"a\nb\x1b[31mccc")
    assert len(plain("c" * 1_000)) == MAX_FOREIGN_CHARS + 3


def model_file(path: Path, *, version: str | None, module: str, layers: int = 1, layer: str = "Dense") -> Path:
    inner = [{"class_name": layer, "module": "keras.layers", "config": {"name": f"x{n}"}} for n in range(layers)]
    config = {"class_name": "Functional", "module": module, "config": {"layers": inner}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        if version is not None:
            archive.writestr("metadata.json", json.dumps({"keras_version": version}))
    return path


@pytest.mark.parametrize(
    ("version", "module"),
    [
        ("2.15.0", "keras.src.engine.functional"),
        ("2.12.0", "keras.engine.functional"),
        ("2.16.0", "tf_keras.src.engine.functional"),
        (None, "tf_keras.src.engine.functional"),
        (None, "keras.src.engine.sequential"),
        ("2.18.0", "keras"),
    ],
)
def test_a_keras_2_file_is_called_one(tmp_path: Path, version: str | None, module: str) -> None:
    path = model_file(tmp_path / "net.keras", version=version, module=module, layers=2_000)
    assert check_model_file(path).is_of_keras_2
    with pytest.raises(UnsupportedModel, match="was written by Keras 2") as caught:
        load_model(path)
    assert "own code" not in str(caught.value)
    assert "the Keras that wrote it" in (caught.value.hint or "")


def test_a_keras_3_file_is_none(tmp_path: Path) -> None:
    for version, module in (("3.9.0", "keras.src.models.functional"), (None, "keras")):
        path = model_file(tmp_path / "net.keras", version=version, module=module)
        assert not check_model_file(path).is_of_keras_2


def test_what_keras_says_of_a_file_is_bounded(tmp_path: Path) -> None:
    path = model_file(tmp_path / "net.keras", version="3.9.0", module="keras", layers=500, layer="NoSuchLayer")
    with pytest.raises(UnsupportedModel, match="keras cannot load") as caught:
        load_model(path)
    assert len(caught.value.message) < MAX_FOREIGN_CHARS + len(str(path)) + 50


def test_many_layers_of_own_code_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    inner = [{"class_name": f"Mine{n}", "module": "mine", "config": {}} for n in range(5_000)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "module": "keras", "layers": inner}))
    with pytest.raises(UnsupportedModel, match=r"has layers of its own code: Mine0, Mine1, .*\.\.\.") as caught:
        check_model_file(path)
    assert len(caught.value.message) < MAX_FOREIGN_CHARS + len(str(path)) + 50
