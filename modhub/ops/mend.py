"""Proposing, and making, the smallest change that mends what an audit of a project found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modhub.advisories.findings import AuditReport
from modhub.data.images import ImageData, load_data
from modhub.engine.datasets import load_dataset
from modhub.installation.context import RegistryUrls
from modhub.ops.audit import audit
from modhub.project.folder import find_folder, read_state
from modhub.project.mending import FaultyClass, MendingOption, MendingPlan, MendingWay, applied, mending_plan
from modhub.project.session import ProjectOptions, Session
from modhub.spec.refs import ModuleRef


@dataclass(frozen=True)
class MendedProject:
    """What was found in a project, what can be done about each class, and what was done, by label.

    ``left``: ids of findings that are about no class that an edit could change.
    """

    folder: Path
    report: AuditReport
    plans: tuple[MendingPlan, ...]
    done: dict[str, MendingOption]
    left: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; shares of 1."""
        return {
            "project": str(self.folder),
            "classes": [_plan_fields(plan, self.done.get(plan.faulty.label)) for plan in self.plans],
            "left": list(self.left),
        }


def mend(
    project: str | Path | None = None,
    *,
    data: str | Path | None = None,
    by: MendingWay | None = None,
    apply: bool = False,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    offline: bool = False,
    before_running: Callable[[], None] | None = None,
) -> MendedProject:
    """What can be done about the classes of a project against which ``audit`` finds something.

    Four ways, smallest change first (the paper's four options, section 2): ``newer``, a release that nothing is said
    against; ``instead``, the module that an advisory names (on the scale of the one that goes, where that is needed or
    measured to be better); ``verify``, other modules decide again when the class is answered; ``remove``. With
    ``data``, or where the project names some, each is measured. ``apply`` makes the change: ``by`` that way, else the
    smallest that makes no other class clearly worse. Raises NotFound, also for a way that a class does not have.
    """
    folder = find_folder(project)
    report = audit([folder], registry=registry, cache=None if cache is None else str(cache), offline=offline)
    options = ProjectOptions(registry, cache, offline=offline, before_running=before_running)
    session = Session(folder, options, read_state(folder))
    said = [
        (label, None if found.remark is None else found.remark.use)
        for found in report.findings
        for label in found.labels
    ]
    spec = session.state.file.project.data if data is None else str(data)
    images = None if spec is None else _images(session, spec, given=data is not None)
    if images is not None and said and before_running is not None:
        before_running()
    plans, done = [], {}
    for label in dict.fromkeys(label for label, _ in said):
        session = Session(folder, options, read_state(folder))
        instead = [use for each, use in said if each == label and use is not None]
        pin = dict(session.locked().classes)[label]
        faulty = FaultyClass(label, pin, tuple(dict.fromkeys(instead)), _said_of(session))
        plan = mending_plan(session, faulty, images, spec or "")
        plans.append(plan)
        if apply:
            done[label] = plan.chosen(by)
            applied(session, done[label])
    left = tuple(found.id for found in report.findings if not found.labels)
    return MendedProject(folder, report, tuple(plans), done, left)


def _said_of(session: Session) -> Callable[[ModuleRef], bool]:
    """Whether an advisory that holds is about a module, by any registry of the project."""
    places = session.places(or_cached=True)

    def is_faulty(ref: ModuleRef) -> bool:
        boards = [file.board for file in places.heard({ref.namespace})]
        remarks = (remark for board in boards if board is not None for remark in board.about(ref))
        return any(remark.kind == "advisory" for remark in remarks)

    return is_faulty


def _images(session: Session, spec: str, *, given: bool) -> ImageData:
    """Labelled images: named from the current folder where they were given, else from the project's."""
    where = spec if given or spec in ("cifar10", "cifar100") else session.folder / spec
    return load_data(where, split="test", datasets=load_dataset)


def _plan_fields(plan: MendingPlan, done: MendingOption | None) -> dict[str, Any]:
    return {
        "label": plan.faulty.label,
        "module": str(plan.faulty.pin.ref),
        "before": None if plan.before is None else _measured_fields(plan.before.accuracy.top_1, plan.before.recalls),
        "options": [
            {
                "way": each.way,
                "change": each.text,
                "measured": None
                if each.measured is None
                else _measured_fields(each.measured.accuracy.top_1, each.measured.recalls),
                "fallen": None if each.fallen is None else {"label": each.fallen[0], "by": each.fallen[1]},
            }
            for each in plan.options
        ],
        "done": None if done is None else done.way,
    }


def _measured_fields(top_1: float, recalls: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    return {"top_1": top_1, "recalls": dict(recalls)}
