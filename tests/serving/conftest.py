"""A small classifier, served once for all tests of one kind; and one whose answers wait until a test lets them."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import modhub
from modhub.composition.composite import Composite
from modhub.package.decomposition import Decomposition
from modhub.serving.bounds import ServingLimits
from modhub.serving.server import ServedHere
from tests.cli import origin

#: Small enough that a test can exceed each of them.
LIMITS = ServingLimits(body=256 * 1024, json_body=64 * 1024, pixels=100_000, images=8)


@pytest.fixture(scope="session")
def modules() -> Decomposition:
    """Three classes of 12x12 grey images."""
    x, y = origin.images(150, 1)
    return modhub.decompose(origin.network(), x, y, classes=origin.CLASSES, name="me/net", rescale=1 / 255)


@pytest.fixture(scope="session")
def pets(modules: Decomposition) -> Composite:
    return modhub.compose(modules)


@pytest.fixture(scope="session")
def x() -> NDArray[np.uint8]:
    """Eight raw images (8, 12, 12, 1)."""
    return origin.images(8, 5)[0]


@pytest.fixture(scope="session")
def server(pets: Composite) -> Iterator[ServedHere]:
    with modhub.serve(pets, port=0, name="pets", limits=LIMITS) as served:
        yield served


def png(image: NDArray[np.uint8] | Image.Image, **saving: Any) -> bytes:
    """An image (H, W, 1) or a picture of Pillow's as a PNG."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image[..., 0])
    out = io.BytesIO()
    picture.save(out, "PNG", **saving)
    return out.getvalue()


@dataclass
class Gate:
    """Stands before a classifier's networks: ``entered`` counts the batches that came, which wait while it is shut."""

    open: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    batches: list[int] = field(default_factory=list)
    fails_on: Callable[[NDArray[Any]], bool] = lambda images: False

    def shut(self) -> None:
        """From the next batch on, all wait; those before are forgotten."""
        self.open.clear()
        self.batches.clear()
        self.entered = threading.Semaphore(0)

    def wait_for_batch(self) -> None:
        """Until a batch stands before the gate."""
        assert self.entered.acquire(timeout=60)


@dataclass(frozen=True)
class GatedBackend:
    """The backend of another composite, whose networks run when the gate is open."""

    of: Composite
    gate: Gate

    def runner(self, plan: Any) -> Any:
        inner, gate = self.of.backend.runner(plan), self.gate

        class Runner:
            def margins(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
                gate.batches.append(len(images))
                gate.entered.release()
                assert gate.open.wait(60)
                if gate.fails_on(images):
                    raise ZeroDivisionError("made to fail")
                return inner.margins(images, batch_size)

        return Runner()

    def remarks(self, plan: Any) -> list[str]:
        return ["me/net:cat is faulty (high, MH-1): it is a dog"]


@pytest.fixture
def gate() -> Gate:
    """Open at first, for warming up."""
    found = Gate()
    found.open.set()
    return found


@pytest.fixture
def gated(pets: Composite, gate: Gate) -> Composite:
    return Composite(pets.plan, GatedBackend(pets, gate))  # type: ignore[arg-type]
