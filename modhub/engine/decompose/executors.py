"""Where the work of decomposing a network is done: in this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import starmap
from typing import Any, Protocol

from modhub.data.rows import Piece
from modhub.decomposition.settings import ENGINES
from modhub.engine.decompose.observe import LocalObserver, Observer
from modhub.engine.decompose.probe import StepProgress
from modhub.engine.decompose.ray_cluster import opened_cluster
from modhub.engine.run.network import Network
from modhub.errors import UsageError, did_you_mean
from modhub.package.module import Origin


class Engine(Protocol):
    """Runs functions on shards, and observes pieces of the data."""

    def run(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        """``function`` of each call's arguments, in order."""

    def observer(
        self, origin: Origin, network: Network, pieces: Sequence[Piece], progress: StepProgress | None
    ) -> Observer: ...


class Local:
    """This process."""

    def run(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        return starmap(function, calls)

    def observer(
        self, origin: Origin, network: Network, pieces: Sequence[Piece], progress: StepProgress | None
    ) -> Observer:
        return LocalObserver(origin, network, pieces, progress)


@contextmanager
def opened_engine(name: str, workers: int | None) -> Iterator[Engine]:
    """The engine called ``name``. Raises UsageError for an unknown one, a bad number of workers, a missing library."""
    if name not in ENGINES:
        raise UsageError(
            f"{name!r} is no engine.",
            kind="bad-option",
            hint=did_you_mean(str(name), ENGINES) or f"use {' or '.join(ENGINES)}.",
        )
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise UsageError(f"workers is {workers!r}; wanted 1 or more.", kind="bad-option", hint="leave it out for all.")
    if name == "local":
        if workers is not None:
            raise UsageError(
                f"workers is {workers}, but the local engine has none.", kind="bad-option", hint='use engine="ray".'
            )
        yield Local()
        return

    with opened_cluster(workers) as cluster:
        yield cluster
