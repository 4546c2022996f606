"""What is counted and measured, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from modhub.serving.library import ASGIApp, Message, Receive, Response, Scope, Send, prometheus_client

if TYPE_CHECKING:
    from modhub.serving.served import ServedClassifier

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_IMAGES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
#: What a request counts as that asks for something that is not there: paths are anybody's choice.
_ELSEWHERE: Final = "other"


class ServingMetrics:
    """One application's own, so that several in one process are told apart."""

    def __init__(self) -> None:
        self._registry = registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self._requests = prometheus_client.Counter(
            "modhub_requests", "Requests answered.", ("endpoint", "status"), registry=registry
        )
        self._seconds = prometheus_client.Histogram(
            "modhub_request_seconds",
            "From a request's headers to its answer.",
            ("endpoint",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = prometheus_client.Histogram(
            "modhub_batch_images", "Images classified together.", buckets=_IMAGES, registry=registry
        )
        self._classifying = prometheus_client.Histogram(
            "modhub_batch_seconds", "Classifying one batch.", buckets=_SECONDS, registry=registry
        )
        self._in_flight = prometheus_client.Gauge(
            "modhub_requests_in_flight", "Requests being read or answered.", registry=registry
        )
        self._queued = prometheus_client.Gauge(
            "modhub_queue_images", "Images that wait for the classifier.", registry=registry
        )
        self._reloads = prometheus_client.Counter(
            "modhub_reloads", "Times that another classifier was to be loaded.", ("result",), registry=registry
        )
        self._model = prometheus_client.Info("modhub_model", "The classifier that answers.", registry=registry)
        self._model_classes = prometheus_client.Gauge("modhub_model_classes", "Its classes.", registry=registry)
        self._remarks = prometheus_client.Gauge(
            "modhub_model_remarks", "What registries say against its modules.", registry=registry
        )
        for result in ("swapped", "refused"):
            self._reloads.labels(result)

    def watch_queue(self, length: Callable[[], float]) -> None:
        """``length`` gives the images that wait."""
        self._queued.set_function(length)

    def batch(self, images: int, seconds: float) -> None:
        """A batch was classified."""
        self._batches.observe(images)
        self._classifying.observe(seconds)

    def serves(self, classifier: ServedClassifier) -> None:
        """From now on ``classifier`` answers."""
        self._model.info({"name": classifier.name, "version": classifier.version})
        self._model_classes.set(len(classifier.classes))
        self._remarks.set(len(classifier.remarks))

    def reloaded(self, *, swapped: bool) -> None:
        """Another classifier was loaded, or refused."""
        self._reloads.labels("swapped" if swapped else "refused").inc()

    def answer(self) -> Response:
        """All of it, in the text format."""
        return Response(
            prometheus_client.generate_latest(self._registry), media_type=prometheus_client.CONTENT_TYPE_LATEST
        )

    def measured(self, app: ASGIApp) -> ASGIApp:
        """``app`` with its requests counted."""

        async def measuring(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began, status = time.monotonic(), 500

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            self._in_flight.inc()
            try:
                await app(scope, receive, noting)
            finally:
                self._in_flight.dec()
                name = getattr(scope.get("endpoint"), "__name__", _ELSEWHERE)
                self._requests.labels(name, str(status)).inc()
                self._seconds.labels(name).observe(time.monotonic() - began)

        return measuring
