"""What is to be made compact, with which images and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modhub.compaction.work import Work
from modhub.composition.composite import Composite
from modhub.data.given import ChannelNumbers
from modhub.data.images import ImageData
from modhub.engine.compact.settings import CompactSettings
from modhub.evaluation.answers import Answers
from modhub.spec.keras_model import KerasModel

#: Called with a description of what is done, and how much of it: done and in all.
CompactProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class CompactRequest:
    """What is to be made compact, ``name`` being what comes out, with images to fit on and some ``set_aside``.

    ``classes`` of both are the classifier's labels in its order, and so of ``validation``, images that nothing is made
    with. ``work`` is that of the ``settings``. ``answer`` is how the whole classifier answers raw images (N, H, W, C)
    in batches.
    """

    what: Composite | KerasModel
    what_name: str
    answer: Callable[..., Answers]
    name: str
    images: ImageData
    set_aside: ImageData
    settings: CompactSettings
    work: Work
    validation: ImageData | None = None
    rescale: float = 1.0
    mean: ChannelNumbers | None = None
    std: ChannelNumbers | None = None
