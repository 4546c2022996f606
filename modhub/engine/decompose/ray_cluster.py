"""Observing on many machines: a Ray cluster whose workers read their pieces of the data themselves.

One task a piece, at most ``workers`` under way. Activity is an OR and every step has one shape, so neither the number
of workers nor the order in which they finish changes a bit. A task whose worker dies runs again elsewhere.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.data.raw import RawRows
from modhub.data.rows import CHUNK_BYTES, Piece, RowSlice
from modhub.decomposition.activity import Activity
from modhub.decomposition.sampling import Indices, Observed, Sample, Segment, observed
from modhub.decomposition.sites import Site, find_sites
from modhub.engine.decompose.observe import (
    Logits,
    MarginInputs,
    gathered,
    margins_of_piece,
    observe_piece,
    wanted_of,
)
from modhub.engine.decompose.probe import StepProgress
from modhub.engine.run.network import Network
from modhub.errors import ModhubError, UsageError, plain
from modhub.package.module import Module, Origin
from modhub.spec.manifest import DecomposeOptions

#: How often a task runs again whose worker died.
_RETRIES: Final = 3


@dataclass(frozen=True, eq=False)
class _Job:
    """What all tasks of one observation share; it travels to each machine once."""

    origin: Origin
    batch_size: int
    sites: tuple[Site, ...] = ()
    modules: tuple[MarginInputs, ...] = ()


@contextmanager
def opened_cluster(workers: int | None) -> Iterator[Cluster]:
    """The cluster that RAY_ADDRESS names, or that this process has joined; else one of ``workers`` processes here.

    Raises UsageError, kind ``missing-extra``, without Ray, and ModhubError, kind ``no-cluster``.
    """
    ray = _library()
    joined = ray.is_initialized()
    if not joined:
        here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **here)
        # Ray raises OSError, ValueError, RuntimeError and its own for a cluster that is not there.
        except Exception as error:
            raise ModhubError(
                f"no Ray cluster: {plain(str(error))}.",
                kind="no-cluster",
                hint="does RAY_ADDRESS name one that runs? Without it, one is started here.",
            ) from error
    try:
        yield Cluster(ray, workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
    finally:
        if not joined:
            ray.shutdown()


def _library() -> Any:
    try:
        import ray  # in the extra ``ray``
    except ImportError as error:
        raise UsageError(
            "the engine ray needs the library ray, which is not installed.",
            kind="missing-extra",
            hint="pip install 'modhub[ray]'",
            extra="ray",
        ) from error
    return ray


class Cluster:
    """An engine (``executors.Engine``) of a running cluster."""

    def __init__(self, ray: Any, workers: int) -> None:
        self._ray = ray
        self.workers = workers

    def run(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        found = dict(self.tasks(function, calls))
        return [found[number] for number in range(len(calls))]

    def observer(
        self, origin: Origin, network: Network, pieces: Sequence[Piece], progress: StepProgress | None
    ) -> ClusterObserver:
        if any(isinstance(piece.images, RawRows) for piece in pieces):
            raise UsageError(
                "batches are kept on this machine, where the workers of a cluster cannot read them.",
                kind="bad-data",
                hint='save them as .npz shards and give their URL, or use engine="local".',
            )
        return ClusterObserver(self, origin, [part for piece in pieces for part in _parts(piece)], progress)

    def share(self, value: Any) -> Any:
        """A reference that tasks take in place of ``value``, which travels to each machine once."""
        return self._ray.put(value)

    def tasks(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """``function`` of each call's arguments: number and result, as they are done.

        Raises what ``function`` raised, and ModhubError, kind ``workers-lost``.
        """
        remote = self._ray.remote(max_retries=_RETRIES)(function)
        waiting: dict[Any, int] = {}
        for number, call in enumerate(calls):
            if len(waiting) >= self.workers:
                yield self._next(waiting)
            waiting[remote.remote(*call)] = number
        while waiting:
            yield self._next(waiting)

    def _next(self, waiting: dict[Any, int]) -> tuple[int, Any]:
        done = self._ray.wait(list(waiting), num_returns=1)[0][0]
        number = waiting.pop(done)
        try:
            return number, self._ray.get(done)
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except self._ray.exceptions.RayError as error:
            raise ModhubError(
                f"piece {number} of the data was lost with its workers, {_RETRIES + 1} times: {_first_line(error)}.",
                kind="workers-lost",
                hint="do workers run out of memory? Make shards or --batch-size smaller, or use fewer workers.",
                piece=number,
            ) from error


def _cause(error: Any) -> Exception:
    cause = error.cause
    if isinstance(cause, ModhubError):
        return cause
    return ModhubError(
        f"a worker failed: {type(cause).__name__}: {_first_line(cause)}.",
        kind="worker-failed",
        hint="have all machines the same modhub, keras and drivers?",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _parts(piece: Piece) -> Iterable[Piece]:
    """A piece in parts for several workers; those of an array in this process travel, others are read over there."""
    row = int(np.prod(piece.images.shape[1:])) * piece.images.dtype.itemsize
    step = max(1, CHUNK_BYTES // row)
    for start in range(0, len(piece.images), step):
        stop = min(start + step, len(piece.images))
        is_here = isinstance(piece.images, np.ndarray)
        yield Piece(piece.start + start, piece.images[start:stop] if is_here else RowSlice(piece.images, start, stop))


class ClusterObserver:
    """An observer (``observe.Observer``) whose pieces are observed by workers. ``progress`` is called with pieces."""

    def __init__(
        self, cluster: Cluster, origin: Origin, pieces: Sequence[Piece], progress: StepProgress | None
    ) -> None:
        self._cluster = cluster
        self._origin = origin
        self._pieces = pieces
        self._progress = progress

    def activity(self, sample: Sample, parts: Sequence[Segment], options: DecomposeOptions) -> tuple[Activity, Logits]:
        sites = find_sites(self._origin.architecture, options.observe)
        everything = observed(sample, parts)
        job = self._cluster.share(_Job(self._origin, options.batch_size, sites=sites))
        shares = [(piece, everything.within(piece.start, piece.stop)) for piece in self._pieces]
        shares = [(piece, share) for piece, share in shares if len(share.inputs)]
        calls = [(job, piece.images, share.inputs, share.rows) for piece, share in shares]
        activity, found = Activity(sites, parts), []
        for done, (number, (rows, bits, logits)) in enumerate(self._cluster.tasks(_observe, calls)):
            activity.merge(rows, bits)
            found.append((shares[number][0].start + np.sort(shares[number][1].inputs), logits))
            if self._progress:
                self._progress(done + 1, len(calls))
        return activity, gathered(found)

    def margins(
        self, modules: Sequence[Module], inputs: Sequence[Indices], batch_size: int
    ) -> list[NDArray[np.float64]]:
        result = [np.empty(len(own)) for own in inputs]
        if not modules:
            return result
        job = self._cluster.share(_Job(self._origin, batch_size, modules=tuple(map(MarginInputs.of, modules))))
        wanted = [(piece, *wanted_of(piece, inputs)) for piece in self._pieces]
        wanted = [(piece, places, own) for piece, places, own in wanted if any(map(len, own))]
        calls = [(job, piece.images, own) for piece, _, own in wanted]
        for number, found in self._cluster.tasks(_margins, calls):
            for values, place, margins in zip(result, wanted[number][1], found, strict=True):
                values[place] = margins
        return result


#: In a worker: the network of the origin that it worked for last, so that tasks do not build and compile it again.
_network: list[tuple[str, Network]] = []


def _network_of(origin: Origin) -> Network:
    if not _network or _network[0][0] != origin.fingerprint:
        _network[:] = [(origin.fingerprint, Network(origin.architecture, origin.weights))]
    return _network[0][1]


def _observe(job: _Job, images: Any, inputs: Indices, rows: Indices) -> tuple[Any, Any, NDArray[np.float32]]:
    return observe_piece(_network_of(job.origin), job.origin, job.sites, Observed(inputs, rows), images, job.batch_size)


def _margins(job: _Job, images: Any, inputs: Sequence[Indices]) -> list[NDArray[np.float64]]:
    return margins_of_piece(_network_of(job.origin), job.origin, job.modules, inputs, images, job.batch_size)
