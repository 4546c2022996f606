"""The GitHub Action at the top of the repository: its steps are run by bash, as a runner runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import modhub
from modhub.registry.writer import Registry
from modhub.storage.urls import open_store
from tests.synthetic import release

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: An exact commit; a tag can be moved.
PINNED = re.compile(r"(\./|[\w./-]+@[0-9a-f]{40})")


@dataclass(frozen=True)
class Done:
    """``code`` of the step that failed, else 0; ``outputs`` of all steps by step and name."""

    code: int
    log: str
    outputs: Mapping[str, str]


def runner(folder: Path, **inputs: str) -> Done:
    """Run the steps that have scripts, with these inputs, in ``folder``; steps that use other actions are left out."""
    values = {f"inputs.{name}": str(each.get("default", "")) for name, each in ACTION["inputs"].items()}
    values |= {"github.action_path": str(ROOT)} | {f"inputs.{name}": value for name, value in inputs.items()}
    log, written = "", folder / "github.output"
    for step in ACTION["runs"]["steps"]:
        if "uses" in step or not holds(step.get("if", ""), values):
            continue
        written.write_text("")
        given = {name: filled(text, values) for name, text in step["env"].items()}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        places = {"PATH": path, "GITHUB_OUTPUT": str(written), "RUNNER_TEMP": str(folder), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env=os.environ | places | given,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        log += done.stdout + done.stderr
        for line in written.read_text().splitlines():
            name, _, value = line.partition("=")
            values[f"steps.{step['id']}.outputs.{name}"] = value
        if done.returncode:
            return Done(done.returncode, log, values)
    return Done(0, log, values)


def filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: values.get(found[1], ""), text)


def holds(condition: str, values: Mapping[str, str]) -> bool:
    """Of conditions such as ``inputs.upload == 'true' && inputs.format == 'sarif'``."""
    parts = [re.fullmatch(r"([\w.]+) == '(\w+)'", part) for part in condition.split(" && ") if part]
    return all(values.get(part[1], "") == part[2] for part in parts if part)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    registry = Registry(open_store(str(tmp_path_factory.mktemp("team") / "registry")))
    registry.publish(*release())
    return registry.url


@pytest.fixture
def project(registry: str, tmp_path: Path) -> str:
    made = modhub.Project.new(tmp_path / "pets", ["me/net:cat", "me/net:dog"], registry=registry)
    made.lock()
    return str(made.folder)


def test_an_advisory_fails_the_job_after_the_file_was_written(project: str, registry: str, tmp_path: Path) -> None:
    clean = runner(tmp_path, project=project, registry=registry, version="installed")
    assert clean.code == 0, clean.log
    assert "nothing against 2 modules" in clean.log
    assert "everything is as it was locked" in clean.log
    assert clean.outputs["steps.verify.outputs.code"] == "0"

    said = modhub.advise("me/net:cat@^1", "answers wolf", registry=registry, severity="high").advisory.id
    try:
        found = runner(tmp_path, project=project, registry=registry, version="installed")
        assert (found.code, found.outputs["steps.audit.outputs.code"]) == (7, "7"), found.log
        assert "me/net:cat@1.0.0 is faulty (high" in found.log
        document = json.loads((tmp_path / found.outputs["steps.audit.outputs.file"]).read_text())
        assert [result["ruleId"] for result in document["runs"][0]["results"]] == [said]
        told = {"fail": "false", "verify": "false", "format": "osv", "output": "found.json"}
        tolerated = runner(tmp_path, project=project, registry=registry, version="installed", **told)
        assert (tolerated.code, tolerated.outputs["steps.audit.outputs.code"]) == (0, "7")
        assert said in (tmp_path / "found.json").read_text()
    finally:
        modhub.withdraw_advisory(said, registry=registry)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project", '"; touch "$RUNNER_TEMP/planted"; $(touch $RUNNER_TEMP/planted) "'),
        ("project", "--help"),
        ("version", "1.0; touch $RUNNER_TEMP/planted"),
        ("version", "--index-url=https://example.org"),
        ("version", " @ https://example.org/modhub.whl"),
        ("extras", "sign]; touch $RUNNER_TEMP/planted; echo ["),
    ],
)
def test_what_is_given_is_never_part_of_a_script(name: str, value: str, tmp_path: Path) -> None:
    version = "0.1.0" if name == "extras" else "installed"
    done = runner(tmp_path, **({"version": version, "fail": "false"} | {name: value}))
    # What cannot be looked at is no clean audit, whatever findings do.
    assert done.code not in (0, 7), done.log
    assert "error" in done.log
    assert [path.name for path in tmp_path.iterdir()] == ["github.output"]


def scripts(document: Any) -> list[str]:
    """All that is given to a shell, anywhere in a document."""
    if isinstance(document, dict):
        own = [document["run"]] if isinstance(document.get("run"), str) else []
        return own + [script for value in document.values() for script in scripts(value)]
    return [script for value in document for script in scripts(value)] if isinstance(document, list) else []


def used(document: Any) -> list[str]:
    if isinstance(document, dict):
        own = [document["uses"]] if isinstance(document.get("uses"), str) else []
        return own + [name for value in document.values() for name in used(value)]
    return [name for value in document for name in used(value)] if isinstance(document, list) else []


@pytest.mark.parametrize("path", [ROOT / "action.yml", *WORKFLOWS], ids=lambda path: path.name)
def test_scripts_have_no_expressions_and_actions_are_pinned(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    assert scripts(document)
    assert not [script for script in scripts(document) if "${{" in script]
    assert not [name for name in used(document) if not PINNED.fullmatch(name)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    assert document["permissions"] == {"contents": "read"}
    assert not [name for name, job in document["jobs"].items() if "permissions" in job]


def test_every_input_is_used_and_described() -> None:
    text = (ROOT / "action.yml").read_text()
    for name, each in ACTION["inputs"].items():
        assert f"inputs.{name}" in text
        assert len(each["description"]) > 10
    assert {f"inputs.{name}" for name in ACTION["inputs"]} == set(re.findall(r"inputs\.[\w-]+", text))
