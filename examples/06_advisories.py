"""A faulty class is found out after projects have locked it: advise, audit, mend each project in another way, verify.

Nothing is trained again in the projects. The networks here are small, and fitted in a second; the images are drawn.
"""

import os
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np

import modhub
from examples.paper.shapes import CLASSES, decompositions, images
from modhub.cli import main as command

WAYS = ("newer", "instead", "verify")


def run(*arguments: object) -> int:
    """The exit code of a command whose output nobody needs to see; that of an audit is 7 when something is found."""
    with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
        return command([str(argument) for argument in arguments])


def story(folder: Path, publishing: str, reading: str, made: dict[str, modhub.Decomposition], ways=WAYS) -> None:
    """``publishing`` and ``reading`` are URLs of one registry, which may be read at another address."""
    x, y = images(60, 6)
    np.savez(folder / "test.npz", x=x, y=y, classes=np.array(CLASSES))
    for name in ("team/shapes", "other/shapes"):
        modhub.publish(made[f"{name}@1.0.0"], version="1.0.0", registry=publishing)
    refs = [f"team/shapes:{name}@^1.0" for name in CLASSES]
    projects = {way: modhub.Project.new(folder / way, refs, registry=reading) for way in ways}
    before = dict(projects[ways[0]].lock(data=str(folder / "test.npz")) and projects[ways[0]].verify().recalls)
    print(f"locked: the modules answer {before['block']:.0%} of the blocks")

    modhub.publish(made["team/shapes@1.1.0"], version="1.1.0", registry=publishing)
    fault = {"severity": "high", "fixed_in": "1.1.0", "instead": "other/shapes:block"}
    said = modhub.advise("team/shapes:block@^1", "does not know most blocks", registry=publishing, **fault)
    print(f"advised: {said.advisory.id} {said.advisory.severity}, {said.advisory.affected[0].ranges[0]}")
    for way, project in projects.items():
        at = ("--registry", reading)
        # Who synchronises hears of it, and knows it offline from then on.
        codes = run("sync", "--project", project.folder, *at), run("audit", project.folder, "--offline")
        fixed = run("audit", project.folder, "--fix", "--apply", "--by", way, "--data", folder / "test.npz", *at)
        project.lock(data=str(folder / "test.npz"))
        after = dict(project.verify().recalls)
        worst = min(after[label] - before[label] for label in after if label != "block")
        print(f"{way}: exit codes {codes}, {fixed}; {before['block']:.0%} -> {after['block']:.0%}, others {worst:+.1%}")
    # A module that others verify is still there, so its advisory is still found.
    print(f"clean now: {', '.join(way for way in ways if not run('audit', projects[way].folder, *at))}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["MODHUB_CACHE"] = f"{temporary}/cache"
        story(Path(temporary), f"{temporary}/registry", f"{temporary}/registry", decompositions())
