"""Where the classifier comes from that ``modhub serve`` answers with: names, a project, or a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.cli.compose_options import ComposeOptions, composite_of_lock_file, composite_of_options
from modhub.errors import Untrusted
from modhub.installation.context import Places
from modhub.project.manifest import PROJECT_FILE
from modhub.project.project import Project
from modhub.serving.given import USUAL_NAME
from modhub.settings.config import load_config
from modhub.spec.folder_refs import classifier_ref
from modhub.spec.places import is_file

if TYPE_CHECKING:
    from modhub.composition.composite import Composite


@dataclass(frozen=True)
class ServedSource:
    """What is loaded at the start, and whenever it is to be loaded again. ``name`` is what it is called in URLs."""

    name: str
    _composed: Callable[[], Composite]
    _must_be_signed: bool

    @classmethod
    def of(
        cls,
        refs: tuple[str, ...],
        shape: ComposeOptions,
        registry: tuple[str, ...] | None,
        cache: Path | None,
    ) -> ServedSource:
        """What ``modhub serve`` was given. Raises as ``Project.open`` and ``load_config``."""
        must_be_signed = load_config().signatures_required
        folder = _project_folder(refs)
        if folder is not None or not refs:
            # Found now: a server that is told to reload may have another working folder's project above it.
            project = Project.open(folder, registry=registry, cache=cache)
            return cls(_name(project.file.project.name), lambda: composite_of_lock_file(project, shape), must_be_signed)
        kept = classifier_ref(refs[0]) if len(refs) == 1 else None
        name = USUAL_NAME if kept is None else _name(kept.file.stem)

        def composed() -> Composite:
            composite = composite_of_options(refs, shape, registry=registry, cache=cache)
            if any(classifier_ref(ref) is not None for ref in refs):
                _hear(composite, registry, cache)
            return composite

        return cls(name, composed, must_be_signed)

    def load(self) -> Composite:
        """The classifier as it is now. Raises Untrusted for modules that were never published, if need be."""
        composite = self._composed()
        local = [module.ref for module in composite.plan.recognisers if module.pin is None]
        if self._must_be_signed and local:
            raise Untrusted(
                f"{local[0]} was never published, so no key vouches for it.",
                hint="have it published and signed, or serve it where signatures are not required.",
                module=local[0],
            )
        return composite


def _hear(composite: Composite, registry: tuple[str, ...] | None, cache: Path | None) -> None:
    """Ask registries what they say against the modules, as ``Composite.remarks`` then knows: what reads a file asks
    nobody, and what answers for weeks has to be told that a module is faulty."""
    published = {module.origin.namespace for module in composite.plan.recognisers if module.pin is not None}
    Places.open(registry, cache, locked=True).heard(published)


def _project_folder(refs: tuple[str, ...]) -> Path | None:
    """The folder of the project that a single argument names, by itself or by its file."""
    if len(refs) != 1:
        return None
    place = Path(refs[0])
    place = place.parent if place.name == PROJECT_FILE else place
    return place if is_file(place / PROJECT_FILE) else None


def _name(text: str) -> str:
    """A name for URLs that is as near to ``text`` as may be."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:100].strip("-.") or USUAL_NAME
