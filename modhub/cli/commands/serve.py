"""``modhub serve``."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.compose_options import ComposeOptions, composite_of_lock_file, composite_of_options, shape_options
from modhub.cli.image_options import ImageOptions, one_image_options
from modhub.cli.options import Command, cache_option, registry_option
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.cli.serving_options import TOKEN_VARIABLE, ServingOptions, serving_options
from modhub.engine.keras_backend import require_keras_backend
from modhub.errors import Untrusted
from modhub.project.manifest import PROJECT_FILE
from modhub.project.project import Project
from modhub.serving.application import USUAL_NAME, application
from modhub.serving.hosting import check_listens, deaf_to_hangup, is_loopback, run_server
from modhub.serving.processors import use_processors
from modhub.serving.served import ServedClassifier
from modhub.serving.server import allowed_hosts
from modhub.serving.service import PictureWay, Reloading, Service, warm_service
from modhub.settings.config import load_config
from modhub.spec.folder_refs import classifier_ref
from modhub.spec.places import is_file

if TYPE_CHECKING:
    from modhub.composition.composite import Composite


@click.command(
    "serve",
    cls=Command,
    examples=[
        "modhub serve c10:cat c100:apple",
        "modhub serve pets.modhub --port 9000",
        "modhub serve pets/ --host 0.0.0.0 --token-file /run/secrets/token",
        "curl -F file=@photo.png http://127.0.0.1:8000/predict",
        "kill -HUP $(pgrep -f 'modhub serve')",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF|PROJECT|FILE...]")
@serving_options
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processors that networks compute on.  [default: those that this process may use]",
)
@click.option(
    "--require-signature",
    is_flag=True,
    help="Serve only what a key that you trust has signed.  [env: MODHUB_REQUIRE_SIGNATURE]",
)
@one_image_options
@shape_options
@registry_option
@cache_option
def command(
    refs: tuple[str, ...],
    serving: ServingOptions,
    threads: int | None,
    require_signature: bool,
    pictures: ImageOptions,
    shape: ComposeOptions,
    registry: tuple[str, ...] | None,
    cache: Path | None,
) -> None:
    """Answer over HTTP with a classifier composed of REFs, of a project, or of a file.

    A REF is a name, a folder that modhub decompose wrote, or a file that modhub compose --save wrote. PROJECT is a
    folder with a modhub.toml, of which exactly what is locked is served; without a REF it is the one in this folder or
    above. POST /predict takes pictures; /v2 is the Open Inference Protocol, for clients of Triton and KServe; /docs
    describes everything, /metrics is for Prometheus.

    \b
    SIGHUP           load the project, file or names again, beside what answers; one that does not
                     work is refused, and the old one goes on
    SIGTERM, SIGINT  answer what was accepted, then stop, within five seconds
    """
    require_keras_backend()
    if require_signature:
        # Reloading, and whatever is read on the way, asks for it too.
        os.environ["MODHUB_REQUIRE_SIGNATURE"] = "1"
    # A bar for each batch that takes long is nothing for a log.
    os.environ.setdefault("MODHUB_PROGRESS", "0")
    use_processors(threads)
    check_listens(serving.host, serving.port)
    source = _Source.of(refs, shape, registry, cache, must_be_signed=load_config().signatures_required)
    with deaf_to_hangup() as heard:
        service = _serve(source, serving, PictureWay(pictures.fit, pictures.background), heard)
    if service.is_busy:
        # A batch or a picture that nobody waits for any more would keep Python from ending for as long as it takes.
        sys.stdout.flush()
        os._exit(0)
    # Else the interpreter looks at every object of the network's library once more, which takes longer than stopping.
    gc.freeze()


def _serve(source: _Source, serving: ServingOptions, way: PictureWay, heard: Event) -> Service:
    """Load, and answer until a signal says that it is enough. ``heard``: whether SIGHUP came while it loaded."""
    with ProgressLine("finding modules") as progress:
        composite = source.load()
        progress.doing("building and compiling networks")
        load_engine()
        service = warm_service(composite, serving.name or source.name, serving.limits, way)
    first = service.classifier

    def again() -> ServedClassifier:
        return ServedClassifier(source.load(), first.name, first.batch)

    reloading = Reloading(service, again, printing.note)

    def announce(url: str) -> None:
        printing.line(f"{first} is served at {url}")
        printing.note(f"its pages: {url}/docs; reload with kill -HUP {os.getpid()}, stop with Ctrl-C.")
        if heard.is_set():
            reloading.ask()

    if not is_loopback(serving.host) and serving.token is None:
        printing.warn(
            f"whoever reaches {serving.host} port {serving.port} may ask: set {TOKEN_VARIABLE}, or let a proxy decide."
        )
    run_server(
        application(service, token=serving.token, hosts=allowed_hosts(serving.host, serving.allow_host)),
        host=serving.host,
        port=serving.port,
        announce=announce,
        on_stop=service.leave,
        on_hangup=reloading.ask,
    )
    return service


@dataclass(frozen=True)
class _Source:
    """Where the classifier comes from, at the start and whenever it is loaded again."""

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
        *,
        must_be_signed: bool,
    ) -> _Source:
        folder = _project_folder(refs)
        if folder is not None or not refs:
            # Found now: a server that is told to reload may have another working folder's project above it.
            project = Project.open(folder, registry=registry, cache=cache)
            return cls(_name(project.file.project.name), lambda: composite_of_lock_file(project, shape), must_be_signed)
        kept = classifier_ref(refs[0]) if len(refs) == 1 else None
        name = USUAL_NAME if kept is None else _name(kept.file.stem)
        return cls(name, lambda: composite_of_options(refs, shape, registry=registry, cache=cache), must_be_signed)

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
