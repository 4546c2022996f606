"""``modhub.serve``: a classifier over HTTP, from Python."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from modhub.data.given import Fit
from modhub.serving.application import application
from modhub.serving.bounds import ServingLimits
from modhub.serving.given import USUAL_NAME
from modhub.serving.hosting import LOOPBACK_NAMES, Hosted, hosted, is_loopback
from modhub.serving.served import ServedClassifier
from modhub.serving.service import PictureWay, Service, warm_service

if TYPE_CHECKING:
    from modhub.composition.composite import Composite


def serve(
    classifier: Composite,
    *,
    port: int = 8000,
    host: str = "127.0.0.1",
    name: str = USUAL_NAME,
    fit: Fit | None = None,
    background: str = "white",
    token: str | None = None,
    hosts: Collection[str] = (),
    limits: ServingLimits | None = None,
) -> ServedHere:
    """Serve ``classifier`` over HTTP from a thread of this process, until ``stop()`` or the end of a ``with``.

    The routes, and the other arguments, are those of ``modhub.serving.application.app``. ``port`` 0 takes a free one;
    ``url`` of the result says where it is. On loopback it answers only requests that name this machine, or one of
    ``hosts``; listening elsewhere, give a ``token``. Stopping answers what was accepted, within five seconds.

    Raises UsageError, also kinds ``port-in-use`` and ``missing-extra``, and as ``Composite.predict``.

    >>> import modhub
    >>> import requests
    >>> pets = modhub.compose(["cifar10/r20:cat", "cifar10/r20:dog"])
    >>> black = [[[0, 0, 0]] * 32] * 32
    >>> with modhub.serve(pets, port=0) as server:
    ...     answer = requests.post(f"{server.url}/predict", json={"image": black}).json()
    >>> answer["classes"], answer["images"][0]["label"] in pets
    (['cat', 'dog'], True)
    """
    service = warm_service(classifier, name, limits or ServingLimits(), PictureWay(fit, background))
    known = allowed_hosts(host, hosts)
    return ServedHere(
        service, hosted(application(service, token=token, hosts=known), host=host, port=port, on_stop=service.leave)
    )


class ServedHere:
    """A classifier that a thread of this process serves at ``url``."""

    def __init__(self, service: Service, hosted_by: Hosted) -> None:
        self.url = hosted_by.url
        self._service = service
        self._hosted = hosted_by

    def replace(self, classifier: Composite) -> None:
        """Let another classifier answer under the same name, once it is warm; no request fails. Raises as ``serve``,
        and the old one goes on."""
        old = self._service.classifier
        self._service.replace(ServedClassifier(classifier, old.name, old.batch))

    def stop(self) -> None:
        """Answer what was accepted, then end. Again it does nothing."""
        self._hosted.stop()

    def __enter__(self) -> ServedHere:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


def allowed_hosts(host: str, named: Collection[str]) -> Collection[str]:
    """The names under which a server that listens on ``host`` is asked; none where any will do."""
    if is_loopback(host):
        return [*LOOPBACK_NAMES, host, *named]
    return named
