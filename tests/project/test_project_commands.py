"""The commands of a project as a person types them: what they print, what they write, how they end."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_projects import both, lock, toml
from synthetic import release

from modhub import Project
from modhub.cli import main
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store
from tests.cli.running import Result, plain_environment


@pytest.fixture
def run(capsys, project, monkeypatch):
    """Run a command in the project's folder, with its registry in the environment."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("MODHUB_REGISTRY", str(project.options.registry))

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return run


def test_new_makes_a_folder_or_uses_this_one(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("new", "zoo", "me/net:cat", "me/two:bird")
    assert (done.code, done.out) == (0, "+ cat   me/net:cat@2.0.0\n+ bird  me/two:bird@1.0.0\n")
    assert "made " in done.err
    assert toml(Project.open(tmp_path / "zoo")).startswith('[project]\nname = "zoo"\n')
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run("new", "--here", "me/net:cat", "me/net:dog").code == 0
    assert list(Project.open().file.classes) == ["cat", "dog"]
    monkeypatch.chdir(tmp_path)
    done = run("new", "empty")
    assert (done.code, done.out) == (0, "")
    assert "modhub add REF --project empty" in done.err
    made = toml(Project.open(tmp_path / "empty"))
    assert run("new", "empty").code == 0
    assert toml(Project.open(tmp_path / "empty")) == made
    (tmp_path / "empty" / "modhub.toml").write_text(made + "# mine\n")
    done = run("new", "empty")
    assert (done.code, done.out) == (4, "")
    assert "there is a modhub.toml in" in done.err
    assert run("new", "x", "me/net:cat", "--json").document["classes"][0]["ref"] == "me/net:cat@2.0.0"


def test_edits_print_what_changed(run, project):
    assert run("add", "me/net:potter's wheel@^1", "--as", "wheel").out == "+ wheel  me/net:potters-wheel@1.1.0\n"
    done = run("swap", "cat=me/two:cat", "dog=me/two:dog")
    assert done.out == "~ cat  me/net:cat@1.1.0 -> me/two:cat@1.0.0\n~ dog  me/net:dog@1.1.0 -> me/two:dog@1.0.0\n"
    assert "4 classes are locked in" in done.err
    assert run("rename", "cat=kitten").out == "~ cat -> kitten\n"
    done = run("restrict", "dog", "kitten", "bird")
    assert done.out == "- wheel  me/net:potters-wheel@1.1.0\n"
    assert "the classes are dog, kitten, bird" in done.err
    done = run("verify-with", "kitten,dog=me/net:cat@>=1,<2,me/net:dog@^1")
    assert done.out == "+ kitten | dog  by me/net:cat@1.1.0, me/net:dog@1.1.0\n"
    assert 'modules = ["me/net:cat@>=1,<2", "me/net:dog@^1"]' in toml(project)
    assert run("verify-with", "dog,kitten", "--drop").out == "- dog | kitten\n"
    assert run("remove", "bird").out == "- bird   me/two:bird@1.0.0\n".replace("   ", "  ")
    done = run("lock")
    assert (done.out, done.code) == ("", 0)
    assert "nothing changed; 2 classes are locked in" in done.err


def test_merge_upgrade_outdated_and_tree(run, project, registry, tmp_path):
    Project.new(tmp_path / "zoo", ["me/net:potters-wheel@^1"], registry=registry.url)
    assert run("merge", "../zoo").out == "+ potter's wheel  me/net:potters-wheel@1.1.0\n"
    assert run("verify-with", "cat,dog=me/two:cat,me/two:dog").code == 0
    registry.publish(*release(version="1.2.0", seed=12))
    registry.yank(ModelRef("me", "two", "1.0.0"), "answers wolf")
    done = run("outdated")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["label", "module", "locked", "in", "range", "newest", "yanked"]
    assert lines[1] == ["cat", "me/net:cat", "1.1.0", "1.2.0", "2.0.0", "no"]
    assert lines[3] == ["bird", "me/two:bird", "1.0.0", "-", "-", "answers", "wolf"]
    assert "0 of 4 classes are up to date" in done.err
    assert run("outdated", "--json").document["classes"][0]["in_range"] == "1.2.0"
    done = run("upgrade", "me/net")
    assert done.out.splitlines()[0] == "~ cat             me/net:cat@1.1.0 -> me/net:cat@1.2.0"
    assert done.err.count("me/two@1.0.0 is yanked, but locked: answers wolf") == 1
    done = run("tree")
    assert [line.partition("  sha256:")[0] for line in done.out.splitlines()] == [
        "pets  4x4x1 grey, 0..255",
        "├── me/net@1.2.0",
        "│   ├── cat",
        "│   ├── dog",
        "│   └── potter's wheel",
        "└── me/two@1.0.0",
        "    ├── bird",
        "    ├── cat  decides again between cat, dog",
        "    ├── dog  decides again between cat, dog",
        "    └── ! me/two@1.0.0 is yanked: answers wolf",
    ]
    document = run("tree", "--json").document
    assert document["releases"][1]["verifying"][0] == {"module": "cat", "classes": ["cat", "dog"]}


def test_sync_installs_locks_again_and_frozen_refuses(run, project, tmp_path):
    assert "3 modules are installed already" in run("sync").err
    done = run("sync", "--cache", tmp_path / "other")
    assert "3 modules are installed, 3 of them now (" in done.err
    (project.folder / "modhub.toml").write_text(toml(project).replace("dog = ", "hound = "))
    done = run("sync", "--frozen")
    assert (done.code, done.out) == (4, "")
    assert "it lacks hound; it still has dog" in done.err
    done = run("sync", "--frozen", "--json")
    assert json.loads(done.err)["error"] == "lock-outdated"
    assert run("sync").out == "- dog  me/net:dog@1.1.0\n+ hound  me/net:dog@1.1.0\n"
    assert run("sync", "--frozen", "--json").document["changes"] == []


def test_verify_ends_with_5_when_a_digest_differs(run, project, tmp_path):
    done = run("verify")
    assert done.code == 0
    assert "everything is as it was locked" in done.err
    assert done.out.count("right") == 4
    other = Registry(open_store(str(tmp_path / "other")))
    other.publish(*release(version="1.1.0", seed=666))
    done = run("verify", "--registry", other.url, "--registry", project.options.registry)
    assert done.code == 5
    assert "wrong" in done.out
    assert f"me/net@1.1.0 is locked as {release(version='1.1.0', seed=1)[0].digest}, but" in done.err
    done = run("verify", "--registry", other.url, "--json")
    assert (done.code, done.document["right"]) == (5, False)
    assert [problem["error"] for problem in done.document["problems"]] == ["digest-changed"]


def test_verify_finds_damage_in_the_cache_and_sync_repairs_it(run, tmp_path):
    cache = tmp_path / "cache"
    assert run("sync", "--cache", cache).code == 0
    blob = max((cache / "blobs").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    data = blob.read_bytes()
    blob.chmod(0o644)
    blob.unlink()
    blob.write_bytes(b"x" + data[1:])
    done = run("verify", "--cache", cache)
    assert done.code == 5
    assert "is damaged in the cache" in done.err
    assert run("sync", "--cache", cache).code == 0
    assert run("verify", "--cache", cache).code == 0


def test_verify_says_what_no_place_has_and_what_is_not_locked(run, project, registry, tmp_path):
    empty = Registry(open_store(str(tmp_path / "empty")))
    empty.initialise()
    done = run("verify", "--registry", empty.url, "--cache", tmp_path / "none")
    assert done.code == 3
    assert "is in none of the registries searched, nor installed" in done.err
    (project.folder / "modhub.toml").write_text(toml(project).replace("dog = ", "hound = "))
    done = run("verify")
    assert done.code == 4
    assert "the lockfile is not of what" in done.err


def test_diff_of_releases_and_of_locks(run, project, tmp_path):
    shutil.copy(project.folder / "modhub.lock", tmp_path / "old.lock")
    run("swap", "cat=me/two:cat")
    run("rename", "dog=hound")
    done = run("diff", tmp_path / "old.lock", ".")
    assert done.out.splitlines() == [
        "- dog  me/net:dog@1.1.0",
        "~ cat  me/net:cat@1.1.0 -> me/two:cat@1.0.0",
        "+ hound  me/net:dog@1.1.0",
        "  order  cat, dog, bird -> cat, hound, bird",
    ]
    assert run("diff", "modhub.lock", "modhub.lock").err.endswith("nothing differs\n")
    assert run("diff", "modhub.lock", "modhub.lock", "--json").document == {"classes": [], "settings": []}
    done = run("diff", "modhub.lock", "me/net")
    assert (done.code, "modhub.lock is a lockfile, and me/net is none" in done.err) == (2, True)
    done = run("diff", "me/net", "me/net:cat")
    assert (done.code, "one names a class, the other a whole release" in done.err) == (2, True)
    done = run("diff", "me/net@1.1.0", "me/net@1.1.0")
    assert "every class is the same" in done.err
    done = run("diff", "cifar10/r20", "cifar10/r56:cat")
    assert done.code == 2


def test_diff_of_real_releases_distinguishes_masks_from_heads(run):
    done = run("diff", "cifar10/r20", "cifar10/r56", "--json")
    document = done.document
    assert document["same_weights"] is False
    assert {setting["name"] for setting in document["settings"]} >= {"digest", "architecture"}
    cat = next(each for each in document["classes"] if each["class"] == "cat")
    assert (cat["same_masks"], cat["same_head"]) == (False, False)
    assert set(cat["values"]) >= {"threshold", "kept", "JI"}
    text = run("diff", "cifar10/r20:cat", "cifar10/r56:cat").out
    assert text.splitlines()[0] == "cifar10/r20@1.1.0 -> cifar10/r56@1.1.0"
    assert "threshold 5.520 -> 5.318" in text


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["add"], 2, "missing argument 'REF...'"),
        (["swap", "cat"], 2, "'cat' is not LABEL=REF"),
        (["swap", "=me/two:cat"], 2, "is not LABEL=REF"),
        (["swap", "cat=me/two:cat", "cat=me/net:cat"], 2, "'cat' is named twice"),
        (["swap", "emu=me/two:cat"], 3, "the classifier has no class 'emu'"),
        (["rename", "cat="], 2, "'cat=' is not OLD=NEW"),
        (["rename", "cat=a\x1bb"], 2, r"'a\x1bb' cannot be a label"),
        (["restrict"], 2, "missing argument"),
        (["verify-with", "cat,dog=me/two:cat"], 2, "1 modules cannot verify 2 classes"),
        (["verify-with", "cat,dog=me/two:cat,me/two:dog", "--drop"], 2, "which --drop does not take"),
        (["verify-with", "cat,dog", "--drop"], 3, "no stage verifies cat, dog"),
        (["merge", "nowhere"], 3, "there is no modhub.toml in"),
        (["sync", "--project", "nowhere"], 3, "there is no modhub.toml in"),
        (["build"], 2, "missing option '--out'"),
        (["build", "--out", "x.h5"], 2, "ends in .keras"),
        (["build", "--out", "nowhere/x.keras"], 2, "there is no folder nowhere"),
        (["lock", "--out", "x.lock"], 2, "--out is for a lock of names"),
        (["lock", "me/net:cat", "--data", "x.npz"], 2, "a lock of names has no project and no accuracy"),
        (["lock", "--data", "x.npz", "--no-accuracy"], 2, "exclude each other"),
        (["lock", "--data", "x.npz"], 3, "no data at"),
        (["new", ""], 2, "cannot be empty"),
        (["new"], 2, "the project has no name"),
        (["new", "a\tb"], 2, r"'a\tb' cannot be a label"),
        (["verify", "--nope"], 2, "has no option --nope"),
        (["add", "me/net:cat@^1"], 4, "the project has a class 'cat' already"),
        (["add", "me/net:dog@^9"], 3, "me/net has no version ^9"),
        (["outdated", "--registry", "./nowhere"], 6, "there is no registry at"),
    ],
)
def test_a_mistake_is_one_line_one_hint_and_one_exit_code(run, project, arguments, code, text):
    before = both(project)
    done = run(*arguments)
    assert (done.code, done.out) == (code, "")
    assert text in done.err
    assert "Traceback" not in done.err
    assert both(project) == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[project\n", "modhub.toml, line 1: it is not TOML"),
        (
            '[project]\nname = "x"\n[clases]\n',
            "modhub.toml, line 3: there is no 'clases'. Hint: did you mean classes or licenses or scales?",
        ),
    ],
)
def test_every_command_names_the_line_of_a_broken_project_file(run, project, text, reason):
    (project.folder / "modhub.toml").write_text(text)
    for arguments in (
        ["add", "me/two:cat"],
        ["remove", "cat"],
        ["lock"],
        ["sync"],
        ["tree"],
        ["build", "--out", "x.keras"],
    ):
        done = run(*arguments)
        assert done.code == 2
        assert reason in done.err.replace("\nhint: ", " Hint: ")


def test_light_commands_load_no_network_library(run, project):
    """In a fresh interpreter, by what is in sys.modules when the commands end."""
    commands = [["tree"], ["outdated"], ["swap", "cat=me/two:cat"], ["lock"], ["verify", "--no-accuracy"], ["sync"]]
    code = (
        "import sys\nfrom modhub.cli import main\n"
        f"for arguments in {commands!r}:\n    assert main(arguments) == 0, arguments\n"
        "print('LOADED', sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))\n"
    )
    environment = plain_environment() | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "LOADED []" in done.stdout


def test_registries_of_the_project_file_are_used_and_the_environment_goes_before_them(
    run, project, monkeypatch, tmp_path
):
    text = toml(project).replace('name = "pets"', 'name = "pets"\nregistries = ["../registry"]')
    (project.folder / "modhub.toml").write_text(text)
    monkeypatch.delenv("MODHUB_REGISTRY")
    assert run("lock").code == 0
    assert 'registry = "../registry"' in lock(project)
    monkeypatch.setenv("MODHUB_REGISTRY", str(tmp_path / "nowhere"))
    done = run("outdated")
    assert (done.code, "there is no registry at" in done.err) == (6, True)


def test_ctrl_c_leaves_both_files_and_one_line(project, tmp_path):
    """A registry that never answers is interrupted in the middle of an edit."""
    import socket

    before = both(project)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        environment = plain_environment() | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        process = subprocess.Popen(
            [sys.executable, "-m", "modhub", "add", "me/two:cat", "--as", "x", "--registry", url],
            cwd=project.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        server.settimeout(60)
        connection, _ = server.accept()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        connection.close()
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "error: interrupted."
    assert both(project) == before
