"""What commands print, for people and for programs, run inside this process."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import modhub
from modhub.cli import printing, quiet
from modhub.cli.printing import Column
from modhub.registry.writer import Registry
from modhub.settings.config import load_config
from modhub.storage.urls import open_store
from tests.cli import origin
from tests.cli.running import Result, Workshop

Run = Callable[..., Result]


# What each command prints


def test_list_is_plain_columns_in_a_pipe(run: Run, workshop: Workshop) -> None:
    run("install", "me/net", "--registry", workshop.registry)
    lines = run("list").out.splitlines()
    assert lines[0].split() == ["module", "class", "from"]
    assert [line.split()[0] for line in lines[1:]] == [
        "me/net:cat@1.0.0", "me/net:dog@1.0.0", "me/net:potters-wheel@1.0.0",
    ]  # fmt: skip
    assert len({line.index(workshop.registry) for line in lines[1:]}) == 1
    assert "\x1b" not in "".join(lines)


def test_list_as_a_document(run: Run, workshop: Workshop) -> None:
    assert run("list", "--json").document == {"installed": []}
    run("install", "me/net:potters-wheel", "--registry", workshop.registry)
    (module,) = run("list", "--json").document["installed"]
    assert module.pop("digest").startswith("sha256:")
    assert module == {
        "ref": "me/net:potters-wheel@1.0.0", "class": "potter's wheel", "registry": workshop.registry,
        "remarks": [],
    }  # fmt: skip


def test_an_empty_list_says_what_to_do(run: Run) -> None:
    result = run("list")
    assert (result.code, result.out) == (0, "")
    assert "modhub list --available" in result.err


def test_list_of_a_registry_needs_available(run: Run, workshop: Workshop) -> None:
    assert run("list", "--registry", workshop.registry).code == 2
    (release,) = [
        each
        for each in run("list", "--available", "--registry", workshop.registry, "--json").document["available"]
        if each["ref"] == "me/net"
    ]
    assert (release["version"], release["classes"], release["input_shape"]) == (
        "1.0.0", ["cat", "dog", "potter's wheel"], [12, 12, 1],
    )  # fmt: skip


def test_search(run: Run, workshop: Workshop) -> None:
    at = ("--registry", workshop.registry)
    hits = run("search", "me", "wheel", *at, "--json").document["hits"]
    assert [(hit["ref"], hit["class"]) for hit in hits] == [("me/net:potters-wheel", "potter's wheel")]
    assert [hit["ref"] for hit in run("search", "--namespace", "me", *at, "--json").document["hits"]] == ["me/net"]
    assert run("search", "me/net", "--dataset", "other", *at, "--json").document["hits"] == []
    row = run("search", "me", "wheel", *at).out.splitlines()[1]
    assert row.split()[:4] == ["me/net:potters-wheel", "1.0.0", "1", "12x12x1"]


def test_search_without_a_hit(run: Run, workshop: Workshop) -> None:
    result = run("search", "zebra", "--registry", workshop.registry)
    assert (result.code, result.out) == (0, "")
    assert "nothing matches" in result.err


def test_info_of_a_release(run: Run, workshop: Workshop) -> None:
    text = run("info", "me/net", "--registry", workshop.registry).out
    assert text.startswith("me/net@1.0.0\n")
    assert "12x12x1 grey, raw uint8 0..255" in text
    assert "the modules themselves apply rescale 1/255" in text
    assert "observe relu, backtrack last-conv, rule text, delta 0.5" in text
    row = next(line for line in text.splitlines() if line.startswith("potters-wheel"))
    assert row.split()[-2:] == ["100.0%", "100.0%"]


def test_info_of_a_module_as_a_document(run: Run, workshop: Workshop) -> None:
    info = run("info", "me/net:dog", "--registry", workshop.registry, "--json").document
    assert info["ref"] == "me/net@1.0.0"
    assert info["input"]["rescale"] == 1 / 255
    assert info["classes"] == list(origin.CLASSES)
    (module,) = info["modules"]
    assert (module["ref"], module["class"]) == ("me/net:dog@1.0.0", "dog")
    assert 0 < module["kept"] < info["nodes"] == 600
    assert 0 < module["size"] < info["size"]


def test_install_groups_by_release(run: Run, workshop: Workshop) -> None:
    first = run("install", "me/net:cat", "me/net:dog", "--registry", workshop.registry)
    assert first.out.splitlines()[1].split()[:3] == ["me/net@1.0.0", "cat,", "dog"]
    assert "KiB" in first.out
    second = run("install", "me/net:cat", "--registry", workshop.registry)
    assert "was here" in second.out


def test_install_as_a_document(run: Run, workshop: Workshop) -> None:
    (module,) = run("install", "me:dog", "--registry", workshop.registry, "--json").document["installed"]
    assert (module["ref"], module["class"], module["already"]) == ("me/net:dog@1.0.0", "dog", False)
    assert module["fetched"] > 0
    assert run("install", "me:dog", "--registry", workshop.registry, "--json").document["installed"][0]["already"]


def test_publish_again_changes_nothing(run: Run, workshop: Workshop) -> None:
    document = run("publish", workshop["net.modules"], "--registry", workshop.registry, "--json").document
    assert (document["ref"], document["created"], document["registry"]) == (
        "me/net@1.0.0", False, workshop.registry,
    )  # fmt: skip
    assert "already" in run("publish", workshop["net.modules"], "--registry", workshop.registry).out


def test_publish_goes_to_one_registry(run: Run, workshop: Workshop) -> None:
    result = run("publish", workshop["net.modules"], "--registry", "a", "--registry", "b")
    assert result.code == 2
    assert "a, b" in result.err


def test_compose_shows_its_plan(run: Run, workshop: Workshop) -> None:
    result = run("compose", "me/net:cat", "me:potters-wheel", "--registry", workshop.registry, "--reject")
    assert result.out.startswith("2 classes on 1 trunk")
    assert [line.split()[-2] for line in result.out.splitlines()[2:]] == [
        "me/net:cat@1.0.0", "me/net:potters-wheel@1.0.0",
    ]  # fmt: skip


def test_compose_writes_a_keras_model(run: Run, workshop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "two.keras"
    document = run(
        "compose", "me:cat", "me:dog", "--registry", workshop.registry, "--out", out, "--json"
    ).document  # fmt: skip
    assert [member["label"] for member in document["members"]] == ["cat", "dog"]
    assert (document["out"], document["reject"]) == (str(out), False)
    x, y = origin.images(30, 8)
    composite = modhub.compose(["me:cat", "me:dog"], registry=workshop.registry)
    margins = keras.models.load_model(out).predict_on_batch(x[y < 2].astype("float32"))
    np.testing.assert_allclose(margins, composite.predict(x[y < 2]).margins, atol=1e-3)


def test_compose_refuses_a_place_before_any_work(run: Run, tmp_path: Path) -> None:
    assert "use two.keras" in run("compose", "no:thing", "--out", "two.h5").err
    assert "there is no folder nowhere" in run("compose", "no:thing", "--out", "nowhere/two.keras").err


def test_predict_ranks_by_margin(run: Run, workshop: Workshop) -> None:
    document = run(
        "predict", "me/net", "--images", workshop["test.npz"], "--top", 2, "--registry", workshop.registry, "--json"
    ).document  # fmt: skip
    x, y = origin.images(60, 2)
    prediction = modhub.compose("me/net", registry=workshop.registry).predict(x)
    assert [row["image"] for row in document["images"]] == [f"x[{n}]" for n in range(60)]
    assert [row["label"] for row in document["images"]] == prediction.labels
    assert [[each["label"] for each in row["top"]] for row in document["images"]] == prediction.top(2)
    best = prediction.indices[:, None]
    for name, values in (("probability", prediction.probabilities), ("module_score", prediction.module_scores)):
        found = [[row["top"][0][name]] for row in document["images"]]
        np.testing.assert_allclose(found, np.take_along_axis(values, best, axis=1), atol=1e-5)
    assert np.mean(np.array(origin.CLASSES)[y] == prediction.labels) > 0.9


def test_predict_may_reject(run: Run, workshop: Workshop, tmp_path: Path) -> None:
    """Pictures of dogs, shown to a classifier that knows cats only."""
    x, y = origin.images(30, 8)
    np.savez(tmp_path / "dogs.npz", x=x[y == 1])
    arguments = ("predict", "me:cat", "--images", tmp_path / "dogs.npz", "--registry", workshop.registry)
    assert {line.split()[1] for line in run(*arguments).out.splitlines()[1:]} == {"cat"}
    rejecting = run(*arguments, "--reject").out.splitlines()
    assert rejecting[0].split() == ["image", "answer", "label", "probability", "module", "score"]
    assert sum("none of these" in line for line in rejecting) >= 8


def test_predict_one_picture(run: Run, workshop: Workshop, picture: Path) -> None:
    result = run("predict", "me/net", "--images", picture, "--registry", workshop.registry)
    assert result.out.splitlines()[1].split()[:2] == ["picture.png", "cat"]


def test_predict_refuses_more_than_there_is(run: Run, workshop: Workshop, picture: Path) -> None:
    result = run("predict", "me/net", "--images", picture, "--top", 4, "--registry", workshop.registry)
    assert (result.code, result.out) == (2, "")
    assert "--top 4 of a classifier of 3 classes" in result.err


def test_decompose_as_a_document(run: Run, workshop: Workshop) -> None:
    document = run(
        "decompose", workshop["net.keras"], "--data", workshop["train.npz"], "--validation", workshop["test.npz"],
        "--as", "me/other", "--rescale", "1/255", "--json", "--seed", 3, "--samples-per-class", 20, "--delta", "q5",
    ).document  # fmt: skip
    assert (document["name"], document["folder"]) == ("me/other", "other.modules")
    assert [row["class"] for row in document["classes"]] == list(origin.CLASSES)
    assert [accuracy["data"] for accuracy in document["accuracy"]] == ["train (observed)", "test"]
    assert all(row["metrics"][0]["vote_recall"] == 1 for row in document["classes"])
    decomposition = modhub.load("other.modules")
    assert decomposition.origin.contract.rescale == 1 / 255
    assert (decomposition.options.seed, decomposition.options.samples_per_class, decomposition.options.delta) == (
        3,
        20,
        "q5",
    )


def test_decompose_takes_the_order_of_classes_from_a_file(run: Run, workshop: Workshop, tmp_path: Path) -> None:
    """The data's own order is another one than the model's outputs."""
    x, y = origin.images(150, 1)
    np.savez(tmp_path / "turned.npz", x=x, y=2 - y, classes=np.array(origin.CLASSES[::-1]))
    (tmp_path / "names.txt").write_text("\n".join([*origin.CLASSES, ""]))
    arguments = ("decompose", workshop["net.keras"], "--data", "turned.npz", "--as", "me/net", "--rescale", "1/255")
    assert run(*arguments, "--classes", "names.txt").code == 0
    assert modhub.load("net.modules").origin.classes == origin.CLASSES
    wrong = run(*arguments, "--out", "wrong.modules")
    assert wrong.code == 1
    assert "chance is 33.3%" in wrong.err


def test_decompose_warns_in_one_line(run: Run, workshop: Workshop, tmp_path: Path) -> None:
    x, y = origin.images(150, 1)
    few = np.flatnonzero(y < 2).tolist() + np.flatnonzero(y == 2)[:3].tolist()
    np.savez(tmp_path / "few.npz", x=x[few], y=y[few], classes=np.array(origin.CLASSES))
    arguments = ["decompose", workshop["net.keras"], "--data", "few.npz", "--as", "me/net", "--rescale", "1/255"]
    for _ in range(2):
        warned = [line for line in run(*arguments, "--force").err.splitlines() if line.startswith("warning: ")]
        assert [line.split("'")[1] for line in warned] == ["cat", "dog"]
        assert all("instead of 1 : 1" in line for line in warned)


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--rescale", "1/0", "'1/0' is not a number"),
        ("--rescale", "nan", "'nan' is not a number"),
        ("--mean", "0.5,x", "'x' is not a number"),
        ("--delta", "q", "neither a number such as 0.5 nor a quantile"),
        ("--observe", "tanh", "'tanh' is not one of 'relu', 'conv'"),
        ("--samples-per-class", "0", "0 is not in the range"),
        ("--as", "net", "'net' is not a model's name"),
        ("--classes", "cat", "neither a file nor several names"),
        ("--data", "there.npz", "no data at 'there.npz'"),
        ("--validation", "there.npz", "no data at 'there.npz'"),
    ],
)
def test_decompose_refuses_before_any_work(run: Run, workshop: Workshop, option: str, value: str, reason: str) -> None:
    arguments = {"--data": workshop["train.npz"], "--as": "me/net"} | {option: value}
    result = run("decompose", workshop["net.keras"], *(text for pair in arguments.items() for text in pair))
    assert result.code in (2, 3, 4)
    assert reason in result.err


def test_decompose_refuses_a_place_before_it_reads_data(run: Run, workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("")
    result = run("decompose", workshop["net.keras"], "--data", "there.npz", "--as", "me/net", "--out", "full")
    assert (result.code, "full exists and is not a package" in result.err) == (4, True)


def test_decompose_has_the_defaults_of_the_python_call() -> None:
    from modhub.cli.commands.decompose import command

    given = command.make_context("decompose", ["net.keras", "--data", "x", "--as", "me/net"]).params
    defaults = {name: each.default for name, each in inspect.signature(modhub.decompose).parameters.items()}
    optional = {name for name, default in defaults.items() if default is not inspect.Parameter.empty}
    # The command names the data itself, and whatever its DATA can be has an end: no steps to count.
    named = {"y", "dataset", "validation_dataset", "progress"}
    assert optional - given.keys() == named | {"steps", "validation_steps"}
    # Pictures in files are of any size, so that the command fits them where nothing is said.
    same = (optional & given.keys()) - {"fit"}
    assert {name: given[name] for name in same} == {name: defaults[name] for name in same}


def test_alias_goes_to_the_configuration(run: Run, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODHUB_REGISTRY", workshop.registry)
    assert run("alias", "set", "mine", "me/net").err == ""
    assert dict(load_config().aliases) == {"mine": "me/net"}
    assert run("install", "mine:cat").code == 0
    aliases = run("alias", "list", "--json").document["aliases"]
    assert aliases[0] == {"name": "mine", "target": "me/net", "in": str(load_config().path)}
    unknown = run("alias", "remove", "mien")
    assert (unknown.code, "did you mean mine?" in unknown.err) == (3, True)
    assert run("alias", "remove", "mine").code == 0
    assert dict(load_config().aliases) == {}


def test_alias_goes_to_a_registry(run: Run, tmp_path: Path) -> None:
    result = run("alias", "set", "best", "me/net", "--registry", "registry")
    assert (result.code, result.err) == (0, "warning: no registry has me/net yet.\n")
    registry = Registry(open_store(str(tmp_path / "registry")))
    assert registry.aliases() == {"best": "me/net"}
    assert dict(load_config().aliases) == {}
    assert run("alias", "remove", "best", "--registry", "registry", "--json").document["target"] is None
    assert registry.aliases() == {}


def test_registry_init(run: Run, tmp_path: Path) -> None:
    first = run("registry", "init", "registry", "--json").document
    assert first == {"registry": str(tmp_path / "registry"), "created": True}
    assert run("registry", "init", "registry", "--json").document["created"] is False
    assert "is a registry already" in run("registry", "init", "registry").out


# The frame


def test_version(run: Run) -> None:
    from importlib.metadata import version

    assert run("--version").out == f"modhub {version('modhub')}\n"


@pytest.mark.parametrize("group", [[], ["alias"], ["registry"]], ids=str)
def test_a_group_alone_shows_its_help(run: Run, group: list[str]) -> None:
    assert run(*group).code == 0
    assert run(*group).out == run(*group, "--help").out


def test_every_command_has_summary_help_and_examples(run: Run) -> None:
    from modhub.cli.root import COMMANDS

    overview = run("--help").out
    for section, commands in COMMANDS.items():
        assert f"{section}:" in overview
        for name, summary in commands.items():
            assert summary in overview
            text = run(name, "--help").out
            assert "--debug" in text
            assert "Examples:" in text or "Commands:" in text


def test_options_of_commands_come_behind_them(run: Run) -> None:
    result = run("--registry", "x", "list")
    assert result.code == 2
    assert "write it behind one: modhub list --registry" in result.err


def test_an_error_as_a_document(run: Run) -> None:
    result = run("search", "--limit", "none", "--json")
    assert (result.code, result.out) == (2, "")
    assert json.loads(result.err)["error"] == "usage"


def test_warnings_are_ours_and_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet.warnings_as_lines(everything=False):
        for _ in range(2):
            warnings.warn_explicit("ours", UserWarning, str(quiet.__file__), 1)
            warnings.warn_explicit("theirs", UserWarning, str(keras.__file__), 1)
    assert capsys.readouterr().err == "warning: ours\n"
    with quiet.warnings_as_lines(everything=True):
        warnings.warn_explicit("theirs", UserWarning, str(keras.__file__), 1)
    assert "UserWarning: theirs" in capsys.readouterr().err


def test_a_hostile_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    printing.table([Column("class")], [["\x1b[2Jcat\u202e\nx"], ["Ünïcode 猫"]])
    assert capsys.readouterr().out == "class\n\\x1b[2Jcat\\u202e x\nÜnïcode 猫\n"


def test_sizes_and_places_are_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    from modhub.installation.registries import STARTER_FOLDER

    assert [printing.bytes_text(count) for count in (0, 1023, 1024, 1023 * 1024, 5 * 2**20)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "1.0 MiB", "5.0 MiB",
    ]  # fmt: skip
    assert printing.place(str(STARTER_FOLDER)) == "starter"
    assert printing.place(str(Path.home() / "team")) == "~/team"
    assert printing.place("/srv/team") == "/srv/team"
