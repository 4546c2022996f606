"""What ``modhub serve`` does until a signal ends it. Importing this module needs the extra ``serve``."""

from __future__ import annotations

import gc
import os
import sys
from threading import Event

from modhub.cli import printing
from modhub.cli.image_options import ImageOptions
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.cli.served_source import ServedSource
from modhub.cli.serving_options import TOKEN_VARIABLE, ServingOptions
from modhub.serving.application import application
from modhub.serving.hosting import check_listens, deaf_to_hangup, is_loopback, run_server
from modhub.serving.processors import use_processors
from modhub.serving.served import ServedClassifier
from modhub.serving.server import allowed_hosts
from modhub.serving.service import PictureWay, Reloading, Service, warm_service


def serve_until_told(
    source: ServedSource, serving: ServingOptions, pictures: ImageOptions, threads: int | None
) -> None:
    """Load the classifier and answer with it; may end the process."""
    use_processors(threads)
    check_listens(serving.host, serving.port)
    with deaf_to_hangup() as heard:
        service = _serve(source, serving, PictureWay(pictures.fit, pictures.background), heard)
    if service.is_busy:
        # A batch or a picture that nobody waits for any more would keep Python from ending for as long as it takes.
        sys.stdout.flush()
        os._exit(0)
    # Else the interpreter looks at every object of the network's library once more, which takes longer than stopping.
    gc.freeze()


def _serve(source: ServedSource, serving: ServingOptions, way: PictureWay, heard: Event) -> Service:
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
